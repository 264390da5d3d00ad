"""One temperature for logits: what it must never do, and what it finds where the truth is known. No TensorFlow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from thaw.pipeline_config.errors import DatasetError
from thaw.tasks.calibration.temperature import cross_entropy, fit_temperature, probabilities


def made_up(random, images, temperature, *, distance=3.0, classes=3):
    """Labels that are drawn from probabilities, and logits that are too far apart by a factor."""
    true = random.normal(size=(images, classes))
    true[np.arange(images), random.integers(0, classes, images)] += distance
    labels = (true + random.gumbel(size=true.shape)).argmax(axis=1).astype(np.int32)
    return (true * temperature).astype(np.float32), labels


@st.composite
def some_answers(draw):
    images, classes = draw(st.integers(1, 12)), draw(st.integers(2, 4))
    numbers = st.floats(-1000, 1000, width=32)
    logits = draw(arrays.arrays(np.float32, (images, classes), elements=numbers))
    return logits, draw(arrays.arrays(np.int32, images, elements=st.integers(0, classes - 1)))


@settings(deadline=None, max_examples=40)
@given(some_answers())
def test_it_is_a_finite_factor_and_never_makes_the_cross_entropy_of_its_images_worse(answers):
    logits, labels = answers
    temperature = fit_temperature(logits, labels)
    assert 0.01 <= temperature <= 100
    assert cross_entropy(logits, labels, temperature) <= cross_entropy(logits, labels, 1.0)


@settings(deadline=None, max_examples=40)
@given(some_answers(), st.floats(0.01, 100))
def test_the_order_of_the_classes_stays(answers, temperature):
    logits, _ = answers
    found = probabilities(logits, temperature)
    assert found.sum(axis=1) == pytest.approx(1)
    assert (np.diff(np.take_along_axis(found, logits.argsort(axis=1), axis=1), axis=1) >= 0).all()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.6, 4.0])
def test_it_finds_the_factor_by_which_logits_are_too_far_apart(temperature):
    logits, labels = made_up(np.random.default_rng(0), 5000, temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.06)


def test_the_cross_entropy_is_what_it_is_by_hand():
    logits, labels = np.log(np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)), np.array([0, 0], np.int32)
    assert cross_entropy(logits, labels, 1.0) == pytest.approx(-np.log([0.9, 0.2]).mean())
    squared = -np.log([0.81 / (0.81 + 0.01), 0.04 / (0.04 + 0.64)]).mean()
    assert cross_entropy(logits, labels, 0.5) == pytest.approx(squared)


@pytest.mark.parametrize("one_class", [False, True])
def test_where_all_are_right_the_probabilities_rise_the_more_the_more_images_say_so(one_class):
    random = np.random.default_rng(1)
    labels = np.zeros(1000, np.int32) if one_class else random.integers(0, 2, 1000).astype(np.int32)
    logits = np.where(labels[:, None] == np.arange(2), 2.0, 0.0).astype(np.float32)
    found = [fit_temperature(logits[:images], labels[:images]) for images in (1, 30, 1000)]
    assert 1 > found[0] > found[1] > found[2] > 0.2
    assert found[0] > 0.95  # one image says next to nothing


def test_a_model_that_knows_nothing_is_made_to_say_so():
    random = np.random.default_rng(2)
    logits, labels = random.normal(0, 5, (2000, 4)).astype(np.float32), random.integers(0, 4, 2000).astype(np.int32)
    assert probabilities(logits, fit_temperature(logits, labels)).max() < 0.5


def test_few_images_do_little_harm_to_probabilities_that_are_right_already():
    random = np.random.default_rng(3)
    many, truths = made_up(random, 20_000, 1.0, classes=2)
    before = cross_entropy(many, truths, 1.0)
    found = [fit_temperature(*made_up(random, 30, 1.0, classes=2)) for _ in range(60)]
    # Without the prior, some of these thirties have no mistake, and would make the loss infinite.
    assert np.mean([cross_entropy(many, truths, each) for each in found]) < 1.05 * before


def test_without_images_there_is_none():
    with pytest.raises(DatasetError, match="validation split has no images"):
        fit_temperature(np.zeros((0, 2), np.float32), np.zeros(0, np.int32))
