"""Parts of the test images by a column of the source's table: whole runs, of real models on small pictures."""

import csv
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support import WalkHere, small_recipe, write_pictures
from tests.verdict.test_whole import STAGE, Run
from thaw.flows.graph import PREPARATION
from thaw.pipeline_config.schema import Recipe

CAMERAS = ["phone", "", "reflex"]


def camera(number: int) -> str:
    return CAMERAS[number % len(CAMERAS)]


def recipe_of(source: dict[str, Any], slices: list[str], **publishing: Any) -> Recipe:
    publish = {"formats": ["keras"], "min_examples": 1, **publishing}
    stages = {"stage_one": STAGE, "stage_two": STAGE, "augment": []}
    return small_recipe(
        Path(), dataset={"source": source, "seed": 3}, publish=publish, evaluate={"slices": slices}, **stages
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """The same images as files with a table, and in one Parquet file."""
    folder: Path = tmp_path_factory.mktemp("columns")
    files = sorted(write_pictures(folder / "data", each=20).rglob("*.png"))
    rows = [(str(path.relative_to(folder)), path.parent.name, camera(number)) for number, path in enumerate(files)]
    with (folder / "all.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "camera"), *rows])
    names, labels, cameras = (list(column) for column in zip(*rows, strict=True))
    images = [(folder / name).read_bytes() for name in names]
    categories = pa.array([value or None for value in cameras]).dictionary_encode()
    pq.write_table(pa.table({"image": images, "label": labels, "camera": categories}), folder / "all.parquet")
    return folder


@pytest.fixture
def trained(place: Path, tmp_path: Path) -> Path:
    """The home of a run without columns."""
    Run(recipe_of(csv_source(place), []), place / "home")
    return shutil.copytree(place / "home", tmp_path / "home")


def csv_source(place: Path) -> dict[str, Any]:
    return {"kind": "csv", "path": str(place / "all.csv"), "path_column": "path", "label_column": "label"}


def parquet_source(place: Path) -> dict[str, Any]:
    return {"kind": "parquet", "path": str(place / "all.parquet")}


@pytest.mark.slow
def test_a_column_parts_the_test_images_and_neither_writes_records_nor_trains_again(place: Path, trained: Path):
    run = Run(recipe_of(csv_source(place), ["size", "camera"]), trained)
    assert run.ran == ["ingest", "preflight", "verdict", "report", "publish"]
    parts = {each.value: each.images for each in run.verdict.slices if each.name == "camera"}
    assert set(parts) == {"phone", "missing", "reflex"}
    assert sum(parts.values()) == run.verdict.candidate.examples
    rows = pq.read_table(run.walk.home.store.folder(run.walk.made["ingest"]) / "images.parquet").to_pylist()
    numbers = {f"data/{name}/{number:03}.png": number + 20 * index for index, name in enumerate(("blue", "red"))
               for number in range(20)}  # fmt: skip
    tested = [camera(numbers[row["origin"]]) or "missing" for row in rows if row["split"] == "test"]
    assert parts == {value: tested.count(value) for value in parts}
    card = (run.release.path / "README.md").read_text()
    assert f"| camera: phone | {parts['phone']} | " in card
    assert "camera: reflex" in (run.release.path / "report.html").read_text()
    assert Run(recipe_of(csv_source(place), ["size", "camera"]), trained).ran == []


@pytest.mark.slow
def test_the_same_images_in_a_parquet_file_have_the_same_parts_and_train_nothing(place: Path, trained: Path):
    from_csv = Run(recipe_of(csv_source(place), ["camera"]), trained)
    run = Run(recipe_of(parquet_source(place), ["camera"]), trained)
    assert {"stage_one", "stage_two", "evaluate"}.isdisjoint(run.ran)
    assert run.verdict.slices == from_csv.verdict.slices


@pytest.mark.slow
def test_a_floor_for_a_part_by_a_column_forbids_and_reads_the_column_by_itself(place: Path, trained: Path):
    run = Run(
        recipe_of(csv_source(place), [], require="always", floors={"slices": {"camera": {"phnoe": 0.1}}}), trained
    )
    assert run.verdict.verdict == "vetoed"
    assert run.verdict.reason.endswith(
        "No test image is of camera 'phnoe', so its accuracy is not known (publish.floors)."
    )
    assert {each.name for each in run.verdict.slices} == {"camera"}


@pytest.mark.parametrize("source", [csv_source, parquet_source])
def test_a_column_reads_the_source_again_and_keeps_the_records_under_their_key(
    place: Path, tmp_path: Path, source: Any
):
    walks = [WalkHere(recipe_of(source(place), slices), tmp_path / "home") for slices in ([], ["camera"], [])]
    for walk in walks:
        walk.go(PREPARATION)
    assert [walk.ran for walk in walks] == [["ingest", "records"], ["ingest"], []]
    plain, with_camera, again = (walk.made for walk in walks)
    assert plain["records"] == with_camera["records"] == again["records"]
    assert plain["ingest"] == again["ingest"] != with_camera["ingest"]
