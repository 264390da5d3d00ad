"""Watching a recipe's images: told once of each change that has settled, and of nothing that a run knows."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import small_recipe, write_pictures
from thaw.flows import requests, watching
from thaw.flows.ingested import images_now, images_of_last_run, note_images
from thaw.flows.watching import Watch
from thaw.pipeline_config.errors import DatasetError, RecipeError
from thaw.pipeline_config.loading import load_recipe
from thaw.tasks.home import Home
from thaw.tasks.progress import Event, subscribed

SETTLE = 10.0


class Folder:
    """A source that holds what a test says, a run that has taken in what it says, and a clock of seconds."""

    def __init__(self) -> None:
        self.images: str | Exception = "a"
        self.last_run: str | None = None
        self.is_running = False
        self.refuses = False
        self.told: list[str] = []
        self.warnings: list[str] = []
        self.moment = 100.0
        self.watch = Watch(
            "flowers",
            SETTLE,
            now=self.now,
            last_run=lambda: self.last_run,
            can_start=lambda: not self.is_running,
            tell=self.tell,
        )

    def now(self) -> str:
        if isinstance(self.images, Exception):
            raise self.images
        return self.images

    def tell(self) -> None:
        if self.refuses:
            raise ConnectionError("the server is away")
        self.told.append(self.now())

    def look(self, images: str | Exception | None = None, *, after: float = SETTLE) -> list[str]:
        """Go on in time, look, and say what is told of so far."""
        self.moment += after
        self.images = self.images if images is None else images
        with subscribed(self.note):
            self.watch.look(self.moment)
        return self.told

    def note(self, event: Event) -> None:
        self.warnings.append(event.text)


def test_a_change_is_told_once_when_it_has_settled() -> None:
    folder = Folder()
    folder.last_run = "a"
    assert folder.look() == folder.look() == []
    assert folder.look("b") == []
    assert folder.look(after=SETTLE - 1) == []
    assert folder.look(after=1) == ["b"]
    assert folder.look() == folder.look() == ["b"]


def test_a_copy_in_progress_tells_nothing_until_it_is_done() -> None:
    folder = Folder()
    for part in range(20):
        assert folder.look(f"{part} photos", after=SETTLE - 1) == []
    assert folder.look() == ["19 photos"]


def test_what_a_run_by_hand_took_in_is_not_told() -> None:
    folder = Folder()
    folder.look("b")
    folder.last_run = "b"
    assert folder.look() == folder.look() == []


def test_images_that_are_again_as_they_were_are_told_where_the_last_run_saw_others() -> None:
    folder = Folder()
    folder.last_run = "a"
    folder.look(), folder.look("b"), folder.look()
    folder.last_run = "b"
    assert folder.look("a") == ["b"]
    assert folder.look() == ["b", "a"]


def test_a_change_during_a_run_waits_for_its_end() -> None:
    folder = Folder()
    folder.last_run, folder.is_running = "a", True
    folder.look("b")
    assert folder.look() == folder.look() == []
    folder.is_running = False
    assert folder.look() == ["b"]


def test_an_unreadable_source_is_one_warning_and_then_watched_again() -> None:
    folder = Folder()
    folder.last_run = "a"
    gone = DatasetError("/photos: No such file or directory.")
    for _ in range(5):
        assert folder.look(gone) == []
    (warning,) = folder.warnings
    assert warning.startswith(
        "The images of flowers cannot be watched now; thaw serve goes on trying: /photos: No such"
    )
    assert folder.look("b") == []
    assert folder.look() == ["b"]
    folder.look(gone)
    assert len(folder.warnings) == 2, "another time is another warning"


def test_what_could_not_be_told_is_told_later() -> None:
    folder = Folder()
    folder.refuses = True
    folder.look("b")
    assert folder.look() == folder.look() == []
    assert len(folder.warnings) == 1
    folder.refuses = False
    assert folder.look() == ["b"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.5, 30)), max_size=40))
def test_whatever_happens_a_change_is_told_only_if_settled_and_never_twice_in_a_row(steps: list[Any]) -> None:
    folder, since = Folder(), 0.0
    folder.images = "none"
    for images, pause in steps:
        before = len(folder.told)
        if images != folder.images:
            since = folder.moment + pause
        folder.look(images, after=pause)
        assert len(folder.told) <= before + 1
        if len(folder.told) > before:
            assert folder.told[-1] == images
            assert folder.moment - since >= SETTLE
            assert folder.told[-2:-1] != [images]


def test_the_images_of_a_recipe_are_known_by_their_content_and_its_run(tmp_path: Path) -> None:
    recipe = small_recipe(write_pictures(tmp_path / "data", each=3))
    home = Home.open(tmp_path / "home")
    first = images_now(recipe, home)
    assert images_of_last_run(recipe, home) is None
    note_images(recipe, home, requests.ingest(recipe, home))
    other_seed = recipe.model_copy(update={"seed": 12})
    assert images_of_last_run(other_seed, home) == first == images_now(other_seed, home)
    elsewhere = small_recipe(write_pictures(tmp_path / "other", each=4))
    assert images_of_last_run(elsewhere, home) is None
    (tmp_path / "data" / "red" / "000.png").unlink()
    assert images_now(recipe, home) != first


def test_one_of_two_processes_watches_in_a_thread_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked, looks = threading.Event(), []

    def images(recipe: Any, home: Any) -> str:
        looks.append(threading.current_thread())
        looked.set()
        return "a"

    recipe = small_recipe(tmp_path, retrain={"on": ["folder"], "settle_seconds": 86_400.0})
    monkeypatch.setattr(watching, "images_now", images)
    monkeypatch.setattr(watching, "deployment_of", lambda recipe: None)  # no server
    home = Home.open(tmp_path / "home")
    with home.store.lock("watch-small"):
        watching.start_watching(recipe, home)
        assert not looked.wait(0.5)
    assert looked.wait(10)
    assert looks[0].daemon
    assert looks[0] is not threading.current_thread()


WATCHED = "retrain.on=[folder]"


@pytest.mark.parametrize("recipe", ["digits", "cats_dogs"])
def test_what_cannot_change_cannot_be_watched(recipe: str) -> None:
    with pytest.raises(RecipeError, match="does not change, so that there is nothing to watch"):
        load_recipe(recipe, (WATCHED,))


def test_a_folder_can_be_watched(tmp_path: Path) -> None:
    load: Callable[..., Any] = load_recipe
    assert load("cats_dogs", (WATCHED,), data=tmp_path).retrain.on == ["folder"]
