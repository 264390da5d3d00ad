"""Data sets of tensorflow-datasets as a source: prepared ones, and ones that thaw prepares; all without a network."""

import itertools
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.ingest import tiny_pictures
from tests.ingest.pictures import NO_HOME, Recorder, digest_afresh, ingest_step, jpeg
from tests.ingest.tiny_pictures import CLASSES, VERSION, class_of, number_of, prepare
from tests.support import small_recipe
from thaw.pipeline_config.dataset_schema import TfdsSource
from thaw.pipeline_config.errors import DatasetError, DownloadError
from thaw.tasks.artifacts.file_digests import FileDigests
from thaw.tasks.home import Home
from thaw.tasks.ingest.sources import open_source
from thaw.tasks.ingest.step import IngestStep

SPLITS = {"train": "train[:80%]", "validation": "train[80%:]", "test": "test"}


@pytest.fixture(scope="module", params=["tfrecord", "array_record"])
def data_dir(request, tmp_path_factory):
    """The data set, prepared in three files a split."""
    folder = tmp_path_factory.mktemp(request.param)
    prepare(folder, file_format=request.param, shards=3)
    return folder


def tfds(data_dir: Path | None, **settings: Any) -> TfdsSource:
    where = None if data_dir is None else str(data_dir)
    return TfdsSource(
        kind="tfds", data_dir=where, **{"name": "tiny_pictures", "version": VERSION, "splits": SPLITS, **settings}
    )


def opened(data_dir: Path | None, home: Path = NO_HOME.path, **settings: Any) -> Any:
    source = open_source(tfds(data_dir, **settings), Home.open(home))
    source.fetch(Recorder())
    return source


def fault(data_dir: Path | None, home: Path = NO_HOME.path, **settings: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        list(opened(data_dir, home, **settings).examples())
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- prepared data sets


def test_a_prepared_data_set_is_read_as_it_was_made(data_dir):
    source = opened(data_dir)
    examples = list(source.examples())
    assert source.classes() == tuple(CLASSES)
    assert source.splits() == {"train", "validation", "test"}
    assert source.count() == len(examples) == 30
    numbers = [number_of(example.read()) for example in examples]
    assert sorted(numbers) == list(range(30))
    assert [example.class_name for example in examples] == [class_of(number) for number in numbers]
    assert [example.split for example in examples] == ["train"] * 16 + ["validation"] * 4 + ["test"] * 10
    assert set(numbers[20:]) == set(range(20, 30))
    assert len({example.origin for example in examples}) == 30


def test_images_are_read_again_in_any_order_from_many_threads(data_dir):
    images = {example.origin: example.read() for example in opened(data_dir).examples()}
    source = opened(data_dir)
    origins = sorted(images, key=lambda origin: hash(images[origin])) * 10
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(source.read_again, origins)) == [images[origin] for origin in origins]


def test_origins_name_a_file_and_no_folder(data_dir):
    origins = [example.origin for example in opened(data_dir).examples()]
    assert origins[0] == f"tiny_pictures-train.{data_dir.name.rstrip('0123456789')}-00000-of-00003#0"
    assert not any("/" in origin for origin in origins)


def test_a_data_set_with_configurations_is_named_with_one(tmp_path):
    prepare(tmp_path, tiny_pictures.TinyConfigured, config="fancy")
    assert opened(tmp_path, name="tiny_configured/fancy").count() == 30
    message = fault(tmp_path, name="tiny_configured")
    assert "holds no prepared data set. Nearest: tiny_configured/fancy/1.2.0. Prepare it with `tfds build" in message


# --- what is wrong


