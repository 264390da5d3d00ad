"""What holds for every kind of source. What only one of them can do, or get wrong, is tested beside it."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.members import FIXED, MEMBERS, Given
from tests.ingest.pictures import Recorder, ingest_step, jpeg, rows, run_ingest
from thaw.pipeline_config.dataset_schema import DigitsSource, SplitName
from thaw.pipeline_config.errors import DatasetError, DownloadError
from thaw.tasks.home import Home
from thaw.tasks.ingest.sources import _KINDS, open_source

SPLITS: tuple[SplitName, ...] = ("train", "train", "validation", "test")
NOBODY = 65534


def given(classes: tuple[str, str] = ("cats", "dogs"), name: str = "{:02}.jpg") -> list[Given]:
    """Sixteen pictures, eight of each class, of which four are for training."""
    return [
        Given(name.format(number), classes[number % 2], SPLITS[number // 2 % 4], jpeg(number)) for number in range(16)
    ]


def surveyed(source: Any, home: Path) -> list[tuple[str, str, str, bytes]]:
    """All that a source says of its images, and the images, each read in two ways."""
    opened = open_source(source, Home.open(home))
    opened.fetch(Recorder())
    found: list[tuple[str, str, str, bytes]] = [
        (each.origin, each.class_name, each.split, each.read()) for each in opened.examples()
    ]
    assert opened.count() == len(found)
    assert sorted({class_name for _, class_name, _, _ in found}) == sorted(opened.classes())
    assert {split for _, _, split, _ in found} == opened.splits()
    assert [opened.read_again(origin) for origin, *_ in reversed(found)] == [image for *_, image in reversed(found)]
    return found


def fault(source: Any, home: Path) -> str:
    """The one line with which a run's first step ends."""
    home.mkdir(exist_ok=True)
    with pytest.raises((DatasetError, DownloadError)) as caught:
        run_ingest(source, home / "output")
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 500
    return message


def test_every_kind_of_source_is_a_member() -> None:
    assert {*MEMBERS, *FIXED} == set(_KINDS)


@pytest.mark.parametrize("kind", MEMBERS)
def test_the_same_pictures_are_the_same_images_whatever_holds_them(kind: str, tmp_path: Path) -> None:
    source, _ = MEMBERS[kind].write(tmp_path / "given", given())
    run_ingest(source, tmp_path / "home" / "output")
    columns = ("id", "label", "class_name", "split", "width", "height", "format", "bytes")
    found = sorted(tuple(row[name] for name in columns) for row in rows(tmp_path / "home" / "output"))
    reference, _ = MEMBERS["directory"].write(tmp_path / "reference", given())
    run_ingest(reference, tmp_path / "other" / "output")
    assert found == sorted(tuple(row[name] for name in columns) for row in rows(tmp_path / "other" / "output"))
    assert len(found) == 16


@pytest.mark.parametrize("kind", [*MEMBERS, *FIXED])
def test_images_come_in_one_order_under_names_of_their_own(kind: str, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    source = DigitsSource(kind="digits") if kind in FIXED else MEMBERS[kind].write(tmp_path / "given", given())[0]
    found = surveyed(source, tmp_path / "home")
    assert surveyed(source, tmp_path / "home") == found
    assert len({origin for origin, *_ in found}) == len(found)
    assert not any(str(tmp_path) in origin for origin, *_ in found)


@pytest.mark.parametrize("kind", MEMBERS)
def test_the_key_follows_the_pictures_and_not_the_place(kind: str, tmp_path: Path) -> None:
    changed = given()
    changed[3] = Given("03.jpg", "dogs", changed[3].split, jpeg(99))
    one, moved, other = (
        ingest_step(MEMBERS[kind].write(tmp_path / place, pictures)[0]).key
        for place, pictures in (("one", given()), ("moved", given()), ("changed", changed))
    )
    assert one == moved != other


@pytest.mark.parametrize("kind", MEMBERS)
def test_a_damaged_picture_is_named_in_one_line_and_left_out_if_that_is_allowed(kind: str, tmp_path: Path) -> None:
    pictures = given()
    pictures[6] = Given("06.jpg", "cats", pictures[6].split, jpeg(6)[:200])
    source, _ = MEMBERS[kind].write(tmp_path / "given", pictures)
    (tmp_path / "home").mkdir()
    (origin,) = [name for name, *_, image in surveyed(source, tmp_path / "home") if image == jpeg(6)[:200]]
    assert fault(source, tmp_path / "home").startswith(f"1 of 16 images cannot be read: {origin} (")
    facts = run_ingest(source, tmp_path / "home" / "tolerant", max_bad_fraction=0.1)
    assert (facts["unreadable"], sum(facts["examples"].values())) == (1, 15)


@pytest.mark.parametrize("kind", MEMBERS)
def test_a_place_that_is_gone_is_named_in_one_line(kind: str, tmp_path: Path) -> None:
    source, place = MEMBERS[kind].write(tmp_path / "given", given())
    place.rename(tmp_path / "elsewhere")
    assert place.name.replace(" ", "%20") in fault(source, tmp_path / "home").replace(" ", "%20")


@contextlib.contextmanager
def as_an_ordinary_user() -> Iterator[None]:
    """Root may read everything, so it becomes somebody else for a moment."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@pytest.mark.parametrize("kind", MEMBERS)
def test_a_place_that_may_not_be_read_is_named_in_one_line(kind: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:  # in a folder that every user may enter
        folder = Path(temporary)
        folder.chmod(0o755)
        source, place = MEMBERS[kind].write(folder / "given", given())
        (folder / "home").mkdir()
        (folder / "home").chmod(0o777)
        place.chmod(0o000)
        try:
            with as_an_ordinary_user():
                message = fault(source, folder / "home")
        finally:
            place.chmod(0o755)
    assert "Permission denied" in message
    assert str(folder / "given") in message


@pytest.mark.parametrize("kind", MEMBERS)
@pytest.mark.parametrize(
    ("classes", "name"),
    [
        (("cats [old]", "[red] dogs"), "photo [{:02}].jpg"),
        (("Kätzchen 🐈", "собака, «2»"), "Größe {:02} – é.jpg"),
        (("a 'class'", 'a "class"'), "-{:02} & %20 #1.jpg"),
    ],
    ids=["brackets", "letters", "signs"],
)
def test_odd_names_of_classes_and_files_are_kept(
    kind: str, classes: tuple[str, str], name: str, tmp_path: Path
) -> None:
    source, _ = MEMBERS[kind].write(tmp_path / "given [1]", given(classes, name))
    run_ingest(source, tmp_path / "home" / "output")
    found = rows(tmp_path / "home" / "output")
    assert {row["class_name"] for row in found} == set(classes)
    assert len(found) == 16


@pytest.mark.parametrize("kind", [kind for kind, member in MEMBERS.items() if member.can_state_empty_classes])
def test_a_class_without_a_picture_is_named_in_one_line(kind: str, tmp_path: Path) -> None:
    source, _ = MEMBERS[kind].write(tmp_path / "given", given(), empty="birds")
    assert "birds has no " in fault(source, tmp_path / "home")
