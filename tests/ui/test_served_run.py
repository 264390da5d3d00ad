"""A served recipe in both of Prefect's UIs, in a real browser: the form, the list of runs, and the report."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.flows.test_serve import last_state, scheduled_recipe, serving
from tests.flows.waiting import wait_for
from tests.prefect_server import Thaw
from tests.ui import prefect_pages

pytestmark = [pytest.mark.ui, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def served(thaw: Thaw, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The deployment of a recipe with an underscore in its name, as long as it is served."""
    recipe = scheduled_recipe(tmp_path_factory.mktemp("served"), "two_shades", "0 6 * * 1")
    with serving(thaw, recipe) as (_, deployment):
        yield deployment


@pytest.fixture(scope="module")
def server(thaw: Thaw) -> str:
    return thaw.environment["PREFECT_API_URL"].removesuffix("/api")


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    yield page
    page.close()


@pytest.fixture(scope="module")
def made(browser: Any, thaw: Thaw, server: str, served: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By UI, the run that was started from its form, after its end."""
    runs = {}
    for ui, change in (("new", "seed=11"), ("old", "seed=12")):
        page = browser.new_page()
        prefect_pages.start_from_form(page, server, ui, served["id"], change)
        page.close()
        run = wait_for(lambda change=change: run_with(thaw, served, change), 60)
        last_state(thaw, run["id"])
        runs[ui] = thaw.api(f"flow_runs/{run['id']}", {}, "GET")
    return runs


def run_with(thaw: Thaw, deployment: dict[str, Any], change: str) -> dict[str, Any]:
    runs = thaw.api("flow_runs/filter", {"deployments": {"id": {"any_": [deployment["id"]]}}})
    return next((run for run in runs if run["parameters"].get("set") == [change]), {})


def report_of(thaw: Thaw, run: dict[str, Any]) -> dict[str, Any]:
    query = {"flow_run_id": {"any_": [run["id"]]}, "key": {"any_": ["two-shades-report"]}}
    (report,) = thaw.api("artifacts/filter", {"artifacts": query})
    found: dict[str, Any] = report
    return found


@pytest.mark.parametrize("ui", ["new", "old"])
def test_the_form_is_short_and_shows_the_recipe_below_what_may_be_changed(
    page: Any, server: str, served: dict[str, Any], ui: str
) -> None:
    prefect_pages.open_page(page, server, ui, f"deployments/deployment/{served['id']}/run", "Add item")
    fields = page.locator("input[type=text], input:not([type]), textarea").all()
    assert len(fields) <= 4, "the run's name, data, the recipe, and one at the most of the UI's own"
    recipe = page.locator("textarea").last
    assert recipe.input_value() == served["parameters"]["recipe"]
    top = [page.get_by_text(name, exact=False).first.bounding_box()["y"] for name in ("set (", "refresh (", "data (")]
    assert top == sorted(top)
    assert recipe.bounding_box()["y"] > top[-1]
    assert recipe.bounding_box()["y"] + recipe.bounding_box()["height"] < 2000


def test_another_recipe_is_not_taken_from_the_form(page: Any, thaw: Thaw, server: str, served: dict[str, Any]) -> None:
    prefect_pages.open_page(page, server, "new", f"deployments/deployment/{served['id']}/run", "Add item")
    page.locator("textarea").last.fill("name: another")
    page.get_by_role("button", name="Submit").click()
    page.get_by_text("was expected").first.wait_for(timeout=60_000)
    runs = thaw.api("flow_runs/filter", {"deployments": {"id": {"any_": [served["id"]]}}})
    assert not [run for run in runs if run["parameters"]["recipe"] == "name: another"]


@pytest.mark.parametrize("ui", ["new", "old"])
def test_a_run_from_the_form_ends_completed_under_a_name_and_a_state_that_tell_how(
    made: dict[str, dict[str, Any]], page: Any, server: str, ui: str
) -> None:
    run = made[ui]
    assert run["state_type"] == "COMPLETED", run["state"]
    first = ui == "new"
    assert (run["state_name"] == "Promoted") == first, "the second model is not shown to be better than the first"
    assert run["name"].startswith("two_shades: ")
    assert run["name"].endswith(f", {run['state_name'].lower()}")
    assert {"thaw", "two_shades", "by hand"} < {*run["tags"]}
    prefect_pages.open_page(page, server, ui, "runs", run["name"])
    badge = page.get_by_text(run["state_name"], exact=True).first
    badge.wait_for(timeout=60_000)
    assert page.get_by_text("by hand").count() > 0


@pytest.mark.parametrize("ui", ["new", "old"])
@pytest.mark.parametrize("width", [1280, 400])
def test_every_picture_of_the_report_is_shown_and_none_sticks_out(
    made: dict[str, dict[str, Any]], page: Any, thaw: Thaw, server: str, ui: str, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    report = report_of(thaw, made["old"])
    assert report["description"] == made["old"]["name"]
    prefect_pages.open_page(page, server, ui, f"artifacts/artifact/{report['id']}", "Test accuracy over releases")
    widths = prefect_pages.natural_widths(page)
    assert len(widths) == report["data"].count("<img ")
    assert len(widths) >= 3, "the curves, the confusion matrix and the trend"
    assert min(widths) > 0
    boxes = page.evaluate(
        """[...document.images].filter(image => image.src.startsWith('data:'))
           .map(image => [image.getBoundingClientRect().right, image.width])"""
    )
    assert all(right <= width and wide > 20 for right, wide in boxes)


def test_the_list_of_artifacts_has_the_report_alone(
    made: dict[str, dict[str, Any]], page: Any, thaw: Thaw, server: str
) -> None:
    query = {"flow_runs": {"id": {"any_": [run["id"] for run in made.values()]}}}
    keys = {artifact["key"] for artifact in thaw.api("artifacts/latest/filter", query)}
    assert keys == {"two-shades-report"}
    prefect_pages.open_page(page, server, "new", "artifacts/key/two-shades-report", "two-shades-report")


def test_the_readmes_pictures_can_be_made(
    made: dict[str, dict[str, Any]], page: Any, thaw: Thaw, server: str, tmp_path: Path
) -> None:
    prefect_pages.picture_runs(page, server, made["old"]["name"], tmp_path / prefect_pages.RUNS_PICTURE)
    prefect_pages.picture_report(
        page, server, report_of(thaw, made["old"])["id"], tmp_path / prefect_pages.REPORT_PICTURE
    )
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes.keys() == {prefect_pages.RUNS_PICTURE, prefect_pages.REPORT_PICTURE}
    assert max(sizes.values()) < 150_000
