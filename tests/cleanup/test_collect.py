"""What goes and what stays, case by case."""

import os
import shutil
import time
from pathlib import Path

import pytest

from tests.cleanup import homes
from tests.publishing.helpers import champion_id, damage
from thaw.pipeline_config.errors import HomeInUseError, PublishError
from thaw.tasks.artifacts.in_use import home_in_use
from thaw.tasks.cleanup.collect import Collected, collect_garbage
from thaw.tasks.cleanup.kept import Limits
from thaw.tasks.home import Home

KEY = homes.key_named("a key")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def collect(home: Path, keep: int = 0, *, dry_run: bool = False, days: float = 30) -> Collected:
    return collect_garbage(Home.open(home), Limits(keep, young_after=time.time() - days * homes.DAY), dry_run=dry_run)


def kinds_of(collected: Collected) -> list[str]:
    return [item.kind for item in collected.garbage]


def write(path: Path, *, modified: float = homes.LONG_AGO) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 1000)
    for each in (path, path.parent):
        os.utime(each, (modified, modified))
    return path


def test_the_champion_and_what_a_rollback_returns_to_stay_and_work(home):
    first, second, third = (homes.run(home, "digits", f"at {accuracy}", accuracy) for accuracy in (0.5, 0.6, 0.7))
    worse = homes.run(home, "digits", "worse", 0.1)
    homes.let_time_pass(home)
    collected = collect(home)
    assert [item.name for item in collected.garbage if item.kind == "release"] == sorted([first.release, worse.release])
    assert homes.releases_in(home) == {second.release, third.release}
    homes.assert_complete(home)
    assert second.is_up_to_date(home)
    assert third.is_up_to_date(home)
    assert Home.open(home).registry.rollback("digits", "test").id == second.release


def test_the_last_releases_of_each_recipe_stay_in_the_order_of_the_runs_whatever_the_clock_says(home):
    homes.run(home, "cats", "champion", 0.9)
    runs = [homes.run(home, recipe, tag, 0.1) for tag in "abcdef" for recipe in ("cats", "digits")]
    homes.let_time_pass(home)
    # The clock had been set far back for the last runs: what was made last looks oldest.
    for age, run in enumerate(runs):
        os.utime(home / "runs" / f"{run.last_key}.json", (homes.LONG_AGO - age, homes.LONG_AGO - age))
    collect(home, keep=2)
    kept = {run.release for run in runs[-4:]} | Home.open(home).registry.needed()
    assert homes.releases_in(home) == kept


def test_a_release_whose_run_is_forgotten_counts_as_made_first(home):
    champion = homes.run(home, "digits", "champion", 0.9)
    remembered = homes.run(home, "digits", "a", 0.1)
    forgotten = homes.run(home, "digits", "b", 0.1)
    (home / "runs" / f"{forgotten.last_key}.json").unlink()
    homes.let_time_pass(home)
    collect(home, keep=1)
    assert homes.releases_in(home) == {champion.release, remembered.release}


def test_what_is_young_or_from_the_future_stays(home):
    homes.run(home, "digits", "champion", 0.9)
    young, future, unfinished = homes.run(home, "digits", "young", 0.1), homes.run(home, "digits", "future", 0.1), KEY
    homes.let_time_pass(home)
    for run, modified in ((young, time.time() - homes.DAY), (future, time.time() + 400 * homes.DAY)):
        os.utime(home / "runs" / f"{run.last_key}.json", (modified, modified))
    for folder in ("building", "checkpoints"):
        write(home / folder / unfinished / "file", modified=time.time() - homes.DAY)
    assert collect(home).garbage == []
    assert young.is_up_to_date(home)
    os.utime(home / "runs" / f"{young.last_key}.json", (homes.LONG_AGO, homes.LONG_AGO))
    collect(home, days=0)
    assert young.release not in homes.releases_in(home)
    assert future.release in homes.releases_in(home)


def test_an_artifact_that_a_run_has_found_is_young_though_the_run_did_not_end(home):
    homes.begin_run(home, "photos")
    homes.let_time_pass(home)
    _, parts = homes.begin_run(home, "photos")
    assert collect(home).garbage == []
    homes.let_time_pass(home)
    collected = collect(home)
    assert homes.artifacts_in(home) == set()
    assert {item.name for item in collected.garbage if item.kind == "artifact"} == {
        f"{ref.kind}/{ref.digest}" for ref in parts.values()
    }


