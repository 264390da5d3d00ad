"""What publishing leaves behind, and when the champion changes."""

import shutil
import subprocess

import pytest

from tests.publishing.helpers import champion_id, damage, evaluation_of, id_of, judge, run
from thaw.flows.predict import predict
from thaw.pipeline_config.errors import ArtifactError, PublishError
from thaw.pipeline_config.publish_schema import Better
from thaw.tasks.home import Home
from thaw.tasks.publishing.publish import publish
from thaw.tasks.verdict.rivals import rivals_of


def test_the_first_release_becomes_champion(tmp_path):
    info = run(tmp_path, "digits", "a", 0.9)
    assert (info.verdict, info.is_champion, info.path) == ("first", True, tmp_path / "releases" / id_of("digits", "a"))
    (entry,) = Home.open(tmp_path).registry.log()
    assert (entry.sequence, entry.action, entry.release, entry.previous) == (1, "publish", info.id, None)


def test_a_better_release_becomes_champion_and_a_worse_or_equal_one_does_not(tmp_path):
    run(tmp_path, "digits", "a", 0.9)
    worse, equal, better = (run(tmp_path, "digits", tag, acc) for tag, acc in [("b", 0.8), ("c", 0.9), ("d", 0.91)])
    assert [info.verdict for info in (worse, equal, better)] == ["not shown", "not shown", "better"]
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


def champion_to_beat(home, tag):
    return rivals_of(Home.open(home).registry, "digits", evaluation_of("digits", tag), Better(rule="better"))[0]


def test_a_repeated_run_asks_for_the_same_verdict(tmp_path):
    run(tmp_path, "digits", "a", 0.8)
    ref = judge(tmp_path, "digits", "b", 0.9)
    publish(Home.open(tmp_path), ref)
    assert judge(tmp_path, "digits", "b", 0.9) == ref
    champions = [champion_to_beat(tmp_path, tag) for tag in ("b", "c")]
    assert [other and other.release for other in champions] == [id_of("digits", "a"), id_of("digits", "b")]


def test_asking_for_the_champion_in_an_empty_home_creates_nothing(tmp_path):
    home = tmp_path / "home"
    assert champion_to_beat(home, "a") is None
    assert not home.exists()


def test_what_was_rolled_back_stays_so_when_its_run_is_repeated(tmp_path):
    run(tmp_path, "digits", "a", 0.8)
    run(tmp_path, "digits", "b", 0.9)
    Home.open(tmp_path).registry.rollback(None, "it is slow")
    info = run(tmp_path, "digits", "b", 0.9)
    assert not info.is_champion
    assert champion_id(tmp_path, "digits") == id_of("digits", "a")
    assert len(Home.open(tmp_path).registry.log()) == 3


def test_a_verdict_about_another_champion_promotes_nothing_and_the_next_run_asks_again(tmp_path):
    run(tmp_path, "digits", "a", 0.8)
    better, best = judge(tmp_path, "digits", "b", 0.9), judge(tmp_path, "digits", "c", 0.85)
    publish(Home.open(tmp_path), best)
    assert not publish(Home.open(tmp_path), better).is_champion
    assert champion_id(tmp_path, "digits") == id_of("digits", "c")
    again = run(tmp_path, "digits", "b", 0.9, "compared with c, and so of another name")
    assert (again.is_champion, again.compared_with) == (True, id_of("digits", "c"))


def test_of_two_first_runs_at_once_the_one_that_publishes_first_is_the_champion(tmp_path):
    good, bad = judge(tmp_path, "digits", "a", 0.9), judge(tmp_path, "digits", "b", 0.5)
    publish(Home.open(tmp_path), bad)
    publish(Home.open(tmp_path), good)
    assert champion_id(tmp_path, "digits") == id_of("digits", "b")
    assert run(tmp_path, "digits", "a", 0.9, "compared with b, and so of another name").is_champion


def test_a_release_that_lost_to_a_champion_since_rolled_back_may_win_against_the_one_before(tmp_path):
    run(tmp_path, "digits", "a", 0.7)
    run(tmp_path, "digits", "b", 0.9)
    run(tmp_path, "digits", "c", 0.8)
    Home.open(tmp_path).registry.rollback("digits", "b fails on scans")
    assert run(tmp_path, "digits", "c", 0.8, "compared with a, and so of another name").is_champion


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
    assert run(tmp_path, "digits", "b", 0.8).verdict == "not shown"
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


# --- the same model, written anew


def test_the_champions_model_with_other_files_takes_its_place_and_the_log_says_why(tmp_path):
    run(tmp_path, "digits", "a", 0.8)
    old = run(tmp_path, "digits", "b", 0.9)
    new = run(tmp_path, "digits", "b", 0.9, "a mended card")
    assert (new.is_champion, new.id == old.id, new.verdict) == (True, False, "better")
    assert old.path.is_dir()
    entry = Home.open(tmp_path).registry.log()[-1]
    assert (entry.action, entry.release, entry.previous) == ("publish", new.id, old.id)
    assert entry.reason == f"The same model as {old.id}, written anew."
    assert Home.open(tmp_path).registry.rollback("digits", "the new files do not load").id == old.id


