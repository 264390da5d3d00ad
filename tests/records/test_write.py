import hashlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.ingest.pictures import Recorder, decode, deep_png, encode, fill, picture
from tests.records.made import COUNTS, Made, parse, read_all
from thaw.pipeline_config.dataset_schema import SPLITS, RecordsConfig
from thaw.pipeline_config.errors import DatasetError
from thaw.tasks.ingest.dataset import DatasetImage
from thaw.tasks.pictures.decoding import decode_upright
from thaw.tasks.records.ids import ids_of
from thaw.tasks.records.index import FOOTER_BYTES, HEADER_BYTES, read_table, table_of_shard
from thaw.tasks.records.read import check_counts, read_index
from thaw.tasks.records.step import RecordsFacts
from thaw.tasks.records.write import plan_shards


def test_every_image_is_in_one_record_of_its_split_as_it_came(made, folder):
    for split in SPLITS:
        found = {image_id: (image, label) for image, label, image_id in map(parse, read_all(folder, split))}
        expected = {
            row.id: ((made.data / row.origin).read_bytes(), row.label) for row in made.images() if row.split == split
        }
        assert found == expected


def test_the_index_says_what_the_files_hold(made, folder):
    index = read_index(folder)
    assert index.classes == ["cats", "dogs"]
    assert {split: index.splits[split].class_counts for split in SPLITS} == {
        "train": [9, 7],
        "validation": [3, 3],
        "test": [2, 4],
    }
    listed = {"index.json", *(f"records-{split}.npy" for split in SPLITS)}
    for split in SPLITS:
        shards = index.splits[split].shards
        for number, shard in enumerate(shards):
            assert shard.file == f"{split}-{number:05d}-of-{len(shards):05d}.tfrecord"
            content = (folder / shard.file).read_bytes()
            assert (shard.bytes, shard.sha256) == (len(content), hashlib.sha256(content).hexdigest())
            assert sum(1 for _ in tf.data.TFRecordDataset(str(folder / shard.file))) == shard.examples
            listed.add(shard.file)
    assert {path.name for path in folder.iterdir()} == listed
    assert len(index.splits["train"].shards) > 3
    check_counts(folder, index)


def test_the_table_points_at_the_payloads_that_tensorflow_reads_and_says_what_they_are(folder):
    for split in SPLITS:
        shards = [shard.file for shard in read_index(folder).splits[split].shards]
        sequential = [record.numpy() for record in tf.data.TFRecordDataset([str(folder / name) for name in shards])]
        by_offset = []
        for image_id, label, shard, offset, length in read_table(folder, split):
            content = (folder / shards[shard]).read_bytes()
            by_offset.append(content[offset : offset + length])
            assert parse(by_offset[-1])[1:] == (label, image_id.ljust(32, b"\0").hex())
        assert by_offset == sequential == read_all(folder, split)


def test_records_are_ordered_by_id_so_that_classes_mix(folder):
    ids = [parse(payload)[2] for payload in read_all(folder, "train")]
    assert ids == sorted(ids)


def test_two_runs_write_the_same_bytes(made, folder):
    again = made.records("again")
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in again.iterdir())
    for name in names:
        assert (folder / name).read_bytes() == (again / name).read_bytes()


def test_the_facts_and_the_progress_count_all_splits(made):
    report = Recorder()
    folder = made.records("facts", RecordsConfig(), report=report)
    sizes = {split: (folder / f"{split}-00000-of-00001.tfrecord").stat().st_size for split in SPLITS}
    assert made.facts == RecordsFacts(
        examples={"train": 16, "validation": 6, "test": 6},
        shards={"train": 1, "validation": 1, "test": 1},
        bytes=sizes,
    )
    assert report.told("progress")[-1] == {"done": 1.0, "text": "28 of 28 images written"}


def test_max_side_makes_images_smaller_and_keeps_their_ids(made, folder):
    small = made.records("small", RecordsConfig(max_side=10))
    for before, after in zip(read_all(folder, "train"), read_all(small, "train"), strict=True):
        image, label, image_id = parse(after)
        assert (label, image_id) == parse(before)[1:]
        assert decode(image).shape == (7, 10, 3)


