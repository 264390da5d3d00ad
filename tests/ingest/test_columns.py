"""Columns of a table that part the test images: what is read and kept of them, and what is refused."""

import csv
import datetime
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ingest.pictures import NO_HOME, Recorder, jpeg, rows
from tests.support import without_cost
from thaw.pipeline_config.dataset_schema import CsvSource, DatasetConfig, ParquetSource, Source
from thaw.pipeline_config.errors import ArtifactError, DatasetError
from thaw.tasks.artifacts.differences import explain
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.home import Home
from thaw.tasks.ingest.columns import read_column, with_values
from thaw.tasks.ingest.sources import columns_digest, content_digest, open_source
from thaw.tasks.ingest.sources.base import part_name
from thaw.tasks.ingest.step import COLUMNS, IngestStep, IngestWork, digest_without_columns
from thaw.tasks.ingest.work import ingest

IMAGES = 32
CAMERAS = ["phone", "", "reflex", "phone, old"]


def as_csv(folder: Path, images: Sequence[bytes], columns: dict[str, Sequence[Any]]) -> Source:
    folder.mkdir(parents=True)
    for number, content in enumerate(images):
        (folder / f"{number:03}.jpg").write_bytes(content)
    table: dict[str, Sequence[Any]] = {"file": [f"{number:03}.jpg" for number in range(len(images))], **columns}
    with (folder / "all.csv").open("w", newline="") as file:
        csv.writer(file).writerows([list(table), *zip(*table.values(), strict=True)])
    return CsvSource(kind="csv", path=str(folder / "all.csv"), path_column="file", label_column="label")


def as_parquet(folder: Path, images: Sequence[bytes], columns: dict[str, Any]) -> Source:
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"image": list(images), **columns}), folder / "all.parquet", row_group_size=5)
    return ParquetSource(kind="parquet", path=str(folder / "all.parquet"))


WRITERS = {"csv": as_csv, "parquet": as_parquet}


def labels(count: int = IMAGES) -> list[str]:
    return [("cats", "dogs")[number % 2] for number in range(count)]


