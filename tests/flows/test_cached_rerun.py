"""A run imports TensorFlow in one process, and in none where every task is cached."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.prefect_server import Thaw
from tests.support import small_recipe, write_pictures
from thaw.pipeline_config.yaml_dialect import write_yaml
from thaw.tasks.home import Home

# Python imports it when it starts, in every process that inherits PYTHONPATH.
WITNESS = """
import os, sys

class Witness:
    def find_spec(self, name, path=None, target=None):
        if name in ("tensorflow", "keras"):
            line = f"{name} {os.getpid()} {' '.join(sys.orig_argv)}\\n"
        elif name in ("thaw.flows.retrain", "prefect.server.api.server"):
            line = f"{name}\\n"
        else:
            return None
        with open(os.environ["THAW_TEST_WITNESS"], "a") as file:
            file.write(line)
        return None

sys.meta_path.insert(0, Witness())
"""


@pytest.mark.slow
def test_a_run_imports_tensorflow_once_and_a_cached_one_never_and_makes_no_release(thaw: Thaw, tmp_path: Path) -> None:
    write_pictures(tmp_path / "data", each=20)
    recipe = small_recipe(tmp_path / "data", name="cached").model_dump(mode="json", by_alias=True)
    (tmp_path / "cached.yaml").write_text(write_yaml(recipe))
    (tmp_path / "witness").mkdir()
    (tmp_path / "witness" / "sitecustomize.py").write_text(WITNESS)
    environment = {name: value for name, value in thaw.environment.items() if name != "PREFECT_API_URL"}
    environment["PYTHONPATH"] = f"{tmp_path / 'witness'}:{environment['PYTHONPATH']}"

    def run(name: str) -> tuple[dict[str, Any], list[str]]:
        log = tmp_path / name
        command = Thaw(environment | {"THAW_TEST_WITNESS": str(log), "PREFECT_HOME": str(tmp_path)}, tmp_path)
        done = command("run", tmp_path / "cached.yaml", "--home", tmp_path / "home", "--always", "--json")
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result, log.read_text().splitlines()

    first, seen_first = run("first")
    assert len({line.split()[1] for line in seen_first if line.startswith("tensorflow ")}) == 1
    again, seen = run("again")
    assert {"thaw.flows.retrain", "prefect.server.api.server"} <= set(seen), "the witness was not in every process"
    assert [line for line in seen if line.startswith(("tensorflow", "keras"))] == []
    assert all(task["cached"] for task in again["tasks"])
    assert again["release"] == first["release"]
    assert len(Home.open(tmp_path / "home").registry.list()) == 1