def test_an_image_that_changed_since_it_was_ingested_is_an_error(own):
    victim = own.images()[3].origin
    (own.data / victim).write_bytes(encode(picture(999)))
    with pytest.raises(DatasetError, match=f"{victim} changed since it was ingested"):
        own.records("records")


def test_an_image_that_is_gone_is_an_error(own):
    victim = own.images()[3].origin
    (own.data / victim).unlink()
    with pytest.raises(DatasetError, match=f"{victim} can no longer be read: No such file or directory"):
        own.records("records")


def test_images_may_be_read_from_a_copy_of_the_folder(own, tmp_path):
    before = own.records("before")
    own.data.rename(tmp_path / "moved")
    after = own.records("after", data=tmp_path / "moved")
    assert (before / "index.json").read_bytes() == (after / "index.json").read_bytes()


def row(number, size):
    return DatasetImage(f"{number:064x}", 0, "cats", "train", 1, 1, "PNG", size, str(number), 0.0)


@given(st.lists(st.integers(1, 3_000_000)), st.floats(0.001, 5), st.randoms())
def test_shards_hold_every_image_once_and_close_when_they_reach_their_size(sizes, megabytes, random):
    images = [row(number, size) for number, size in enumerate(sizes)]
    shuffled = list(images)
    random.shuffle(shuffled)
    shards = plan_shards(shuffled, megabytes)
    assert [image for shard in shards for image in shard] == images
    for position, shard in enumerate(shards):
        assert sum(image.bytes for image in shard[:-1]) < megabytes * 10**6
        if position < len(shards) - 1:
            assert sum(image.bytes for image in shard) >= megabytes * 10**6 * (1 - 1e-9)


@given(st.lists(st.integers(0, 10_000)))
def test_places_follow_each_other_without_gaps(lengths):
    table = table_of_shard(5, ids_of("0" * 64 for _ in lengths), [1] * len(lengths), lengths)
    end = 0
    for (_, label, shard, offset, length), expected in zip(table.tolist(), lengths, strict=True):
        assert label == 1
        assert (shard, offset, length) == (5, end + HEADER_BYTES, expected)
        end = offset + length + FOOTER_BYTES


# --- decoding


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(picture(size=(40, 30)), exif=exif)


def with_alpha():
    image = picture(size=(40, 30))
    image.putalpha(99)
    return image


IMAGES = {
    "colour.jpg": encode(picture(size=(41, 33))),
    "colour-444.jpg": encode(picture(size=(41, 33)), subsampling=0),
    "progressive.jpg": encode(picture(size=(41, 33)), progressive=True),
    "grey.jpg": encode(picture(size=(41, 33), mode="L")),
    "cmyk.jpg": encode(picture(size=(41, 33), mode="CMYK")),
    "turned.jpg": turned(6),
    "mirrored.jpg": turned(7),
    "colour.png": encode(picture(), "PNG"),
    "grey.png": encode(picture(mode="L"), "PNG"),
    "alpha.png": encode(with_alpha(), "PNG"),
    "palette.png": encode(picture(mode="P"), "PNG"),
    "bits.png": encode(picture(mode="1"), "PNG"),
    "deep.png": deep_png(np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000),
    "clear.png": encode(picture(), "PNG", transparency=(0, 0, 0)),
    "animated.gif": encode(picture(1, mode="P"), "GIF", save_all=True, append_images=[picture(2, mode="P")]),
    "photo.webp": encode(picture(), "WEBP"),
    "bitmap.bmp": encode(picture(), "BMP"),
}


def test_training_decodes_every_kind_of_record_as_pillow_does(tmp_path):
    data = fill(tmp_path / "data", {**COUNTS, "train/mixed": 0, "test/mixed": 1})
    for name, content in IMAGES.items():
        (data / "train" / "mixed" / name).write_bytes(content)
    made = Made(tmp_path / "home", data)
    rows = {image.id: image for image in made.images()}
    seen = 0
    for payload in read_all(made.records("records"), "train"):
        encoded, _, image_id = parse(payload)
        received = decode_upright(tf.constant(encoded)).numpy().astype(int)
        image = rows[image_id]
        assert received.shape == (image.height, image.width, 3), image.origin
        assert np.abs(received - decode(encoded)).max() <= 1, image.origin
        seen += image.class_name == "mixed"
    assert seen == len(IMAGES)
