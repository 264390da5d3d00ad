"""How often a set of test images has judged, as far as the releases that are there say."""

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.publishing.helpers import evaluation_of, id_of, make_artifact, verdict_of
from tests.releases.old_home import FIRST, SECOND, write_old_home
from tests.verdict.test_guards import verdict_with
from thaw.pipeline_config.publish_schema import Better
from thaw.tasks.home import Home
from thaw.tasks.publishing.publish import publish
from thaw.tasks.releases.checksums import write_checksums
from thaw.tasks.releases.release import read_release
from thaw.tasks.releases.test_split import name_of_split
from thaw.tasks.releases.verdict import Looks
from thaw.tasks.releases.verdict import TestMetrics as Metrics
from thaw.tasks.verdict.looks import looks_of
from thaw.tasks.verdict.rivals import rivals_of

SPLIT, OTHER_SPLIT = "a" * 64, "b" * 64


def asked(home, tag: str, split: str = SPLIT) -> Looks:
    """What the request for a verdict on a model of recipe cats says."""
    registry, evaluation = Home.open(home).registry, evaluation_of("cats", tag)
    champion, _ = rivals_of(registry, "cats", evaluation, Better(rule="better"))
    return looks_of(registry, "cats", evaluation, champion, split)


def judge(home, tag: str, accuracy: float, split: str = SPLIT) -> tuple[int, int]:
    """A run without training; says what its verdict counted."""
    looks = asked(home, tag, split)
    metrics = Metrics(examples=100, accuracy=accuracy, accuracy_ci=(0, 1))
    registry = Home.open(home).registry
    champion, anchor = rivals_of(registry, "cats", evaluation_of("cats", tag), Better(rule="better"))
    to_beat = registry.get(champion.release).accuracy if champion else 0.0
    verdict = verdict_of(metrics, champion, anchor, to_beat).model_copy(update={"looks": looks})
    publish(Home.open(home), make_artifact(home, "cats", tag, verdict))
    return looks.before, looks.among


def test_each_model_that_the_same_images_judge_is_counted(tmp_path):
    assert judge(tmp_path, "a", 0.7) == (0, 1)
    assert judge(tmp_path, "b", 0.6) == (1, 1)  # the first beside champion a
    assert judge(tmp_path, "c", 0.5) == (2, 2)
    assert judge(tmp_path, "other images", 0.5, OTHER_SPLIT) == (0, 1)
    assert judge(tmp_path, "better", 0.8) == (3, 3)  # chosen among three
    assert judge(tmp_path, "d", 0.5) == (4, 1)


def test_a_run_that_is_repeated_counts_as_it_did_the_first_time(tmp_path):
    counted = {tag: judge(tmp_path, tag, accuracy) for tag, accuracy in (("a", 0.7), ("b", 0.6), ("c", 0.5))}
    for tag, (before, among) in counted.items():
        assert asked(tmp_path, tag) == Looks(test_split=SPLIT, before=before, among=among)


def test_releases_that_were_removed_since_are_still_counted(tmp_path):
    for tag, accuracy in (("a", 0.7), ("b", 0.6), ("c", 0.5), ("d", 0.5)):
        judge(tmp_path, tag, accuracy)
    for tag in ("b", "c"):
        shutil.rmtree(tmp_path / "releases" / id_of("cats", tag))
    looks = asked(tmp_path, "e")
    assert (looks.before, looks.among) == (4, 4)


def test_a_damaged_release_says_nothing_and_stops_nobody(tmp_path):
    judge(tmp_path, "a", 0.7)
    judge(tmp_path, "b", 0.6)
    (tmp_path / "releases" / id_of("cats", "b") / "verdict.json").write_bytes(b"{")
    assert asked(tmp_path, "c").before == 1


@pytest.mark.parametrize("says", [True, False])
def test_a_release_of_an_earlier_thaw_counts_by_its_predictions(tmp_path, says):
    write_old_home(tmp_path)
    images = ["1" * 64, "0" * 64]
    for release in (FIRST, SECOND) if says else ():
        folder = tmp_path / "releases" / release
        pq.write_table(pa.table({"id": images, "class_name": ["cat", "dog"]}), folder / "predictions.parquet")
        write_checksums(folder)
    registry, recipe = Home.open(tmp_path).registry, read_release(tmp_path / "releases" / FIRST).recipe
    looks = looks_of(registry, recipe, evaluation_of(recipe, "new"), None, name_of_split(reversed(images)))
    assert looks.before == (2 if says else 0)


def test_a_promoted_model_says_among_how_many_it_was_chosen():
    words = "It is chosen among 5 models that these images have judged beside the same champion."
    better, equal = ("1" * 20, "0" * 10 + "1" * 10), ("1" * 20, "1" * 20)
    assert words in verdict_with(*better, among=5).reason
    assert words not in verdict_with(*equal, among=5).reason
    assert "chosen among" not in verdict_with(*better, among=1).reason


@pytest.mark.parametrize("needed", [4, 5])
def test_images_that_had_no_part_in_choosing_the_champion_stand_for_themselves_where_there_are_enough(needed):
    verdict = verdict_with("1" * 20, "0" * 9 + "1" * 11, marks="n" * 3 + "." * 16 + "n", among=5, min_examples=needed)
    words = "On the 4 of them that had no part in choosing r-000000000000: 1.0000 against 0.2500."
    assert (words in verdict.reason) == (needed == 4)
    assert ("chosen among 5" in verdict.reason) == (needed == 5)
    assert (verdict.compared_on_new is not None) == (needed == 4)
    if verdict.compared_on_new is not None:
        assert (verdict.compared_on_new.images, verdict.compared_on_new.gained) == (4, 3)
