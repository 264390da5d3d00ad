import hashlib
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thaw.pipeline_config.dataset_schema import SPLITS, Cut, SplitsConfig
from thaw.pipeline_config.errors import DatasetError
from thaw.tasks.ingest.splits import DEFAULT_FRACTION, assign_split, plan_splits


def ids(count, prefix="image"):
    return [hashlib.sha256(f"{prefix} {number}".encode()).hexdigest() for number in range(count)]


def shares(plan, source_split, count=4000, seed=0):
    splits = [assign_split(plan, source_split, image_id, seed) for image_id in ids(count)]
    return {split: splits.count(split) / count for split in SPLITS}


def cut(from_, fraction):
    return Cut(from_=from_, fraction=fraction)


any_seed = st.integers(0, 2**31 - 1)
any_present = st.sets(st.sampled_from(SPLITS), min_size=1)
any_config = st.builds(
    SplitsConfig,
    validation=st.one_of(st.just("validation"), st.builds(Cut, from_=st.just("train"), fraction=st.floats(0.01, 0.4))),
    test=st.one_of(
        st.just("test"), st.builds(Cut, from_=st.sampled_from(["train", "validation"]), fraction=st.floats(0.01, 0.4))
    ),
)


@given(any_config, any_present, any_seed)
def test_every_image_of_every_source_split_gets_a_split_and_all_three_are_reachable(config, present, seed):
    plan = plan_splits(config, present)
    reached = {assign_split(plan, split, image_id, seed) for split in present for image_id in ids(30)}
    assert reached <= set(SPLITS)
    assert set(plan.roots.values()) | {child for cuts in plan.cuts.values() for child, _ in cuts} == set(SPLITS)


@given(any_config, any_present)
def test_a_split_that_the_source_has_beside_train_is_used_whole_unless_another_is_cut_from_it(config, present):
    plan = plan_splits(config, present | {"train"})
    for split in present - set(plan.cuts):
        assert {assign_split(plan, split, image_id, 0) for image_id in ids(50)} == {split}


def test_proportions_hold_within_sampling_error():
    plan = plan_splits(SplitsConfig(validation=cut("train", 0.1), test=cut("train", 0.3)), {"train"})
    received = shares(plan, "train")
    # Four standard errors of a share p of n = 4,000 draws: 4 · sqrt(p (1 - p) / n) = 0.019 and 0.029 and 0.031.
    assert received["validation"] == pytest.approx(0.1, abs=0.019)
    assert received["test"] == pytest.approx(0.3, abs=0.029)
    assert received["train"] == pytest.approx(0.6, abs=0.031)


def test_a_split_is_cut_from_one_that_was_itself_cut_without_bias():
    plan = plan_splits(SplitsConfig(validation=cut("train", 0.4), test=cut("validation", 0.5)), {"train"})
    received = shares(plan, "train")
    # Were the same number drawn twice, the half below 0.5 of those below 0.4 would be all of them.
    assert received["test"] == pytest.approx(0.2, abs=0.026)
    assert received["validation"] == pytest.approx(0.2, abs=0.026)


def test_validation_is_cut_from_a_test_split_that_was_itself_cut():
    plan = plan_splits(SplitsConfig(validation=cut("test", 0.5), test=cut("train", 0.4)), {"train"})
    assert shares(plan, "train")["validation"] == pytest.approx(0.2, abs=0.026)


def test_test_is_cut_from_the_sources_own_validation_split():
    plan = plan_splits(SplitsConfig(validation="validation", test=cut("validation", 0.2)), {"train", "validation"})
    assert shares(plan, "train")["train"] == 1
    assert shares(plan, "validation")["test"] == pytest.approx(0.2, abs=0.026)
    assert shares(plan, "validation")["train"] == 0


def test_a_split_that_the_recipe_expects_and_the_source_lacks_is_cut_by_the_default():
    plan = plan_splits(SplitsConfig(validation="validation", test="test"), {"train"})
    assert shares(plan, "train")["validation"] == pytest.approx(DEFAULT_FRACTION, abs=0.023)
    assert shares(plan, "train")["test"] == pytest.approx(DEFAULT_FRACTION, abs=0.023)


@pytest.mark.parametrize(
    ("present", "stand_in"),
    [({"validation"}, "validation"), ({"test"}, "test"), ({"validation", "test"}, "validation")],
)
def test_without_a_train_split_the_first_of_the_others_stands_in(present, stand_in):
    plan = plan_splits(SplitsConfig(), present)
    assert shares(plan, stand_in)["train"] > 0.6
    assert shares(plan, stand_in)["validation"] == pytest.approx(0.15, abs=0.023)
    if "test" in present - {stand_in}:
        assert shares(plan, "test")["test"] == 1
        assert shares(plan, stand_in)["test"] == 0


def test_cuts_that_leave_nothing_are_refused():
    with pytest.raises(DatasetError, match=r"validation and test together take 1\.05 of train"):
        plan_splits(SplitsConfig(validation=cut("train", 0.9), test="test"), {"train"})


def test_the_seed_changes_the_splits():
    plan = plan_splits(SplitsConfig(), {"train"})
    one, other = ([assign_split(plan, "train", image_id, seed) for image_id in ids(200)] for seed in (0, 1))
    assert one != other


def test_splits_are_the_same_in_every_process_and_every_version():
    program = (
        "import hashlib\n"
        "from thaw.pipeline_config.dataset_schema import SplitsConfig\n"
        "from thaw.tasks.ingest.splits import assign_split, plan_splits\n"
        "plan = plan_splits(SplitsConfig(), {'train'})\n"
        "ids = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(24)]\n"
        "print(''.join(assign_split(plan, 'train', i, 7)[1] for i in ids))\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("0", "1")
    }
    assert outputs == {"rrrrrrrrrrrrerarrrerrrra"}  # the second letters of train, validation and test
