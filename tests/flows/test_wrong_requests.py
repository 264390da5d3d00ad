"""What cannot be done is refused with exit code 2, one line that helps, and no release."""

import shutil
import time
from pathlib import Path

import pytest

from tests.prefect_server import Thaw
from tests.support import small_recipe, write_pictures
from thaw.pipeline_config.yaml_dialect import write_yaml


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("wrong")
    write_pictures(folder / "data", each=20)
    path = folder / "small.yaml"
    path.write_text(write_yaml(small_recipe(folder / "data").model_dump(mode="json", by_alias=True)))
    return path


def refuse(thaw: Thaw, home: Path, *arguments: str | Path) -> str:
    done = thaw("run", *arguments, "--home", home)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert not (home / "releases").exists() or not list((home / "releases").iterdir())
    *progress, last = done.stderr.strip().splitlines()
    assert all(line.startswith("thaw: ") for line in [*progress, last]), done.stderr
    return last


def test_a_missing_folder(thaw: Thaw, recipe: Path, tmp_path: Path) -> None:
    assert "nowhere" in refuse(thaw, tmp_path / "home", recipe, "--data", tmp_path / "nowhere")


def test_an_empty_folder(thaw: Thaw, recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "empty" in refuse(thaw, tmp_path / "home", recipe, "--data", tmp_path / "empty")


def test_a_key_that_is_not_there(thaw: Thaw, recipe: Path, tmp_path: Path) -> None:
    text = recipe.read_text().replace("stage_two:\n", "stage_two:\n  epoch: 3\n")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text)
    line = refuse(thaw, tmp_path / "home", wrong)
    assert "stage_two.epoch is not a key" in line
    assert "Nearest: epochs" in line


def test_a_value_that_is_not_allowed(thaw: Thaw, recipe: Path, tmp_path: Path) -> None:
    assert "greater than or equal to 0" in refuse(thaw, tmp_path / "home", recipe, "--set", "stage_two.epochs=-1")


def test_a_recipe_that_is_not_there(thaw: Thaw, tmp_path: Path) -> None:
    assert "Nearest: digits" in refuse(thaw, tmp_path / "home", "digit")


def test_a_truncated_picture(thaw: Thaw, recipe: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(recipe.parent / "data", data)
    broken = data / "blue" / "003.png"
    broken.write_bytes(broken.read_bytes()[:300])
    # Another attempt cannot mend it, so there is none, whatever the recipe allows.
    patient = ["--set", "execution.retries=3", "--set", "execution.retry_delay_seconds=100"]
    started = time.monotonic()
    assert "blue/003.png" in refuse(thaw, tmp_path / "home", recipe, "--data", data, *patient)
    assert time.monotonic() - started < 100


def test_one_picture_under_two_labels(thaw: Thaw, recipe: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(recipe.parent / "data", data)
    shutil.copyfile(data / "blue" / "003.png", data / "red" / "copy.png")
    line = refuse(thaw, tmp_path / "home", recipe, "--data", data)
    assert "blue/003.png" in line
    assert "red/copy.png" in line


def test_a_home_that_cannot_be_written(thaw: Thaw, recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = thaw("run", recipe, "--home", tmp_path / "file" / "home")
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_unknown_option(thaw: Thaw) -> None:
    done = thaw("run", "digits", "--epochs", "3")
    assert done.returncode == 2
    assert "--epochs" in done.stderr
