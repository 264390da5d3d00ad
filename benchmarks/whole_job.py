"""The tutorial "Transfer learning and fine-tuning" as a plain Keras script, beside `thaw run` in a new home.

Both are fresh processes on the same folder, whose three splits thaw's own ingest has made before, so that no test image
is among those that either trains or validates on. They run in turn, once for each seed. thaw's time is all of it: its
start, Prefect's temporary server, every task, the report and the release. After each pair benchmarks/limit.py measures
the least time that the recipe's arithmetic takes. Prints one JSON line to stdout and tables to stderr. The bounds are
for cats and dogs with the recipe as it ships, on a machine that does nothing else.

    python -m benchmarks.whole_job --data DIR --weights FILE --seeds 0,1,2 --check --plot docs/images/whole-job.png
"""

import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import matplotlib
import typer
from matplotlib import pyplot

from benchmarks.measuring import (
    CONSOLE,
    MEGABYTE,
    THAW,
    Measured,
    clean_environment,
    finish,
    in_turn,
    print_table,
    run_measured,
    start,
)
from benchmarks.pictures import write_three_splits
from thaw.pipeline_config.loading import load_recipe
from thaw.pipeline_config.schema import Recipe

LARGEST_RATIO = 0.36  # thaw's wall time to the tutorial's, both summed over the seeds
LARGEST_LOSS = 0.005  # of mean test accuracy
TUTORIAL = "tutorial"
BOTH = ("thaw", TUTORIAL)


@dataclass
class Runs:
    """The runs of one of the two, one for each seed.

    Attributes:
        measured: What each took.
        accuracies: Test accuracy of each.
        parts: Seconds of each part of each run.
    """

    measured: list[Measured] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    parts: list[dict[str, float]] = field(default_factory=list)

    def add(self, measured: Measured, accuracy: float, parts: dict[str, float]) -> None:
        self.measured.append(measured)
        self.accuracies.append(accuracy)
        self.parts.append(parts)

    def document(self) -> dict[str, Any]:
        means = {
            name: statistics.mean(measured.document()[name] for measured in self.measured)
            for name in Measured().document()
        }
        return means | {
            "accuracy": statistics.mean(self.accuracies),
            "accuracies": self.accuracies,
            "all_seconds": [round(measured.seconds, 3) for measured in self.measured],
            "parts": mean_parts(self.parts),
        }


