"""Runs of the shipped recipes, as long as they are: the embedded default, and the tutorial's data where they are."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.prefect_server import Thaw

SHARED = Path(__file__).parents[3] / "shared"
PHOTOS = SHARED / "data" / "cats_and_dogs_filtered"
WEIGHTS = SHARED / "weights" / "mobilenet_v2_imagenet_notop.weights.h5"

_COMPARE_FORMATS = """
import json, sys, pathlib
import tensorflow as tf
folder, *paths = map(pathlib.Path, sys.argv[1:])
signature = tf.saved_model.load(str(folder / "saved_model")).signatures["serving_default"]
answer = signature(image_bytes=tf.constant([path.read_bytes() for path in paths]))
assert "thaw" not in sys.modules
print(json.dumps(answer["probability"].numpy().tolist()))
"""


def run(thaw: Thaw, *arguments: str | Path) -> dict[str, Any]:
    done = thaw("run", *arguments, "--json", timeout=2400)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_digits_with_one_seed_in_two_homes_are_the_same_to_the_last_bit(thaw: Thaw, tmp_path: Path) -> None:
    first, second = (run(thaw, "digits", "--home", tmp_path / name) for name in ("one", "two"))
    assert first["metrics"]["test"]["accuracy"] >= 0.96
    assert first["stages"] == second["stages"]
    assert first["release"]["id"] == second["release"]["id"]
    digests = [{task["name"]: task["digest"] for task in result["tasks"]} for result in (first, second)]
    for name in ("ingest", "records", "stage_one", "stage_two", "calibrate", "evaluate", "verdict", "report"):
        assert digests[0][name] == digests[1][name], name


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_needs_no_running_server(thaw: Thaw, tmp_path: Path) -> None:
    environment = {name: value for name, value in thaw.environment.items() if name != "PREFECT_API_URL"}
    short = ["--set", "stage_one.epochs=1", "--set", "stage_two.epochs=1"]
    alone = Thaw(environment | {"PREFECT_HOME": str(tmp_path / "prefect")}, tmp_path)
    assert run(alone, "digits", "--home", tmp_path / "home", *short)["verdict"] == "first"


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.timeout(3000)
@pytest.mark.skipif(not PHOTOS.exists(), reason="the photos are not here")
def test_cats_and_dogs_reach_the_tutorials_accuracy(thaw: Thaw, tmp_path: Path) -> None:
    result = run(thaw, "cats_dogs", "--data", PHOTOS, "--weights", WEIGHTS, "--home", tmp_path / "home")
    one, two = result["stages"]
    assert result["metrics"]["test"]["accuracy"] >= 0.97
    assert two["val_accuracy"] >= one["val_accuracy"] - 0.005

    release = Path(result["release"]["path"])
    paths = sorted((PHOTOS / "validation" / "cats").iterdir())[:4] + sorted((PHOTOS / "train" / "dogs").iterdir())[:4]
    done = subprocess.run(
        [sys.executable, "-P", "-c", _COMPARE_FORMATS, str(release), *map(str, paths)],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=True,
    )
    import keras
    import numpy as np
    import tensorflow as tf

    from thaw.pipeline_config.preprocessing import fit_of
    from thaw.tasks.pictures.decoding import decode, fit

    model = keras.models.load_model(release / "model.keras")
    images = tf.stack([fit(decode(tf.constant(path.read_bytes())), fit_of(160, [])) for path in paths])
    np.testing.assert_allclose(json.loads(done.stdout), model.predict(images, verbose=0), atol=1e-5)
