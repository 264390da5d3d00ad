"""The threshold above which answers count: the lowest that is shown to keep what was asked, or none. No TensorFlow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from thaw.pipeline_config.schema import AbstainConfig
from thaw.tasks.calibration.threshold import fewest_images, find_threshold, lowest_share
from thaw.tasks.releases.abstention import Abstention, Answered


def find(top, right, share, confidence=0.95):
    asked = AbstainConfig(right=share, confidence=confidence)
    exact = np.asarray(top, np.float32).astype(np.float64)  # as a model gives them
    return find_threshold(exact, np.asarray(right, bool), asked)


def test_the_lowest_end_is_that_of_the_exact_one_sided_test():
    for right, of in ((0, 5), (3, 7), (59, 59), (298, 300)):
        exact = binomtest(right, of, alternative="greater").proportion_ci(0.95, method="exact").low
        assert lowest_share(np.array([right]), np.array([of]), 0.95)[0] == pytest.approx(exact)


def test_a_case_by_hand():
    # 59 of 59 show 0.95 at confidence 0.95; with the mistakes below they do not.
    top, right = [0.9] * 59 + [0.6] * 6, [True] * 59 + [False] * 6
    assert find(top, right, 0.95) == Abstention(
        right=0.95,
        confidence=0.95,
        threshold=0.9 - 0.0001,
        validation=Answered(images=65, answered=59, correct=59),
    )
    assert find(top[1:], right[1:], 0.95).threshold == 1
    assert find(top, [True] * 65, 0.95).threshold == pytest.approx(0.6, abs=0.0001)


def test_where_nothing_is_shown_every_answer_is_unsure_a_certain_one_too():
    found = find([1.0] * 58, [True] * 58, 0.95)
    assert found.threshold == 1
    assert found.validation == Answered(images=58, answered=0, correct=0)
    assert found.is_unsure(1.0)


def test_certain_answers_count_where_that_is_shown():
    found = find([1.0] * 59 + [0.99995] * 59, [True] * 59 + [False] * 59, 0.95)
    assert found.threshold == 1  # what differs by less than formats do is not told apart
    found = find([1.0] * 59 + [0.999] * 59, [True] * 59 + [False] * 59, 0.95)
    assert 0.999 < found.threshold < 1
    assert not found.is_unsure(1.0)


@pytest.mark.parametrize(("share", "confidence"), [(0.95, 0.95), (0.99, 0.95), (0.99, 0.9), (0.5, 0.5)])
def test_so_many_images_and_no_fewer_show_it_without_a_mistake(share, confidence):
    images = fewest_images(AbstainConfig(right=share, confidence=confidence))
    assert find([0.9] * images, [True] * images, share, confidence).threshold < 0.9
    assert images == 1 or find([0.9] * (images - 1), [True] * (images - 1), share, confidence).threshold == 1


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.floats(0.25, 1, width=32), st.booleans()), min_size=1, max_size=40),
    st.sampled_from([0.3, 0.5, 0.8]),
)
def test_it_is_the_lowest_that_is_shown(answers, share):
    answers.sort(reverse=True)
    top, right = (np.array(column) for column in zip(*answers, strict=True))
    found = find(top, right, share, 0.9)
    assert found.validation == Answered.above(found.threshold, top, right)

    def shown(answered):
        return lowest_share(np.array([right[:answered].sum()]), np.array([answered]), 0.9) >= share

    assert found.threshold == 1 or shown(found.validation.answered)
    # Probabilities that differ by less than formats do are not told apart.
    ends = [*np.flatnonzero(-np.diff(top) > 1.01e-4) + 1, len(top)]
    assert not any(shown(answered) for answered in ends if answered > found.validation.answered)


@pytest.mark.parametrize(("confidence", "at_most"), [(0.95, 0.05), (0.9, 0.15)])
def test_answers_above_it_are_right_as_often_as_asked_in_new_images(confidence, at_most):
    random = np.random.default_rng(0)

    def images(number):
        top = 1 / (1 + np.exp(-np.maximum(random.normal(3, 2, number), 0)))
        return top, random.random(number) < top

    many = np.sort(images(200_000)[0])[::-1]
    truths = np.cumsum(many) / np.arange(1, len(many) + 1)  # share of right answers among the surest so many
    broken = 0
    for _ in range(300):
        top, right = images(600)
        found = find(top, right, 0.95, confidence)
        above = int((many > found.threshold).sum())
        broken += above > 0 and truths[above - 1] < 0.95
    assert broken / 300 <= at_most
