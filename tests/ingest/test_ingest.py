import hashlib
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.ingest.archives import pack, sha256
from tests.ingest.pictures import (
    THREE_SPLITS,
    Recorder,
    directory,
    encode,
    fill,
    ingest_step,
    jpeg,
    picture,
    png_that_claims,
    rows,
    run_ingest,
)
from tests.pictures.made import chunks_of, png_of
from thaw.pipeline_config.dataset_schema import ArchiveSource, CsvSource, Cut, DigitsSource, ParquetSource, SplitsConfig
from thaw.pipeline_config.errors import DatasetError
from thaw.tasks.ingest.checks import check_classes, check_counts
from thaw.tasks.ingest.dataset import IMAGES, read_dataset
from thaw.tasks.ingest.step import IngestWork
from thaw.tasks.ingest.work import ingest


def row_of(folder, origin):
    return next(row for row in rows(folder) if row["origin"] == origin)


def summary(folder):
    return json.loads((folder / "dataset.json").read_text())


# --- what is written


def test_the_manifest_says_all_about_each_image(tmp_path):
    data = fill(tmp_path / "data", THREE_SPLITS)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encode(picture(77, size=(30, 10)), exif=exif)
    (data / "train" / "dogs" / "turned.png").write_bytes(turned)
    facts = run_ingest(directory(data), tmp_path / "out")

    assert row_of(tmp_path / "out", "train/dogs/turned.png") == {
        "id": hashlib.sha256(turned).hexdigest(),
        "label": 1,
        "class_name": "dogs",
        "split": "train",
        "width": 10,
        "height": 30,
        "format": "JPEG",
        "bytes": len(turned),
        "origin": "train/dogs/turned.png",
        "brightness": pytest.approx(np.asarray(Image.open(data / "train" / "dogs" / "turned.png")).mean(), abs=1),
    }
    schema = {field.name: str(field.type) for field in pq.read_schema(tmp_path / "out" / IMAGES)}
    assert schema == {
        "id": "string",
        "label": "int32",
        "class_name": "string",
        "split": "string",
        "width": "int32",
        "height": "int32",
        "format": "string",
        "bytes": "int64",
        "origin": "string",
        "brightness": "float",
    }
    expected_counts = {
        "train": {"cats": 4, "dogs": 5},
        "validation": {"cats": 4, "dogs": 4},
        "test": {"cats": 4, "dogs": 4},
    }
    assert summary(tmp_path / "out") == {
        "classes": ["cats", "dogs"],
        "counts": expected_counts,
        "duplicates": 0,
        "unreadable": [],
    }
    assert facts == {
        "classes": 2,
        "examples": {"train": 9, "validation": 8, "test": 8},
        "duplicates": 0,
        "in_conflict": 0,
        "unreadable": 0,
    }


def test_rows_are_ordered_by_split_then_label_then_id_and_read_back_alike(tmp_path):
    run_ingest(directory(fill(tmp_path / "data", {"dogs": 30, "cats": 30})), tmp_path / "out")
    found = rows(tmp_path / "out")
    order = {"train": 0, "validation": 1, "test": 2}
    assert found == sorted(found, key=lambda row: (order[row["split"]], row["label"], row["id"]))
    dataset = read_dataset(tmp_path / "out")
    assert dataset.classes == ["cats", "dogs"]
    assert [image.id for image in dataset.images] == [row["id"] for row in found]


