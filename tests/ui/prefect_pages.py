"""Prefect's pages as a browser shows them, and the two pictures of them in the README.

Against a server on which a recipe was served and run:

    python -m tests.ui.prefect_pages http://127.0.0.1:4200 flowers docs/images
"""

import io
import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

from PIL import Image

from tests.ui.conftest import ARGUMENTS, BROWSER

RUNS_PICTURE, REPORT_PICTURE = "prefect-runs.png", "prefect-report.png"
_PATIENCE = 60_000  # milliseconds: a page loads some megabytes of scripts, and the machine may have other work
_UIS = {"new": "/v2", "old": ""}  # where each of Prefect's two is


def open_page(page: Any, server: str, ui: str, path: str, words: str) -> None:
    """Open a page, and wait for some words on it."""
    page.goto(f"{server}{_UIS[ui]}/{path}", timeout=_PATIENCE)
    page.get_by_text(words).first.wait_for(timeout=_PATIENCE)


def natural_widths(page: Any) -> list[int]:
    """The widths of the pictures that stand in a page's text, 0 for one that is not shown."""
    page.wait_for_function("[...document.images].every(image => image.complete)", timeout=_PATIENCE)
    widths: list[int] = page.evaluate(
        "[...document.images].filter(image => image.src.startsWith('data:')).map(image => image.naturalWidth)"
    )
    return widths


def start_from_form(page: Any, server: str, ui: str, deployment: str, change: str) -> None:
    """Start a run of a deployment with one change, as a person does."""
    open_page(page, server, ui, f"deployments/deployment/{deployment}/run", "Add item")
    fields = page.get_by_role("textbox")
    before = fields.count()
    page.get_by_role("button", name="Add item").first.click()
    fields.nth(before).wait_for(timeout=_PATIENCE)  # one more than before
    fields.nth(1).fill(change)  # the first is the run's name
    page.wait_for_timeout(500)  # the old one takes a value over after a moment
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url("**tab=Runs**", timeout=_PATIENCE)


def save_small(picture: bytes, path: Path) -> None:
    """Save a screenshot with few colours, which is a third of the bytes."""
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


def picture_runs(page: Any, server: str, name: str, path: Path) -> None:
    """Save what the list of runs shows, without the filters above it."""
    page.set_viewport_size({"width": 1280, "height": 1180})
    open_page(page, server, "new", "runs", name)
    page.wait_for_timeout(2000)  # the bars above the list grow
    top = page.get_by_text("Flow runs", exact=False).last.bounding_box()["y"] - 20
    save_small(page.screenshot(clip={"x": 256, "y": top, "width": 1024, "height": 1180 - top}), path)


def picture_report(page: Any, server: str, artifact: str, path: Path) -> None:
    """Save the top of a report."""
    page.set_viewport_size({"width": 1280, "height": 1150})
    open_page(page, server, "new", f"artifacts/artifact/{artifact}", "Learning curves")
    natural_widths(page)
    save_small(page.screenshot(), path)


def main(server: str, recipe: str, folder: Path) -> None:
    """Make both pictures."""
    from playwright.sync_api import sync_playwright

    body = {"artifacts": {"key": {"any_": [f"{recipe.replace('_', '-')}-report"]}}}
    request = urllib.request.Request(
        f"{server}/api/artifacts/latest/filter", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        (artifact,) = json.load(response)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
        page = browser.new_page()
        picture_runs(page, server, artifact["description"], folder / RUNS_PICTURE)
        picture_report(page, server, artifact["latest_id"], folder / REPORT_PICTURE)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
