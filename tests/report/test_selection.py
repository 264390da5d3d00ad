"""Which images the report shows."""

from hypothesis import given
from hypothesis import strategies as st

from tests.report.synthetic import make_table
from thaw.tasks.report.selection import most_confident_mistakes, samples_per_class, shown_classes, some_images


def test_images_are_drawn_by_the_seed_alone():
    assert some_images(100, 9, seed=3) == some_images(100, 9, seed=3)
    assert some_images(100, 9, seed=3) != some_images(100, 9, seed=4)
    assert sorted(some_images(4, 9, seed=0)) == [0, 1, 2, 3]


def test_mistakes_are_wrong_and_the_surest_comes_first():
    table = make_table(["a", "b", "c"], 90, noise=4)
    rows = most_confident_mistakes(table, 9)
    wrong = table["label"].to_numpy() != table["predicted"].to_numpy()
    top = [max(table["probabilities"][row].as_py()) for row in rows]
    assert all(wrong[row] for row in rows)
    assert top == sorted(top, reverse=True)
    assert len(rows) == 9
    left_out = [max(table["probabilities"][row].as_py()) for row in wrong.nonzero()[0] if row not in rows]
    assert min(top) >= max(left_out)


def test_a_model_without_mistakes_has_none_to_show():
    assert most_confident_mistakes(make_table(["a", "b"], noise=0), 9) == []


def test_each_class_gets_its_own_images_and_reading_stops_when_all_have_enough():
    reads = []

    def label_of(index):
        reads.append(index)
        return index % 3

    found = samples_per_class(label_of, 3000, [0, 2], 4, seed=1)
    assert list(found) == [0, 2]
    assert all(len(indices) == 4 and all(index % 3 == label for index in indices) for label, indices in found.items())
    assert len(reads) < 100
    assert len(set(reads)) == len(reads)


def test_a_rare_class_shows_what_it_has():
    found = samples_per_class(lambda index: int(index == 7), 20, [0, 1], 3, seed=0)
    assert found[1] == [7]
    assert len(found[0]) == 3


@given(st.integers(2, 500), st.integers(1, 20))
def test_shown_classes_are_different_and_reach_from_first_to_last(classes, wanted):
    labels = shown_classes(classes, wanted)
    assert labels == sorted(set(labels))
    assert len(labels) == min(classes, wanted)
    assert labels[0] == 0
    assert wanted == 1 or labels[-1] == classes - 1
