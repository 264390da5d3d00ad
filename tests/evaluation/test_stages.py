"""What both stages' weights answer in an evaluation, on small pictures, with TensorFlow."""

import pyarrow.parquet as pq
import pytest

from tests.support import WalkHere, small_recipe, write_pictures
from thaw.flows.graph import EXPERIMENT, PREPARATION
from thaw.tasks.evaluation.earned import ANSWERS, STAGE_ONE, STAGE_ONE_AT_STAGE_TWO, STAGE_TWO
from thaw.tasks.evaluation.predictions import probability_matrix, right_answers
from thaw.tasks.evaluation.step import EvaluationFacts


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run whose second stage learns nothing, at a larger resolution."""
    home = tmp_path_factory.mktemp("home")
    still = {"resolution": 32, "train": "head", "epochs": 1, "optimizer": {"name": "sgd", "learning_rate": 1e-12}}
    slow = {"resolution": 16, "train": "all", "epochs": 1, "optimizer": {"name": "sgd", "learning_rate": 1e-4}}
    plain = {"evaluate": {"calibrate": False}}  # what each stage's weights answer is compared
    recipe = small_recipe(write_pictures(home / "data", each=30), stage_one=slow, stage_two=still, **plain)
    walk = WalkHere(recipe, home)
    walk.go((*PREPARATION, *EXPERIMENT))
    return walk


def tables_of(made):
    folder = made.home.store.verified(made.made["evaluate"])
    return {name: pq.read_table(folder / file) for name, file in ANSWERS.items()}


def test_the_weights_alone_tell_stage_two_from_stage_one_at_its_resolution(made):
    tables = tables_of(made)
    before, after, small = (probability_matrix(tables[name]) for name in (STAGE_ONE_AT_STAGE_TWO, STAGE_TWO, STAGE_ONE))
    assert before == pytest.approx(after, abs=1e-5)  # stage two learned nothing
    assert abs(before - small).max() > 1e-3  # but sees larger images


def test_each_stages_weights_answer_as_its_own_model_does(made):
    from thaw.tasks.evaluation.classify import answering, classify
    from thaw.tasks.records.read import SplitReader
    from thaw.tasks.training.stage_artifact import load_classifier, read_stage

    tables, store = tables_of(made), made.home.store
    for name in (STAGE_ONE, STAGE_TWO):  # which are the names of the stages, too
        stage = store.verified(made.made[name])
        with SplitReader(store.verified(made.made["records"]), "test") as reader:
            size = made.recipe.evaluate.batch_size
            answer, how = answering(load_classifier(stage)), read_stage(stage).fit
            _, expected = classify(answer, reader, how, size, lambda count: None)
        assert probability_matrix(tables[name]) == pytest.approx(expected, abs=1e-6)


def test_all_tables_are_of_the_same_images_and_the_facts_sum_them_up(made):
    tables, tested = tables_of(made), made.home.store.facts(made.made["evaluate"], EvaluationFacts).stages
    assert len({tuple(table["id"].to_pylist()) for table in tables.values()}) == 1
    for name, table in tables.items():
        assert getattr(tested, name).correct == right_answers(table).sum()
        assert tested.examples == table.num_rows
    assert (tested.stage_one.resolution, tested.stage_one_at_stage_two.resolution) == (16, 32)
    assert (tested.training_earned.gained, tested.training_earned.lost) == (0, 0)  # it learned nothing
    assert "at 16 px" in tested.sentence
    assert "by its weights at 32 px" in tested.sentence