def test_a_folder_without_the_data_set_is_an_error_before_anything_is_done(data_dir):
    with pytest.raises(DatasetError, match=r"9\.0\.0 holds no prepared data set\. Nearest: tiny_pictures/1\.2\.0\."):
        digest_afresh(tfds(data_dir, version="9.0.0"))
    assert "or leave out dataset.source.data_dir to download it" in fault(data_dir, name="mnist")


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": "trian"}, "dataset.source.splits.train: Unknown split 'trian'. Should be one of ['train', 'test',"),
        ({"test": "test[:80"}, "dataset.source.splits.test: Error parsing split 'test[:80'"),
        (
            {"train": "train[:90%]", "validation": "train[80%:]"},
            "is in train and validation. Expected parts that do",
        ),
        ({"train": "train+train[:1]"}, "#0 is in train twice. Expected parts that do not overlap"),
        (
            {"train": "train", "test": "unlabelled"},
            "has the label -1. Expected 0 to 2. Leave out splits",
        ),
    ],
)
def test_splits_that_are_wrong_are_named(data_dir, splits, message):
    assert message in fault(data_dir, splits=splits)


def test_features_that_are_wrong_are_named(data_dir):
    assert fault(data_dir, label_feature="lable") == (
        "dataset.source.label_feature: tiny_pictures has no such feature, 'lable'. "
        "Expected one of kind ClassLabel; it has: label."
    )
    assert "has a feature Scalar, 'number'. Expected one of kind Image; it has: image, mask." in fault(
        data_dir, image_feature="number"
    )
    assert "'mask' of tiny_pictures holds float32 values" in fault(data_dir, image_feature="mask")


@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "info"])
def test_damage_is_named(tmp_path, damage):
    prepare(tmp_path, shards=1)
    folder = tmp_path / "tiny_pictures" / VERSION
    file = folder / "tiny_pictures-train.tfrecord-00000-of-00001"
    whole = file.read_bytes()
    if damage == "cut":
        file.write_bytes(whole[:-9])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "gone":
        file.unlink()
        with pytest.raises(OSError, match=r"tiny_pictures-train\.tfrecord-00000-of-00001 is gone"):
            opened(tmp_path).read_again(f"{file.name}#0")
        return
    else:
        (folder / "dataset_info.json").write_text("{")
    message = fault(tmp_path)
    assert message.startswith(f"{VERSION if damage == 'info' else file.name} in {folder} is damaged: ")
    assert message.endswith("Remove that folder, and prepare it again.")


def test_a_damaged_array_record_is_named(tmp_path):
    prepare(tmp_path, shards=1, file_format="array_record")
    file = tmp_path / "tiny_pictures" / VERSION / "tiny_pictures-train.array_record-00000-of-00001"
    file.write_bytes(file.read_bytes()[:300])
    assert f"{file.name} in {file.parent} is damaged: " in fault(tmp_path)


# --- data sets that thaw prepares


def test_a_data_set_is_prepared_once_in_the_home_folder(tmp_path):
    report = Recorder()
    source = open_source(tfds(None), Home.open(tmp_path))
    source.fetch(report)
    assert report.told("log") == [f"Downloading and preparing tiny_pictures {VERSION}; this may take long."]
    assert source.count() == 30
    assert len(list((tmp_path / "artifacts" / "tfds").iterdir())) == 1
    assert list((tmp_path / "downloads").iterdir()) == []
    again = open_source(tfds(None, splits={"train": "train[:3]"}), Home.open(tmp_path))
    again.fetch(report)
    assert len(report.told("log")) == 1
    assert [example.read() for example in again.examples()] == [
        again.read_again(example.origin) for example in itertools.islice(source.examples(), 3)
    ]


def test_one_that_is_damaged_in_the_home_folder_is_prepared_again(tmp_path):
    numbers = sorted(number_of(example.read()) for example in opened(None, tmp_path).examples())
    next(tmp_path.glob("artifacts/tfds/*/files/tiny_pictures/*/*-train*")).write_bytes(b"")
    report = Recorder()
    source = open_source(tfds(None), Home.open(tmp_path))
    source.fetch(report)
    assert "quarantine" in report.told("warning")[0]
    assert len(report.told("log")) == 1
    assert sorted(number_of(example.read()) for example in source.examples()) == numbers


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("tiny_picture", VERSION, "tensorflow-datasets has no data set tiny_picture. Nearest: tiny_pictures."),
        ("tiny_pictures", "9.0.0", "cannot be loaded at version 9.0.0, only: 1.2.0. Change dataset.source.name or"),
        (
            "tiny_configured",
            VERSION,
            "Give one in dataset.source.name, such as tiny_configured/plain.",
        ),
        ("tiny_manual", VERSION, "tiny_manual 1.2.0 cannot be prepared: "),
    ],
)
def test_a_data_set_that_cannot_be_made_is_one_line(tmp_path, name, version, message):
    assert message in fault(None, tmp_path, name=name, version=version)


