"""What one image costs when there are 1, 2, 4 and 8 times as many: seconds, bytes, and the memory of every process.

The images are made of given ones (or of generated ones, without --data) by cropping, mirroring and changing colours.
Each number of them goes through `thaw run` in a new home, against a server that runs; the tasks are those that the run
reports. --at-most and --epochs make it shorter; whether a stage caches what its frozen layers give may depend on them.
Prints one JSON line to stdout and tables to stderr.

Of memory, what is judged is the peak of each task's process, which it reads from the kernel when it is done, and that
of the command. The memory of every process is sampled besides: all of it, and its own, without the pages of files that
it reads through a map. A sample misses the peak of a process that lives for a second, so it is shown and not judged.
Only Linux tells a process its peak: elsewhere the command's alone is judged.

    python -m benchmarks.scale --data DIR --weights FILE --check

With --tiny, ingest alone is measured, of so many images of 8 pixels, and the rescan: a plan when nothing changed.

    python -m benchmarks.scale --tiny 100000,400000 --check
"""

import json
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image

from benchmarks.measuring import (
    CONSOLE,
    MEGABYTE,
    THAW,
    clean_environment,
    finish,
    print_table,
    run_measured,
    running_server,
    start,
)
from benchmarks.pictures import multiply, write_generated, write_three_splits
from benchmarks.steps_in_a_row import StepsInARow
from thaw.flows.graph import PREPARATION
from thaw.pipeline_config.loading import load_recipe
from thaw.tasks.home import Home

LARGEST_COST = 1.1  # of an image, in seconds and in bytes, to its cost with the fewest images
LARGEST_MEMORY = 1.2  # of a process, to its memory with the fewest images
LARGEST_MEMORY_OF_TINY = 1.1  # of ingest, the same
LARGEST_RESCAN = 15e-6  # CPU seconds of a plan for each image
_FOLDERS = 200  # of tiny images, each one a class
_TINY = 8  # pixels

Figures = dict[str, Any]


def run_once(request: list[str], home: Path, environment: dict[str, str], images: int) -> Figures:
    """Run thaw in a new home.

    Returns:
        Seconds and bytes of an image, by task, and the peak of memory of each kind of process and of each task.
    """
    measured = run_measured([*THAW, "run", *request, "--home", str(home), "--json"], environment)
    tasks = json.loads(measured.output)["tasks"]
    folders = {task["name"]: next(home.glob(f"artifacts/*/{task['digest']}")) for task in tasks}
    peaks = peaks_of_artifacts(home)
    return {
        "images": images,
        "seconds": {task["name"]: task["seconds"] / images for task in tasks},
        "bytes": {name: size_of(folder) / images for name, folder in folders.items()},
        "own_memory": {role: memory.own for role, memory in measured.roles.items()},
        "resident_memory": {role: memory.resident for role, memory in measured.roles.items()}
        | {task["name"]: peaks[task["digest"]] for task in tasks if task["digest"] in peaks},
    }


def peaks_of_artifacts(home: Path) -> dict[str, int]:
    """Read, for each artifact's digest, the most memory that the process held that made it, where that is known."""
    records = [json.loads(path.read_bytes()) for path in home.glob("keys/*.json")]
    peaks = {record["ref"]["digest"]: record["cost"]["peak_memory_bytes"] for record in records}
    return {digest: peak for digest, peak in peaks.items() if peak is not None}


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def growth(figures: Sequence[Figures], name: str) -> dict[str, float]:
    """Compare the most images with the fewest.

    Args:
        figures: For each number of images, the fewest first.
        name: What is compared.

    Returns:
        For each task or process, its figure with the most images to that with the fewest; without those that are 0.
    """
    first, last = figures[0][name], figures[-1][name]
    return {part: round(last[part] / first[part], 3) for part in first if first[part] and part in last}


def judge(figures: Sequence[Figures]) -> dict[str, Any]:
    """Compare with the bounds.

    Args:
        figures: For each number of images, the fewest first.

    Returns:
        The ratios, and whether all are within their bounds.
    """
    ratios = {name: growth(figures, name) for name in ("seconds", "bytes", "own_memory", "resident_memory")}
    costs = [*ratios["seconds"].values(), *ratios["bytes"].values()]
    judged = {"command", *ratios["seconds"]}
    peaks = [ratio for part, ratio in ratios["resident_memory"].items() if part in judged]
    passed = max(costs) <= LARGEST_COST and max(peaks) <= LARGEST_MEMORY
    return {"ratios": ratios, "largest_cost": LARGEST_COST, "largest_memory": LARGEST_MEMORY, "passed": passed}


