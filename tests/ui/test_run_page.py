"""The address that a run prints opens that run, in the new UI of a real server."""

import subprocess
import sys
import urllib.parse

import pytest

from tests.prefect_server import Thaw

pytestmark = pytest.mark.ui


def printed_page(thaw: Thaw, run: str) -> str:
    """What a process with the settings of this server would print for a run."""
    program = f"from thaw.flows.server_in_use import run_page; print(run_page({run!r}))"
    return subprocess.run(
        [sys.executable, "-c", program],
        env=thaw.environment,
        cwd=thaw.folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def test_the_printed_address_shows_the_run_in_the_new_ui(browser, thaw: Thaw) -> None:
    flow = thaw.api("flows/", {"name": "retrain"})["id"]
    run = thaw.api("flow_runs/", {"flow_id": flow, "name": "roses-seed-3", "state": {"type": "COMPLETED"}})["id"]
    address = printed_page(thaw, run)
    page = browser.new_page()
    page.goto(address, timeout=60_000)  # it loads some megabytes of scripts
    page.get_by_text("roses-seed-3").first.wait_for(timeout=60_000)
    assert urllib.parse.urlsplit(page.url).path == f"/v2/runs/flow-run/{run}"
    page.close()
