"""What tests of several packages share: small pictures, and steps that run in this process instead of a child."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from thaw.flows import steps
from thaw.pipeline_config.loading import parse_recipe
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Step
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.process import Reporter, Work

COLOURS = {"blue": (40, 60, 200), "green": (50, 190, 60), "red": (200, 50, 40)}


def write_pictures(folder: Path, *, classes: tuple[str, ...] = ("blue", "red"), each: int = 12, size: int = 24) -> Path:
    """Write noisy pictures of plain colours, one folder per class: easy to learn, and no two alike."""
    random = np.random.default_rng(7)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(each):
            noise = random.normal(0, 40, (size, size + number % 5, 3))
            pixels = np.clip(np.asarray(COLOURS[name]) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number:03}.png")
    return folder


def small_recipe(data: Path, **changes: Any) -> Recipe:
    """A recipe that trains a small network for moments; `changes` replace its keys."""
    optimizer = {"name": "adam", "learning_rate": 0.01}
    document: dict[str, Any] = {
        "name": "small",
        "seed": 3,
        "dataset": {"source": {"kind": "directory", "path": str(data)}},
        "model": {"backbone": "SmallCNN", "dropout": 0.1},
        "augment": [{"name": "random_flip"}, {"name": "random_translation", "height": 0.1, "width": 0.1}],
        "stage_one": {"resolution": 16, "train": "all", "epochs": 2, "batch_size": 8, "optimizer": optimizer},
        "stage_two": {
            "resolution": 24,
            "train": {"last_blocks": 1},
            "epochs": 2,
            "batch_size": 8,
            "optimizer": optimizer,
        },
        "execution": {"retries": 0},
    }
    return parse_recipe(document | changes)


def silent_reporter() -> Reporter:
    return Reporter(io.StringIO())


def build_here(
    home: Path, step: Step, work_class: type[Work], function: Callable[[Any, Reporter], dict[str, Any]]
) -> ArtifactRef:
    """Build a step's artifact without a child process."""

    def work(folder: Path) -> dict[str, Any]:
        request: dict[str, Any] = {"home": home, "folder": folder, "step": step}
        if "checkpoints" in work_class.model_fields:
            request["checkpoints"] = ArtifactStore(home).checkpoints(step.key)
        return function(work_class.model_validate(request), silent_reporter())

    return ArtifactStore(home).build(step, work)


def build_records(home: Path, recipe: Recipe) -> ArtifactRef:
    """Ingest a recipe's source and write its records."""
    from thaw.tasks.ingest.step import IngestWork
    from thaw.tasks.ingest.work import ingest
    from thaw.tasks.records.step import RecordsWork
    from thaw.tasks.records.work import write_records

    dataset = build_here(home, steps.ingest_step(recipe, home), IngestWork, ingest)
    return build_here(home, steps.records_step(recipe, dataset), RecordsWork, write_records)
