"""`thaw releases list`, `show` and `diff`."""

import json
from pathlib import Path

import typer
from rich.markdown import Markdown
from rich.table import Column

from thaw.flows.commands.console import plain_table, result_console
from thaw.flows.commands.home import open_home
from thaw.flows.predict import devices_of
from thaw.pipeline_config.errors import RequestError
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.children import run_in_child
from thaw.tasks.home import Home
from thaw.tasks.releases.release import CARD_NAME, RELEASE_NAME, Release, read_in_place
from thaw.tasks.verdict.difference_request import Difference, DifferenceWork, Flip

_FLIPS_SHOWN = 20  # of each kind; `--json` has all


def print_releases(home: Path | None, *, as_json: bool) -> None:
    """Print the releases, a line each, the newest first, and warn of damaged ones."""
    registry = open_home(home).registry
    found = sorted(registry.list(), key=lambda release: release.published, reverse=True)
    for name, problem in registry.damaged().items():
        typer.echo(f"thaw: warning: {name}: {problem}", err=True)
    if as_json:
        typer.echo(json.dumps([release.model_dump(mode="json") for release in found], indent=1))
        return
    table = plain_table(Column("release", no_wrap=True), "published", "accuracy", "verdict", "champion")
    for release in found:
        champion = "champion" if release.is_champion else ""
        day = f"{release.published:%Y-%m-%d}"
        table.add_row(release.id, day, f"{release.accuracy:.4f}", release.verdict, champion)
    result_console().print(table)


def print_release(release: str, home: Path | None, *, as_json: bool) -> None:
    """Print a release's model card after all its files were checked: for a terminal laid out, else as it is."""
    registry = open_home(home).registry
    found = registry.get(release)
    registry.verify(found.id)
    text = (found.path / (RELEASE_NAME if as_json else CARD_NAME)).read_text(encoding="utf-8")
    console = result_console()
    if as_json or not console.is_terminal:
        typer.echo(text)
    else:
        console.print(Markdown(_without_metadata(text)))


def print_difference(judged: str, other: str, home: Path | None, *, as_json: bool) -> None:
    """Print how a release does beside another, on its own test images, and on which images they differ."""
    found = _difference(open_home(home), judged, other)
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
    else:
        write_difference(found)


def write_difference(found: Difference) -> None:
    """Write how two releases compare, for people."""
    compared = found.compared
    typer.echo(f"{found.verdict}: {found.reason}")
    if compared.images:
        typer.echo(f"Accuracy: {found.judged} {compared.accuracy:.4f}, {found.other} {compared.other_accuracy:.4f}.")
    lost = [flip for flip in found.flips if flip.judged_class != flip.class_name]
    gained = [flip for flip in found.flips if flip.judged_class == flip.class_name]
    for words, flips in ((f"{found.judged} alone is wrong", lost), (f"{found.judged} alone is right", gained)):
        if flips:
            _print_flips(f"{words}: {len(flips):,}", flips, found)


def _difference(home: Home, judged: str, other: str) -> Difference:
    release, rival = (read_in_place(home.registry.get(each).path) for each in (judged, other))
    records = _artifact(home, release, "records")
    if records is None:
        raise RequestError(
            f"The test images of {release.id} are not in {home.path} any more. Run its recipe again, or swap the two: "
            "the images are those of the one that is named second."
        )
    request = DifferenceWork(
        home=home,
        judged=release.model,
        other=rival.model,
        records=records,
        dataset=_artifact(home, release, "dataset"),
        devices=devices_of(home.registry.get(judged)),
    )
    made = run_in_child(
        "thaw.tasks.verdict.difference:compare_releases", request, deadline_seconds=3600, listener=lambda *_: None
    )
    return Difference.model_validate(made.facts)


def _artifact(home: Home, release: Release, name: str) -> ArtifactRef | None:
    """Find what a release was made from, if it is still there."""
    made_from = release.made_from.get(name)
    ref = ArtifactRef.model_validate(made_from) if made_from else None
    return ref if ref is not None and home.store.folder(ref).is_dir() else None


def _print_flips(title: str, flips: list[Flip], found: Difference) -> None:
    typer.echo(f"\n{title}")
    table = plain_table(Column("image", overflow="fold"), "class", f"{found.judged} says", f"{found.other} says")
    for flip in flips[:_FLIPS_SHOWN]:
        table.add_row(
            flip.file or flip.id,
            flip.class_name,
            f"{flip.judged_class} {flip.judged_probability:.2f}",
            f"{flip.other_class} {flip.other_probability:.2f}",
        )
    result_console().print(table)
    if len(flips) > _FLIPS_SHOWN:
        typer.echo(f"and {len(flips) - _FLIPS_SHOWN:,} more, which --json lists")


def _without_metadata(card: str) -> str:
    """Cut off the block that is for model hubs; a card of an earlier thaw may have none."""
    opened, _, rest = card.partition("---\n")
    return rest.partition("---\n")[2] if not opened and rest else card
