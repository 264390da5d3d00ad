"""What 5 % more images cost: ingest, records and features again, beside what they cost for the images before.

Of the images (or of generated ones, without --data) every 21st is held back. Ingest, records and features are made of
the rest in a new home, and then of all, by the same process, as the steps of a run are. A pass over a few images in
another home comes first, so that neither time has the import of TensorFlow in it. Prints one JSON line to stdout and a
table to stderr.

    python -m benchmarks.growth --data DIR --weights FILE --check
"""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.measuring import CONSOLE, finish, print_table, start
from benchmarks.pictures import write_generated, write_three_splits
from benchmarks.steps_in_a_row import StepsInARow
from thaw.flows.graph import FEATURES_ONE, PREPARATION, STAGES
from thaw.pipeline_config.loading import load_recipe
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.children import sharing_children
from thaw.tasks.home import Home

LARGEST_SHARE = 0.10  # of photos
LARGEST_SHARE_OF_GENERATED = 0.15  # which are small, so that more of the time is not theirs
_ONE_IN = 21  # is held back: 1 for 20 that were there are 5 % more
_SIDE = 48  # of generated images, in pixels
_FOR_WARMING = 40  # images
_FOR_GENERATED = (
    "model.backbone=SmallCNN",
    "model.weights=null",
    "stage_two.train={last_blocks: 1}",
    *(f"{stage}.{setting}" for stage in ("stage_one", "stage_two") for setting in ("resolution=32", "feature_views=2")),
)
_TASKS = (*PREPARATION, FEATURES_ONE)  # which makes those of both stages, where that can be


def prepare(recipe: Recipe, home: Path) -> dict[str, float]:
    """Make what a run makes before its first stage trains, and tell the seconds of each task."""
    steps = StepsInARow(recipe, Home.open(home))
    steps.go(_TASKS)
    steps.serve(STAGES[0])
    return steps.seconds


def hold_back(images: Path, place: Path, keep: slice) -> list[tuple[Path, Path]]:
    """Move some of the images of a folder, in the order of their paths, to another one; gives (from, to) of each."""
    moved = []
    for path in sorted(each for each in images.rglob("*") if each.is_file())[keep]:
        moved.append((path, place / path.relative_to(images)))
        moved[-1][1].parent.mkdir(parents=True, exist_ok=True)
        path.rename(moved[-1][1])
    return moved


def compare(first: dict[str, float], again: dict[str, float], largest: float) -> dict[str, Any]:
    """Say what share of the first time the second one took, by task and in all, and whether it is within the bound."""
    both = {name: (first[name], again[name]) for name in first} | {"all": (sum(first.values()), sum(again.values()))}
    print_table(
        ["seconds", "at first", "with 5 % more", "share"], [[name, a, b, b / a] for name, (a, b) in both.items()]
    )
    shares = {name: round(b / a, 4) for name, (a, b) in both.items()}
    return {"shares": shares, "largest_share": largest, "passed": shares["all"] <= largest}


def main(
    data: Annotated[Path | None, typer.Option(help="A folder of images, as for thaw run.", exists=True)] = None,
    weights: Annotated[Path | None, typer.Option(help="Backbone weights, as for thaw run.", exists=True)] = None,
    recipe: Annotated[str, typer.Option(help="Whose features are computed.")] = "cats_dogs",
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As for thaw run.")] = None,
    generated: Annotated[int, typer.Option(min=100, help="Images in all, without --data.")] = 42_000,
    check: Annotated[bool, typer.Option("--check", help="Fail if the new images cost more than their bound.")] = False,
) -> None:
    """Measure what 5 % more images cost."""
    overrides = (*(() if data else _FOR_GENERATED), *(set_ or ()))
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        images, home = place / "images", place / "home"
        given = data or write_generated(place / "generated", generated // 2, (_SIDE, _SIDE))
        write_three_splits(load_recipe(recipe, overrides, data=given, weights=weights), place / "splits", images)
        loaded = load_recipe(recipe, overrides, data=images, weights=weights)
        count = sum(each.is_file() for each in images.rglob("*"))
        with sharing_children():
            few = hold_back(images, place / "few", slice(0, None, max(count // _FOR_WARMING, 1)))
            prepare(load_recipe(recipe, overrides, data=place / "few", weights=weights), place / "home-of-few")
            for before, now in few:
                now.rename(before)
            new = hold_back(images, place / "new", slice(0, None, _ONE_IN))
            CONSOLE.print(f"{count - len(new)} images, then {len(new)} more")
            first = prepare(loaded, home)
            if len(first) < len(_TASKS):
                raise SystemExit("The recipe keeps no features of stage one. Set stage_one.feature_views.")
            for before, now in new:
                now.rename(before)
            again = prepare(loaded, home)
    report = compare(first, again, LARGEST_SHARE if data else LARGEST_SHARE_OF_GENERATED)
    finish(
        {"benchmark": "growth", **report, "images": [count - len(new), len(new)], "seconds": [first, again]},
        check=check,
    )


if __name__ == "__main__":
    start(main)
