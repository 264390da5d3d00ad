"""A source that cannot be reached for a moment, such as a bucket: its task looks again, with the recipe's retries."""

import json
import subprocess
import sys
from pathlib import Path

from tests.prefect_server import Thaw
from tests.support import small_recipe, write_pictures
from thaw.pipeline_config.yaml_dialect import write_yaml
from thaw.tasks.run_logs import find_log, read_log

OUT_OF_REACH_AT_FIRST = """
import itertools
from thaw.flows import main, requests
from thaw.pipeline_config.errors import DownloadError

looks, content_digest = itertools.count(1), requests.content_digest

def flaky(source, home):
    if next(looks) <= 3:  # the plan's look, the key's, and the first attempt's
        raise DownloadError("the bucket cannot be listed")
    return content_digest(source, home)

requests.content_digest = flaky
main.main()
"""


def test_the_task_looks_again_and_the_log_of_the_run_says_so(thaw: Thaw, tmp_path: Path) -> None:
    write_pictures(tmp_path / "data", each=20)
    execution = {"retries": 1, "retry_delay_seconds": 0.1}
    recipe = small_recipe(tmp_path / "data", execution=execution).model_dump(mode="json", by_alias=True)
    (tmp_path / "small.yaml").write_text(write_yaml(recipe))
    command = ["run", str(tmp_path / "small.yaml"), "--home", str(tmp_path / "home"), "--json"]
    done = subprocess.run(
        [sys.executable, "-c", OUT_OF_REACH_AT_FIRST, *command],
        env=thaw.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    runs = thaw.api("task_runs/filter", {"flow_runs": {"id": {"any_": [result["run"]]}}})
    assert {run["name"]: run["run_count"] for run in runs}["ingest"] == 2
    log = list(read_log(find_log(tmp_path / "home", result["run"]), follow=False))
    assert {(line["recipe"], line["run"]) for line in log} == {("small", result["run"])}
    (retried,) = [line for line in log if "tried again" in line["message"]]
    assert (retried["level"], retried["task"]) == ("warning", "ingest")
    assert retried["message"] == "ingest failed, and is tried again: the bucket cannot be listed"
    assert [line["task"] for line in log if ", epoch" in line["message"]] == ["stage_one"] * 2 + ["stage_two"] * 2
    assert "begins" in log[0]["message"]
    assert log[-1]["message"] == f"Promoted: {result['reason']}"
