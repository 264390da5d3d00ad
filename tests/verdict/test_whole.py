"""The champion answers for the new model's test images, and the verdict follows: real models, small pictures."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.support import WalkHere, small_recipe, write_pictures
from thaw.flows.graph import GRAPH
from thaw.pipeline_config.errors import PublishError
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.home import Home
from thaw.tasks.publishing.publish import publish
from thaw.tasks.releases.checksums import write_checksums
from thaw.tasks.releases.learned_from import LEARNED_FROM_NAME
from thaw.tasks.releases.release import ReleaseInfo
from thaw.tasks.releases.verdict import Verdict
from thaw.tasks.verdict.difference_request import Difference
from thaw.tasks.verdict.step import BaselineFacts


class Run:
    """A run that is over: what ran, what it said, and its release."""

    def __init__(self, recipe: Recipe, home: Path) -> None:
        self.walk = WalkHere(recipe, home)
        self.walk.go(GRAPH)
        store = self.walk.home.store
        self.ran = self.walk.ran
        self.verdict = store.facts(self.walk.made["verdict"], Verdict)
        self.scores = store.facts(self.walk.made["baseline"], BaselineFacts).scores
        self.release: ReleaseInfo = publish(self.walk.home, self.walk.made["publish"])

    def table(self, task: str, name: str):
        return pq.read_table(self.walk.home.store.folder(self.walk.made[task]) / f"{name}.parquet")


def recipe_of(data: Path, *, split_seed: int = 3, min_examples: int = 1, **changes) -> Recipe:
    dataset = {"source": {"kind": "directory", "path": str(data)}, "seed": split_seed}
    publishing = {"formats": ["keras"], "min_examples": min_examples}
    stages = {"stage_one": STAGE, "stage_two": STAGE, "augment": []}
    evaluate = {"slices": ["size", "folder", "brightness"]}
    return small_recipe(data, dataset=dataset, publish=publishing, evaluate=evaluate, **(stages | changes))


STAGE = {
    "resolution": 16,
    "train": "all",
    "epochs": 1,
    "batch_size": 8,
    "optimizer": {"name": "adam", "learning_rate": 0.01},
}

# Learns nothing, so that it answers otherwise than the first model, and does not take its place.
STILL = STAGE | {"optimizer": {"name": "sgd", "learning_rate": 1e-12}}
STILLS: dict[str, Any] = {"stage_one": STILL, "stage_two": STILL}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("verdict")
    write_pictures(folder / "data", each=20)
    return folder


@pytest.fixture(scope="module")
def first(place: Path) -> Run:
    run = Run(recipe_of(place / "data"), place / "home")
    shutil.copytree(place / "home", place / "after first")
    return run


@pytest.fixture(scope="module")
def second(place: Path, first: Run) -> Run:
    return Run(recipe_of(place / "data", seed=4, **STILLS), place / "home")


@pytest.fixture
def home(place: Path, first: Run, tmp_path: Path) -> Path:
    """A home of its own with the first release, and nothing that came after it."""
    shutil.copytree(place / "after first", tmp_path / "home")
    return tmp_path / "home"


def test_the_first_release_is_compared_with_the_largest_class(first: Run):
    assert first.verdict.verdict == "first"
    assert set(first.scores) == {"largest_class"}
    assert first.verdict.compared is not None
    assert first.release.is_champion == (first.verdict.compared.gained > first.verdict.compared.lost)
    largest = set(first.table("baseline", "largest_class")["predicted_class"].to_pylist())
    assert len(largest) == 1
    assert f"always to answer {largest.pop()} would be right on {first.verdict.compared.other_accuracy:.4f}" in (
        first.verdict.reason
    )


def test_the_champion_answers_as_it_did_when_it_was_tested(first: Run, second: Run):
    answers, tested = second.table("baseline", "champion"), first.table("evaluate", "predictions")
    assert answers["id"] == tested["id"]
    assert answers["predicted_class"] == tested["predicted_class"]
    expected = [max(row) for row in tested["probabilities"].to_pylist()]
    assert answers["probability"].to_pylist() == pytest.approx(expected, abs=1e-5)
    assert not any(answers["learned_from"].to_pylist())  # one split, of one data set


def test_its_score_on_a_test_split_is_computed_once_and_each_look_at_it_is_counted(
    place: Path, first: Run, second: Run
):
    assert "baseline" in second.ran
    third = Run(recipe_of(place / "data", seed=5, **STILLS), place / "home")
    assert "baseline" not in third.ran
    assert "verdict" in third.ran
    counted = [run.verdict.looks for run in (first, second, third)]
    assert [(looks.before, looks.among) for looks in counted if looks] == [(0, 1), (1, 1), (2, 2)]
    assert len({looks.test_split for looks in counted if looks}) == 1
    again = Run(recipe_of(place / "data", seed=4, **STILLS), place / "home")
    assert (again.ran, again.release.id) == ([], second.release.id)  # counts as it did the first time


def test_the_verdict_counts_what_the_tables_hold(first: Run, second: Run):
    new, old = second.table("evaluate", "predictions"), second.table("baseline", "champion")
    right = [a == b for a, b in zip(new["class_name"], new["predicted_class"], strict=True)]
    champion = [a == b for a, b in zip(old["class_name"], old["predicted_class"], strict=True)]
    compared = second.verdict.compared
    assert compared is not None
    assert compared.gained == sum(a and not b for a, b in zip(right, champion, strict=True))
    assert compared.lost == sum(b and not a for a, b in zip(right, champion, strict=True))
    assert second.verdict.champion is not None
    assert second.verdict.champion.release == first.release.id


def test_parts_of_the_test_images_are_judged_by_themselves_and_stand_in_the_card(first: Run, second: Run):
    images, card = second.verdict.candidate.examples, (second.release.path / "README.md").read_text()
    parts = {name: [each for each in second.verdict.slices if each.name == name] for name in ("size", "folder")}
    assert [each.value for each in parts["size"]] == ["tiny"]
    assert sorted(each.value for each in parts["folder"]) == ["blue", "red"]
    assert sum(each.images for each in parts["folder"]) == images
    bright = {each.value: each.images for each in second.verdict.slices if each.name == "brightness"}
    assert sum(bright.values()) == images
    assert set(bright) <= {"dark", "medium", "bright"}
    assert second.verdict.compared is not None
    gained = [each.compared.gained for each in parts["folder"] if each.compared]
    assert (len(gained), sum(gained)) == (2, second.verdict.compared.gained)
    assert all(each.compared is None for each in first.verdict.slices)
    assert "These images have judged 2 of its models so far, 1 of them beside the same champion." in card
    assert f"| size: tiny | {images} | {second.verdict.candidate.accuracy:.4f} |" in card


def thaw(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "thaw.flows.cli", "releases", *arguments, "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_any_two_releases_can_be_compared_and_the_flips_name_their_files(place: Path, first: Run, second: Run):
    home, judged, other = place / "home", second.release.id, first.release.id
    found = Difference.model_validate_json(thaw("diff", other, judged, "--json", home=home).stdout)
    compared = second.verdict.compared
    assert compared is not None
    assert found.compared == compared  # the verdict was on the same two, on the same images
    assert found.verdict == second.verdict.verdict
    assert f"{judged} alone is right on {compared.gained} and {other} alone on {compared.lost}: " in found.reason
    assert len(found.flips) == compared.gained + compared.lost > 0
    for flip in found.flips:
        assert flip.file is not None
        assert hashlib.sha256((place / "data" / flip.file).read_bytes()).hexdigest() == flip.id
        assert (flip.judged_class == flip.class_name) != (flip.other_class == flip.class_name)


def test_a_comparison_without_its_images_or_with_an_unknown_release_is_refused_in_a_line(home: Path, first: Run):
    shutil.rmtree(home / "artifacts" / "records")
    for other, words in ((first.release.id, "are not in"), ("verdict-0", "There is no release 'verdict-0'")):
        done = thaw("diff", other, first.release.id, home=home)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
        assert words in done.stderr


def test_images_that_the_champion_has_learned_from_are_left_out(place: Path, home: Path):
    """Another seed of the split: most test images are among those that the champion was trained on."""
    again = Run(recipe_of(place / "data", split_seed=4, min_examples=30), home)
    compared = again.verdict.compared
    assert compared is not None
    assert compared.left_out > 0
    assert compared.images + compared.left_out == again.verdict.candidate.examples
    assert not any(again.table("baseline", "champion")["is_new"].to_pylist())  # the data are the same
    assert again.verdict.verdict == "not comparable"
    assert not again.release.is_champion
    assert "A comparison needs 30 (publish.min_examples)" in again.verdict.reason


@pytest.mark.slow
def test_photos_that_were_added_since_are_new_to_the_champion(place: Path, home: Path, first: Run, tmp_path: Path):
    data = shutil.copytree(place / "data", tmp_path / "data")
    known = {hashlib.sha256(path.read_bytes()).hexdigest() for path in data.rglob("*.png")}
    for path in write_pictures(tmp_path / "more", each=60, size=26).rglob("*.png"):
        shutil.copyfile(path, data / path.parent.name / f"more {path.name}")
    again = Run(recipe_of(data), home)
    answers = again.table("baseline", "champion")
    new = [image not in known for image in answers["id"].to_pylist()]
    assert answers["is_new"].to_pylist() == new
    compared = again.verdict.compared_on_new
    assert compared is not None
    assert 0 < compared.images == sum(new) < len(new)
    assert f"On the {compared.images} of them that had no part in choosing {first.release.id}: " in again.verdict.reason


@pytest.mark.parametrize("is_known", [True, False])
def test_a_champion_of_an_earlier_thaw_does_not_say_what_it_has_learned_from(place, home, first: Run, is_known):
    folder = home / "releases" / first.release.id
    (folder / LEARNED_FROM_NAME).unlink()
    write_checksums(folder)
    if not is_known:
        shutil.rmtree(home / "artifacts" / "dataset")
    again = Run(recipe_of(place / "data", split_seed=5), home)
    compared = again.verdict.compared
    assert compared is not None
    assert (compared.images > 0) == is_known  # by its dataset, where that is still there
    assert (again.verdict.verdict == "not comparable") != is_known


def test_a_champion_that_is_damaged_beyond_repair_stops_the_run_before_anything_is_promoted(place, home, first: Run):
    (home / "releases" / first.release.id / "model.keras").write_bytes(b"nothing")
    shutil.rmtree(home / "artifacts" / "release")
    with pytest.raises(PublishError, match=r"model\.keras was altered"):
        Run(recipe_of(place / "data", seed=4), home)
    assert [entry.release for entry in Home.open(home).registry.log()] == [first.release.id]
