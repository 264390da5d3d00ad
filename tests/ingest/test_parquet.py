"""Parquet files as a source: columns, splits, wrong rows, reading again, and how little is in memory."""

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.ingest.pictures import digest_afresh, jpeg
from tests.support import small_recipe
from thaw.pipeline_config.dataset_schema import ParquetSource
from thaw.pipeline_config.errors import DatasetError, RecipeError
from thaw.tasks.home import Home
from thaw.tasks.ingest.sources import open_source
from thaw.tasks.ingest.sources.image_spool import ImageSpool

NAMES = ["cats", "dogs"]


def hub_metadata(names: list[str]) -> dict[bytes, bytes]:
    """What the Hugging Face hub's library writes into a file's schema."""
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    return {b"huggingface": json.dumps({"info": {"features": features}}).encode()}


def hub_rows(count: int, first_seed: int = 0) -> dict[str, Any]:
    seeds = range(first_seed, first_seed + count)
    return {
        "image": [{"bytes": jpeg(seed), "path": f"{seed}.jpg"} for seed in seeds],
        "label": [seed % 2 for seed in seeds],
    }


def write(path: Path, columns: dict[str, Any], *, metadata: dict[bytes, bytes] | None = None, rows: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path, row_group_size=rows)
    return path


def parquet(path: Any, **settings: Any) -> ParquetSource:
    path = {split: str(of) for split, of in path.items()} if isinstance(path, dict) else str(path)
    return ParquetSource(kind="parquet", path=path, **settings)


def opened(path: Any, home: Path | None = None, **settings: Any) -> Any:
    return open_source(parquet(path, **settings), Home.open(home or Path("there is no such home")))


def survey(path: Any, **settings: Any) -> list[tuple[str, str, str]]:
    source = opened(path, **settings)
    source.classes(), source.splits()
    return [(example.origin, example.class_name, example.split) for example in source.examples()]


