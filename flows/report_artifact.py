"""The report in Prefect's UI: one Markdown artifact for each recipe, of which Prefect keeps every version."""

from prefect import runtime
from prefect.artifacts import create_markdown_artifact

from thaw.flows.server_in_use import artifact_page, run_page
from thaw.flows.story import outcome
from thaw.tasks.home import Home
from thaw.tasks.releases.release import CARD_NAME, ReleaseInfo
from thaw.tasks.releases.verdict import Verdict
from thaw.tasks.report.trend import MOST_RELEASES, trend_uri
from thaw.tasks.task import only_shown


def report_key(recipe: str) -> str:
    """Name a recipe's artifact; Prefect allows dashes, and recipes have underscores."""
    return f"{recipe.replace('_', '-')}-report"


def show_report(home: Home, release: ReleaseInfo, verdict: Verdict, state: str, report: str) -> None:
    """Show a report with what its step could not know: the outcome, the releases before it, and where things are."""
    name = outcome(release.recipe, verdict, state)
    with only_shown("retrain", "the report"):
        text = "\n\n".join([f"## {name}", report.strip(), *_trend(home, release), _links(release)])
        create_markdown_artifact(text, key=report_key(release.recipe), description=name)


def _trend(home: Home, release: ReleaseInfo) -> list[str]:
    of_recipe = [each for each in home.registry.list() if each.recipe == release.recipe]
    releases = sorted(of_recipe, key=lambda each: (each.published, each.id))[-MOST_RELEASES:]
    if len(releases) < 2:  # no line
        return []
    values = ", ".join(f"{each.accuracy:.3f}" for each in releases)
    words = f"Test accuracy of {len(releases)} releases: {values}"
    return [
        "### Test accuracy over releases",
        f'<img src="{trend_uri(releases)}" alt="{words}" width="560">',
        "The filled point is the champion. Where test images were added, points are of different images.",
    ]


def _links(release: ReleaseInfo) -> str:
    history = artifact_page(report_key(release.recipe))
    files = "\n".join(f"- `{release.path / name}`" for name in ("report.html", CARD_NAME))
    return (
        "### More\n\n"
        f"[This run]({run_page(str(runtime.flow_run.id))}) · [The reports before it]({history})\n\n"
        f"The whole report and the model card of release `{release.id}` are on the machine that ran it:\n\n{files}"
    )