def cameras(count: int = IMAGES) -> list[str]:
    return [CAMERAS[number // 2 % len(CAMERAS)] for number in range(count)]


def pictures(count: int = IMAGES) -> list[bytes]:
    return [jpeg(number) for number in range(count)]


@pytest.fixture(params=WRITERS)
def written(request, tmp_path: Path) -> Source:
    columns = {"label": labels(), "camera": cameras(), "note": [f"note {number}" for number in range(IMAGES)]}
    return WRITERS[request.param](tmp_path / "data", pictures(), columns)


def step_of(source: Source, *columns: str) -> IngestStep:
    return IngestStep(
        dataset=DatasetConfig(source=source),
        seed=0,
        content=content_digest(source, NO_HOME),
        columns=list(columns),
        columns_content=columns_digest(source, NO_HOME, columns),
    )


def build(home: Home, source: Source, *columns: str) -> ArtifactRef:
    step = step_of(source, *columns)

    def work(folder: Path) -> Any:
        return without_cost(ingest(IngestWork(home=home.path, folder=folder, step=step), Recorder()))

    return home.store.build(step, work)


def refusal(source: Source, *columns: str, home: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        build(Home.open(home), source, *columns)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 500
    return message


@given(st.text())
def test_a_part_has_a_name_of_one_short_line_and_names_stay_what_they_are(text):
    name = part_name(text)
    assert name.isprintable()
    assert 0 < len(name) <= 100
    assert part_name(name) == name
    assert part_name(f"  {text} ") == name
    assert (part_name(None), part_name(" ")) == ("missing", "missing")


def test_only_columns_that_are_named_are_kept_and_nothing_else_of_the_dataset_changes(written: Source, tmp_path: Path):
    home = Home.open(tmp_path / "home")
    plain, with_camera = build(home, written), build(home, written, "camera")
    folder = home.store.verified(with_camera)
    assert pq.read_schema(folder / COLUMNS).names == ["camera"]
    assert not (home.store.folder(plain) / COLUMNS).exists()
    by_content = {image["id"]: int(re.sub(r"\D", "", image["origin"])) for image in rows(folder)}
    kept = read_column(folder, "camera")
    assert {by_content[image]: value for image, value in kept.items()} == {
        number: value or "missing" for number, value in enumerate(cameras())
    }
    assert digest_without_columns(home, with_camera) == digest_without_columns(home, plain) == plain.digest
    with pytest.raises(ArtifactError, match=r"columns\.parquet cannot be read"):
        read_column(folder, "note")


def test_the_key_holds_the_columns_that_are_named_and_of_a_recipe_without_any_it_is_as_it_was(written: Source):
    plain, one, two = step_of(written), step_of(written, "camera"), step_of(written, "camera", "note")
    assert set(plain.depends_on()) == {"dataset", "seed", "content"}
    assert len({plain.key, one.key, two.key}) == 3


def test_what_stands_in_a_column_changes_the_key_and_in_other_columns_of_a_csv_table_it_does_not(tmp_path: Path):
    others = cameras()
    others[5] = "another"
    sources = [
        as_csv(tmp_path / name, pictures(), {"label": labels(), "camera": camera, "note": note})
        for name, camera, note in (
            ("one", cameras(), labels()),
            ("same", cameras(), others),
            ("other", others, labels()),
        )
    ]
    one, same, other = (step_of(source, "camera") for source in sources)
    assert one.key == same.key != other.key
    assert explain(one.key_document, other.key_document) == ["what the table says in these columns changed"]
    assert len({step_of(source).key for source in sources}) == 1


def test_a_column_that_is_not_there_is_refused_with_those_that_are(written: Source, tmp_path: Path):
    message = refusal(written, "camrea", home=tmp_path / "home")
    assert "has no column 'camrea'. Its columns: " in message
    assert message.endswith("label, camera, note. Nearest: camera.")


@pytest.mark.parametrize("kind", WRITERS)
def test_a_column_of_very_many_values_is_refused_with_what_to_do(kind: str, tmp_path: Path):
    columns = {"label": labels(102), "lens": [number / 8 % 12.5 for number in range(102)], "exposure": range(102)}
    source = WRITERS[kind](tmp_path / "data", [jpeg(number % 30) for number in range(102)], columns)
    message = refusal(source, "exposure", home=tmp_path / "home")
    assert message.startswith("Column exposure has more than 100 values: 0, 1, 2 and 98 more. Expected groups of")
    assert len({values for _, values in open_source(source, NO_HOME).values(["lens"])}) == 100


def test_a_column_that_a_csv_table_has_twice_is_refused(tmp_path: Path):
    source = as_csv(tmp_path / "data", pictures(2), {"label": labels(2), "camera": labels(2), " camera": labels(2)})
    assert "more than one column 'camera'" in refusal(source, "camera", home=tmp_path / "home")


@pytest.mark.parametrize(
    ("column", "names"),
    [
        (pa.array(["a ", None, ""]), ["a", "missing", "missing"]),
        (pa.array([3, None, -1], pa.int8()), ["3", "missing", "-1"]),
        (pa.array([True, False, None]), ["true", "false", "missing"]),
        (pa.array(["x", None, "x"]).dictionary_encode(), ["x", "missing", "x"]),
        (pa.array([7.0, np.nan, 8.0]), ["7", "missing", "8"]),  # as pandas has whole numbers where one is missing
        (pa.array([2.5, np.nan, 0.1], pa.float32()), ["2.5", "missing", "0.1"]),
        (pa.array([1, 2, 1]).dictionary_encode(), ["1", "2", "1"]),
        (pa.array([None, None, None]), ["missing"] * 3),
        (
            pa.array([datetime.date(2026, 1, 2), datetime.date(2026, 1, 3), None]),
            ["2026-01-02", "2026-01-03", "missing"],
        ),
    ],
    ids=["text", "integers", "booleans", "categories", "integers of pandas", "floats", "numbers", "nothing", "days"],
)
def test_values_of_every_plain_type_become_names_of_parts(column: Any, names: list[str], tmp_path: Path):
    source = as_parquet(tmp_path / "data", pictures(3), {"label": labels(3), "column": column})
    assert [values for _, values in open_source(source, NO_HOME).values(["column"])] == [(name,) for name in names]


def test_a_column_of_lists_is_refused(tmp_path: Path):
    source = as_parquet(tmp_path / "data", pictures(2), {"label": labels(2), "box": [[1, 2], [3]]})
    for name, kind in (("box", "list<element: int64>"), ("image", "binary")):
        message = refusal(source, name, home=tmp_path / "home")
        assert message == f"Column {name} of all.parquet is {kind}. Expected text, numbers or booleans."


def test_a_table_that_changes_while_it_is_read_is_an_error(tmp_path: Path):
    source = as_csv(tmp_path / "data", pictures(3), {"label": labels(3), "camera": cameras(3)})
    opened = open_source(source, NO_HOME)
    assert opened.count() == 3
    assert [values for _, values in with_values(opened, ["camera"])] == [("phone",), ("phone",), ("missing",)]
    table = tmp_path / "data" / "all.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(DatasetError, match="changed while they were being read"):
        list(with_values(opened, ["camera"]))


def test_of_equal_images_the_row_counts_that_the_dataset_names(written: Source, tmp_path: Path):
    del written
    images = [*pictures(), jpeg(3)]  # the last one is a copy of the fourth, which comes before it
    source = as_csv(tmp_path / "twice", images, {"label": [*labels(), "dogs"], "camera": [*cameras(), "scanner"]})
    home = Home.open(tmp_path / "home")
    folder = home.store.verified(build(home, source, "camera"))
    (image,) = [row for row in rows(folder) if row["origin"] == "003.jpg"]
    assert read_column(folder, "camera")[image["id"]] == "missing"
    assert "scanner" not in read_column(folder, "camera").values()
