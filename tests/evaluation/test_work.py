"""The step's work on a small home folder: real records, a real model, every file of the artifact. With TensorFlow."""

import hashlib
import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.evaluation.shades import COUNTS, build_home, make_png
from thaw.pipeline_config.errors import ArtifactError, DatasetError, TrainingError
from thaw.tasks.evaluation.step import EvaluateWork
from thaw.tasks.home import Home
from thaw.tasks.process import Reporter


def run(home, folder, step):
    from thaw.tasks.evaluation.work import evaluate

    folder.mkdir()
    lines = io.StringIO()
    facts = evaluate(EvaluateWork(home=home, folder=folder, step=step), Reporter(lines))
    return facts, [json.loads(line) for line in lines.getvalue().splitlines()]


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    base = tmp_path_factory.mktemp("evaluation")
    step = build_home(base / "home")
    facts, lines = run(base / "home", base / "made", step)
    return base, step, facts, lines


def test_the_artifact_holds_what_the_design_names(evaluation):
    folder = evaluation[0] / "made"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "predictions.parquet",
        "stage_one.parquet",
        "stage_one_at_stage_two.parquet",
        "stage_two.parquet",
        "metrics.json",
        "history.parquet",
    }


def test_predictions_are_the_models_own_for_each_image_in_the_order_of_the_records(evaluation):
    table = pq.read_table(evaluation[0] / "made" / "predictions.parquet")
    encoded = [make_png(number % 2, number + 4000) for number in range(11)]
    assert table["id"].to_pylist() == [hashlib.sha256(content).hexdigest() for content in encoded]
    assert table["label"].to_pylist() == [number % 2 for number in range(11)]
    # The images are small, so the resized mean differs a little from the whole image's.
    means = np.array([np.asarray(Image.open(io.BytesIO(content))).mean() for content in encoded])
    light = 1 / (1 + np.exp(-(18 * (means / 127.5 - 1) - 1)))
    measured = [row[1] for row in table["probabilities"].to_pylist()]
    np.testing.assert_allclose(measured, light, atol=0.05)


def test_metrics_and_facts_agree_with_the_predictions(evaluation):
    base, _, facts, _ = evaluation
    metrics = json.loads((base / "made" / "metrics.json").read_text())["test"]
    table = pq.read_table(base / "made" / "predictions.parquet")
    assert metrics["examples"] == 11
    assert metrics["accuracy"] == (table["label"].to_numpy() == table["predicted"].to_numpy()).mean()
    assert metrics["loss"] == table["loss"].to_numpy().mean()
    test = facts.test.model_dump(mode="json", exclude_none=True)
    assert test == {name: metrics[name] for name in test}
    assert {"examples", "accuracy", "accuracy_ci", "loss"} <= set(test)


def test_the_history_of_both_stages_is_there(evaluation):
    history = pq.read_table(evaluation[0] / "made" / "history.parquet")
    assert history["stage"].to_pylist() == ["stage_one"] * 4 + ["stage_two"] * 4
    assert history["loss"][0].as_py() is None


def test_the_progress_ends_at_all_images_and_the_log_has_the_result(evaluation):
    progress = [line["progress"] for line in evaluation[3] if "progress" in line]
    assert [step["done"] for step in progress] == sorted(step["done"] for step in progress)
    assert progress[-1] == {"done": 1.0, "text": "22 of 22 answers for test images"}
    accuracy, earned = [line["log"] for line in evaluation[3] if "log" in line]
    assert accuracy.startswith("test accuracy ")
    assert earned == evaluation[2].stages.sentence


def test_where_both_stages_see_the_same_pixels_stage_one_answers_once(evaluation):
    base, _, facts, _ = evaluation
    tables = [(base / "made" / f"{name}.parquet").read_bytes() for name in ("stage_one", "stage_one_at_stage_two")]
    assert tables[0] == tables[1]
    assert facts.stages.stage_one == facts.stages.stage_one_at_stage_two
    assert [name for name, _, _ in facts.stages.steps] == ["stage one", "stage two"]


def test_another_run_in_another_folder_makes_the_same_bytes(evaluation, tmp_path):
    base, step, facts, _ = evaluation
    again, _ = run(base / "home", tmp_path / "again", step)
    made = sorted(path for path in (base / "made").rglob("*") if path.is_file())
    assert [path.name for path in made if path.read_bytes() != again_bytes(path, base, tmp_path)] == []
    assert again == facts


def again_bytes(path, base, tmp_path):
    return (tmp_path / "again" / path.relative_to(base / "made")).read_bytes()


def test_a_test_split_without_images_is_an_error(tmp_path):
    step = build_home(tmp_path / "home", {**COUNTS, "test": 0})
    with pytest.raises(DatasetError, match="test split has no images"):
        run(tmp_path / "home", tmp_path / "made", step)


def test_a_model_that_answers_nonsense_is_an_error(tmp_path):
    step = build_home(tmp_path / "home", slope=float("nan"))
    with pytest.raises(TrainingError, match="not finite for test image"):
        run(tmp_path / "home", tmp_path / "made", step)


def test_a_damaged_input_is_an_error_that_names_the_file(tmp_path):
    step = build_home(tmp_path / "home")
    weights = Home.open(tmp_path / "home").store.folder(step.stage_two) / "model.weights.h5"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.weights\.h5"):
        run(tmp_path / "home", tmp_path / "made", step)
