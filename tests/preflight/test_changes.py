"""What became of images since a release learned from them."""

from hypothesis import given
from hypothesis import strategies as st

from tests.preflight.made import dataset_of, image
from thaw.pipeline_config.dataset_schema import SPLITS
from thaw.tasks.ingest.dataset import DatasetImage
from thaw.tasks.preflight.changes import compare
from thaw.tasks.preflight.known import KnownImage, KnownImages
from thaw.tasks.releases.learned_from import prefix
from thaw.tasks.releases.preflight import Changes

CLASSES = ("cat", "dog", "emu")
NOTHING = Changes(added=0, removed=0, relabelled=0, moved=0, unknown=0, classes_added=[], classes_removed=[])

datasets = st.dictionaries(st.integers(0, 12), st.tuples(st.sampled_from(CLASSES), st.sampled_from(SPLITS))).map(
    lambda rows: [image(number, *row) for number, row in rows.items()]
)


def known(images: list[DatasetImage]) -> KnownImages:
    found = {prefix(each.id): KnownImage(each.class_name, each.split) for each in images}
    return KnownImages(dataset_of(images).classes, found, None)


@given(datasets, datasets)
def test_each_change_is_counted_and_listed_once(old, new):
    changes, table = compare(known(old), dataset_of(new))
    before, now = ({each.id: each for each in images} for images in (old, new))
    both = before.keys() & now.keys()
    assert changes.added == len(now.keys() - before.keys())
    assert changes.removed == len(before.keys() - now.keys())
    assert changes.relabelled == sum(before[key].class_name != now[key].class_name for key in both)
    assert changes.moved == sum(before[key].split != now[key].split for key in both)
    assert changes.is_none == (set(old) == set(new))
    rows = table.to_pylist()
    counts = [changes.added, changes.removed, changes.relabelled, changes.moved]
    assert [
        sum(row["change"] == name for row in rows) for name in ("added", "removed", "relabelled", "moved")
    ] == counts
    assert len(rows) == sum(counts)
    for row in rows:
        ours = [each for each in (*old, *new) if each.id.startswith(row["id"])]
        assert {row["class_name"], row["class_before"]} - {None} <= {each.class_name for each in ours}
        assert (row["origin"] is None) == (row["change"] == "removed")


@given(datasets)
def test_a_renamed_file_is_no_change(images):
    renamed = []
    for each in images:
        values = {name: getattr(each, name) for name in DatasetImage.__slots__}
        renamed.append(DatasetImage(**{**values, "origin": f"elsewhere/{each.origin}"}))
    changes, table = compare(known(images), dataset_of(renamed))
    assert (changes, table.num_rows) == (NOTHING, 0)


@given(datasets, datasets)
def test_what_an_earlier_thaw_did_not_say_is_not_taken_for_unchanged(old, new):
    """Its release has the classes of its test images alone, and of the others no more than that they were no test."""
    said = known(old)
    images = {key: each if each.split == "test" else KnownImage(None, None) for key, each in said.images.items()}
    changes, _ = compare(KnownImages(said.classes, images, None), dataset_of(new))
    before, now = ({each.id: each for each in images} for images in (old, new))
    both = before.keys() & now.keys()
    assert changes.unknown == sum(before[key].split != "test" for key in both)
    assert changes.moved == sum((before[key].split == "test") != (now[key].split == "test") for key in both)
    assert changes.added == len(now.keys() - before.keys())
    assert not changes.is_none or all(each.split == "test" for each in old)


def test_the_sentence_says_what_there_is():
    assert NOTHING.sentence == "no image added, removed, relabelled or moved"
    many = NOTHING.model_copy(update={"added": 1200, "relabelled": 1, "classes_added": [*"abcdefgh"]})
    assert many.sentence == "1,200 added, 1 relabelled; new classes: a, b, c, d, e and 3 more"
    gone = NOTHING.model_copy(update={"removed": 3, "moved": 2, "unknown": 7, "classes_removed": ["emu"]})
    assert gone.sentence == "3 removed, 2 moved; 7 of whose class before nothing is known; classes gone: emu"
