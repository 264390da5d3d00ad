"""What the verdict says of retrained models on real photos, where they are."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.flows.test_whole_runs import PHOTOS, WEIGHTS, run
from tests.prefect_server import Thaw

SPLITS = ["dataset.seed=0"]  # the same images judge, whatever the seed
ADDED = 60

pytestmark = [
    pytest.mark.slow,
    pytest.mark.shared,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not PHOTOS.exists(), reason="the photos are not here"),
]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The photos, but for some dogs that the trees of the tests may add."""
    folder = tmp_path_factory.mktemp("photos") / "cats_and_dogs"
    shutil.copytree(PHOTOS, folder)
    for path in added(folder):
        path.unlink()
    yield folder
    shutil.rmtree(folder)


def added(folder: Path) -> list[Path]:
    dogs = sorted((PHOTOS / "validation" / "dogs").iterdir())[:ADDED]
    return [folder / "validation" / "dogs" / path.name for path in dogs]


@pytest.fixture(scope="module")
def home(thaw: Thaw, photos: Path) -> Path:
    """A home whose champion was trained on the photos."""
    assert retrain(thaw, photos, photos.parent / "home")["verdict"] == "first"
    return photos.parent / "home"


def retrain(thaw: Thaw, photos: Path, home: Path, *changes: str) -> dict[str, Any]:
    settings = [part for setting in (*SPLITS, *changes) for part in ("--set", setting)]
    return run(thaw, "cats_dogs", "--data", photos, "--weights", WEIGHTS, "--home", home, "--always", *settings)


def is_cached(result: dict[str, Any], name: str) -> bool:
    return bool(next(task["cached"] for task in result["tasks"] if task["name"] == name))


def test_another_seed_is_not_shown_to_be_better_and_its_champion_answers_once(
    thaw: Thaw, photos: Path, home: Path
) -> None:
    result = retrain(thaw, photos, home, "seed=1")
    assert (result["verdict"], result["release"]["champion"]) == ("not shown", False)
    assert not is_cached(result, "baseline")
    again = retrain(thaw, photos, home, "seed=1", "publish.require={rule: better, confidence: 0.95}")
    assert again["verdict"] == "not shown"
    assert not is_cached(again, "verdict")
    assert is_cached(again, "baseline"), "the same champion, the same test images"


def test_a_model_of_labels_of_which_a_fifth_is_wrong_is_worse(
    thaw: Thaw, photos: Path, home: Path, tmp_path: Path
) -> None:
    mislabelled = tmp_path / "mislabelled"
    shutil.copytree(photos, mislabelled)
    for own, other in (("cats", "dogs"), ("dogs", "cats")):
        for path in sorted((photos / "train" / own).iterdir())[::5]:
            (mislabelled / "train" / own / path.name).rename(mislabelled / "train" / other / path.name)
    result = retrain(thaw, mislabelled, home)
    assert (result["verdict"], result["release"]["champion"]) == ("worse", False)


def test_added_photos_of_one_class_change_nothing_by_themselves(
    thaw: Thaw, photos: Path, home: Path, tmp_path: Path
) -> None:
    grown = tmp_path / "grown"
    shutil.copytree(photos, grown)
    for path in added(grown):
        shutil.copyfile(PHOTOS / "validation" / "dogs" / path.name, path)
    before, after = retrain(thaw, photos, home), retrain(thaw, grown, home)
    assert after["metrics"]["test"]["examples"] > before["metrics"]["test"]["examples"]
    assert (after["verdict"], after["release"]["champion"]) == ("not shown", False)
