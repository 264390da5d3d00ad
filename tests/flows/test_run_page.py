"""Where a run is shown: on the server that Prefect's settings name, or on the one that they would start."""

from pathlib import Path

import pytest
from prefect.settings import temporary_settings

from thaw.flows import server_in_use, temporary_server
from thaw.flows.commands.run import print_result
from thaw.tasks.runs import ReleaseReport, RunResult

RUN = "b354cc55"
CLOUD = {"cloud.api_url": "https://cloud/api", "cloud.ui_url": "https://cloud"}


@pytest.mark.parametrize(
    ("settings", "page"),
    [
        ({"api.url": "http://host:4321/api"}, "http://host:4321/v2/runs/flow-run/b354cc55"),
        (
            {"api.url": "http://host:4321/api", "ui_url": "https://ours/ui/"},
            "https://ours/ui/v2/runs/flow-run/b354cc55",
        ),
        ({"api.url": "http://host/api", "ui_url": "https://ours/v2"}, "https://ours/v2/runs/flow-run/b354cc55"),
        (
            {"api.url": f"{CLOUD['cloud.api_url']}/accounts/a/workspaces/w", **CLOUD},
            "https://cloud/account/a/workspace/w/runs/flow-run/b354cc55",  # Prefect Cloud has one UI
        ),
        ({"server.api.port": 4321}, "http://127.0.0.1:4321/v2/runs/flow-run/b354cc55"),
        ({"server.api.host": "here", "server.ui.serve_base": "/ui"}, "http://here:4200/ui/v2/runs/flow-run/b354cc55"),
        ({"ui_url": "http://ours"}, "http://ours/v2/runs/flow-run/b354cc55"),
    ],
)
def test_the_page_is_that_of_the_new_ui_of_the_server_in_the_settings(settings: dict[str, str], page: str) -> None:
    with temporary_settings(settings, restore_defaults={"api.url"} - settings.keys()):
        assert server_in_use.run_page(RUN) == page


def test_the_page_is_not_one_of_the_temporary_server(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://127.0.0.1:33333/api"
    monkeypatch.setenv("PREFECT_API_URL", url)
    monkeypatch.setattr(temporary_server, "_addresses", {url})
    with temporary_settings({"api.url": url, "server.api.port": 4321}):
        assert not server_in_use.outlives_the_run()
        assert server_in_use.run_page(RUN) == "http://127.0.0.1:4321/v2/runs/flow-run/b354cc55"


@pytest.mark.parametrize(
    ("shown", "later", "words"),
    [
        ("http://host/v2/runs/flow-run/b354cc55", None, ": http://host/v2/runs/flow-run/b354cc55"),
        (
            None,
            "http://host/v2/runs/flow-run/b354cc55",
            " server start, then open http://host/v2/runs/flow-run/b354cc55",
        ),
        (None, None, " server start, then open the run b354cc55"),  # from a run of a version before
    ],
)
def test_the_result_says_how_to_see_the_run(
    capsys: pytest.CaptureFixture[str], shown: str | None, later: str | None, words: str
) -> None:
    release = ReleaseReport(id="small-0", path=Path("nowhere"), champion=True)
    test = {"accuracy": 0.5, "accuracy_ci": [0.4, 0.6], "examples": 100}
    values = {"recipe": "small", "seconds": 1, "tasks": [], "stages": [], "verdict": "first"}
    result = RunResult(run=RUN, metrics={"test": test}, release=release, ui_url=shown, ui_url_later=later, **values)
    print_result(result)
    assert capsys.readouterr().out.splitlines()[-1].endswith(words)
