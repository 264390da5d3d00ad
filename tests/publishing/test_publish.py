"""What publishing leaves behind, and when the champion changes."""

import shutil
import subprocess

import pytest

from tests.publishing.helpers import champion_id, damage, evaluation_of, id_of, judge, make_artifact, run
from thaw.pipeline_config.errors import ArtifactError, PublishError
from thaw.tasks.home import Home
from thaw.tasks.publishing.publish import find_opponent, publish
from thaw.tasks.releases.verdict import TestMetrics as Metrics
from thaw.tasks.releases.verdict import Verdict


def test_the_first_release_becomes_champion(tmp_path):
    info = run(tmp_path, "digits", "a", 0.9)
    assert (info.verdict, info.is_champion, info.path) == ("first", True, tmp_path / "releases" / id_of("digits", "a"))
    (entry,) = Home.open(tmp_path).registry.log()
    assert (entry.sequence, entry.action, entry.release, entry.previous) == (1, "publish", info.id, None)


def test_a_better_release_becomes_champion_and_a_worse_or_equal_one_does_not(tmp_path):
    run(tmp_path, "digits", "a", 0.9)
    worse, equal, better = (run(tmp_path, "digits", tag, acc) for tag, acc in [("b", 0.8), ("c", 0.9), ("d", 0.91)])
    assert [info.verdict for info in (worse, equal, better)] == ["not better", "not better", "better"]
    assert [info.is_champion for info in (worse, equal, better)] == [False, False, True]
    assert worse.path.is_dir()  # written all the same
    assert better.compared_with == id_of("digits", "a")
    assert [entry.release for entry in Home.open(tmp_path).registry.log()] == [id_of("digits", "a"), better.id]


def test_each_recipe_has_its_own_champion(tmp_path):
    run(tmp_path, "digits", "a", 0.9)
    info = run(tmp_path, "cats_dogs", "a", 0.5)
    assert (info.verdict, info.is_champion) == ("first", True)
    assert Home.open(tmp_path).registry.champions() == {"cats_dogs": info.id, "digits": id_of("digits", "a")}


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_a_release_passes_sha256sum(tmp_path):
    info = run(tmp_path, "digits", "a", 0.9)
    checked = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=info.path, capture_output=True, text=True, check=True
    )
    files = {str(path.relative_to(info.path)) for path in info.path.rglob("*") if path.is_file()} - {"SHA256SUMS"}
    assert {line.removesuffix(": OK") for line in checked.stdout.splitlines()} == files
    names = [line.split("  ")[1] for line in (info.path / "SHA256SUMS").read_text().splitlines()]
    assert names == sorted(names)


def test_a_release_holds_the_artifacts_files_but_not_its_manifest(tmp_path):
    ref = judge(tmp_path, "digits", "a", 0.9)
    info = publish(Home.open(tmp_path), ref)
    artifact = Home.open(tmp_path).store.folder(ref)
    names = {path.relative_to(artifact) for path in artifact.rglob("*")}
    assert {path.relative_to(info.path) for path in info.path.rglob("*")} == {
        name for name in names if name.as_posix() != "manifest.json"
    }
    assert (info.path / "saved_model" / "variables" / "manifest.json").is_file()


def test_publishing_again_changes_nothing(tmp_path):
    ref = judge(tmp_path, "digits", "a", 0.9)
    first = publish(Home.open(tmp_path), ref)
    inode = (first.path / "model.keras").stat().st_ino
    again = publish(Home.open(tmp_path), ref)
    assert again == first
    assert (first.path / "model.keras").stat().st_ino == inode
    assert len(Home.open(tmp_path).registry.log()) == 1


def test_a_repeated_run_asks_for_the_same_verdict(tmp_path):
    run(tmp_path, "digits", "a", 0.8)
    ref = judge(tmp_path, "digits", "b", 0.9)
    publish(Home.open(tmp_path), ref)
    assert judge(tmp_path, "digits", "b", 0.9) == ref
    opponents = [find_opponent(Home.open(tmp_path), "digits", evaluation_of("digits", tag)) for tag in ("b", "c")]
    assert [other and other.release for other in opponents] == [id_of("digits", "a"), id_of("digits", "b")]


def test_asking_for_an_opponent_in_an_empty_home_creates_nothing(tmp_path):
    home = tmp_path / "home"
    assert find_opponent(Home.open(home), "digits", evaluation_of("digits", "a")) is None
    assert not home.exists()


