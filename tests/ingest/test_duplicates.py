import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ingest.pictures import THREE_SPLITS, Recorder, directory, fill, jpeg, rows, run_ingest
from thaw.pipeline_config.errors import DatasetError
from thaw.tasks.ingest.duplicates import drop_duplicates
from thaw.tasks.ingest.scan import ScannedImage, in_order_of_content


def test_duplicates_count_once_with_a_warning(tmp_path):
    data = fill(tmp_path / "data", {"cats": 20, "dogs": 20})
    for number in range(3):
        (data / "cats" / f"copy {number}.png").write_bytes(jpeg(0))
    report = Recorder()
    facts = run_ingest(directory(data), tmp_path / "out", report)
    assert facts["duplicates"] == 3
    assert [row["origin"] for row in rows(tmp_path / "out") if row["id"] == hashlib.sha256(jpeg(0)).hexdigest()] == [
        "cats/0000.jpg"
    ]
    assert "3 files have the same content as another and count once." in report.told("warning")


@pytest.mark.parametrize(
    ("splits", "kept"),
    [(("train", "validation"), "validation"), (("train", "test"), "test"), (("validation", "test", "train"), "test")],
)
def test_a_duplicate_across_splits_stays_in_the_one_that_is_held_out_longest(tmp_path, splits, kept):
    data = fill(tmp_path / "data", THREE_SPLITS)
    for split in splits:
        (data / split / "cats" / "copy.jpg").write_bytes(jpeg(500))
    run_ingest(directory(data), tmp_path / "out")
    copies = [row for row in rows(tmp_path / "out") if row["id"] == hashlib.sha256(jpeg(500)).hexdigest()]
    assert [(row["split"], row["origin"]) for row in copies] == [(kept, f"{kept}/cats/copy.jpg")]


def test_one_image_under_two_labels_is_an_error_that_names_both_files(tmp_path):
    data = fill(tmp_path / "data", {"cats": 5, "dogs": 5})
    (data / "dogs" / "wrong.jpg").write_bytes(jpeg(0))
    with pytest.raises(DatasetError, match=r"two labels: cats/0000\.jpg = dogs/wrong\.jpg\. Expected one"):
        run_ingest(directory(data), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_of_many_images_under_two_labels_five_pairs_are_named(tmp_path):
    data = fill(tmp_path / "data", {"cats": 8, "dogs": 5})
    for seed in range(7):
        (data / "dogs" / f"wrong {seed}.jpg").write_bytes(jpeg(seed))
    with pytest.raises(DatasetError, match=r"cats/0004\.jpg = dogs/wrong 4\.jpg and 2 more"):
        run_ingest(directory(data), tmp_path / "out")


def test_images_under_two_labels_are_left_out_with_all_their_copies_where_the_recipe_says_so(tmp_path):
    data = fill(tmp_path / "data", {"cats": 40, "dogs": 40})
    (data / "dogs" / "wrong.jpg").write_bytes(jpeg(0))
    (data / "cats" / "again.jpg").write_bytes(jpeg(0))
    (data / "cats" / "copy.jpg").write_bytes(jpeg(1))
    report = Recorder()
    facts = run_ingest(directory(data), tmp_path / "out", report, label_conflicts="leave_out")
    assert (facts["in_conflict"], facts["duplicates"], sum(facts["examples"].values())) == (3, 1, 79)
    assert hashlib.sha256(jpeg(0)).hexdigest() not in {row["id"] for row in rows(tmp_path / "out")}
    names = "cats/0000.jpg = cats/again.jpg = dogs/wrong.jpg"
    assert f"Left out, because the same image stands under two labels: {names}." in report.told("warning")


def test_a_picture_that_is_there_very_often_is_named_at_twenty_places(tmp_path):
    data = fill(tmp_path / "data", {"cats": 40, "dogs": 40})
    for number in range(30):
        (data / ("cats", "dogs")[number % 2] / f"none {number:02}.jpg").write_bytes(jpeg(999))
    report = Recorder()
    assert run_ingest(directory(data), tmp_path / "out", report, label_conflicts="leave_out")["in_conflict"] == 30
    (warning,) = [told for told in report.told("warning") if "two labels" in told]
    assert (warning.count(" = "), warning.endswith(" = 10 more.")) == (20, True)


scanned_images = st.lists(
    st.builds(
        ScannedImage,
        id=st.sampled_from("abcdef"),
        class_name=st.just("cats"),
        source_split=st.sampled_from(["train", "validation", "test"]),
        width=st.just(1),
        height=st.just(1),
        format=st.just("PNG"),
        brightness=st.just(0.0),
        bytes=st.just(1),
        origin=st.uuids().map(str),
        values=st.just(()),
    )
)


@given(scanned_images, st.randoms())
def test_what_is_kept_of_duplicates_does_not_depend_on_their_order(images, random):
    kept = list(drop_duplicates(in_order_of_content(images)))
    assert [image.id for image in kept] == sorted({image.id for image in images})
    shuffled = list(images)
    random.shuffle(shuffled)
    assert list(drop_duplicates(in_order_of_content(shuffled))) == kept
