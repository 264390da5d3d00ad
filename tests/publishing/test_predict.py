"""Predictions with a release, from files of any kind."""

import io
import json
import shutil

import pytest
from PIL import Image

from tests.publishing.conftest import CLASSES, THRESHOLD
from tests.publishing.helpers import damage
from thaw.pipeline_config.errors import DatasetError, PublishError
from thaw.tasks.process import Reporter
from thaw.tasks.publishing.predict_request import PredictWork
from thaw.tasks.releases.checksums import write_checksums


def predict(folder, paths):
    from thaw.tasks.publishing.predict import predict as work

    return work(PredictWork(release=folder, paths=paths), Reporter(io.StringIO()))["predictions"]


@pytest.fixture
def copy(release, tmp_path):
    shutil.copytree(release.path, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize("without_saved_model", [False, True])
def test_predictions_agree_with_the_model_in_either_format(copy, photos, expected, without_saved_model):
    if without_saved_model:
        shutil.rmtree(copy / "saved_model")
        write_checksums(copy)
    answers = predict(copy, list(photos.values()))
    assert [answer["path"] for answer in answers] == [str(path) for path in photos.values()]
    for answer, row in zip(answers, expected.values(), strict=True):
        assert list(answer["probabilities"]) == CLASSES
        assert list(answer["probabilities"].values()) == pytest.approx(row, abs=1e-5)
        assert answer["class"] == CLASSES[row.index(max(row))]
        assert answer["probability"] == pytest.approx(max(row), abs=1e-5)


def test_more_files_than_a_batch_come_back_in_order(release, photos):
    paths = [photos[name] for name in ("wide.jpg", "tall.png", "photo.jpg")] * 12
    answers = predict(release.path, paths)
    assert [answer["path"] for answer in answers] == [str(path) for path in paths]
    assert [answer["probability"] for answer in answers[:3]] == pytest.approx(
        [answer["probability"] for answer in answers[-3:]], abs=1e-5
    )


def test_an_answer_that_is_not_above_the_threshold_is_unsure(copy, photos):
    document = json.loads((copy / "release.json").read_text())
    assert (document["abstain"]["threshold"], document["abstain"]["test"]["images"]) == (THRESHOLD, 30)
    paths = list(photos.values())
    document["abstain"]["threshold"] = sorted(answer["probability"] for answer in predict(copy, paths))[1]
    rewrite(copy, document)
    answers = predict(copy, paths)
    assert sum(answer["unsure"] for answer in answers) == 2
    assert max(answer["probability"] for answer in answers if answer["unsure"]) == document["abstain"]["threshold"]
    del document["abstain"], document["temperature"]  # as an earlier thaw wrote it
    rewrite(copy, document)
    assert [answer["unsure"] for answer in predict(copy, paths)] == [None] * len(paths)


def rewrite(folder, document):
    (folder / "release.json").write_text(json.dumps(document))
    write_checksums(folder)


def test_no_files_give_no_predictions(release):
    assert predict(release.path, []) == []


def test_orientation_and_webp_are_seen_to(release, photos, tmp_path):
    upright = Image.open(photos["tall.png"])
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise when shown
    turned = tmp_path / "turned.webp"
    upright.transpose(Image.Transpose.ROTATE_90).save(turned, lossless=True, exif=exif)
    one, other = predict(release.path, [photos["tall.png"], turned])
    assert other["probabilities"] == pytest.approx(one["probabilities"], abs=1e-5)


@pytest.mark.parametrize("content", [None, b"", b"no image", b"\xff\xd8\xff\xe0"])
def test_an_unreadable_file_is_named(release, photos, tmp_path, content):
    bad = tmp_path / "bad.jpg"
    if content is not None:
        bad.write_bytes(content)
    with pytest.raises(DatasetError, match=r"bad\.jpg") as caught:
        predict(release.path, [photos["wide.jpg"], bad])
    assert "\n" not in str(caught.value)


def test_a_folder_in_place_of_a_file_is_named(release, tmp_path):
    with pytest.raises(DatasetError, match="cannot be read"):
        predict(release.path, [tmp_path])


def test_a_damaged_release_is_not_loaded(copy, photos):
    damage(copy / "model.keras")
    with pytest.raises(PublishError, match=r"model\.keras was altered"):
        predict(copy, [photos["wide.jpg"]])
