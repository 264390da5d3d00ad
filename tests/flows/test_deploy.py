"""`thaw deploy`: deployments for the workers of a work pool, described as those of `thaw serve` are."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from prefect.client.schemas.objects import WorkPool
from prefect.server.schemas.schedules import RRuleSchedule

from tests.docs.markdown import ROOT, blocks
from tests.flows.test_serve import deployment_of, last_state, serving
from tests.flows.waiting import wait_for
from tests.ingest.archives import pack
from tests.ingest.file_server import FileServer
from tests.pipeline_config.test_schedule import RULES
from tests.prefect_server import Thaw
from tests.support import small_recipe, write_pictures
from thaw.flows.addresses import VARIABLE
from thaw.flows.places import folders_to_read
from thaw.flows.work_pools import job_variables
from thaw.pipeline_config.errors import RequestError
from thaw.pipeline_config.yaml_dialect import write_yaml
from thaw.tasks.home import Home

SECRET = "pl4nted"


def template(kind: str) -> dict[str, Any]:
    """The job template with which Prefect makes a work pool of this type."""
    views = resources.files("prefect.server.api.collections_data") / "views" / "aggregate-worker-metadata.json"
    types = {name: worker for each in json.loads(views.read_text()).values() for name, worker in each.items()}
    found: dict[str, Any] = types[kind]["default_base_job_configuration"]
    return found


def pool_of(kind: str) -> WorkPool:
    return WorkPool(name="p", type=kind, base_job_template=template(kind), default_queue_id=UUID(int=0))


def recipe_file(folder: Path, name: str, **changes: Any) -> Path:
    recipe = small_recipe(folder / "data", name=name, **changes)
    (folder / f"{name}.yaml").write_text(write_yaml(recipe.as_written()))
    return folder / f"{name}.yaml"


@contextlib.contextmanager
def worker_of(pool: str, environment: dict[str, str], log: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
    with log.open("wb") as output:
        worker = subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=log.parent)
        try:
            yield
        finally:
            worker.terminate()
            worker.wait(timeout=60)


def test_a_pool_that_is_not_there_is_named_with_the_command_that_makes_it(thaw: Thaw, tmp_path: Path) -> None:
    done = thaw("deploy", "digits", "--pool", "nowhere", "--home", tmp_path / "home")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("thaw: There is no work pool 'nowhere' on Prefect's server.")
    assert line.endswith("work-pool create nowhere --type process")
    assert not (tmp_path / "home").exists()


def test_a_pool_of_containers_gets_the_image_and_the_folders_and_no_secret(thaw: Thaw, tmp_path: Path) -> None:
    thaw.api("work_pools/", {"name": "boxes", "type": "docker", "base_job_template": template("docker")})
    weekly = {"interval": "1w", "timezone": "Europe/Paris"}
    plain = recipe_file(tmp_path, "boxed", schedule=weekly, execution={"overlap": "queue"})
    source = {"kind": "archive", "url": f"https://host/a.zip?token={SECRET}", "sha256": "0" * 64}
    secretive = recipe_file(tmp_path, "sealed", dataset={"source": source})
    command: list[str | Path] = [
        "deploy",
        plain,
        secretive,
        "--pool",
        "boxes",
        "--image",
        "thaw:1",
        "--home",
        tmp_path / "home",
    ]
    done = thaw(*command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == [
        "deployed retrain/boxed to the work pool boxes, by schedule every 1w (Europe/Paris)",
        "deployed retrain/sealed to the work pool boxes, on demand",
    ]
    (warning,) = done.stderr.splitlines()
    assert warning.startswith("thaw: warning: the address of sealed's images holds a secret, which no deployment may.")
    assert f"Set {VARIABLE} where its runs start" in warning
    boxed, sealed = deployment_of(thaw, "boxed"), deployment_of(thaw, "sealed")
    assert boxed is not None
    assert sealed is not None
    home = str(tmp_path / "home")
    assert boxed["job_variables"]["image"] == "thaw:1"
    assert boxed["job_variables"]["volumes"] == [f"{home}:{home}:rw", f"{tmp_path}/data:{tmp_path}/data:ro"]
    assert boxed["job_variables"]["env"]["PREFECT_LOCAL_STORAGE_PATH"] == f"{home}/prefect-results"
    assert boxed["parameters"]["home"] == home
    assert boxed["entrypoint"] == "thaw.flows.retrain.retrain"
    assert boxed["concurrency_options"]["collision_strategy"] == "ENQUEUE"
    assert sealed["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert SECRET not in json.dumps([boxed, sealed])
    made = {automation["name"] for automation in thaw.api("automations/filter", {"limit": 200})}
    assert {"thaw: boxed, new images", "thaw: boxed, lost runs", "thaw: boxed, failed", "thaw: boxed, stale"} <= made
    again = thaw(*command, "--set", "seed=5")
    assert again.returncode == 0, again.stderr
    changed = deployment_of(thaw, "boxed")
    assert changed is not None
    assert (changed["id"], changed["job_variables"]) == (boxed["id"], boxed["job_variables"])
    assert "seed: 5" in changed["parameters"]["recipe"]
    (schedule,) = changed["schedules"]
    assert (schedule["schedule"]["interval"], schedule["schedule"]["timezone"]) == (604800, "Europe/Paris")
    runs = {"deployments": {"id": {"any_": [boxed["id"]]}}, "sort": "EXPECTED_START_TIME_ASC"}
    (first, *_) = wait_for(lambda: thaw.api("flow_runs/filter", runs), 60)
    due = datetime.fromisoformat(first["expected_start_time"]).astimezone(ZoneInfo("Europe/Paris"))
    assert (due.weekday(), due.hour, due.minute) == (0, 0, 0)


@pytest.mark.parametrize(("kind", "has_image"), [("process", False), ("docker", True), ("kubernetes", True)])
def test_each_type_of_pool_says_whether_an_image_is_for_it(kind: str, has_image: bool, tmp_path: Path) -> None:
    pool, recipe = pool_of(kind), small_recipe(tmp_path / "data")
    image = "thaw:1" if has_image else None
    variables = job_variables(pool, recipe, tmp_path, image, {"A": "1"})
    assert variables.keys() <= pool.base_job_template["variables"]["properties"].keys(), "the server would refuse them"
    assert (variables["env"], variables.get("image")) == ({"A": "1"}, image)
    with pytest.raises(RequestError, match="--image") as caught:
        job_variables(pool, recipe, tmp_path, None if has_image else "thaw:1", {})
    assert f"'p' of the type {kind}" in str(caught.value)


def test_all_that_a_run_reads_is_mounted_and_a_colon_cannot_be(tmp_path: Path) -> None:
    columns = {"path_column": "file", "label_column": "label"}
    source = {"kind": "csv", "path": str(tmp_path / "tables" / "images.csv"), **columns}
    model = {"backbone": "SmallCNN", "weights": str(tmp_path / "nets" / "w.weights.h5")}
    recipe = small_recipe(
        tmp_path, dataset={"source": source}, model=model, publish={"must_not_break": str(tmp_path / "kept")}
    )
    assert folders_to_read(recipe) == [tmp_path / "tables", tmp_path / "nets", tmp_path / "kept"]
    pool = pool_of("docker")
    with pytest.raises(RequestError, match="its name holds a colon"):
        job_variables(pool, small_recipe(tmp_path / "a:b"), tmp_path, "thaw:1", {})


@pytest.mark.parametrize("rule", RULES)
def test_prefects_server_finds_the_dates_of_a_rule_that_a_recipe_may_have(rule: str) -> None:
    schedule = RRuleSchedule(rrule=rule, timezone="Europe/Paris")
    (due,) = asyncio.run(schedule.get_dates(n=1, start=datetime(2026, 1, 1, tzinfo=UTC)))
    assert due.tzinfo is not None
    assert due.year <= 2028


def test_what_the_docs_add_to_a_pod_of_kubernetes_stands_beside_what_prefects_template_has() -> None:
    (text,) = blocks(ROOT / "docs" / "operations.md", "json")
    added = json.loads(text)
    pod = template("kubernetes")["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    (theirs,), (ours,) = pod["containers"], added["containers"]
    assert (ours.keys() & theirs.keys(), added.keys() & pod.keys()) == (set(), {"containers"})
    assert [mount["name"] for mount in ours["volumeMounts"]] == [volume["name"] for volume in added["volumes"]]


@pytest.mark.slow
def test_a_worker_runs_what_was_deployed_and_a_serve_takes_it_back(thaw: Thaw, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "data", each=20)
    files = {path.relative_to(pictures).as_posix(): path.read_bytes() for path in pictures.rglob("*.png")}
    home, log = tmp_path / "home", tmp_path / "worker.log"
    thaw.api("work_pools/", {"name": "processes", "type": "process"})
    with FileServer(pack(tmp_path / "x.zip", files).read_bytes()).running() as server:
        source = {"kind": "archive", "url": f"{server.url}?token={SECRET}", "sha256": server.sha256}
        recipe = recipe_file(tmp_path, "worked", dataset={"source": source})
        for _ in range(2):
            deployed = thaw("deploy", recipe, "--pool", "processes", "--home", home)
            assert deployed.returncode == 0, deployed.stderr
        (found,) = thaw.api("deployments/filter", {"deployments": {"name": {"any_": ["worked"]}}})
        assert found["work_pool_name"] == "processes"
        with worker_of("processes", thaw.environment | {VARIABLE: json.dumps({"worked": source})}, log):
            run = thaw.api(f"deployments/{found['id']}/create_flow_run", {})
            assert last_state(thaw, run["id"]) == "COMPLETED", log.read_text()
    champion = Home.open(home).registry.champion("worked")
    assert champion is not None
    assert SECRET not in log.read_text()
    assert SECRET not in json.dumps(thaw.api("flow_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}}))
    with serving(thaw, recipe) as (_, served):
        assert (served["id"], served["work_pool_name"], served["job_variables"]) == (found["id"], None, {})