def test_old_unfinished_and_set_aside_things_go_and_locks_stay(home):
    champion = homes.run(home, "digits", "champion", 0.9)
    for folder in ("building", "checkpoints", "quarantine/stage", "quarantine/releases"):
        write(home / folder / (KEY if "q" not in folder else f"{KEY[:12]}.1") / "file")
    write(home / "downloads" / f"{KEY}.part")
    write(home / "trash" / ("0" * 32) / "file")
    write(home / "keys" / f".{KEY}.json.tmp")
    write(home / "quarantine" / "keys" / f"{KEY}.json.1")
    locks = sorted((home / "locks").iterdir())
    before = homes.files_in(home)
    dry = collect(home, days=0, dry_run=True)
    assert homes.files_in(home) == before
    # What is set aside is as old as its renaming, and that no clock of a test can change.
    collected = collect_garbage(Home.open(home), Limits(0, young_after=time.time() + 60), dry_run=False)
    assert kinds_of(collected) == [
        "checkpoint",
        "download",
        "cut short",
        *["quarantine"] * 3,
        "temporary file",
        "trash",
    ]
    assert collected.bytes == 8000
    assert kinds_of(dry) == kinds_of(collected)
    assert [path for path in sorted((home / "locks").iterdir()) if path.name != "in-use.lock"] == locks
    assert not any(
        path.is_file() for folder in ("building", "checkpoints", "downloads") for path in (home / folder).rglob("*")
    )
    assert champion.is_up_to_date(home)


def test_what_was_set_aside_just_now_stays_however_old_it_is(home):
    write(home / "quarantine" / "stage" / f"{KEY}.1" / "file")
    assert collect(home, days=1).garbage == []


def test_a_folder_that_is_no_home_is_not_touched(tmp_path):
    names = [
        "artifacts/wheels/thaw-1.0.whl", "building/house.txt", "checkpoints/epoch-1/weights.h5", "keys/id.json",
        "keys/.id.json.tmp", "quarantine/virus/sample.1", "releases/v1.0/SHA256SUMS", "runs/2024.json",
        "downloads/film.part", "trash/letter.txt", "trash/abc/letter.txt", "prefect-results/result",
    ]  # fmt: skip
    for name in names:
        write(tmp_path / name)
    before = homes.files_in(tmp_path)
    assert collect_garbage(Home.open(tmp_path), Limits(0, young_after=time.time() + 60), dry_run=False).garbage == []
    assert homes.files_in(tmp_path) == before


def test_where_there_is_no_home_nothing_is_made(tmp_path):
    assert collect(tmp_path / "none").garbage == []
    assert not (tmp_path / "none").exists()


def test_nothing_is_removed_while_a_run_goes_on(home):
    homes.run(home, "digits", "champion", 0.9)
    homes.run(home, "digits", "worse", 0.1)
    homes.let_time_pass(home)
    before = homes.files_in(home)
    with home_in_use(home), pytest.raises(HomeInUseError, match="A run is going on in the home folder"):
        collect(home)
    assert homes.files_in(home) == before
    assert collect(home).garbage


def old_home_with_a_worse_run(home: Path) -> tuple[homes.Run, homes.Run]:
    champion, worse = homes.run(home, "digits", "champion", 0.9), homes.run(home, "digits", "worse", 0.1)
    homes.let_time_pass(home)
    return champion, worse


@pytest.mark.parametrize("kind", ["dataset", "records", "stage", "evaluation", "verdict", "release"])
@pytest.mark.parametrize("harm", ["damaged", "missing"])
def test_what_a_damaged_manifest_refers_to_stays_because_the_key_record_repeats_it(home, kind, harm):
    champion, _ = old_home_with_a_worse_run(home)
    for ref in champion.refs.values():
        if ref.kind == kind:
            manifest = home / "artifacts" / ref.kind / ref.digest / "manifest.json"
            damage(manifest) if harm == "damaged" else manifest.unlink()
    homes.let_time_pass(home)
    collected = collect(home)
    assert "release" in kinds_of(collected)
    assert homes.artifacts_in(home) == set(champion.refs.values())
    assert collected.warnings == []


@pytest.mark.parametrize("kind", ["dataset", "records", "stage", "evaluation", "verdict"])
def test_where_no_key_leads_to_a_damaged_manifest_no_artifact_goes(home, kind):
    champion, worse = old_home_with_a_worse_run(home)
    for key, ref in champion.refs.items():
        if ref.kind == kind:
            (home / "keys" / f"{key}.json").unlink()
            (home / "artifacts" / ref.kind / ref.digest / "manifest.json").write_text("{")
    homes.let_time_pass(home)
    there = homes.artifacts_in(home)
    collected = collect(home)
    assert homes.artifacts_in(home) == there
    assert "no artifact is removed" in collected.warnings[0]
    assert worse.release not in homes.releases_in(home)


@pytest.mark.parametrize("without", ["nothing", "run", "artifact"])
def test_a_champion_with_a_damaged_description_keeps_what_it_was_made_from(home, without):
    champion, worse = old_home_with_a_worse_run(home)
    (home / "releases" / champion.release / "release.json").write_text("{")
    *_, ref = champion.refs.values()
    if without != "nothing":
        (home / "runs" / f"{champion.last_key}.json").unlink()
    if without == "artifact":
        (home / "artifacts" / ref.kind / ref.digest / "release.json").write_text("{")
    homes.let_time_pass(home)
    dry = collect(home, dry_run=True)  # a real one would restore the champion first, if it can
    assert "release" in kinds_of(dry)
    expected = set(champion.refs.values())
    gone = {item.name for item in dry.garbage if item.kind == "artifact"}
    assert not gone & {f"{ref.kind}/{ref.digest}" for ref in expected}
    assert bool(dry.warnings) == (without == "artifact")
    collect(home)
    assert worse.release not in homes.releases_in(home)
    assert expected <= homes.artifacts_in(home)