def print_figures(figures: Sequence[Figures], ratios: dict[str, dict[str, float]]) -> None:
    columns = [f"{of_number['images']} images" for of_number in figures]
    for name, title, unit in (
        ("seconds", "milliseconds an image", 1e-3),
        ("bytes", "bytes an image", 1),
        ("own_memory", "peak of own memory, MB", MEGABYTE),
        ("resident_memory", "peak of resident memory, MB", MEGABYTE),
    ):
        if name not in ratios:
            continue
        print_table(
            [title, *columns, "ratio"],
            [
                [part, *(of_number[name].get(part, 0) / unit for of_number in figures), ratio]
                for part, ratio in ratios[name].items()
            ],
        )


def measure_all(
    request: list[str], splits: Path, times: Sequence[int], at_most: int | None, place: Path
) -> dict[str, Any]:
    figures = []
    with running_server(clean_environment(place / "prefect")) as environment:
        for number in times:
            images = multiply(splits, number, place / f"images-{number}", at_most=at_most)
            CONSOLE.print(f"{number} times the images: {images}")
            here = [*request, "--data", str(place / f"images-{number}")]
            figures.append(run_once(here, place / f"home-{number}", environment, images))
    report = judge(figures)
    print_figures(figures, report["ratios"])
    return {"benchmark": "scale", **report, "times": list(times), "figures": figures}


def write_tiny(folder: Path, numbers: range) -> None:
    """Write images of a few pixels, each one different, into the folders of many classes."""
    for number in numbers:
        place = folder / f"{number % _FOLDERS:03}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (_TINY, _TINY), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{number:07}.png")


def ingest_tiny(folder: Path, home: Path, environment: dict[str, str], images: int) -> Figures:
    """Ingest a folder in a new home, and plan again. What does not depend on the number of images is in all figures."""
    steps = StepsInARow(load_recipe("digits", data=folder), Home.open(home))
    steps.go(PREPARATION[:1])
    plan = [*THAW, "plan", "digits", "--data", str(folder), "--home", str(home), "--json"]
    run_measured(plan, environment)  # files that are seconds old are not remembered at first
    rescan = run_measured(plan, environment)
    return {
        "images": images,
        "seconds": {"ingest": steps.seconds["ingest"] / images, "rescan": rescan.cpu_seconds / images},
        "resident_memory": {"ingest": max(peaks_of_artifacts(home).values()), "rescan": rescan.largest.resident},
    }


def measure_tiny(numbers: Sequence[int], place: Path) -> dict[str, Any]:
    figures: list[Figures] = []
    for before, number in pairwise([0, *numbers]):
        write_tiny(place / "images", range(before, number))
        environment = clean_environment(place / "prefect")
        figures.append(ingest_tiny(place / "images", place / f"home-{number}", environment, number))
    ratios = {name: growth(figures, name) for name in ("seconds", "resident_memory")}
    print_figures(figures, ratios)
    rescans = [of_number["seconds"]["rescan"] for of_number in figures]
    passed = ratios["resident_memory"]["ingest"] <= LARGEST_MEMORY_OF_TINY and max(rescans) <= LARGEST_RESCAN
    bounds = {"largest_memory": LARGEST_MEMORY_OF_TINY, "largest_rescan": LARGEST_RESCAN, "passed": passed}
    return {"benchmark": "scale", "ratios": ratios, **bounds, "figures": figures}


def main(
    data: Annotated[Path | None, typer.Option(help="A folder of images, as for thaw run.", exists=True)] = None,
    weights: Annotated[Path | None, typer.Option(help="Backbone weights, as for thaw run.", exists=True)] = None,
    recipe: Annotated[str | None, typer.Option(help="[default: cats_dogs with --data, else digits]")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As for thaw run.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of both stages.  [default: the recipe's]")] = None,
    times: Annotated[str, typer.Option(help="How many times the images, separated by commas.")] = "1,2,4,8",
    at_most: Annotated[int | None, typer.Option(min=1, help="Images of a class and split, to be quicker.")] = None,
    generated: Annotated[int, typer.Option(min=10, help="Images of each class, without --data.")] = 400,
    tiny: Annotated[str | None, typer.Option(help="Ingest alone, of so many images: 100000,400000.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Fail if an image costs more where there are more.")] = False,
) -> None:
    """Measure what one image costs as there are more of them."""
    recipe = recipe or ("digits" if data is None else "cats_dogs")
    overrides = [*(set_ or ())]
    if epochs is not None:
        overrides += [f"{stage}.epochs={epochs}" for stage in ("stage_one", "stage_two")]
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        if tiny is not None:
            finish(measure_tiny([int(number) for number in tiny.split(",")], place), check=check)
            return
        data = data or write_generated(place / "generated", generated)
        loaded = load_recipe(recipe, tuple(overrides), data=data, weights=weights)
        write_three_splits(loaded, place / "home-of-splits", place / "images")
        request = [recipe, *(word for override in overrides for word in ("--set", override))]
        request += [] if weights is None else ["--weights", str(weights.absolute())]
        report = measure_all(request, place / "images", [int(number) for number in times.split(",")], at_most, place)
    finish(report, check=check)


if __name__ == "__main__":
    start(main)
