"""Whole runs of a recipe that retrains where features drift: more of the same, and another colour cast."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.prefect_server import Thaw
from tests.support import COLOURS, small_recipe
from thaw.pipeline_config.yaml_dialect import write_yaml

STAGE = {
    "resolution": 16,
    "train": "head",
    "epochs": 2,
    "batch_size": 8,
    "feature_views": 1,
    "optimizer": {"name": "adam", "learning_rate": 0.01},
}
COMPARED = ["ingest", "preflight", "records", "features_one", "feature_drift"]


def add_photos(folder: Path, first: int, *, each: int, turned: int = 0) -> None:
    """Add noisy pictures of plain colours, whose channels are turned by so many places: as bright, but another cast."""
    for name in ("blue", "red"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + each):
            noise = np.random.default_rng([number, len(name)]).normal(0, 40, (24, 24, 3))
            pixels = np.clip(np.roll(COLOURS[name], turned) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number:03}.png")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_more_of_the_same_is_nothing_new_and_another_colour_cast_is_a_need(thaw: Thaw, tmp_path: Path) -> None:
    data, path = tmp_path / "data", tmp_path / "small.yaml"
    retrain = {"when": "drifted", "features": True}
    recipe = small_recipe(
        data, stage_one=STAGE, stage_two=STAGE, retrain=retrain, publish={"require": "always", "min_examples": 1}
    )
    path.write_text(write_yaml(recipe.model_dump(mode="json", by_alias=True)))

    def command(name: str) -> Any:
        done = thaw(name, path, "--home", tmp_path / "home", "--json", timeout=900)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def tasks(result: dict[str, Any]) -> list[str]:
        return [task["name"] for task in result["tasks"] if not task["cached"]]

    add_photos(data, 0, each=60)
    first = command("run")
    assert first["release"]["champion"]
    assert "feature_drift" not in tasks(first)

    add_photos(data, 60, each=30)
    alike = command("run")
    assert (alike["verdict"], tasks(alike)) == ("nothing new", COMPARED)
    assert alike["release"]["id"] == first["release"]["id"]
    assert [each["of"] for each in alike["preflight"]["drift"]] == ["class mix", "size", "brightness", "features"]
    assert [task["name"] for task in command("plan") if task["needed"] and not task["cached"]] == []

    add_photos(data, 90, each=30, turned=1)
    cast = command("run")
    shown = [each["of"] for each in cast["preflight"]["drift"] if each["p_value"] <= each["level"]]
    assert shown == ["features"]
    assert tasks(cast)[:6] == [*COMPARED, "stage_one"]
    assert cast["release"]["id"] != first["release"]["id"]
    assert command("run")["reason"] == f"{cast['release']['id']} has learned from these very images."