def test_what_was_rolled_back_stays_so_when_its_run_is_repeated(tmp_path):
    run(tmp_path, "digits", "a", 0.8)
    run(tmp_path, "digits", "b", 0.9)
    Home.open(tmp_path).registry.rollback(None, "it is slow")
    info = run(tmp_path, "digits", "b", 0.9)
    assert not info.is_champion
    assert champion_id(tmp_path, "digits") == id_of("digits", "a")
    assert len(Home.open(tmp_path).registry.log()) == 3


def test_a_champion_that_came_after_the_verdict_is_compared_with_as_well(tmp_path):
    run(tmp_path, "digits", "a", 0.8)
    middling, best = judge(tmp_path, "digits", "b", 0.85), judge(tmp_path, "digits", "c", 0.9)
    publish(Home.open(tmp_path), best)
    assert not publish(Home.open(tmp_path), middling).is_champion
    assert champion_id(tmp_path, "digits") == id_of("digits", "c")


def test_two_first_runs_at_once_leave_the_better_one(tmp_path):
    good, bad = judge(tmp_path, "digits", "a", 0.9), judge(tmp_path, "digits", "b", 0.5)
    publish(Home.open(tmp_path), bad)
    publish(Home.open(tmp_path), good)
    assert champion_id(tmp_path, "digits") == id_of("digits", "a")
    publish(Home.open(tmp_path), bad)
    assert champion_id(tmp_path, "digits") == id_of("digits", "a")


def test_a_release_that_lost_to_a_champion_since_rolled_back_may_win_against_the_one_before(tmp_path):
    run(tmp_path, "digits", "a", 0.7)
    run(tmp_path, "digits", "b", 0.9)
    run(tmp_path, "digits", "c", 0.8)
    Home.open(tmp_path).registry.rollback("digits", "b fails on scans")
    assert run(tmp_path, "digits", "c", 0.8).is_champion


@pytest.mark.parametrize("name", ["model.keras", "saved_model/variables/manifest.json", "release.json", "SHA256SUMS"])
def test_a_damaged_release_is_rebuilt_and_the_damaged_one_kept(tmp_path, name):
    ref = judge(tmp_path, "digits", "a", 0.9)
    info = publish(Home.open(tmp_path), ref)
    damage(info.path / name)
    assert publish(Home.open(tmp_path), ref) == info
    Home.open(tmp_path).registry.verify(info.id)
    assert (tmp_path / "quarantine" / "releases" / f"{info.id}.1" / name).is_file()


def test_a_champion_that_lost_its_folder_is_restored_from_its_artifact_by_the_next_run(tmp_path):
    first = run(tmp_path, "digits", "a", 0.9)
    shutil.rmtree(first.path)
    with pytest.raises(PublishError, match="missing"):
        Home.open(tmp_path).registry.champion("digits")
    assert run(tmp_path, "digits", "b", 0.8).verdict == "not better"
    assert champion_id(tmp_path, "digits") == first.id


def test_a_champion_that_cannot_be_restored_stops_the_run_rather_than_being_forgotten(tmp_path):
    first = run(tmp_path, "digits", "a", 0.9)
    damage(first.path / "release.json")
    shutil.rmtree(tmp_path / "artifacts")
    with pytest.raises(PublishError, match=r"release\.json was altered"):
        run(tmp_path, "digits", "b", 0.1)


def test_a_damaged_artifact_is_not_published(tmp_path):
    ref = judge(tmp_path, "digits", "a", 0.9)
    damage(Home.open(tmp_path).store.folder(ref) / "model.keras")
    with pytest.raises(ArtifactError, match=r"model\.keras was altered"):
        publish(Home.open(tmp_path), ref)
    assert not (tmp_path / "releases").exists()


def test_the_same_result_with_another_verdict_is_the_same_release(tmp_path):
    run(tmp_path, "digits", "a", 0.9)
    metrics = Metrics(examples=100, accuracy=0.9, accuracy_ci=(0.8, 0.95))
    verdict = Verdict(verdict="not better", candidate=metrics, champion=None, reason="For another reason.")
    info = publish(Home.open(tmp_path), make_artifact(tmp_path, "digits", "a", verdict))
    assert (info.verdict, len(Home.open(tmp_path).registry.list())) == ("first", 1)