def mean_parts(parts: Sequence[dict[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for of_run in parts for name in of_run)
    return {name: round(statistics.mean(of_run.get(name, 0.0) for of_run in parts), 3) for name in names}


def thaw_parts(document: dict[str, Any], seconds: float) -> dict[str, float]:
    """Tell where a run's seconds went: to each task, and to what is around them.

    Args:
        document: What `thaw run --json` printed.
        seconds: Wall time of the process.

    Returns:
        Seconds by name; their sum is `seconds`.
    """
    tasks = {task["name"]: float(task["seconds"]) for task in document["tasks"]}
    flow = float(document["seconds"])
    return {"start and end": seconds - flow} | tasks | {"between tasks": flow - sum(tasks.values())}


def run_thaw(request: list[str], home: Path, seed: int, environment: dict[str, str]) -> tuple[Measured, dict[str, Any]]:
    words = ["--home", str(home), "--set", f"seed={seed}", "--json"]
    measured = run_measured([*THAW, "run", *request, *words], environment)
    document: dict[str, Any] = json.loads(measured.output)
    cached = [task["name"] for task in document["tasks"] if task["cached"]]
    if cached:
        raise SystemExit(f"In a new home {cached[0]} was cached: there is nothing to compare.")
    return measured, document


def tutorial_command(recipe: Recipe, data: Path, seed: int) -> list[str]:
    """The tutorial with the recipe's resolution, batch size and epochs, which are the tutorial's own as it ships."""
    one, two = recipe.resolved.stage_one, recipe.resolved.stage_two
    options: dict[str, object] = {
        "--data": data,
        "--seed": seed,
        "--resolution": one.resolution,
        "--batch-size": one.batch_size,
        "--epochs-one": one.epochs,
        "--epochs-two": two.epochs,
    }
    if recipe.model.weights is not None:
        options["--weights"] = recipe.model.weights
    words = [str(word) for option in options.items() for word in option]
    return [sys.executable, "-m", "benchmarks.tutorial", *words]


def measure_all(
    recipe_name: str, overrides: list[str], data: Path, weights: Path | None, seeds: list[int], place: Path
) -> dict[str, Any]:
    recipe = load_recipe(recipe_name, tuple(overrides), data=data, weights=weights)
    if recipe.model.backbone != "MobileNetV2":
        raise SystemExit(f"The tutorial has MobileNetV2; {recipe_name} has {recipe.model.backbone}.")
    images = write_three_splits(recipe, place / "home-of-splits", place / "images")
    CONSOLE.print(f"images: {images}")
    request = [recipe_name, "--data", str(place / "images")]
    request += [word for override in overrides for word in ("--set", override)]
    request += [] if weights is None else ["--weights", str(weights.absolute())]
    environment = clean_environment(place / "prefect")
    runs, limits = {name: Runs() for name in BOTH}, list[dict[str, Any]]()
    for number, seed in enumerate(seeds):
        for name in in_turn(BOTH, number):
            if name == TUTORIAL:
                measured = run_measured(tutorial_command(recipe, place / "images", seed), environment)
                answer = json.loads(measured.output.splitlines()[-1])
                parts = {"start and end": measured.seconds - sum(answer["seconds"].values())} | answer["seconds"]
                runs[name].add(measured, answer["accuracy"], parts)
            else:
                measured, document = run_thaw(request, place / f"home-{seed}", seed, environment)
                accuracy = document["metrics"]["test"]["accuracy"]
                runs[name].add(measured, accuracy, thaw_parts(document, measured.seconds))
            CONSOLE.print(f"{name}, seed {seed}: {measured.seconds:.1f} s, accuracy {runs[name].accuracies[-1]:.4f}")
        limits.append(json.loads(run_measured(limit_command(request, images), environment).output.splitlines()[-1]))
        CONSOLE.print(f"limit: {limits[-1]['seconds']:.1f} s")
    return report_on(runs, limits, seeds, images)


def limit_command(request: list[str], images: dict[str, int]) -> list[str]:
    counts = ["--train", str(images["train"]), "--validation", str(images["validation"])]
    return [sys.executable, "-m", "benchmarks.limit", *request, *counts]


def report_on(
    runs: dict[str, Runs], limits: list[dict[str, Any]], seeds: list[int], images: dict[str, int]
) -> dict[str, Any]:
    """Compare the two.

    Args:
        runs: Of both, each with a run for each seed.
        limits: What limit.py printed after each seed.
        seeds: The seeds.
        images: The number of images of each split.

    Returns:
        The report; "passed" says whether thaw is fast enough and not less accurate.
    """
    documents = {name: of_name.document() for name, of_name in runs.items()}
    thaw, tutorial = (documents[name] for name in BOTH)
    ratios = {name: round(thaw[name] / tutorial[name], 3) for name in Measured().document()}
    lost = tutorial["accuracy"] - thaw["accuracy"]
    units = {name: MEGABYTE if name.endswith("bytes") else 1 for name in ratios}
    print_table(
        ["mean over the seeds; memory in MB", *BOTH, "ratio"],
        [[name, *(documents[of][name] / units[name] for of in BOTH), ratio] for name, ratio in ratios.items()]
        + [["accuracy", thaw["accuracy"], tutorial["accuracy"], f"{-lost:+.4f}"]],
    )
    for name in BOTH:
        whole = documents[name]["seconds"]
        print_table(
            [f"where {name}'s time goes", "seconds", "share"],
            [[part, seconds, seconds / whole] for part, seconds in documents[name]["parts"].items()],
        )
    limit = {"seconds": statistics.mean(found["seconds"] for found in limits)}
    limit |= {name: mean_parts([found[name] for found in limits]) for name in ("parts", "images_per_second")}
    print_table(["the limit", "seconds"], [*limit["parts"].items(), ["all", limit["seconds"]]])
    print_table(["images a second of the bare layers", ""], list(limit["images_per_second"].items()))
    return {
        "benchmark": "whole_job",
        "ratio": ratios["seconds"],
        "largest_ratio": LARGEST_RATIO,
        "times_the_limit": round(thaw["seconds"] / limit["seconds"], 3),
        "limit_to_tutorial": round(limit["seconds"] / tutorial["seconds"], 3),
        "accuracy_lost": round(lost, 5),
        "largest_loss": LARGEST_LOSS,
        "passed": ratios["seconds"] <= LARGEST_RATIO and lost <= LARGEST_LOSS,
        "ratios": ratios,
        "seeds": seeds,
        "images": images,
        "figures": documents,
        "limit": limit,
    }


def draw(report: dict[str, Any], path: Path) -> None:
    """Draw a bar for each, with a piece for each of its parts.

    Args:
        report: Of `report_on`.
        path: The image to write.
    """
    matplotlib.use("Agg")
    bars = {name: report["figures"][name]["parts"] for name in reversed(BOTH)} | {"the limit": report["limit"]["parts"]}
    parts = list(dict.fromkeys(part for of_bar in bars.values() for part in of_bar))
    sequences = matplotlib.color_sequences
    colours = dict(zip(parts, [*sequences["tab20"], *sequences["tab20b"]], strict=False))
    figure, axes = pyplot.subplots(figsize=(9, 3.6), layout="constrained")
    for row, (name, of_bar) in enumerate(bars.items()):
        left = 0.0
        for part, seconds in of_bar.items():
            label = part if part not in axes.get_legend_handles_labels()[1] else None
            axes.barh(name, seconds, left=left, color=colours[part], label=label)
            left += seconds
        axes.text(left, row, f" {left:.0f} s", va="center")
    axes.invert_yaxis()
    axes.margins(x=0.08)
    axes.set_xlabel("seconds")
    figure.legend(loc="outside lower center", ncols=4, fontsize="small", frameon=False)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def main(
    data: Annotated[Path, typer.Option(help="A folder of images, as for thaw run.", exists=True, file_okay=False)],
    weights: Annotated[Path | None, typer.Option(help="Backbone weights, as for thaw run.", exists=True)] = None,
    recipe: Annotated[str, typer.Option(help="A recipe with MobileNetV2.")] = "cats_dogs",
    seeds: Annotated[str, typer.Option(help="Separated by commas; a run of both for each.")] = "0,1,2",
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As for thaw run.")] = None,
    plot: Annotated[Path | None, typer.Option(help="An image to draw: where the time goes.")] = None,
    check: Annotated[bool, typer.Option("--check", help=f"Fail if thaw takes more than {LARGEST_RATIO}.")] = False,
) -> None:
    """Measure the tutorial and thaw on the same images."""
    numbers = [int(seed) for seed in seeds.split(",")]
    with tempfile.TemporaryDirectory() as temporary:
        report = measure_all(recipe, list(set_ or ()), data, weights, numbers, Path(temporary))
    if plot is not None:
        draw(report, plot)
    finish(report, check=check)


if __name__ == "__main__":
    start(main)
