"""How fast training images are read: thaw's records, beside Keras's reading of folders and tensorflow-datasets.

All give the same images at the same size with the same augmentations, in batches, in processes of their own, in turn.
thaw's are read by the function that training uses; the other two as their documentation has it. Then, for each stage,
what a training step waits for its batch, and for the frozen layers alone, which is where images are used up fastest.
Without --data the images are generated ones. Prints one JSON line to stdout and tables to stderr.

    python -m benchmarks.input_pipeline --data DIR --check
"""

import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.measuring import CONSOLE, clean_environment, finish, in_turn, print_table, run_measured, start
from benchmarks.pictures import write_generated

LARGEST_SHARE = 0.1  # of a step, spent in waiting for images
READERS = ("records", "directory", "tfds")
_MODULE = "benchmarks.input_readers"


def ask(kind: str, request: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """Run one of the processes, and read what it prints."""
    measured = run_measured([sys.executable, "-m", _MODULE, kind, *request], environment)
    answer: dict[str, Any] = json.loads(measured.output.splitlines()[-1])
    return answer


def measure_all(request: list[str], place: Path, repetitions: int) -> dict[str, Any]:
    environment = clean_environment(place / "prefect")
    images = ask("prepare", request, environment)["images"]
    CONSOLE.print(f"images: {images}")
    seconds: dict[str, list[list[float]]] = {name: [] for name in READERS}
    for number in range(repetitions):
        for name in in_turn(READERS, number):
            seconds[name].append(ask(name, request, environment)["seconds"])
            CONSOLE.print(f"{name}: {', '.join(f'{end:.2f}' for end in seconds[name][-1])} s")
    figures = {name: speeds(of_reader, images) for name, of_reader in seconds.items()}
    ratios = {name: round(figures["records"]["two epochs"] / figures[name]["two epochs"], 3) for name in READERS[1:]}
    print_table(["images a second", "one epoch", "two epochs"], [[name, *figures[name].values()] for name in READERS])
    waiting = ask("training", request, environment)
    print_table(
        ["seconds of a step", "alone", "with reading", "share of waiting"],
        [[name, *of_step.values()] for name, of_step in waiting.items()],
    )
    share = max(waiting[name]["share_waiting"] for name in ("stage_one", "stage_two"))
    return {
        "benchmark": "input_pipeline",
        "ratios": ratios,
        "share_waiting": round(share, 4),
        "largest_share": LARGEST_SHARE,
        "passed": share <= LARGEST_SHARE,
        "images": images,
        "repetitions": repetitions,
        "images_per_second": figures,
        "steps": waiting,
    }


def speeds(seconds: list[list[float]], images: int) -> dict[str, float]:
    """From the ends of the first and the second epoch, in seconds, to images a second; the median of repetitions."""
    ends = [statistics.median(of_epoch) for of_epoch in zip(*seconds, strict=True)]
    names = ("one epoch", "two epochs")
    return {name: round((number + 1) * images / ends[number], 1) for number, name in enumerate(names)}


def main(
    data: Annotated[Path | None, typer.Option(help="A folder of images, as for thaw run.", exists=True)] = None,
    recipe: Annotated[str, typer.Option(help="Says the size, the augmentations and the model.")] = "cats_dogs",
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As for thaw run.")] = None,
    generated: Annotated[int, typer.Option(min=10, help="Images of each class, without --data.")] = 400,
    steps: Annotated[int, typer.Option(min=1, help="Training steps to time.")] = 20,
    repetitions: Annotated[int, typer.Option(min=1, help="How often each reads.")] = 3,
    check: Annotated[bool, typer.Option("--check", help=f"Fail if a step waits more than {LARGEST_SHARE}.")] = False,
) -> None:
    """Measure how fast training images are read, and whether training waits for them."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        data = data or write_generated(place / "generated", generated)
        request = ["--place", str(place), "--recipe", recipe, "--data", str(data.absolute())]
        request += ["--steps-to-time", str(steps)]
        request += [word for pair in set_ or () for word in ("--set", pair)]
        report = measure_all(request, place, repetitions)
    finish(report, check=check)


if __name__ == "__main__":
    start(main)
