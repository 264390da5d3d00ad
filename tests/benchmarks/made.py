"""Small folders of images for the benchmarks, and a way to call a benchmark as `make bench` does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.pictures import write_generated
from tests.support import small_recipe
from thaw.pipeline_config.yaml_dialect import write_yaml

ROOT = Path(__file__).parents[2]


def write_splits(folder: Path, each: int = 8) -> Path:
    """Train, validation and test folders; pictures of different sizes, so that no two splits have the same one."""
    for split in ("train", "validation", "test"):
        write_generated(folder / split, each, (8 * len(split), 24))
    return folder


def write_small_recipe(folder: Path, data: Path, **changes: Any) -> Path:
    recipe = small_recipe(data, **changes).model_dump(mode="json", by_alias=True)
    path = folder / "small.yaml"
    path.write_text(write_yaml(recipe))
    return path


def benchmark(name: str, *words: str | Path) -> dict[str, Any]:
    """Run a benchmark in a process of its own; its report must be the one line of its standard output."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *map(str, words)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    report: dict[str, Any] = json.loads(line)
    assert report["benchmark"] == name
    return report
