"""A recipe is served for half an hour: photos arrive, processes die, and afterwards everything is in order."""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.soak.household import Household, wait_until
from tests.support import COLOURS, small_recipe
from thaw.pipeline_config.yaml_dialect import write_yaml
from thaw.tasks.artifacts.age import disk_usage
from thaw.tasks.home import Home
from thaw.tasks.releases.champion_log import read_champion_log
from thaw.tasks.releases.release import read_verdict

SECONDS = 60 * float(os.environ.get("THAW_SOAK_MINUTES", "30"))
SECONDS_BETWEEN_FAULTS = (5, 45)
SECONDS_TO_SETTLE = 900  # a run whose process was killed with the server holds its slot for five minutes
SEED = 20_261_127
NAME = "soaked"
# What happens, the more often the more often it stands here.
HAPPENINGS = ("photo", "photo", "photo", "child", "child", "run", "run", "serve", "server")
MOST_BYTES = 1.2  # after a clean-up, for each release that is kept: as a share of what a run takes in a new home folder
ENDED = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(int(SECONDS + 2 * SECONDS_TO_SETTLE + 600))]


def write_photo(data: Path, class_name: str, number: int, *, colour: tuple[int, int, int]) -> None:
    """Write a noisy photo in one move, as whoever copies photos into a watched folder should."""
    noise = np.random.default_rng(number).normal(0, 40, (24, 24, 3))
    folder = data / class_name
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(np.asarray(colour) + noise, 0, 255).astype(np.uint8)).save(folder / ".coming.png")
    (folder / ".coming.png").rename(folder / f"{number:05}.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe, and photos that say nothing of their class: only those that will arrive have its colour."""
    folder = tmp_path_factory.mktemp("soak")
    for number in range(40):
        write_photo(folder / "data", ("blue", "red")[number % 2], number, colour=(128, 128, 128))
    schedule = {"cron": "* * * * *"}
    recipe = small_recipe(folder / "data", name=NAME, schedule=schedule, execution={"retries": 2})
    (folder / f"{NAME}.yaml").write_text(write_yaml(recipe.as_written()))
    return folder


@pytest.fixture(scope="module")
def household(folder: Path) -> Iterator[Household]:
    with Household(folder, folder / f"{NAME}.yaml", folder / "home") as household:
        yield household


@pytest.fixture(scope="module")
def happened(household: Household, folder: Path) -> dict[str, int]:
    """Let it live, then let it come to rest: how often each thing happened."""
    choose, counts = random.Random(SEED), dict.fromkeys(HAPPENINGS, 0)
    deployment_of(household)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        time.sleep(choose.uniform(*SECONDS_BETWEEN_FAULTS))
        what = choose.choice(HAPPENINGS)
        if what == "photo":
            arrive(folder / "data", counts)
        else:
            counts[what] += household.kill(what, choose)
            time.sleep(choose.uniform(0, 5))
        household.keep_up()
    household.thaw.api(f"deployments/{deployment_of(household)['id']}/pause_deployment", {})
    wait_until(lambda: run_by_hand(household) == "COMPLETED", SECONDS_TO_SETTLE, "a run by hand that goes through")
    return counts


def arrive(data: Path, counts: dict[str, int]) -> None:
    """Let eight photos come, that can be told apart."""
    for _ in range(4):
        for class_name in ("blue", "red"):
            counts["photo"] += 1
            write_photo(data, class_name, 1000 + counts["photo"], colour=COLOURS[class_name])


def deployment_of(household: Household) -> dict[str, Any]:
    """Wait until the recipe is served."""

    def found() -> dict[str, Any] | None:
        query = {"deployments": {"name": {"any_": [NAME]}}}
        return next(iter(household.thaw.api("deployments/filter", query)), None)

    deployment: dict[str, Any] = wait_until(found, 120, "the deployment")
    return deployment


def run_by_hand(household: Household) -> str:
    """Start a run, and wait for the type of its last state; Prefect cancels it where another goes on."""
    run = household.thaw.api(f"deployments/{deployment_of(household)['id']}/create_flow_run", {})["id"]

    def last() -> str:
        kind: str = household.thaw.api(f"flow_runs/{run}", {}, "GET")["state_type"]
        return kind if kind in ENDED else ""

    return str(wait_until(last, SECONDS_TO_SETTLE, "the end of a run by hand"))


def all_runs(household: Household) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = []
    while page := household.thaw.api("flow_runs/filter", {"offset": len(runs), "limit": 200, "sort": "ID_DESC"}):
        runs += page
    return runs


def test_something_of_everything_happened(happened: dict[str, int], household: Household, record_property) -> None:
    states = [run["state_name"] for run in all_runs(household)]
    record_property("soak", f"{happened}; runs: { {state: states.count(state) for state in sorted(set(states))} }")
    assert all(happened.values()), "the half hour was too short"
    assert states.count("Promoted") >= 1


def test_no_run_is_shown_as_running(happened: dict[str, int], household: Household) -> None:
    left = [(run["name"], run["state_name"], run["start_time"]) for run in all_runs(household)]
    going_on = [run for run in left if run[1] in ("Pending", "Running", "Retrying", "Cancelling", "AwaitingRetry")]
    assert not going_on, "of those, the process is gone"
    assert not [run for run in left if run[1] == "Late"], "nobody would ever run it"


def test_no_slot_is_taken(happened: dict[str, int], household: Household) -> None:
    def taken() -> list[tuple[str, int]]:
        limits = household.thaw.api("v2/concurrency_limits/filter", {"limit": 200})
        return [(limit["name"], limit["active_slots"]) for limit in limits if limit["active_slots"]]

    assert not taken()


def test_every_release_is_whole(happened: dict[str, int], folder: Path) -> None:
    registry = Home.open(folder / "home").registry
    assert registry.damaged() == {}
    assert registry.ids()
    for release in registry.ids():
        registry.verify(release)


def test_every_promotion_was_justified(happened: dict[str, int], folder: Path) -> None:
    registry, log = Home.open(folder / "home").registry, read_champion_log(folder / "home" / "releases")
    assert not log.damaged_lines
    assert not log.damaged_pointers
    assert [entry.sequence for entry in log.entries] == list(range(1, len(log.entries) + 1))
    previous = None
    for entry in log.changes(NAME):
        verdict = read_verdict(registry.get(entry.release).path)
        assert entry.previous == previous
        if previous is None:
            assert verdict.verdict == "first"
        else:
            assert (verdict.verdict, verdict.champion and verdict.champion.release) == ("better", previous)
            assert verdict.compared is not None
            assert verdict.compared.p_better <= 0.05
            assert verdict.compared.gained > verdict.compared.lost
        previous = entry.release
    champion = registry.champion(NAME)
    assert champion is not None
    assert champion.id == previous


def test_the_disk_is_within_bounds_after_a_clean_up(
    happened: dict[str, int], household: Household, folder: Path
) -> None:
    home = folder / "home"
    alone = household.thaw("run", folder / f"{NAME}.yaml", "--home", folder / "new")
    assert alone.returncode == 0, alone.stderr
    done = household.thaw("gc", "--home", home, "--keep-releases", "1", "--older-than", "0m")
    assert done.returncode == 0, done.stderr
    kept = Home.open(home).registry.ids()
    assert len(kept) <= 3, "the champion, the one before it, and the last"
    assert disk_usage(home).bytes < MOST_BYTES * len(kept) * disk_usage(folder / "new").bytes
    for name in ("building", "trash", "checkpoints", "runs/active"):
        assert not [path for path in (home / name).glob("*") if path.name != "active.lock"], name


def test_no_process_is_left_when_the_services_end(happened: dict[str, int], household: Household) -> None:
    household.stop_serving()
    household.stop_server()
    wait_until(lambda: not household.processes(), 60, "the end of every process")