def test_two_runs_write_the_same_bytes_wherever_the_images_are(tmp_path):
    fill(tmp_path / "one" / "data", {"cats": 20, "dogs": 20})
    # Written in another order, and so listed in another order by some file systems.
    for path in sorted((tmp_path / "one" / "data").rglob("*.jpg"), reverse=True):
        copy = tmp_path / "elsewhere" / path.relative_to(tmp_path / "one" / "data")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    run_ingest(directory(tmp_path / "one" / "data"), tmp_path / "first")
    run_ingest(directory(tmp_path / "elsewhere"), tmp_path / "second")
    for name in (IMAGES, "dataset.json"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_digits_are_split_without_a_folder_or_a_network(tmp_path):
    facts = run_ingest(DigitsSource(kind="digits"), tmp_path / "out")
    assert sum(facts["examples"].values()) + facts["duplicates"] == 1797
    # 15 % of 1,797 is 270; four standard errors of that share are 61.
    assert facts["examples"]["validation"] == pytest.approx(270, abs=61)
    assert facts["examples"]["test"] == pytest.approx(270, abs=61)
    assert (row := row_of(tmp_path / "out", "digits/00001"))["class_name"] == "1"
    assert (row["width"], row["height"], row["format"]) == (8, 8, "PNG")


def test_progress_ends_at_the_whole(tmp_path):
    report = Recorder()
    run_ingest(directory(fill(tmp_path / "data", THREE_SPLITS)), tmp_path / "out", report)
    assert report.told("progress")[-1] == {"done": 1.0, "text": "24 of 24 images checked"}
    assert report.told("warning") == []


def test_what_a_flow_needs_of_ingest_never_imports_tensorflow():
    program = (
        "import sys, thaw.tasks.ingest.step, thaw.tasks.ingest.dataset, thaw.tasks.ingest.sources; "
        "sys.exit(any(m in sys.modules for m in ('tensorflow', 'keras', 'pandas')))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode == 0


# --- splits


def test_adding_images_moves_no_old_one(tmp_path):
    data = fill(tmp_path / "data", {"cats": 40, "dogs": 40})
    run_ingest(directory(data), tmp_path / "before")
    fill(data, {"cats": 20, "birds": 30}, first_seed=1000)
    run_ingest(directory(data), tmp_path / "after")
    before = {row["id"]: row["split"] for row in rows(tmp_path / "before")}
    after = {row["id"]: row["split"] for row in rows(tmp_path / "after")}
    assert len(after) == 130
    assert {image_id: after[image_id] for image_id in before} == before


def test_the_sources_own_splits_are_kept_and_test_is_cut_from_validation(tmp_path):
    data = fill(tmp_path / "data", {"train/a": 5, "train/b": 5, "val/a": 40, "val/b": 40})
    splits = SplitsConfig(validation="validation", test=Cut(from_="validation", fraction=0.3))
    run_ingest(directory(data), tmp_path / "out", splits=splits)
    found = rows(tmp_path / "out")
    assert {row["split"] for row in found if row["origin"].startswith("train/")} == {"train"}
    assert {row["split"] for row in found if row["origin"].startswith("val/")} == {"validation", "test"}


# --- unreadable images


def spoil(data):
    """Adds three files that are no images, each in another way."""
    (data / "cats" / "text.jpg").write_text("not an image")
    (data / "cats" / "empty.png").write_bytes(b"")
    (data / "dogs" / "truncated.jpg").write_bytes(jpeg(3)[:-40])
    return data


def test_unreadable_images_are_an_error_that_names_them_all(tmp_path):
    data = spoil(fill(tmp_path / "data", {"cats": 10, "dogs": 10}))
    with pytest.raises(DatasetError) as caught:
        run_ingest(directory(data), tmp_path / "out")
    message = str(caught.value)
    assert message.startswith("3 of 23 images cannot be read: cats/empty.png (the file is empty), cats/text.jpg (")
    assert "dogs/truncated.jpg (" in message
    assert "at most 0." in message
    assert "max_bad_fraction" in message
    assert "\n" not in message


def test_tolerated_unreadable_images_are_left_out_with_a_warning_each(tmp_path):
    data = spoil(fill(tmp_path / "data", {"cats": 20, "dogs": 20}))
    (data / "dogs" / "bomb.png").write_bytes(png_that_claims(100_000, 100_000))
    report = Recorder()
    facts = run_ingest(directory(data), tmp_path / "out", report, max_bad_fraction=0.5)
    assert facts["unreadable"] == 4
    assert len(rows(tmp_path / "out")) == 40
    listed = summary(tmp_path / "out")["unreadable"]
    assert [image["origin"] for image in listed] == [
        "cats/empty.png",
        "cats/text.jpg",
        "dogs/bomb.png",
        "dogs/truncated.jpg",
    ]
    assert "declares" in listed[2]["reason"]
    named = [warning for warning in report.told("warning") if warning.startswith("Left out")]
    assert [image["origin"] in warning for image, warning in zip(listed, named, strict=True)] == [True] * 4


def test_what_pillow_reads_and_tensorflow_does_not_counts_as_unreadable(tmp_path):
    data = fill(tmp_path / "data", {"cats": 20, "dogs": 20})
    chunks = chunks_of(encode(picture(77), "PNG"))
    (data / "cats" / "chunk.png").write_bytes(png_of([*chunks[:1], (b"ABCD", b"?"), *chunks[1:]]))
    with pytest.raises(DatasetError, match=r"1 of 41 images cannot be read: cats/chunk\.png \(it is truncated or dam"):
        run_ingest(directory(data), tmp_path / "strict")
    assert run_ingest(directory(data), tmp_path / "out", max_bad_fraction=0.1)["unreadable"] == 1


def test_the_tolerated_share_is_exact(tmp_path):
    data = fill(tmp_path / "data", {"cats": 47, "dogs": 24})
    for number in range(29):
        (data / "cats" / f"bad {number}.jpg").write_bytes(b"bad")
    assert run_ingest(directory(data), tmp_path / "out", max_bad_fraction=0.29)["unreadable"] == 29
    with pytest.raises(DatasetError, match="29 of 100"):
        run_ingest(directory(data), tmp_path / "strict", max_bad_fraction=0.28)


def test_of_many_unreadable_images_twenty_are_named_and_the_rest_counted(tmp_path):
    data = fill(tmp_path / "data", {"cats": 20, "dogs": 20})
    for number in range(25):
        (data / "cats" / f"bad{number:02d}.jpg").write_bytes(b"bad")
    report = Recorder()
    with pytest.raises(DatasetError, match=r"bad02\.jpg \([^)]*\) and 22 more\. Expected"):
        run_ingest(directory(data), tmp_path / "strict", report)
    told = report.told("warning")
    assert len(told) == 20
    assert told[-1].startswith("It cannot be read: cats/bad19.jpg (")
    report = Recorder()
    run_ingest(directory(data), tmp_path / "out", report, max_bad_fraction=0.9)
    left_out = [warning for warning in report.told("warning") if warning.startswith("Left out")]
    assert len(left_out) == 21
    assert "5 more" in left_out[-1]
    assert len(summary(tmp_path / "out")["unreadable"]) == 25


def test_files_that_cannot_be_opened_are_unreadable(tmp_path):
    data = fill(tmp_path / "data", {"cats": 20, "dogs": 20})
    (data / "cats" / "gone\n.jpg").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"'cats/gone\\n\.jpg' \(No such file or directory\)"):
        run_ingest(directory(data), tmp_path / "out")


def test_images_that_change_while_they_are_read_are_an_error(tmp_path):
    data = fill(tmp_path / "data", {"cats": 10, "dogs": 10})
    step = ingest_step(directory(data))
    (data / "cats" / "0000.jpg").write_bytes(jpeg(999))
    (tmp_path / "out").mkdir()
    with pytest.raises(DatasetError, match="changed while they were being read"):
        ingest(IngestWork(home=tmp_path, folder=tmp_path / "out", step=step), Recorder())


# --- classes and counts


def counts(**of_splits):
    return {split: {"cats": cats, "dogs": dogs} for split, (cats, dogs) in of_splits.items()}


def test_fewer_than_two_classes_are_an_error(tmp_path):
    with pytest.raises(DatasetError, match=r"at least 2 classes\. Received: 1 \(cats\)"):
        run_ingest(directory(fill(tmp_path / "data", {"cats": 10})), tmp_path / "out")
    with pytest.raises(DatasetError, match="Received: none"):
        check_classes(())


ENDS_OF_LINES = [chr(code) for code in range(0x110000) if len(f"a{chr(code)}b".splitlines()) > 1]


@pytest.mark.parametrize(
    "character", [*ENDS_OF_LINES, "\t", "\x1b", "\udc80"], ids=lambda character: f"{ord(character):x}"
)
def test_a_class_name_that_is_no_line_of_text_is_an_error_that_names_it(character):
    with pytest.raises(DatasetError, match=f"U\\+{ord(character):04X}") as caught:
        check_classes(["dogs", f"ca{character}ts"])
    assert str(caught.value).isprintable()
    assert "'ca\\" in str(caught.value)


@given(st.lists(st.text(min_size=1), min_size=2))
def test_names_that_pass_come_back_from_a_file_of_lines(names):
    try:
        check_classes(names)
    except DatasetError:
        return
    assert "".join(f"{name}\n" for name in names).encode().decode().splitlines() == names


def test_emoji_accents_and_blanks_are_text():
    check_classes(["👩\u200d🌾", "crème brûlée", "no\u00a0break"])


NAME = "ca\u2028ts"


def csv_of(folder):
    fill(folder, {"dogs": 9})
    listed = [
        f"dogs/{path.name},{NAME if number else 'dogs'}" for number, path in enumerate((folder / "dogs").iterdir())
    ]
    (folder / "table.csv").write_text("\n".join(["path,label", *listed]), encoding="utf-8")
    return CsvSource(kind="csv", path=str(folder / "table.csv"), path_column="path", label_column="label")


def parquet_of(folder):
    folder.mkdir()
    columns = {"image": [jpeg(number) for number in range(9)], "label": [*["dogs"] * 4, *[NAME] * 5]}
    pq.write_table(pa.table(columns), folder / "table.parquet")
    return ParquetSource(kind="parquet", path=str(folder / "table.parquet"))


def archive_of(folder):
    files = {f"{name}/{number}.jpg": jpeg(number) for name in ("dogs", NAME) for number in range(9)}
    path = pack(folder.with_suffix(".zip"), files)
    return ArchiveSource(kind="archive", url=path.as_uri(), sha256=sha256(path))


@pytest.mark.parametrize(
    "source_of", [lambda at: directory(fill(at, {"dogs": 9, NAME: 9})), csv_of, parquet_of, archive_of]
)
def test_every_source_refuses_such_a_name(tmp_path, source_of):
    with pytest.raises(DatasetError, match=r"The class name 'ca\\u2028ts'"):
        run_ingest(source_of(tmp_path / "data"), tmp_path / "out")


def test_a_class_without_training_images_is_an_error(tmp_path):
    data = fill(tmp_path / "data", {**THREE_SPLITS, "test/birds": 2})
    with pytest.raises(DatasetError, match=r"Class birds has no training images: expected at least 1, received 0"):
        run_ingest(directory(data), tmp_path / "out")


def test_a_class_of_which_only_training_images_exist_is_an_error(tmp_path):
    data = fill(tmp_path / "data", {**THREE_SPLITS, "train/birds": 2})
    with pytest.raises(DatasetError, match=r"Class birds has images in one split only: .* received 2 in train"):
        run_ingest(directory(data), tmp_path / "out")


def test_an_empty_split_is_an_error_that_says_what_to_do(tmp_path):
    data = fill(tmp_path / "data", {"cats": 1, "dogs": 1})
    with pytest.raises(DatasetError, match=r"split is empty: expected at least 1 image, received 0 of 2\. Add images"):
        run_ingest(directory(data), tmp_path / "out")


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_each_split_must_have_images(split):
    received = counts(train=(5, 5), validation=(5, 5), test=(5, 5)) | counts(**{split: (0, 0)})
    with pytest.raises(DatasetError, match=f"The {split} split is empty: expected at least 1 image, received 0 of 20"):
        check_counts(received)


def test_a_held_out_split_may_lack_a_class_that_the_other_has():
    check_counts(counts(train=(5, 5), validation=(5, 0), test=(5, 5)))
    check_counts(counts(train=(5, 5), validation=(1, 1), test=(1, 1)))
