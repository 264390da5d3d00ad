"""What every format of a release must do, asked of each: a new one is tested by being in `FORMATS`."""

import json
import re
import shutil
import subprocess
import sys
from typing import get_args

import numpy as np
import pytest

from tests.publishing.conftest import CENTER_CROP, CLASSES, RESOLUTION, TEMPERATURE, write_tiny_stage
from thaw.pipeline_config.errors import PublishError, RequestError
from thaw.pipeline_config.preprocessing import Preprocessing
from thaw.pipeline_config.publish_schema import FormatName
from thaw.tasks.formats.base import ModelContext
from thaw.tasks.formats.members import FORMATS, chosen, load_first

TOLERANCE = 1e-5
INPUTS = {
    "squeezed": Preprocessing(max_pixels=10**6, max_side=None, resolution=RESOLUTION, center_crop=None),
    "shrunk and cropped": Preprocessing(max_pixels=10**6, max_side=40, resolution=RESOLUTION, center_crop=CENTER_CROP),
}

# A process that has never seen the model.
SCORE = """
import json, sys
from pathlib import Path
from thaw.pipeline_config.preprocessing import Preprocessing
from thaw.tasks.formats.base import ModelContext
from thaw.tasks.formats.members import FORMATS

name, folder, classes, model_input, paths = json.loads(sys.argv[1])
score = FORMATS[name].load(Path(folder), ModelContext(classes, Preprocessing.model_validate(model_input)))
rows = score([Path(path).read_bytes() for path in paths])
print(json.dumps([rows.dtype.name, rows.tolist()]))
"""


def load_stage(folder):
    from thaw.tasks.training.stage_artifact import load_classifier

    write_tiny_stage(folder, "stage_two")
    return load_classifier(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The tested model, with its temperature."""
    from thaw.tasks.training.logits import divide_logits

    model = load_stage(tmp_path_factory.mktemp("stage"))
    divide_logits(model, TEMPERATURE)
    return model


@pytest.fixture(scope="module", params=INPUTS)
def context(request):
    return ModelContext(CLASSES, INPUTS[request.param])


@pytest.fixture(scope="module", params=FORMATS)
def member(request):
    return FORMATS[request.param]


@pytest.fixture(scope="module")
def folder(model, member, context, tmp_path_factory):
    """A release's folder with the model in one format."""
    folder = tmp_path_factory.mktemp("release")
    assert not member.is_in(folder)
    member.export(model, folder, context)
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in CLASSES), encoding="utf-8")
    return folder


def answers(model, context, photos):
    """What the model itself says of the same bytes."""
    import tensorflow as tf

    from thaw.tasks.pictures.decoding import prepare

    images = [prepare(tf.constant(path.read_bytes()), context.input) for path in photos]
    return model(tf.stack(images), training=False).numpy()


def run(program, *arguments, cwd):
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_answers_in_a_fresh_process_as_the_model_does(member, folder, model, context, photos, tmp_path):
    paths = list(photos.values())
    request = [member.name, str(folder), CLASSES, context.input.model_dump(), [str(path) for path in paths]]
    dtype, rows = json.loads(run(SCORE, json.dumps(request), cwd=tmp_path))
    expected = answers(model, context, paths)
    np.testing.assert_allclose(rows, expected, rtol=0, atol=TOLERANCE)
    assert dtype == "float32"
    assert np.ptp(expected, axis=0).max() > 0.05  # the model tells the images apart, so that equal is not by accident


def test_its_probabilities_have_the_temperature(member, folder, context, photos, tmp_path):
    paths = list(photos.values())
    without = answers(load_stage(tmp_path), context, paths)
    expected = without ** (1 / TEMPERATURE)
    expected /= expected.sum(axis=1, keepdims=True)
    assert np.abs(expected - without).max() > 0.02
    scores = member.load(folder, context)([path.read_bytes() for path in paths])
    np.testing.assert_allclose(scores, expected, rtol=0, atol=TOLERANCE)
    assert (scores.argmax(axis=1) == without.argmax(axis=1)).all()


def test_it_writes_its_file_and_nothing_else(member, folder):
    assert member.is_in(folder)
    assert {path.name for path in folder.iterdir()} == {member.file, "labels.txt"}


def test_what_the_card_shows_runs_in_the_releases_folder(member, folder, model, context, photos, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    shutil.copy(photos["photo.jpg"], copy)
    (snippet,) = re.findall(r"```python\n(.*?)```", member.usage(context), re.DOTALL)
    name, _, probability = run(snippet, cwd=copy).strip().rpartition(" ")
    (expected,) = answers(model, context, [photos["photo.jpg"]])
    assert name == CLASSES[int(expected.argmax())]
    assert float(probability) == pytest.approx(expected.max(), abs=TOLERANCE)


def test_its_limits_are_items_of_a_list(member, context):
    assert re.fullmatch(r"(- .+\n(  .+\n)*)*", member.limits(context))


def test_without_what_it_needs_it_says_what_to_install(member, monkeypatch):
    member.check_needs()  # raises nothing where all is there
    monkeypatch.setattr(type(member), "needs", ("json", "no_such_module"))
    with pytest.raises(RequestError, match="pip install no_such_module") as caught:
        member.check_needs()
    assert "\n" not in str(caught.value)


def test_a_recipe_can_name_every_format_and_no_other():
    assert set(FORMATS) == set(get_args(FormatName))
    assert all(member.name == name for name, member in FORMATS.items())


def test_formats_are_written_once_each_in_the_order_of_preference():
    assert [member.name for member in chosen(["keras", "saved_model", "keras"])] == ["saved_model", "keras"]


def answerer(member, folder, context, monkeypatch):
    monkeypatch.setattr(type(member), "load", lambda self, folder, context: "it")
    return load_first(folder, context)


def test_the_first_format_that_can_be_loaded_answers(model, photos, tmp_path, monkeypatch):
    context = ModelContext(CLASSES, INPUTS["squeezed"])
    for member in FORMATS.values():
        member.export(model, tmp_path, context)
    first, second = FORMATS.values()
    monkeypatch.setattr(type(first), "needs", ("no_such_module",))
    assert answerer(second, tmp_path, context, monkeypatch) == "it"
    monkeypatch.setattr(type(first), "needs", ())
    assert answerer(first, tmp_path, context, monkeypatch) == "it"
    for member in (first, second):
        monkeypatch.setattr(type(member), "needs", ("no_such_module",))
    with pytest.raises(RequestError, match="pip install no_such_module"):
        load_first(tmp_path, context)


def test_a_release_without_a_known_format_is_refused(tmp_path):
    with pytest.raises(PublishError, match=r"Expected one of saved_model, model\.keras"):
        load_first(tmp_path, ModelContext(CLASSES, INPUTS["squeezed"]))