def test_a_download_that_fails_says_how_to_do_without(tmp_path):
    with pytest.raises(DownloadError) as caught:
        opened(None, tmp_path, name="tiny_remote")
    assert str(caught.value) == (
        "tiny_remote 1.2.0 cannot be prepared: HTTPConnectionPool(host='example.invalid', port=80): Name or service "
        "not known. Prepare it elsewhere with `tfds build tiny_remote --data_dir DIR`, and give that folder as "
        "dataset.source.data_dir; or give a folder of images with --data DIR."
    )
    assert not (tmp_path / "artifacts").exists()
    assert list((tmp_path / "building").iterdir()) == []


# --- the key


def test_a_prepared_data_set_is_known_by_its_files_wherever_they_are(data_dir, tmp_path, monkeypatch):
    settings: dict[str, Any] = {"file_format": data_dir.name.rstrip("0123456789"), "shards": 3}
    prepare(tmp_path / "copy", **settings)
    assert digest_afresh(tfds(tmp_path / "copy")) == digest_afresh(tfds(data_dir))
    monkeypatch.setattr(tiny_pictures.TinyPictures, "FIRST_SEED", 1)
    prepare(tmp_path / "other", **settings)
    assert digest_afresh(tfds(tmp_path / "other")) != digest_afresh(tfds(data_dir))
    assert number_of(next(opened(tmp_path / "other").examples()).read(), first_seed=1) >= 0


def test_one_that_thaw_prepares_is_known_by_what_the_recipe_says(tmp_path):
    def key(**settings: Any) -> str:
        return IngestStep.model_validate(ingest_step(tfds(None, **settings))).key

    before = digest_afresh(tfds(None))
    opened(None, tmp_path)
    assert open_source(tfds(None), Home.open(tmp_path)).content_digest(FileDigests(tmp_path)) == before
    assert key() == key()
    changes: list[dict[str, Any]] = [
        {"name": "tiny_remote"},
        {"version": "1.3.0"},
        {"splits": {"train": "train"}},
        {"image_feature": "mask"},
    ]
    assert len({key(), *(key(**change) for change in changes)}) == 5


def test_the_key_has_no_path_and_a_release_none_either(data_dir, tmp_path):
    document = ingest_step(tfds(data_dir)).key_document
    assert str(data_dir) not in json.dumps(document)
    assert "thaw.tasks.ingest.tfds_library" in document["sources"]
    recipe = small_recipe(tmp_path, dataset={"source": tfds(data_dir).model_dump(mode="json")})
    assert recipe.dataset.source.of_this_machine() == {"data_dir": "tensorflow_datasets"}


def test_the_key_needs_neither_tensorflow_nor_its_datasets_and_reading_needs_no_tensorflow(data_dir):
    program = """
import sys
from pathlib import Path
from thaw.pipeline_config.dataset_schema import TfdsSource
from thaw.tasks.home import Home
from thaw.tasks.ingest.sources import content_digest, open_source
from thaw.tasks.process import Reporter
config = TfdsSource(kind="tfds", name="tiny_pictures", version="1.2.0", splits={"train": "train"}, data_dir=sys.argv[1])
home = Home.open(Path("no home"))
content_digest(config, home)
assert not {"tensorflow_datasets", "tensorflow", "pyarrow"} & {*sys.modules}
source = open_source(config, home)
source.fetch(Reporter(sys.stdout))
assert len([example.read() for example in source.examples()]) == 20
assert "tensorflow" not in sys.modules
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program, str(data_dir)], env=environment, check=True)


def test_the_pictures_are_all_different():
    assert len({jpeg(number) for number in range(35)}) == 35
