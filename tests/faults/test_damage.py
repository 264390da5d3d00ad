"""A file of the home folder is cut, emptied, deleted, or has a bit flipped: it is named, not used, and made again."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.chain import run_chain, tiny_recipe
from tests.faults.conftest import Finished
from tests.faults.homes import champion_problem, differences
from tests.prefect_server import Thaw
from thaw.flows.plan import plan
from thaw.pipeline_config.errors import ArtifactError, PublishError
from thaw.pipeline_config.yaml_dialect import write_yaml
from thaw.tasks.home import Home
from thaw.tasks.records.index import FOOTER_BYTES, read_table

Damage = Callable[[Path], None]


def cut_at_a_record(shard: Path) -> None:
    last_but_one = read_table(shard.parent, "train")[-2]
    end = int(last_but_one["offset"] + last_but_one["length"]) + FOOTER_BYTES
    assert 0 < end < shard.stat().st_size
    shard.write_bytes(shard.read_bytes()[:end])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def delete(path: Path) -> None:
    path.unlink()


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 4
    path.write_bytes(content)


DAMAGES = [cut, empty, delete, flip_a_bit]
SHARD = "train-00000-of-00001.tfrecord"
SLOW = pytest.mark.slow
CASES = [
    *(("records", SHARD, damage) for damage in [cut_at_a_record, *DAMAGES]),
    *(("records", "manifest.json", damage) for damage in DAMAGES),
    *(("ingest", "images.parquet", damage) for damage in DAMAGES),
    ("stage_two", "model.weights.h5", flip_a_bit),
    *(pytest.param("stage_one", "model.weights.h5", damage, marks=SLOW) for damage in DAMAGES),
    *(pytest.param("stage_two", "manifest.json", damage, marks=SLOW) for damage in DAMAGES),
    *(pytest.param("evaluate", "metrics.json", damage, marks=SLOW) for damage in DAMAGES),
    *(pytest.param("publish", "model.keras", damage, marks=SLOW) for damage in DAMAGES),
]


def assert_as_before(finished: Finished, home: Path) -> None:
    """Nothing differs, but for what was set aside."""
    lines = [line for line in differences(home, finished.home) if not line.startswith("quarantine")]
    assert lines == []
    assert champion_problem(home, "small") is None


@pytest.mark.parametrize(("step", "name", "damage"), CASES)
def test_a_damaged_artifact_is_named_and_only_its_step_runs_again(
    finished: Finished, home: Path, step: str, name: str, damage: Damage
) -> None:
    ref = finished.found[step]
    folder = Home.open(home).store.folder(ref)
    damage(folder / name)
    with pytest.raises(ArtifactError, match=re.escape(str(folder / name))):
        Home.open(home).store.verified(ref)
    assert champion_problem(home, "small") is None
    again = run_chain(finished.chain, home)
    assert again["ran"] == [step]
    assert_as_before(finished, home)
    assert [path.name for path in (home / "quarantine").glob("*/*")] == [f"{ref.digest}.1"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_key_record_leads_to_the_same_artifact(finished: Finished, home: Path, damage: Damage) -> None:
    records = finished.found["records"]
    (path,) = [path for path in (home / "keys").glob("*.json") if json.loads(path.read_bytes())["ref"] == dict(records)]
    damage(path)
    again = run_chain(finished.chain, home)
    assert again["ran"] == ["records"]
    assert again["records"] == records
    assert_as_before(finished, home)


@pytest.mark.parametrize("name", ["model.keras", "SHA256SUMS", "release.json", "verdict.json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_champion_is_refused_by_name_and_copied_anew(
    finished: Finished, home: Path, name: str, damage: Damage
) -> None:
    release = finished.found["info"].id
    damage(home / "releases" / release / name)
    if name == "SHA256SUMS" and damage is delete:
        assert release not in [info.id for info in Home.open(home).registry.list()]  # it is signed off no more
    else:
        # A signature that is damaged speaks for other files.
        named = release if name == "SHA256SUMS" else f"{release}/{name}"
        with pytest.raises(PublishError, match=re.escape(named)):
            Home.open(home).registry.verify(release)
    assert [task.name for task in plan(tiny_recipe(finished.data), Home.open(home)).tasks if not task.cached][
        -1
    ] == "publish"
    again = run_chain(finished.chain, home)
    assert again["ran"] == []
    assert_as_before(finished, home)
    assert len(Home.open(home).registry.log()) == len(Home.open(finished.home).registry.log())


class StoppedError(BaseException):
    """Not an Exception, as a kill is none."""


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_costs_steps_and_not_the_result(
    finished: Finished, home: Path, damage: Damage, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thaw.tasks.training import checkpoint, work

    class StopsAtFive(checkpoint.Checkpoints):
        def save_if_due(self, state, *, epoch_ended):
            super().save_if_due(state, epoch_ended=epoch_ended)
            if state.steps == 5:
                raise StoppedError

    shutil.rmtree(home / "artifacts" / "stage")
    with monkeypatch.context() as patch:
        patch.setattr(work, "Checkpoints", StopsAtFive)
        with pytest.raises(StoppedError):
            run_chain(finished.chain, home)
    newest = max((home / "checkpoints").glob("*/*.npz"))
    damage(newest)
    again = run_chain(finished.chain, home)
    assert again["ran"] == ["stage_one", "stage_two"]
    assert_as_before(finished, home)


def digests(result: dict[str, Any]) -> dict[str, str]:
    """Digest of each task's artifact; without the features, which a run whose stages are there does not ask for."""
    return {task["name"]: task["digest"] for task in result["tasks"] if not task["name"].startswith("features")}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_prefects_own_records_may_be_damaged(finished: Finished, thaw: Thaw, tmp_path: Path) -> None:
    recipe = tmp_path / "small.yaml"
    document = tiny_recipe(finished.data).model_dump(mode="json", by_alias=True)
    recipe.write_text(write_yaml(document))
    command = ("run", recipe, "--home", tmp_path / "home", "--always", "--json")
    first = json.loads(thaw(*command).stdout)
    results = tmp_path / "home" / "prefect-results"
    for damage in DAMAGES:
        records = sorted(path for path in results.rglob("*") if path.is_file())
        assert len(records) >= len(digests(first))
        for path in records:
            damage(path)
        done = thaw(*command)
        assert done.returncode == 0, (damage.__name__, done.stderr)
        again = json.loads(done.stdout)
        for part in ("stages", "metrics", "verdict", "release"):
            assert again[part] == first[part]
        assert digests(again) == digests(first)
        assert champion_problem(tmp_path / "home", "small") is None
