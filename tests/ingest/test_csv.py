"""A table of paths and labels: what it says, and every way in which it can be wrong."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ingest.pictures import NO_HOME, digest_afresh, fill, jpeg, run_ingest
from thaw.pipeline_config.dataset_schema import CsvSource
from thaw.pipeline_config.errors import DatasetError
from thaw.tasks.ingest.sources import open_source

TABLE = "file,label,fold\na/0000.jpg,cat,train\na/0001.jpg,dog,val\nb/0002.jpg,cat,TEST\n"


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path / "data", {"a": 2, "b": 1})


def table(folder, text, *, split_column=None):
    (folder / "images.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return CsvSource(
        kind="csv",
        path=str(folder / "images.csv"),
        path_column="file",
        label_column="label",
        split_column=split_column,
    )


def examples(config):
    return [(each.origin, each.class_name, each.split) for each in open_source(config, NO_HOME).examples()]


def test_rows_are_images_with_labels_and_splits(folder):
    config = table(folder, TABLE, split_column="fold")
    source = open_source(config, NO_HOME)
    assert source.splits() == {"train", "validation", "test"}
    assert source.classes() == ("cat", "dog")
    assert source.count() == 3
    assert examples(config) == [
        ("a/0000.jpg", "cat", "train"), ("a/0001.jpg", "dog", "validation"), ("b/0002.jpg", "cat", "test")
    ]  # fmt: skip
    assert next(source.examples()).read() == source.read_again("a/0000.jpg") == jpeg(0)


def test_without_a_column_for_splits_all_is_train(folder):
    source = open_source(table(folder, TABLE), NO_HOME)
    assert source.splits() == {"train"}


def test_quotes_blanks_blank_lines_and_what_a_spreadsheet_puts_in_front(folder):
    text = '\ufeffnumber, label ,"file"\r\n1, "big, black\tcat", a/0000.jpg\r\n\r\n2,"a ""dog""",./a/../b/0002.jpg\r\n'
    assert examples(table(folder, text)) == [
        ("a/0000.jpg", "big, black\tcat", "train"),
        ("b/0002.jpg", 'a "dog"', "train"),
    ]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(TABLE.splitlines()[1:]), st.permutations([0, 1, 2]), st.booleans())
def test_the_order_of_rows_and_columns_and_other_columns_make_no_difference(folder, rows, order, has_more):
    expected = digest_afresh(table(folder, TABLE, split_column="fold"))
    cells = [line.split(",") for line in ("file,label,fold", *rows)]
    lines = [",".join([*(row[at] for at in order), *(["note"] if has_more else [])]) for row in cells]
    config = table(folder, "\n".join(lines), split_column="fold")
    assert digest_afresh(config) == expected
    assert examples(config)[0] == ("a/0000.jpg", "cat", "train")


@pytest.mark.parametrize(
    ("old", "new"),
    [("0.jpg,cat", "0.jpg,dog"), ("dog,val", "dog,test"), ("b/0002.jpg,cat,TEST\n", ""), ("b/0002", "b/../a/0009")],
)
def test_what_a_table_says_of_an_image_changes_the_digest(folder, old, new):
    before = digest_afresh(table(folder, TABLE, split_column="fold"))
    assert old in TABLE
    assert digest_afresh(table(folder, TABLE.replace(old, new), split_column="fold")) != before


def test_an_image_that_changed_changes_the_digest_and_another_place_does_not(folder, tmp_path):
    before = digest_afresh(table(folder, TABLE))
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    assert digest_afresh(table(moved, TABLE)) == before
    (moved / "b" / "0002.jpg").write_bytes(jpeg(9))
    assert digest_afresh(table(moved, TABLE)) != before
    (moved / "b" / "0002.jpg").unlink()
    assert digest_afresh(table(moved, TABLE)) != before


def test_an_image_that_is_missing_is_named_like_any_that_cannot_be_read(tmp_path):
    data = fill(tmp_path / "data", {"cats": 30, "dogs": 30})
    rows = "".join(f"{path.relative_to(data).as_posix()},{path.parent.name}\n" for path in data.rglob("*.jpg"))
    with pytest.raises(DatasetError, match=r"1 of 61 images cannot be read: gone\.jpg \(No such file or directory\)"):
        run_ingest(table(data, f"file,label\n{rows}gone.jpg,cats\n"), tmp_path / "out")


WRONG: dict[str, tuple[str | bytes, str]] = {
    "nothing": ("", r"no column 'file'\. Its columns: none"),
    "no rows": ("file,label\n\n", "no rows"),
    "missing column": ("path,label\na,b\n", r"no column 'file'\. Its columns: path, label"),
    "column twice": ("file,label,file\na,b,c\n", "more than one column 'file'"),
    "empty label": ("file,label\na/0000.jpg,cat\na/0001.jpg, \n", "row 3, column label: is empty"),
    "empty path": ("file,label\n ,cat\n", "row 2, column file: is empty"),
    "absolute path": ("file,label\n/etc/passwd,cat\n", "row 2, column file: is /etc/passwd. Expected a path relative"),
    "way out": ("file,label\na/../../x.jpg,cat\n", r"row 2, column file: is a/\.\./\.\./x\.jpg\. Expected a file in"),
    "folder": ("file,label\na/..,cat\n", r"row 2, column file: is a/\.\.\. Expected a file in"),
    "same image twice": (
        "file,label\na/0000.jpg,cat\nb/0002.jpg,cat\n./a/0000.jpg,dog\n",
        r"row 4, column file: names a/0000\.jpg, as row 2 does",
    ),
    "too few cells": ("file,label\na/0000.jpg\n", r"row 2: 1 cells\. Expected 2"),
    "too many cells": ("file,label\na,b.jpg,cat\n", r"row 2: 3 cells\. Expected 2.* quote a cell"),
    "quote without end": ('file,label\n"a/0000.jpg,cat\n', r"row 2: .*\. Expected comma-separated values"),
    "another encoding": ("file,label\na/0000.jpg,Bär\n".encode("latin-1"), "not UTF-8"),
    "NUL": (b"file,label\na\0b.jpg,cat\n", "NUL"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_table_is_an_error_that_says_where(folder, name):
    text, reason = WRONG[name]
    with pytest.raises(DatasetError, match=rf"images\.csv.*{reason}") as caught:
        digest_afresh(table(folder, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("split", ["", "holdout", "tr\nain"])
def test_a_split_that_is_none_is_an_error(folder, split):
    with pytest.raises(DatasetError, match=r"row 2, column fold: is .* one of train, validation, valid, val, test"):
        digest_afresh(table(folder, f'file,label,fold\na/0000.jpg,cat,"{split}"\n', split_column="fold"))


def test_a_table_that_is_not_there_or_a_folder_is_an_error(folder):
    config = table(folder, TABLE)
    Path(config.path).unlink()
    with pytest.raises(DatasetError, match=r"images\.csv: No such file or directory\. Expected comma-separated"):
        digest_afresh(config)
    Path(config.path).mkdir()
    with pytest.raises(DatasetError, match=r"images\.csv is no file\. Expected comma-separated"):
        digest_afresh(config)
