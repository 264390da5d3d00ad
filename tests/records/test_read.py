import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.ingest.pictures import encode, picture
from tests.records.made import Made, parse, read_all
from thaw.pipeline_config.errors import ArtifactError
from thaw.tasks.records.index import FOOTER_BYTES, HEADER_BYTES, read_table
from thaw.tasks.records.read import SplitReader, read_index


def open_files():
    return len(list(Path("/dev/fd").iterdir()))


def test_a_reader_knows_its_split(folder):
    with SplitReader(folder, "test") as reader:
        assert (reader.examples, reader.classes, reader.class_counts) == (6, ["cats", "dogs"], [2, 4])
        for index in (-1, 6):
            with pytest.raises(IndexError):
                reader.read(index)


def test_a_dataset_reads_any_record_by_its_index(folder):
    with SplitReader(folder, "train") as reader:
        order = [5, 0, 15, 5]
        dataset = tf.data.Dataset.from_tensor_slices(tf.constant(order, tf.int64)).map(
            reader.tensor_example, num_parallel_calls=4
        )
        image_spec, label_spec, id_spec = dataset.element_spec
        assert (image_spec.dtype, label_spec.dtype, id_spec.dtype) == (tf.string, tf.int32, tf.string)
        assert image_spec.shape == label_spec.shape == id_spec.shape == []
        received = [(image, label, image_id.decode()) for image, label, image_id in dataset.as_numpy_iterator()]
        assert received == [parse(reader.read(index)) for index in order]


def test_a_record_that_ends_in_zeros_comes_through_tensorflow_whole(own):
    image = own.data / "train" / "cats" / "zeros.jpg"
    image.write_bytes(encode(picture(50)) + b"\0" * 40)
    own = Made(own.home, own.data)
    folder = own.records("records")
    with SplitReader(folder, "train") as reader:
        dataset = tf.data.Dataset.range(reader.examples).map(reader.tensor_example)
        assert image.read_bytes() in [encoded for encoded, _, _ in dataset.as_numpy_iterator()]


def test_many_threads_read_at_once(folder):
    expected = read_all(folder, "train")
    errors = []
    with SplitReader(folder, "train") as reader:

        def read_often(start):
            for step in range(300):
                index = (start * 7 + step * 5) % reader.examples
                if reader.read(index) != expected[index]:
                    errors.append(index)

        threads = [threading.Thread(target=read_often, args=(start,)) for start in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []


def test_more_shards_than_may_stay_open_are_read_all_the_same(folder, monkeypatch):
    expected = read_all(folder, "train")
    monkeypatch.setattr("thaw.tasks.records.read._MOST_OPEN_SHARDS", 2)
    before = open_files()
    with SplitReader(folder, "train") as reader:
        assert [reader.read(index) for index in range(reader.examples)] == expected
        assert open_files() == before + 2
    assert open_files() == before


def test_a_closed_reader_says_so(folder):
    reader = SplitReader(folder, "train")
    reader.read(0)
    reader.close()
    reader.close()
    with pytest.raises(ArtifactError, match="after its reader was closed"):
        reader.read(0)


# --- damage


def shard_of(folder, split="train", number=1):
    return folder / read_index(folder).splits[split].shards[number].file


def rewrite_index(folder, change):
    document = json.loads((folder / "index.json").read_text())
    change(document)
    (folder / "index.json").write_text(json.dumps(document))


def test_a_shard_cut_between_two_records_is_noticed_and_named(own):
    folder = own.records("records")
    path = shard_of(folder)
    content = path.read_bytes()
    table = read_table(folder, "train")
    first_length = int(table["length"][table["shard"] == 1][0])
    path.write_bytes(content[: first_length + HEADER_BYTES + FOOTER_BYTES])
    assert sum(1 for _ in tf.data.TFRecordDataset(str(path))) == 1  # TensorFlow itself sees nothing wrong
    with pytest.raises(ArtifactError, match=rf"{path.name} has \d+ bytes, expected {len(content)}"):
        SplitReader(folder, "train")


def test_a_missing_shard_is_named_even_by_the_reader_of_another_split(own):
    folder = own.records("records")
    path = shard_of(folder, "test", 0)
    path.unlink()
    with pytest.raises(ArtifactError, match=f"{path.name} cannot be read: No such file or directory"):
        SplitReader(folder, "train")


def test_a_shard_that_shrinks_while_it_is_read_is_named(own):
    folder = own.records("records")
    path = shard_of(folder, "train", 0)
    with SplitReader(folder, "train") as reader:
        reader.read(0)
        os.truncate(path, 100)
        with pytest.raises(ArtifactError, match=rf"{path.name} ends too early: record 0 has \d+ of \d+ bytes"):
            reader.read(0)


def test_an_error_while_reading_reaches_the_dataset_with_the_shards_name(own):
    folder = own.records("records")
    with SplitReader(folder, "train") as reader:
        os.truncate(shard_of(folder, "train", 0), 100)
        with pytest.raises(tf.errors.OpError, match="train-00000-of-0000"):
            list(tf.data.Dataset.range(1).map(reader.tensor_example))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda document: document["splits"]["train"].update(examples=15), "16 examples of train, expected 15"),
        (lambda document: document["classes"].append("birds"), "2 classes of (train|validation|test), expected 3"),
        (lambda document: document["splits"]["train"]["shards"].pop(), "examples of train, expected 16"),
        (lambda document: document["splits"]["train"]["shards"][0].update(examples=1), "examples, expected 1"),
        (lambda document: document.pop("classes"), "index.json is damaged"),
    ],
)
def test_an_index_that_does_not_agree_with_the_files_is_refused(own, change, message):
    folder = own.records("records")
    rewrite_index(folder, change)
    with pytest.raises(ArtifactError, match=message):
        SplitReader(folder, "train")


def test_a_damaged_table_is_refused(own):
    folder = own.records("records")
    path = folder / "records-train.npy"
    whole = read_table(folder, "train")
    longer = whole.copy()
    longer["length"] += 1
    for damaged in (whole[:-1], whole[["shard", "length"]], whole["length"], longer):
        np.save(path, damaged)
        with pytest.raises(ArtifactError):
            SplitReader(folder, "train")
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ArtifactError, match=r"records-train\.npy cannot be read"):
        SplitReader(folder, "train")
    path.unlink()
    with pytest.raises(ArtifactError, match=r"records-train\.npy cannot be read"):
        SplitReader(folder, "train")
