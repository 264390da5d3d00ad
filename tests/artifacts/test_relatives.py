"""Artifacts that have rows in common with one that is to be made: which they are, in what order, and what of damage."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.artifacts.steps import LetterStep
from tests.support import without_cost
from thaw.pipeline_config.errors import UnreadableError
from thaw.tasks.artifacts import manifest
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Made
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.home import Home


class RowsStep(LetterStep):
    """Has rows of its parent."""

    rows_of: ClassVar[tuple[str, ...]] = ("parent",)


def of(parent: int, text: str = "x") -> RowsStep:
    return RowsStep(text=text, parent=ArtifactRef(kind="parents", digest=f"{parent:064x}"))


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, told: list[str]) -> ArtifactStore:
    return Home.open(tmp_path).store.telling(told.append)


def build(store: ArtifactStore, step: RowsStep, made_at: int) -> Path:
    def work(folder: Path) -> Made:
        (folder / "rows").write_text(f"{step.parent} {step.text}")
        return without_cost()

    folder = store.folder(store.build(step, work))
    os.utime(folder, (made_at, made_at))
    return folder


def test_relatives_differ_in_the_input_alone_and_the_newest_comes_first(store: ArtifactStore) -> None:
    first, last, middle = (build(store, of(parent), made_at) for parent, made_at in ((1, 10), (2, 30), (3, 20)))
    build(store, of(4, text="y"), 40)
    assert list(store.relatives(of(9))) == [last, middle, first]
    assert list(store.relatives(of(9, text="z"))) == []


def test_only_some_relatives_are_looked_at(store: ArtifactStore) -> None:
    folders = [build(store, of(parent), 10 + parent) for parent in range(6)]
    assert list(store.relatives(of(9))) == folders[:1:-1]


def test_what_is_to_be_made_again_takes_nothing_over_until_it_is_made(store: ArtifactStore) -> None:
    older, _ = build(store, of(1), 10), build(store, of(2), 20)
    store.forget(of(2).key)
    assert list(store.relatives(of(2))) == []
    newer = build(store, of(2), 20)
    assert list(store.relatives(of(2))) == [newer, older]


def cut(folder: Path) -> None:
    (folder / "rows").write_text("")


def lose(folder: Path) -> None:
    (folder / "rows").unlink()


@pytest.mark.parametrize("damage", [cut, lose])
def test_a_damaged_relative_is_set_aside_with_a_warning(
    store: ArtifactStore, told: list[str], damage: Callable[[Path], None]
) -> None:
    older, newer = build(store, of(1), 10), build(store, of(2), 20)
    damage(newer)
    assert list(store.relatives(of(9))) == [older]
    (warning,) = told
    assert warning.startswith(f"{newer / 'rows'} ")
    assert not newer.exists()
    assert store.look_up(of(2).key) is None  # its key leads nowhere any more


def test_a_relative_that_describes_nothing_or_cannot_be_read_is_passed_over(
    store: ArtifactStore, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer, without_manifest = (build(store, of(parent), 10 * parent) for parent in (1, 2, 3))
    (without_manifest / "manifest.json").write_text("{}")
    find_damage = manifest.find_damage

    def refuse(folder: Path, *rest: Any) -> str | None:
        if folder == newer:
            raise UnreadableError(f"{folder} cannot be read: Input/output error. Check the disk.")
        return find_damage(folder, *rest)

    monkeypatch.setattr("thaw.tasks.artifacts.store.find_damage", refuse)
    assert list(store.relatives(of(9))) == [older]
    assert told == [f"{newer} cannot be read: Input/output error. Check the disk. What it holds is made again."]
