"""What a comparison leaves in its folder."""

import csv

import numpy as np
import pyarrow.parquet as pq
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from tests.experiments.made import make_runs
from thaw.pipeline_config.errors import ArtifactError
from thaw.tasks.experiments.files import PICTURE_NAME, default_folder, flatten, markdown, write_comparison
from thaw.tasks.experiments.plot import draw_comparison
from thaw.tasks.experiments.summary import Comparison, compare_runs


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_csv_and_parquet_and_json_hold_the_same_numbers(tmp_path):
    comparison = compare_runs(make_runs(["a", "b"]))
    write_comparison(tmp_path / "new" / "folder", comparison)
    folder = tmp_path / "new" / "folder"
    assert Comparison.model_validate_json((folder / "comparison.json").read_bytes()) == comparison
    for name, length in (("recipes", 2), ("pairs", 1), ("runs", 6)):
        rows, table = read_csv(folder / f"{name}.csv"), pq.read_table(folder / f"{name}.parquet")
        assert len(rows) == table.num_rows == length
        assert list(rows[0]) == table.column_names
    accuracies = [float(row["accuracy"]) for row in read_csv(folder / "runs.csv")]
    assert accuracies == [run.accuracy for run in comparison.runs]


def test_memory_that_was_not_measured_is_an_empty_cell(tmp_path):
    write_comparison(tmp_path, compare_runs(make_runs(["a"], peak=None)))
    assert {row["stage_one_peak_memory_bytes"] for row in read_csv(tmp_path / "runs.csv")} == {""}


def test_one_recipe_leaves_no_table_of_pairs(tmp_path):
    write_comparison(tmp_path, compare_runs(make_runs(["a"])))
    assert not (tmp_path / "pairs.csv").exists()


def test_the_page_shows_the_tables_and_the_picture(tmp_path):
    comparison = compare_runs(make_runs(["a", "b"]))
    write_comparison(tmp_path, comparison)
    page = (tmp_path / "comparison.md").read_text()
    assert page == markdown(comparison)
    assert "| a | b | " in page
    assert f"({PICTURE_NAME})" in page
    lines = [line for line in page.splitlines() if line.startswith("|")]
    assert len(lines) == (2 + 2) + (2 + 2) + (2 + 1)


def test_the_same_comparison_gives_the_same_bytes(tmp_path):
    comparison = compare_runs(make_runs(["a", "b"]))
    for name in ("one", "two", "one"):
        write_comparison(tmp_path / name, comparison)
    contents = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two")]
    assert contents[0] == contents[1]


def test_the_folder_is_named_after_recipes_seeds_and_weights_and_not_after_the_time_that_they_took(tmp_path):
    names = ["a", "b"]
    comparison = compare_runs(make_runs(names))
    others = [make_runs(names, peak=1), make_runs(["a", "c"]), make_runs(names, (0, 1, 3))]
    slower, *different = (default_folder(tmp_path, compare_runs(runs)) for runs in others)
    assert default_folder(tmp_path, comparison) == slower
    assert default_folder(tmp_path, comparison) not in different


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot be written"):
        write_comparison(tmp_path / "file" / "folder", compare_runs(make_runs(["a"])))


def test_nested_values_become_columns():
    assert flatten({"a": 1, "b": {"c": 2, "d": {"e": None}}, "f": [1, 2]}) == {
        "a": 1,
        "b_c": 2,
        "b_d_e": None,
        "f": "1 2",
    }


def test_the_picture_has_a_point_per_run_and_one_per_recipes_mean():
    comparison = compare_runs(make_runs(["a", "b"]))
    (axes,) = draw_comparison(comparison).axes
    points = [[tuple(point) for point in np.asarray(line.get_xydata())] for line in axes.get_lines()]
    for number, row in enumerate(comparison.recipes):
        runs = [(run.training_seconds, run.accuracy) for run in comparison.runs if run.recipe == row.recipe]
        assert points[2 * number] == runs
        assert points[2 * number + 1] == [(row.training_seconds.mean, row.accuracy.mean)]


def test_many_recipes_look_different_and_their_long_names_are_cut():
    names = [f"{'a_long_name_of_a_recipe_' * 2}{number}" for number in range(12)]
    figure = draw_comparison(compare_runs(make_runs(names, seeds=(0,), images=20)))
    FigureCanvasAgg(figure).draw()
    looks = {(line.get_color(), line.get_marker()) for line in figure.axes[0].get_lines()[::2]}
    assert len(looks) == 12
    (legend,) = figure.legends
    assert legend.get_window_extent().x1 <= figure.bbox.x1


def test_the_picture_is_a_picture(tmp_path):
    write_comparison(tmp_path, compare_runs(make_runs(["a"], seeds=(0,))))
    with Image.open(tmp_path / PICTURE_NAME) as image:
        assert image.width > 800
        assert set(image.info) <= {"dpi"}
