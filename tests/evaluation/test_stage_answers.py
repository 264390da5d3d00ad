"""What both stages' weights answer, on small pictures, with TensorFlow."""

import pyarrow.parquet as pq
import pytest

from tests.support import WalkHere, silent_reporter, small_recipe, write_pictures
from thaw.flows.graph import EXPERIMENT, PREPARATION
from thaw.tasks.evaluation.predictions import probability_matrix
from thaw.tasks.evaluation.stage_answers_step import (
    ANSWERS,
    STAGE_ONE,
    STAGE_ONE_AT_STAGE_TWO,
    STAGE_TWO,
    StageAnswersFacts,
    table_name,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run whose second stage learns nothing, at a larger resolution."""
    home = tmp_path_factory.mktemp("home")
    still = {"resolution": 32, "train": "head", "epochs": 1, "optimizer": {"name": "sgd", "learning_rate": 1e-12}}
    slow = {"resolution": 16, "train": "all", "epochs": 1, "optimizer": {"name": "sgd", "learning_rate": 1e-4}}
    walk = WalkHere(small_recipe(write_pictures(home / "data", each=30), stage_one=slow, stage_two=still), home)
    walk.go((*PREPARATION, *EXPERIMENT))
    return walk


def tables_of(made):
    folder = made.home.store.verified(made.made["stage_answers"])
    return {name: pq.read_table(folder / table_name(name)) for name in ANSWERS}


def test_the_weights_alone_tell_stage_two_from_stage_one_at_its_resolution(made):
    tables = tables_of(made)
    before, after, small = (probability_matrix(tables[name]) for name in (STAGE_ONE_AT_STAGE_TWO, STAGE_TWO, STAGE_ONE))
    assert before == pytest.approx(after, abs=1e-5)  # stage two learned nothing
    assert abs(before - small).max() > 1e-3  # but sees larger images


def test_each_weights_answer_as_in_the_evaluation(made):
    from thaw.tasks.evaluation.classify import classify
    from thaw.tasks.records.read import SplitReader
    from thaw.tasks.training.stage_artifact import load_classifier, read_stage

    tables, store = tables_of(made), made.home.store
    for name in (STAGE_ONE, STAGE_TWO):  # which are the names of the stages, too
        stage = store.verified(made.made[name])
        with SplitReader(store.verified(made.made["records"]), "test") as reader:
            size = made.recipe.evaluate.batch_size
            _, expected = classify(load_classifier(stage), reader, read_stage(stage), size, silent_reporter())
        assert probability_matrix(tables[name]) == pytest.approx(expected, abs=1e-6)


def test_all_tables_are_of_the_same_images_and_the_facts_sum_them_up(made):
    tables, facts = tables_of(made), made.home.store.facts(made.made["stage_answers"], StageAnswersFacts)
    assert len({tuple(table["id"].to_pylist()) for table in tables.values()}) == 1
    for name, table in tables.items():
        right = [label == predicted for label, predicted in zip(table["label"], table["predicted"], strict=True)]
        assert facts.answers[name].accuracy == pytest.approx(sum(right) / len(right))
        assert facts.answers[name].examples == table.num_rows
