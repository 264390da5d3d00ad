"""A loss that is not finite: an error, the last finite checkpoint is kept, and nothing is published."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.prefect_server import Thaw
from tests.support import small_recipe, write_pictures
from thaw.pipeline_config.yaml_dialect import write_yaml
from thaw.tasks.home import Home


@pytest.mark.slow
def test_a_loss_that_is_not_finite_publishes_nothing(thaw: Thaw, tmp_path: Path) -> None:
    write_pictures(tmp_path / "data", each=20)
    recipe = tmp_path / "small.yaml"
    recipe.write_text(write_yaml(small_recipe(tmp_path / "data").model_dump(mode="json", by_alias=True)))
    settings = [
        "stage_two.optimizer={name: adamw, learning_rate: 1e6, weight_decay: 1e6}",
        "execution.checkpoint_every=1",
        "execution.retries=3",
    ]
    options = [part for setting in settings for part in ("--set", setting)]
    home = tmp_path / "home"
    done = thaw("run", recipe, *options, "--home", home)
    assert done.returncode == 1
    assert re.search(r"is not finite in epoch 1|the loss is (nan|inf) at epoch 1", done.stderr.splitlines()[-1])
    assert done.stderr.count("stage_two, before the first step") == 1, "it was tried again, which cannot help"
    kept = list((home / "checkpoints").glob("*/*.npz"))
    for path in kept:
        with np.load(path) as arrays:
            assert all(np.isfinite(arrays[name]).all() for name in arrays.files)
    assert kept
    assert list((home / "building").iterdir()) == []
    assert Home.open(home).registry.list() == []
    assert Home.open(home).registry.champion("small") is None
