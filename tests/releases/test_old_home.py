"""A home folder of thaw 0.1.0, whose documents say no form: all that can be done with releases can be done with it."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.publishing.helpers import assert_consistent, champion_id, run
from tests.releases.old_home import FIRST, SECOND, write_old_home
from thaw.flows.predict import predict
from thaw.tasks.cleanup.collect import collect_garbage
from thaw.tasks.cleanup.kept import Limits
from thaw.tasks.home import Home
from thaw.tasks.releases.release import read_verdict

MODEL = """
import sys, keras
layers = keras.layers
model = keras.Sequential([
    keras.Input((16, 16, 3)), layers.GlobalAveragePooling2D(), layers.Dense(2), layers.Softmax()
])
model.save(sys.argv[1])
"""


@pytest.fixture
def home(tmp_path):
    write_old_home(tmp_path)
    return tmp_path


def thaw(home, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "thaw.flows.cli", *arguments, "--home", str(home)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_list_and_show(home):
    listed = json.loads(thaw(home, "releases", "list", "--json"))
    assert sorted((info["id"], info["accuracy"], info["is_champion"]) for info in listed) == [
        (FIRST, 0.7, False),
        (SECOND, 0.8, True),
    ]
    assert thaw(home, "releases", "show", FIRST).strip() == f"# {FIRST}"
    registry = Home.open(home).registry
    assert (registry.damaged(), registry.misnamed()) == ({}, {})
    assert [entry.thaw for entry in registry.log()] == ["0.1.0", "0.1.0"]
    champion = read_verdict(home / "releases" / SECOND).champion
    assert champion is not None
    assert champion.release == FIRST
    assert_consistent(home)


def test_promote_and_rollback(home):
    before = (home / "releases" / "log.jsonl").read_bytes()
    assert Home.open(home).registry.rollback(None, "").id == FIRST
    assert Home.open(home).registry.promote(SECOND, "").is_champion
    assert (home / "releases" / "log.jsonl").read_bytes().startswith(before)
    assert [entry.sequence for entry in Home.open(home).registry.log()] == [1, 2, 3, 4]
    assert_consistent(home)


def test_a_lost_pointer_comes_back(home):
    (home / "releases" / "champions" / "digits.json").unlink()
    with Home.open(home).registry.locked():
        assert champion_id(home, "digits") == SECOND
    assert json.loads((home / "releases" / "champions" / "digits.json").read_text())["release"] == SECOND


def test_a_new_model_is_compared_with_the_old_champion(home):
    better, worse = run(home, "digits", "d", 0.9), run(home, "digits", "c", 0.75)
    assert (better.verdict, better.compared_with, better.is_champion) == ("better", SECOND, True)
    assert (worse.verdict, worse.is_champion) == ("not shown", False)
    assert_consistent(home)


def test_the_old_champions_model_written_anew_takes_its_place(home):
    info = run(home, "digits", "b", 0.8, "with a form")
    assert (info.is_champion, info.compared_with) == (True, FIRST)
    assert Home.open(home).registry.log()[-1].reason == f"The same model as {SECOND}, written anew."


@pytest.mark.parametrize("gone", [False, True])
def test_a_model_that_the_old_version_rolled_back_stays_so(home, gone):
    with (home / "releases" / "log.jsonl").open("a") as file:
        back = {"sequence": 3, "time": "", "action": "rollback", "recipe": "digits"}
        file.write(json.dumps({**back, "release": FIRST, "previous": SECOND, "reason": ""}) + "\n")
    if gone:  # then nobody knows any more which model it was
        shutil.rmtree(home / "releases" / SECOND)
    assert run(home, "digits", "b", 0.8, "with a form").is_champion == gone


def test_garbage_is_collected_and_the_champions_stay(home):
    worse = run(home, "digits", "c", 0.1)
    for path in [home, *home.rglob("*")]:
        os.utime(path, (1e9, 1e9))
    collected = collect_garbage(Home.open(home), Limits(keep_releases=0, young_after=1.5e9), dry_run=False)
    assert collected.warnings == []
    assert Home.open(home).registry.ids() == [FIRST, SECOND]
    assert worse.id in [item.name for item in collected.garbage]


def test_predict(tmp_path):
    from PIL import Image

    subprocess.run([sys.executable, "-c", MODEL, str(tmp_path / "m.keras")], capture_output=True, check=True)
    write_old_home(tmp_path / "home", (tmp_path / "m.keras").read_bytes())
    Image.new("RGB", (20, 30), "red").save(tmp_path / "red.png")
    (prediction,) = predict(Home.open(tmp_path / "home"), [tmp_path / "red.png"], None)
    assert prediction["class"] in ("cat", "dog")
    assert prediction["unsure"] is None
    assert sum(prediction["probabilities"].values()) == pytest.approx(1, abs=1e-5)
