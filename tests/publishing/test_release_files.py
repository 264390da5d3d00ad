"""A release as it is written: its files, and its models as others load them."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from tests.publishing.conftest import CENTER_CROP, CLASSES, MAX_PIXELS, RESOLUTION, TEMPERATURE
from thaw.pipeline_config.loading import load_recipe
from thaw.tasks.home import Home

TOLERANCE = 1e-5

# Keras, which TensorFlow imports where it is installed, is taken away again, and refused like the project.
WITHOUT_PROJECT = """
import importlib.abc, json, sys
import tensorflow as tf

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in REFUSED:
            raise ImportError(f"{name} is not there")

REFUSED = ("tasks", "pipeline_config", "flows", "keras")
for name in [name for name in sys.modules if name.split(".")[0] in REFUSED]:
    del sys.modules[name]
sys.meta_path.insert(0, Refuse())
"""


@pytest.fixture
def folder(release, photos, tmp_path):
    """A copy of the release elsewhere, with a photo in it."""
    copy = tmp_path / "copy"
    shutil.copytree(release.path, copy)
    shutil.copy(photos["photo.jpg"], copy)
    return copy


def snippets(folder):
    return re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def assert_answer(line, row):
    name, _, probability = line.strip().rpartition(" ")
    assert name == CLASSES[int(np.argmax(row))]
    assert float(probability) == pytest.approx(max(row), abs=TOLERANCE)


def test_tensorflow_alone_gives_the_probabilities_of_the_keras_model(folder, photos, expected):
    program = f"""{WITHOUT_PROJECT}
loaded = tf.saved_model.load("saved_model")
serve = loaded.signatures["serving_default"]
images = [open(path, "rb").read() for path in {[str(path) for path in photos.values()]!r}]
answer = serve(image_bytes=tf.constant(images))
specs = serve.structured_input_signature[1]
print(json.dumps({{
    "inputs": {{name: (spec.dtype.name, spec.shape.as_list()) for name, spec in specs.items()}},
    "shapes": {{name: value.shape.as_list() for name, value in serve.structured_outputs.items()}},
    "names": [name.decode() for name in answer["class_name"].numpy()],
    "index": answer["class_index"].numpy().tolist(),
    "probability": answer["probability"].numpy().tolist(),
    "dtype": answer["probability"].dtype.name,
}}))
{snippets(folder)[0]}
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document, snippet = done.stdout.splitlines()
    answer = json.loads(document)
    rows = np.array(list(expected.values()))
    np.testing.assert_allclose(answer["probability"], rows, atol=TOLERANCE)
    assert np.ptp(rows, axis=0).max() > 0.05  # the model tells the images apart, so that equal is not by accident
    assert answer["index"] == rows.argmax(axis=1).tolist()
    assert answer["names"] == [CLASSES[index] for index in answer["index"]]
    assert answer["inputs"] == {"image_bytes": ["string", [None]]}
    assert answer["shapes"] == {"class_index": [None], "class_name": [None], "probability": [None, 3]}
    assert answer["dtype"] == "float32"
    assert_answer(snippet, expected["photo.jpg"])


def test_the_release_is_whole_and_says_what_it_is(release, tiny_home):
    Home.open(tiny_home).registry.verify(release.id)
    document = json.loads((release.path / "release.json").read_text())
    assert document["id"] == release.id
    assert document["classes"] == CLASSES
    assert document["input"] == {
        "max_pixels": MAX_PIXELS,
        "orientation": "exif",
        "max_side": None,
        "center_crop": CENTER_CROP,
        "resolution": RESOLUTION,
        "resize": "bilinear",
    }
    assert document["test"] == {"examples": 30, "accuracy": 0.9, "accuracy_ci": [0.74, 0.97]}
    assert set(document["made_from"]) == {
        *("dataset", "records", "stage_one", "stage_two", "calibration", "evaluation"),
        *("verdict", "report", "source", "weights"),
    }
    assert document["temperature"] == TEMPERATURE
    assert document["made_from"]["source"] == {"kind": "directory", "digest": "c0"}
    assert document["made_from"]["weights"] == {"kind": "file", "digest": "f0"}
    assert {"python", "tensorflow", "keras", "numpy", "prefect"} <= set(document["libraries"])


def test_the_release_holds_what_calibration_evaluation_and_report_made(release):
    assert pq.read_table(release.path / "predictions.parquet").num_rows == 30
    assert json.loads((release.path / "calibration.json").read_text())["temperature"] == TEMPERATURE
    for name in ("flips.parquet", "history.parquet", "pictures/curves.png"):
        assert (release.path / name).read_text() == name
    assert (release.path / "report.html").read_text() == f'report.html of <span class="id">{release.id}</span>'
    assert (release.path / "labels.txt").read_text(encoding="utf-8").splitlines() == CLASSES
    assert json.loads((release.path / "verdict.json").read_text())["verdict"] == "first"


def test_nothing_in_a_release_names_a_folder_of_this_machine(release, tiny_home, tmp_path_factory):
    base = str(tmp_path_factory.getbasetemp()).encode()
    assert base in str(tiny_home).encode()
    for path in release.path.rglob("*"):
        if path.is_file():
            assert base not in path.read_bytes(), path


def test_the_recipe_of_a_release_can_be_run(release, tmp_path):
    recipe = load_recipe(str(release.path / "recipe.yaml"), data=tmp_path)
    assert (recipe.name, recipe.dataset.source.kind) == ("tiny", "directory")


def test_the_card_opens_with_metadata(release):
    block = yaml.safe_load((release.path / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert block["model-index"][0]["name"] == release.id