def fault(path: Any, **settings: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        survey(path, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what is read


def test_files_of_the_hub_have_their_class_names_in_them(tmp_path):
    file = write(tmp_path / "train.parquet", hub_rows(10), metadata=hub_metadata(["dogs", "cats"]))
    source = opened(file)
    assert source.classes() == ("dogs", "cats")
    assert source.splits() == {"train"}
    assert source.count() == 10
    examples = list(source.examples())
    assert [(e.origin, e.class_name) for e in examples[:3]] == [
        ("train.parquet#0", "dogs"),
        ("train.parquet#1", "cats"),
        ("train.parquet#2", "dogs"),
    ]
    assert [example.read() for example in examples] == [jpeg(seed) for seed in range(10)]


@pytest.mark.parametrize("image_type", [pa.binary(), pa.large_binary(), pa.binary_view()])
@pytest.mark.parametrize("label_type", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_images_may_be_plain_bytes_and_labels_strings(tmp_path, image_type, label_type):
    columns = {
        "picture": pa.array([jpeg(seed) for seed in range(4)], image_type),
        "species": pa.array(["dog", "cat", "dog", "ant"]).cast(label_type),
    }
    file = write(tmp_path / "a.parquet", columns)
    settings: dict[str, Any] = {"image_column": "picture", "label_column": "species"}
    assert opened(file, **settings).classes() == ("ant", "cat", "dog")
    assert [name for _, name, _ in survey(file, **settings)] == ["dog", "cat", "dog", "ant"]
    assert [example.read() for example in opened(file, **settings).examples()] == [jpeg(seed) for seed in range(4)]


def test_names_of_the_recipe_come_before_those_of_the_files(tmp_path):
    file = write(tmp_path / "a.parquet", hub_rows(2), metadata=hub_metadata(["a", "b"]))
    assert opened(file, names=["dogs", "cats", "birds"]).classes() == ("dogs", "cats", "birds")
    assert survey(file, names=NAMES) == [("a.parquet#0", "cats", "train"), ("a.parquet#1", "dogs", "train")]


def test_paths_may_name_the_splits(tmp_path):
    for name, seed in (("train-0", 0), ("train-1", 2), ("test", 4)):
        write(tmp_path / "data" / f"{name}.parquet", hub_rows(2, seed), metadata=hub_metadata(NAMES))
    paths = {"train": tmp_path / "data" / "train-*.parquet", "test": tmp_path / "data" / "test.parquet"}
    assert opened(paths).splits() == {"train", "test"}
    assert [(origin, split) for origin, _, split in survey(paths)] == [
        ("test.parquet#0", "test"),
        ("test.parquet#1", "test"),
        ("train-0.parquet#0", "train"),
        ("train-0.parquet#1", "train"),
        ("train-1.parquet#0", "train"),
        ("train-1.parquet#1", "train"),
    ]


def test_a_column_may_name_the_splits(tmp_path):
    rows = hub_rows(4) | {"part": ["train", "Val", "test", "valid"]}
    file = write(tmp_path / "a.parquet", rows, metadata=hub_metadata(NAMES))
    assert opened(file, split_column="part").splits() == {"train", "validation", "test"}
    assert [split for *_, split in survey(file, split_column="part")] == ["train", "validation", "test", "validation"]


def test_origins_do_not_change_with_the_row_groups(tmp_path):
    one = write(tmp_path / "one" / "a.parquet", hub_rows(9), metadata=hub_metadata(NAMES), rows=2)
    other = write(tmp_path / "other" / "a.parquet", hub_rows(9), metadata=hub_metadata(NAMES), rows=9)
    assert survey(one) == survey(other)
    for file in (one, other):
        source = opened(file, tmp_path)
        assert [source.read_again(f"a.parquet#{row}") for row in (8, 0, 3, 8)] == [jpeg(seed) for seed in (8, 0, 3, 8)]


# --- what is wrong


def test_a_row_without_an_image_is_named(tmp_path):
    rows = hub_rows(6)
    rows["image"][5] = None
    file = write(tmp_path / "a.parquet", rows, metadata=hub_metadata(NAMES))
    assert fault(file) == (
        "a.parquet, row 5 (the first is 0): column image holds no image. Expected an encoded image in each row."
    )
    rows["image"][5] = {"bytes": None, "path": "5.jpg"}
    write(file, rows, metadata=hub_metadata(NAMES))
    assert "row 5 (the first is 0): column image holds a path without bytes, '5.jpg'" in fault(file)
    with pytest.raises(DatasetError, match="row 5"):  # of the same row group
        opened(file, tmp_path).read_again("a.parquet#4")


@pytest.mark.parametrize(
    ("label", "received"),
    [(None, "holds no label"), (2, "holds 2. Expected 0 to 1"), (-1, "holds -1. Expected 0 to 1")],
)
def test_a_row_with_a_wrong_number_for_a_label_is_named_before_any_image_is_read(tmp_path, label, received):
    rows = hub_rows(6)
    rows["label"][3] = label
    file = write(tmp_path / "a.parquet", rows, metadata=hub_metadata(NAMES))
    source = opened(file)
    with pytest.raises(DatasetError, match=rf"a\.parquet, row 3 \(the first is 0\): column label {received}"):
        source.splits()


def test_a_string_that_is_no_name_and_a_split_that_is_none_are_named(tmp_path):
    rows = {"image": [jpeg(seed) for seed in range(3)], "label": ["cats", "dogs", "bird"], "part": ["train"] * 3}
    file = write(tmp_path / "a.parquet", rows)
    assert "row 2 (the first is 0): column label holds 'bird'. Expected cats, dogs." in fault(file, names=NAMES)
    write(file, rows | {"part": ["train", None, "dev"]})
    assert "row 1 (the first is 0): column part holds None. Expected train, valid" in fault(file, split_column="part")


def test_columns_that_are_missing_or_of_another_type_are_named(tmp_path):
    file = write(tmp_path / "a.parquet", {"image": [jpeg()], "label": ["cats"], "size": [1.5], "part": [3]})
    assert (
        fault(file, image_column="img")
        == "a.parquet has no column 'img'. Its columns: image, label, size, part. Nearest: image."
    )
    assert "Column label of a.parquet is string. Expected bytes" in fault(file, image_column="label")
    assert "Column size of a.parquet is double. Expected integers or strings" in fault(file, label_column="size")
    assert "Column part of a.parquet is int64. Expected strings" in fault(file, split_column="part")


def test_files_that_do_not_agree_are_named(tmp_path):
    write(tmp_path / "a.parquet", {"image": [jpeg(0)], "label": [0]}, metadata=hub_metadata(NAMES))
    write(tmp_path / "b.parquet", {"image": [jpeg(1)], "label": ["cats"]})
    assert "integers in a.parquet and strings in b.parquet" in fault(tmp_path / "*.parquet")
    write(tmp_path / "b.parquet", {"image": [jpeg(1)], "label": [0]}, metadata=hub_metadata(["dogs", "cats"]))
    assert "a.parquet and b.parquet state different class names" in fault(tmp_path / "*.parquet")


def test_numbers_need_names(tmp_path):
    file = write(tmp_path / "a.parquet", {"image": [jpeg()], "label": [0]})
    assert "a.parquet does not say what they stand for. Give dataset.source.names" in fault(file)
    write(file, {"image": [jpeg()], "label": [0]}, metadata={b"huggingface": b'{"info": 3}'})
    assert "Give dataset.source.names" in fault(file)


def test_a_file_that_is_damaged_is_named(tmp_path):
    file = write(tmp_path / "a.parquet", hub_rows(6), metadata=hub_metadata(NAMES))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert fault(file).startswith(f"{file} cannot be read: ")
    words = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")])
    write(file, {"image": [jpeg()], "label": words})
    assert fault(file).startswith(f"{file} cannot be read: ")
    file.write_bytes(b"image,label\n")
    assert fault(file).startswith(f"{file} cannot be read: ")


def test_a_recipe_keeps_no_secret_and_says_one_thing_of_splits(tmp_path):
    def recipe(**source):
        return small_recipe(tmp_path, dataset={"source": {"kind": "parquet", **source}})

    with pytest.raises(RecipeError, match="must hold no keys"):
        recipe(path=["a.parquet", "s3://key:secret@bucket/b.parquet"])
    with pytest.raises(RecipeError, match="split_column has no use"):
        recipe(path={"train": "a.parquet"}, split_column="part")
    with pytest.raises(RecipeError, match="Received 'cats' twice"):
        recipe(path="a.parquet", names=["cats", "cats"])
    with pytest.raises(
        RecipeError, match=r"dataset\.source\.path\.dev: Input should be 'train', 'validation' or 'test'"
    ):
        recipe(path={"dev": "a.parquet"})


# --- the key


def test_the_digest_follows_names_splits_and_content_and_nothing_else(tmp_path):
    files = [write(tmp_path / place / "a.parquet", hub_rows(4), metadata=hub_metadata(NAMES)) for place in ("x", "y")]
    os.utime(files[1], (0, 0))
    digest = digest_afresh(parquet(files[0]))
    assert digest_afresh(parquet(files[1])) == digest
    assert digest_afresh(parquet({"train": files[0]})) != digest
    write(files[1], hub_rows(4, 1), metadata=hub_metadata(NAMES))
    assert digest_afresh(parquet(files[1])) != digest
    files[0].rename(tmp_path / "x" / "b.parquet")
    assert digest_afresh(parquet(tmp_path / "x" / "b.parquet")) != digest


# --- reading again, and memory


def test_reading_again_from_many_threads_reads_each_row_group_once(tmp_path, monkeypatch):
    file = write(tmp_path / "a.parquet", hub_rows(60), metadata=hub_metadata(NAMES), rows=7)
    read: list[int] = []
    iter_batches = pq.ParquetFile.iter_batches

    def counting(self, *arguments, row_groups=None, **settings):
        read.extend(row_groups)
        return iter_batches(self, *arguments, row_groups=row_groups, **settings)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counting)
    source = opened(file, tmp_path)
    order = [row * 37 % 60 for row in range(60)] * 2
    with ThreadPoolExecutor(8) as threads:
        images = list(threads.map(lambda row: source.read_again(f"a.parquet#{row}"), order))
    assert images == [jpeg(row) for row in order]
    assert sorted(read) == list(range(9))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet"]


@pytest.mark.parametrize("origin", ["a.parquet#4", "b.parquet#0"])
def test_an_image_that_is_gone_is_an_error_of_the_system(tmp_path, origin):
    file = write(tmp_path / "a.parquet", hub_rows(4), metadata=hub_metadata(NAMES))
    with pytest.raises(OSError, match="the source has no"):
        opened(file, tmp_path).read_again(origin)


READ_ALL = """
import hashlib, sys
from pathlib import Path
import pyarrow as pa
from thaw.pipeline_config.dataset_schema import ParquetSource
from thaw.tasks.home import Home
from thaw.tasks.ingest.sources import open_source
file = Path(sys.argv[1])
source = open_source(ParquetSource(kind="parquet", path=str(file)), Home.open(file.parent))
source.splits()
streamed = hashlib.sha256()
for example in source.examples():
    streamed.update(example.read())
again = hashlib.sha256(b"".join(source.read_again(f"{file.name}#{row}") for row in range(source.count())))
print(streamed.hexdigest(), again.hexdigest(), pa.default_memory_pool().max_memory())
"""


@pytest.mark.parametrize("rows", [500, 10_000])
def test_a_file_is_never_in_memory_as_a_whole_whatever_its_row_groups(tmp_path, rows):
    count, size = 10_000, 8_000
    images = [os.urandom(size) for _ in range(count)]
    file = write(tmp_path / "a.parquet", {"image": images, "label": ["a", "b"] * (count // 2)}, rows=rows)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    answer = subprocess.run(
        [sys.executable, "-c", READ_ALL, str(file)], env=environment, capture_output=True, text=True, check=True
    )
    streamed, again, most = answer.stdout.split()
    assert streamed == again == hashlib.sha256(b"".join(images)).hexdigest()
    # pyarrow writes pages of 1,024 rows, here 8 MB, and has three of them in memory; the whole is 80 MB.
    assert 0 < int(most) < count * size / 2


def test_the_spool_reads_a_group_again_after_a_failure(tmp_path):
    spool = ImageSpool(tmp_path)

    def cut_short():
        yield b"lost"
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        spool.read("group", 0, cut_short)
    assert spool.read("group", 1, lambda: iter([b"one", b"two", b""])) == b"two"
    assert spool.read("group", 2, cut_short) == b""
    with pytest.raises(IndexError):
        spool.read("group", 3, cut_short)