def test_a_damaged_release_goes_like_any_other_and_is_no_error(home):
    champion, worse = old_home_with_a_worse_run(home)
    (home / "releases" / worse.release / "release.json").write_text("{")
    homes.let_time_pass(home)
    collect(home)
    assert homes.releases_in(home) == {champion.release}
    homes.assert_complete(home)


def test_damaged_records_lead_nowhere_and_go_when_they_are_old(home):
    champion, worse = old_home_with_a_worse_run(home)
    for path in (home / "runs" / f"{worse.last_key}.json", home / "keys" / f"{worse.last_key}.json"):
        path.write_text("{")
    homes.let_time_pass(home)
    collected = collect(home)
    reasons = {item.kind: item.reason for item in collected.garbage if worse.last_key in item.name}
    assert reasons["run record"] == reasons["key record"] == "it is damaged"
    homes.assert_complete(home)
    assert champion.is_up_to_date(home)


def test_a_damaged_young_run_keeps_what_its_key_leads_to(home):
    _, worse = old_home_with_a_worse_run(home)
    (home / "runs" / f"{worse.last_key}.json").write_text("{")
    collect(home)
    assert set(worse.refs.values()) <= homes.artifacts_in(home)


def test_where_the_champion_is_not_known_nothing_goes(home):
    champion, _ = old_home_with_a_worse_run(home)
    (home / "releases" / "log.jsonl").unlink()
    (home / "releases" / "champions" / "digits.json").write_text("{")
    before = homes.files_in(home)
    with pytest.raises(PublishError, match="promote"):
        collect(home)
    assert homes.files_in(home) == before
    assert champion.release in homes.releases_in(home)


def test_a_champion_whose_folder_is_gone_comes_back_from_its_artifact(home):
    champion, _ = old_home_with_a_worse_run(home)
    for path in sorted((home / "releases" / champion.release).rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    collect(home)
    assert champion_id(home, "digits") == champion.release
    assert champion.is_up_to_date(home)


def test_a_folder_that_is_a_link_is_unlinked_and_what_it_leads_to_stays(home, tmp_path):
    _, worse = old_home_with_a_worse_run(home)
    *_, ref = worse.refs.values()
    folder = home / "artifacts" / ref.kind / ref.digest
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    homes.let_time_pass(home)
    collect(home)
    assert not folder.is_symlink()
    assert (tmp_path / "elsewhere" / "manifest.json").is_file()


def test_features_go_when_they_are_old_also_those_of_the_champion(home):
    builder, parts = homes.begin_run(home, "photos")
    old = builder.build("features", "old", records=parts["records"])
    champion = homes.run(home, "digits", "champion", 0.9)
    homes.let_time_pass(home)
    young = homes.Builder(home).build("features", "young", records=parts["records"])
    collected = collect(home)
    assert [item.name for item in collected.garbage if item.kind == "artifact"] == [f"features/{old.digest}"]
    assert young in homes.artifacts_in(home)
    homes.assert_complete(home)
    assert champion.is_up_to_date(home)


@pytest.mark.parametrize("name", ["copy", "digits-000000000000"])
def test_a_copy_of_a_release_stays_and_counts_as_none(home, name):
    runs = [homes.run(home, "digits", tag, accuracy) for tag, accuracy in (("a", 0.5), ("b", 0.9), ("c", 0.1))]
    copied = runs[0]
    shutil.copytree(home / "releases" / copied.release, home / "releases" / name)
    homes.run(home, "digits", "d", 0.95)
    homes.let_time_pass(home)
    before = homes.files_in(home)
    collected = collect(home, keep=1)
    assert collected.warnings == [f"{home / 'releases' / name} holds {copied.release} under another name: it stays."]
    assert copied.release not in homes.releases_in(home)
    assert {file for file in before if file.startswith(f"releases/{name}/")} <= homes.files_in(home)
    assert not homes.artifacts_in(home) & ({*copied.refs.values()} - {*runs[1].refs.values()})


@pytest.mark.parametrize("kind", ["preflight", "feature_drift"])
def test_what_was_found_of_kept_images_stays_and_what_was_of_others_goes(home, kind):
    builder, parts = homes.begin_run(home, "photos")
    found = builder.build(kind, "found", dataset=parts["dataset"])
    homes.run(home, "digits", "champion", 0.9)
    others, other_parts = homes.begin_run(home, "other photos")
    gone = others.build(kind, "gone", dataset=other_parts["dataset"])
    homes.let_time_pass(home)
    collect(home)
    assert found in homes.artifacts_in(home)
    assert gone not in homes.artifacts_in(home)
    homes.assert_complete(home)