@pytest.mark.parametrize("edition", ["", "a mended card"])
def test_a_model_that_was_promoted_by_hand_keeps_its_place_when_it_is_written_anew(tmp_path, edition):
    run(tmp_path, "digits", "a", 0.9)
    worse = run(tmp_path, "digits", "b", 0.8)
    Home.open(tmp_path).registry.promote(worse.id, "it is fair")
    info = run(tmp_path, "digits", "b", 0.8, edition)
    assert (info.verdict, info.is_champion) == ("not shown", True)


def test_files_written_anew_once_are_not_again_after_a_rollback_to_the_old_ones(tmp_path):
    old = run(tmp_path, "digits", "a", 0.8)
    run(tmp_path, "digits", "a", 0.8, "a mended card")
    Home.open(tmp_path).registry.rollback("digits", "the new files do not load")
    assert not run(tmp_path, "digits", "a", 0.8, "a mended card").is_champion
    assert champion_id(tmp_path, "digits") == old.id


def test_the_latest_runs_files_of_the_same_model_are_in_use(tmp_path):
    for edition in ("", "a mended card", "", "a mended card"):
        info = run(tmp_path, "digits", "a", 0.8, edition)
        assert (info.id, info.is_champion) == (id_of("digits", "a", edition), True)
    assert len(Home.open(tmp_path).registry.log()) == 4
    assert run(tmp_path, "digits", "a", 0.8, "a mended card").is_champion
    assert len(Home.open(tmp_path).registry.log()) == 4


@pytest.mark.parametrize("forget", [lambda home, release: None, lambda home, release: shutil.rmtree(release.path)])
def test_a_model_that_was_rolled_back_stays_so_in_other_files(tmp_path, forget):
    old = run(tmp_path, "digits", "a", 0.8)
    bad = run(tmp_path, "digits", "b", 0.9)
    Home.open(tmp_path).registry.rollback(None, "it is slow")
    forget(tmp_path, bad)
    assert not run(tmp_path, "digits", "b", 0.9, "a mended card").is_champion
    assert champion_id(tmp_path, "digits") == old.id


def test_a_model_that_was_rolled_back_two_champions_ago_does_not_win_against_the_one_before(tmp_path):
    for tag, accuracy in (("a", 0.7), ("b", 0.8), ("c", 0.9)):
        run(tmp_path, "digits", tag, accuracy)
    for _ in range(2):
        Home.open(tmp_path).registry.rollback("digits", "both are slow")
    assert not run(tmp_path, "digits", "c", 0.9, "compared with a, and so of another name").is_champion
    assert champion_id(tmp_path, "digits") == id_of("digits", "a")


# --- folders that are not named by their release


def test_a_copy_of_a_release_is_none(tmp_path):
    info = run(tmp_path, "digits", "a", 0.9)
    better = run(tmp_path, "digits", "b", 0.95)
    copy = info.path.with_name("copy")
    shutil.copytree(info.path, copy)
    damage(info.path / "model.keras")
    registry = Home.open(tmp_path).registry
    for refused in (
        registry.get,
        registry.verify,
        lambda name: registry.promote(name, "it is whole"),
        lambda name: predict(Home.open(tmp_path), [], name),
    ):
        with pytest.raises(PublishError, match=f"copy holds release {info.id}: .* Rename it to {info.id}, or remove"):
            refused("copy")
    with pytest.raises(PublishError, match=r"model\.keras was altered"):
        registry.promote(info.id, "it is not")
    assert registry.champions() == {"digits": better.id}
    assert [other.id for other in registry.list()] == sorted([info.id, better.id])
    assert list(registry.damaged()) == ["copy"]


def test_a_release_that_was_moved_is_missing_and_comes_back_from_its_artifact(tmp_path):
    info = run(tmp_path, "digits", "a", 0.9)
    moved = info.path.with_name("digits-000000000000")
    info.path.rename(moved)
    with pytest.raises(PublishError, match="holds release"):
        Home.open(tmp_path).registry.promote(moved.name, "")
    assert champion_id(tmp_path, "digits") == info.id  # the attempt has repaired it
    assert Home.open(tmp_path).registry.misnamed() == {moved.name: info.id}
    assert len(Home.open(tmp_path).registry.log()) == 1


def test_another_release_in_the_champions_folder_is_set_aside(tmp_path):
    other = run(tmp_path, "digits", "a", 0.8)
    champion = run(tmp_path, "digits", "b", 0.9)
    shutil.rmtree(champion.path)
    shutil.copytree(other.path, champion.path)
    with pytest.raises(PublishError, match=f"holds release {other.id}"):
        Home.open(tmp_path).registry.champion("digits")
    assert run(tmp_path, "digits", "b", 0.9) == champion
    Home.open(tmp_path).registry.verify(champion.id)
    assert (tmp_path / "quarantine" / "releases" / f"{champion.id}.1").is_dir()
