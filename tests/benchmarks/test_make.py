"""`make bench` runs every benchmark, with the images that it is given."""

import os
import shutil
import subprocess

import pytest

from tests.benchmarks.made import ROOT

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def commands(*settings: str) -> dict[str, str]:
    """What `make bench` would run, by the benchmark's name."""
    words = ["make", "--dry-run", "bench", "UV=", *settings]
    # `make test ARGS=-v` hands its variables on to whatever make runs below it.
    around = {name: value for name, value in os.environ.items() if name not in ("ARGS", "MAKEFLAGS", "MFLAGS")}
    lines = subprocess.run(words, cwd=ROOT, env=around, capture_output=True, text=True, check=True).stdout.splitlines()
    found = [line.partition(" -m benchmarks.")[2].split() for line in lines if " -m benchmarks." in line]
    return {name: " ".join(options) for name, *options in found}


@needs_make
def test_every_benchmark_is_run() -> None:
    start = "    start(main)"
    benchmarks = {path.stem for path in (ROOT / "benchmarks").glob("*.py") if start in path.read_text().splitlines()}
    assert set(commands("BENCH_DATA=photos")) == benchmarks
    assert set(commands()) == benchmarks - {"whole_job"}


@needs_make
def test_images_and_weights_are_passed_to_those_that_take_them() -> None:
    found = commands("BENCH_DATA=photos", "BENCH_WEIGHTS=file.h5")
    assert found["whole_job"] == '--check --data "photos" --weights "file.h5"'
    assert found["input_pipeline"] == '--check --data "photos"'
    assert found["cached_rerun"] == "--check"


@needs_make
def test_the_bound_on_orchestration_holds_for_given_images_alone() -> None:
    assert "--check" not in commands()["orchestration"]
    assert "--check" in commands("BENCH_DATA=photos")["orchestration"]


@needs_make
def test_one_benchmark_alone_takes_options_of_its_own() -> None:
    assert commands("BENCH=scale", "ARGS=--times 1,2") == {"scale": "--check --times 1,2"}
