"""One picture: evaluation, `thaw predict` and both formats see the same pixels of the same file, whatever its kind."""

import hashlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.ingest.pictures import encode, picture
from tests.pictures.made import every_kind, exif, with_exif
from tests.publishing.conftest import CLASSES, RESOLUTION, write_tiny_stage
from tests.records.made import Made
from thaw.pipeline_config.dataset_schema import RecordsConfig
from thaw.pipeline_config.errors import DatasetError
from thaw.pipeline_config.preprocessing import Preprocessing
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.evaluation.classify import answering, classify
from thaw.tasks.evaluation.examples import read_example
from thaw.tasks.formats.base import ModelContext
from thaw.tasks.formats.members import FORMATS
from thaw.tasks.pictures.decoding import decode_upright, fit
from thaw.tasks.process import Reporter
from thaw.tasks.publishing.predict import predict
from thaw.tasks.publishing.predict_request import PredictWork
from thaw.tasks.records.read import SplitReader
from thaw.tasks.releases.checksums import write_checksums
from thaw.tasks.releases.release import RELEASE_NAME
from thaw.tasks.training.stage_artifact import load_classifier, read_stage

TOLERANCE = 1e-5
LEAST = 60
# The card says that the SavedModel does not read them, or does not turn them.
NOT_FOR_THE_SAVED_MODEL = {"palette.bmp", "bits.bmp", "alpha.webp", "animated.webp", "turned.webp"}


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stage")
    write_tiny_stage(folder, "stage_two")
    return load_classifier(folder), read_stage(folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A dataset whose test split holds files of every kind, small and large."""
    data = tmp_path_factory.mktemp("photos")
    for number, split in enumerate(("train", "validation")):
        for name in CLASSES:
            (data / split / name).mkdir(parents=True)
            (data / split / name / "one.jpg").write_bytes(encode(picture(1000 + number, (20 + len(name), 14))))
    for name in CLASSES:
        (data / "test" / name).mkdir(parents=True)
    for seed, size in ((1, (41, 33)), (2, (150, 190))):
        for kind, encoded in every_kind(seed, size).items():
            (data / "test" / CLASSES[seed] / f"{seed} {kind}").write_bytes(encoded)
    (data / "test" / CLASSES[0] / "one.jpg").write_bytes(encode(picture(7)))
    return Made(tmp_path_factory.mktemp("home"), data)


@pytest.fixture
def write_release(stage, release, tmp_path):
    """A release of the model with any preprocessing, or of the form that `release.json` had at first."""

    def write(how: Preprocessing, model_input=None) -> Path:
        folder: Path = tmp_path / f"release {len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        for member in FORMATS.values():
            member.export(stage[0], folder, ModelContext(CLASSES, how))
        document = json.loads((release.path / RELEASE_NAME).read_bytes())
        if model_input is not None:
            del document["schema_version"]
        write_json(folder / RELEASE_NAME, document | {"input": model_input or how.model_dump(mode="json")})
        write_checksums(folder)
        return folder

    return write


def predicted(release: Path, paths: list[Path]) -> np.ndarray:
    answer = predict(PredictWork(release=release, paths=paths), Reporter(io.StringIO()))
    return np.array([list(each["probabilities"].values()) for each in answer["predictions"]])


@pytest.mark.parametrize("center_crop", [None, 0.8])
@pytest.mark.parametrize("max_side", [None, 64])
def test_all_that_answer_for_a_file_agree(made, stage, write_release, tmp_path, max_side, center_crop):
    model, _ = stage
    how = Preprocessing(max_pixels=10**6, max_side=max_side, resolution=RESOLUTION, center_crop=center_crop)
    with SplitReader(made.records(tmp_path.name, RecordsConfig(max_side=max_side)), "test") as reader:
        ids = [read_example(reader, index).id for index in range(reader.examples)]
        _, rows = classify(answering(model), reader, how, 8, lambda count: None)
    evaluated = dict(zip(ids, rows, strict=True))
    paths = sorted((made.data / "test").rglob("*.*"))
    assert len(evaluated) >= LEAST
    expected = np.array([evaluated[hashlib.sha256(path.read_bytes()).hexdigest()] for path in paths])
    assert np.ptp(expected, axis=0).max() > 0.05  # the model tells the images apart

    release = write_release(how)
    np.testing.assert_allclose(predicted(release, paths), expected, rtol=0, atol=TOLERANCE)
    readable = [place for place, path in enumerate(paths) if path.name[2:] not in NOT_FOR_THE_SAVED_MODEL]
    assert len(readable) == len(paths) - 2 * len(NOT_FOR_THE_SAVED_MODEL)
    scored = FORMATS["saved_model"].load(release, ModelContext(CLASSES, how))(
        [paths[place].read_bytes() for place in readable]
    )
    np.testing.assert_allclose(scored, expected[readable], rtol=0, atol=TOLERANCE)

    shutil.rmtree(release / "saved_model")
    write_checksums(release)
    np.testing.assert_allclose(predicted(release, paths), expected, rtol=0, atol=TOLERANCE)


def test_predict_keeps_to_the_largest_number_of_pixels_that_the_recipe_allows(write_release, tmp_path):
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(encode(picture(size=(50, 40))))
    for limit in (2000, 1999):
        how = Preprocessing(max_pixels=limit, max_side=None, resolution=RESOLUTION, center_crop=None)
        release = write_release(how)
        if limit == 2000:
            predicted(release, [photo])
        else:
            with pytest.raises(DatasetError, match=r"photo\.jpg: its header declares 50 × 40 pixels, more .* 1999"):
                predicted(release, [photo])


def test_a_file_that_tensorflow_cannot_decode_is_named_in_a_batch_of_good_ones(write_release, tmp_path):
    how = Preprocessing(max_pixels=10**6, max_side=None, resolution=RESOLUTION, center_crop=None)
    release = write_release(how)
    good, bad = tmp_path / "good.jpg", tmp_path / "bad.jpg"
    good.write_bytes(encode(picture()))
    bad.write_bytes(encode(picture())[:-20])
    for _ in range(2):
        with pytest.raises(DatasetError, match=r"bad\.jpg: it is truncated or damaged"):
            predicted(release, [good, bad, good])
        shutil.rmtree(release / "saved_model", ignore_errors=True)
        write_checksums(release)


def test_for_a_release_of_an_earlier_thaw_images_are_turned_and_converted_before(write_release, tmp_path, monkeypatch):
    # Its SavedModel read files as they were stored, and its input had a resolution and a crop alone.
    monkeypatch.setattr(
        "thaw.tasks.formats.saved_model.prepare", lambda encoded, how: fit(decode_upright(encoded), how)
    )
    how = Preprocessing(max_pixels=10**6, max_side=None, resolution=RESOLUTION, center_crop=0.9)
    release = write_release(how, {"resolution": RESOLUTION, "center_crop": 0.9})
    upright, turned, webp = (tmp_path / name for name in ("upright.png", "turned.jpg", "turned.webp"))
    turned.write_bytes(with_exif(exif(6), encode(picture(3, (60, 30)))))
    stored = decode_upright(tf.constant(turned.read_bytes())).numpy()
    upright.write_bytes(tf.io.encode_png(np.rot90(stored, k=-1)).numpy())
    webp.write_bytes(encode(Image.fromarray(stored), "WEBP", lossless=True, exif=exif(6)))
    rows = predicted(release, [upright, turned, webp])
    np.testing.assert_allclose(rows[1:], rows[[0, 0]], rtol=0, atol=TOLERANCE)
