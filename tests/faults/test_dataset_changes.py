"""A label folder is renamed, an image is replaced: the right steps would run again, and only those."""

import os
import shutil
from pathlib import Path

import pytest

from tests.faults.chain import run_chain, tiny_recipe, whole_chain
from tests.faults.conftest import Finished
from thaw.flows.plan import plan
from thaw.tasks.home import Home

TRAINING = ["ingest", "preflight", "records", "stage_one", "features_two", "stage_two"]
ALL = [*TRAINING, "calibrate", "evaluate", "baseline", "verdict", "report", "publish"]


@pytest.fixture
def data(finished: Finished, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished.data, tmp_path / "elsewhere" / "data"))


def would_run(home: Path, data: Path) -> list[str]:
    return [task.name for task in plan(tiny_recipe(data), Home.open(home)).tasks if not task.cached]


def test_the_same_images_elsewhere_and_at_another_time_change_nothing(data: Path, home: Path) -> None:
    for path in data.rglob("*.png"):
        os.utime(path, (1, 1))
    assert would_run(home, data) == []


def test_a_renamed_label_runs_everything_again(data: Path, home: Path) -> None:
    (data / "red").rename(data / "crimson")
    assert would_run(home, data) == ALL
    assert plan(tiny_recipe(data), Home.open(home)).tasks[0].reasons == ["the images changed"]
    (data / "crimson").rename(data / "red")
    assert would_run(home, data) == []


def test_another_image_under_the_same_name_runs_everything_again(data: Path, home: Path) -> None:
    one, other = data / "red" / "000.png", data / "red" / "001.png"
    before = one.stat()
    content = one.read_bytes()
    assert content != other.read_bytes()
    # Of the same size and with the same times, as far as a program can set them.
    one.write_bytes(content[:-20] + bytes(reversed(content[-20:])))
    os.utime(one, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert one.stat().st_size == before.st_size
    assert would_run(home, data) == ALL
    one.write_bytes(content)
    assert would_run(home, data) == []


def test_a_renamed_image_is_read_again_and_nothing_is_trained_again(data: Path, home: Path) -> None:
    (data / "red" / "000.png").rename(data / "red" / "zebra.png")
    assert would_run(home, data) == ALL  # what the first step will find, a plan does not know
    assert run_chain(whole_chain(data), home)["ran"] == ["ingest", "preflight", "records", "report", "publish"]
    assert would_run(home, data) == []
