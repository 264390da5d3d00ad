"""A stage, from records to its artifact, on small pictures: what it writes, repeats, keeps, and refuses."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.support import build_here, build_records, small_recipe, write_pictures
from thaw.flows import requests
from thaw.pipeline_config.errors import TrainingError
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Made
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.evaluation.classify import answering, predict
from thaw.tasks.home import Home
from thaw.tasks.process import Reporter
from thaw.tasks.records.read import SplitReader
from thaw.tasks.training.model import build_classifier, weights_sha256
from thaw.tasks.training.stage_artifact import load_classifier, read_stage
from thaw.tasks.training.stage_facts import StageFacts
from thaw.tasks.training.step import TrainWork
from thaw.tasks.training.work import class_weights, train_stage

OPTIMIZER = {"name": "adam", "learning_rate": 0.01}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("stage")
    write_pictures(folder / "data", each=20)
    return folder


def train_one(
    place: Path, home: str = "home", **changes: Any
) -> tuple[ArtifactStore, ArtifactRef, Recipe, ArtifactRef]:
    recipe = small_recipe(place / "data", **changes)
    records = build_records(place / home, recipe)
    opened = Home.open(place / home)
    ref = build_here(place / home, requests.stage_one(recipe, opened, records, None), TrainWork, train_stage)
    return opened.store, ref, recipe, records


def train_two(place: Path, recipe: Recipe, records: ArtifactRef, one: ArtifactRef) -> ArtifactRef:
    home = Home.open(place / "home")
    return build_here(home.path, requests.stage_two(recipe, home, records, one, None), TrainWork, train_stage)


def facts_of(store: ArtifactStore, ref: ArtifactRef) -> StageFacts:
    return read_stage(store.verified(ref))


def one_stage(**settings: Any) -> dict[str, Any]:
    return {"resolution": 16, "train": "all", "epochs": 2, "batch_size": 8, "optimizer": OPTIMIZER} | settings


def history_of(store: ArtifactStore, ref: ArtifactRef) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = pq.read_table(store.folder(ref) / "history.parquet").to_pydict()
    return columns


def test_a_stage_learns_and_reports_what_it_was_before_its_first_step(place: Path) -> None:
    store, ref, _, _ = train_one(place, stage_one=one_stage(epochs=6))
    facts, history = facts_of(store, ref), history_of(store, ref)
    assert history["epoch"] == list(range(7))
    assert history["loss"][0] is None
    assert facts.before.val_loss == history["val_loss"][0]
    assert facts.val_accuracy == history["val_accuracy"][-1] >= 0.9


def test_the_same_seed_gives_the_same_artifact_in_another_home(place: Path) -> None:
    first = train_one(place, "home_a")[1]
    second = train_one(place, "home_b")[1]
    assert first == second


def test_another_seed_gives_other_weights(place: Path) -> None:
    store, ref, _, _ = train_one(place)
    other_store, other, _, _ = train_one(place, seed=4)
    assert facts_of(store, ref).weights_sha256 != facts_of(other_store, other).weights_sha256


def test_stage_two_starts_from_the_weights_that_stage_one_kept(place: Path) -> None:
    # With smoothing there is something to learn, however well stage one did.
    settings = one_stage(train="head", epochs=1, label_smoothing=0.2)
    store, one, recipe, records = train_one(place, stage_two=settings)
    two = train_two(place, recipe, records, one)
    assert facts_of(store, two).before.val_loss == pytest.approx(facts_of(store, one).val_loss, rel=1e-5)
    before, after = (load_classifier(store.verified(ref)).weights for ref in (one, two))
    moved = [new.path for old, new in zip(before, after, strict=True) if not np.array_equal(old, new)]
    assert sorted(moved) == ["logits/bias", "logits/kernel"]


def test_stage_two_works_at_another_resolution(place: Path) -> None:
    store, one, recipe, records = train_one(place)
    two = train_two(place, recipe, records, one)
    assert facts_of(store, two).fit.resolution == 24
    assert load_classifier(store.verified(two)).input_shape == (None, 24, 24, 3)


def test_a_stage_of_no_epochs_keeps_and_measures_what_it_starts_from(place: Path) -> None:
    store, one, recipe, records = train_one(place, stage_two=one_stage(epochs=0, resolution=24))
    two = train_two(place, recipe, records, one)
    facts = facts_of(store, two)
    assert (facts.epochs, facts.fit.resolution) == (0, 24)
    assert facts.weights_sha256 == facts_of(store, one).weights_sha256
    assert (facts.val_loss, facts.val_accuracy) == (facts.before.val_loss, facts.before.val_accuracy)


def test_the_heads_batch_norm_learns_in_stage_one_and_is_frozen_in_stage_two(place: Path) -> None:
    settings = one_stage(train="head", epochs=1)
    store, one, recipe, records = train_one(
        place,
        model={"backbone": "SmallCNN", "head_batch_norm": True},
        stage_one=settings,
        stage_two=settings,
    )
    two = train_two(place, recipe, records, one)
    fresh, first, second = (
        model.get_layer("head_batch_norm").get_weights()
        for model in (
            build_classifier(recipe.model, classes=2, resolution=16, pretrained=False),
            *(load_classifier(store.verified(ref)) for ref in (one, two)),
        )
    )
    assert not any(np.array_equal(old, new) for old, new in zip(fresh, first, strict=True))
    assert all(np.array_equal(old, new) for old, new in zip(first, second, strict=True))


def test_the_loaded_model_has_the_recorded_weights_and_gives_probabilities(place: Path) -> None:
    store, ref, _, _ = train_one(place)
    model = load_classifier(store.verified(ref))
    assert weights_sha256(model.get_weights()) == facts_of(store, ref).weights_sha256
    probabilities = model.predict(np.full((3, 16, 16, 3), 128, np.float32), verbose=0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_keep_best_ends_with_the_weights_of_the_best_epoch(place: Path) -> None:
    # So high a rate ruins the network after a good start: the best epoch is not the last.
    settings = one_stage(
        epochs=6, keep="best", metric="val_loss", optimizer={"name": "sgd", "learning_rate": 3.0, "momentum": 0.9}
    )
    store, ref, _, _ = train_one(place, stage_one=settings)
    facts, history = facts_of(store, ref), history_of(store, ref)
    best = int(np.argmin(history["val_loss"]))
    assert best < 6, "the test needs a best epoch before the last"
    assert facts.kept_epoch == best
    assert facts.val_loss == history["val_loss"][best]


def test_the_loss_of_stored_predictions_is_val_loss_also_where_the_model_is_surely_wrong(place: Path) -> None:
    settings = one_stage(epochs=1, optimizer={"name": "sgd", "learning_rate": 30.0, "momentum": 0.9})
    store, ref, _, records = train_one(place, stage_one=settings)
    facts = facts_of(store, ref)
    with SplitReader(store.verified(records), "validation") as reader:
        answer = answering(load_classifier(store.verified(ref)))
        table = predict(answer, reader, facts.fit, 8, lambda count: None)
    losses = table["loss"].to_numpy()
    assert losses.max() > 20, "the test needs an answer that is surely wrong"
    assert losses.mean() == pytest.approx(facts.val_loss, rel=1e-5)


def test_early_stopping_ends_a_stage_that_no_longer_improves(place: Path) -> None:
    settings = one_stage(
        epochs=30,
        metric="val_loss",
        early_stopping={"patience": 2, "min_delta": 10.0},  # nothing improves by so much
    )
    store, ref, _, _ = train_one(place, stage_one=settings)
    assert facts_of(store, ref).epochs == 2


def test_a_loss_that_is_not_finite_stops_the_stage_and_names_epoch_and_step(place: Path) -> None:
    # The decay alone multiplies each weight by -1e12 at every step, whatever the images are.
    settings = one_stage(batch_size=2, optimizer={"name": "adamw", "learning_rate": 1e6, "weight_decay": 1e6})
    with pytest.raises(TrainingError, match=r"loss is (nan|inf) at epoch 1, step \d+ of \d+"):
        train_one(place, stage_one=settings)
    assert list((place / "home" / "building").iterdir()) == []


@pytest.mark.parametrize("precision", ["bfloat16", pytest.param("float16", marks=pytest.mark.slow)])
def test_a_stage_of_another_precision_leaves_a_model_that_computes_in_float32(place: Path, precision: str) -> None:
    settings = one_stage(epochs=4, optimizer={"name": "sgd", "learning_rate": 0.01})
    store, ref, _, _ = train_one(place, stage_one=settings, precision=precision)
    plain_store, plain, _, _ = train_one(place, stage_one=settings)
    model, plain_model = load_classifier(store.verified(ref)), load_classifier(plain_store.verified(plain))
    assert model.to_json() == plain_model.to_json()
    assert {variable.dtype for variable in model.weights} == {"float32"}
    assert facts_of(store, ref).weights_sha256 == weights_sha256(model.get_weights())
    history, plain_history = history_of(store, ref), history_of(plain_store, plain)
    assert history["loss"][-1] < history["loss"][1]  # it learns, also where float16 has left out a step
    assert history["loss"] != plain_history["loss"]


@pytest.mark.parametrize(
    ("optimizer", "word"),
    [
        ({"name": "sgd", "learning_rate": 3.0, "momentum": 0.9}, "optimizer.momentum (0.9)"),
        ({"name": "adam", "learning_rate": 3.0}, "optimizer.beta_1 (0.9)"),
        ({"name": "sgd", "learning_rate": 0.001}, None),
    ],
)
def test_a_first_loss_far_above_guessing_warns_of_learning_rate_and_momentum(
    place: Path, optimizer: dict[str, Any], word: str | None
) -> None:
    recipe = small_recipe(place / "data", stage_one=one_stage(epochs=1, optimizer=optimizer))
    home = Home.open(place / "home")
    step = requests.stage_one(recipe, home, build_records(home.path, recipe), None)
    output = io.StringIO()

    def work(folder: Path) -> Made:
        request = TrainWork(home=home, folder=folder, step=step, checkpoints=place / f"checkpoints_{word}")
        return Made.timed(lambda: train_stage(request, Reporter(output)))

    Home.open(place / f"home_{word}").store.build(step, work)
    warnings = [line["warning"] for line in map(json.loads, output.getvalue().splitlines()) if "warning" in line]
    if word is None:
        assert warnings == []
    else:
        (warning,) = warnings
        assert "far above the 0.693" in warning
        assert "optimizer.learning_rate (3)" in warning
        assert word in warning


def test_settings_that_say_how_a_stage_trains_change_its_weights(place: Path) -> None:
    store, ref, _, _ = train_one(place)
    plain = facts_of(store, ref).weights_sha256
    changes: list[dict[str, Any]] = [
        {"label_smoothing": 0.2},
        {"class_weights": {"red": 3.0}},
        {"schedule": {"name": "cosine"}},
        {"augment": []},
        {"ema": 0.5},
    ]
    for change in changes:
        store, ref, _, _ = train_one(place, stage_one=one_stage(**change))
        assert facts_of(store, ref).weights_sha256 != plain, change


def test_balanced_class_weights_give_each_class_the_same_sum() -> None:
    recipe = small_recipe(Path("data"), stage_one=one_stage(class_weights="balanced"))
    weights = class_weights(recipe.stage_one, ["a", "b"], [30, 10])
    np.testing.assert_allclose(weights * [30, 10], [20, 20])


def test_stage_json_counts_what_learned(place: Path) -> None:
    store, ref, _, _ = train_one(place, stage_one=one_stage(train="head"))
    document = json.loads((store.verified(ref) / "stage.json").read_text())
    assert document["trainable_tensors"] == 2
    assert document["trainable_parameters"] == 128 * 2 + 2
