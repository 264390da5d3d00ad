"""Whole runs that start from the champion, one after the other. Without Prefect, in this process."""

import time
from pathlib import Path

import pytest
from PIL import Image

from tests.support import WalkHere, small_recipe, write_pictures
from thaw.flows.graph import GRAPH, with_all_after
from thaw.flows.plan import plan
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.cleanup.collect import collect_garbage
from thaw.tasks.cleanup.kept import Limits
from thaw.tasks.home import Home
from thaw.tasks.publishing.publish import publish
from thaw.tasks.releases.release import Release, read_in_place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

HEAD = {"resolution": 16, "train": "head", "epochs": 1, "batch_size": 8, "feature_views": 1}
LAST_BLOCK = HEAD | {"train": {"last_blocks": 1}}
OPTIMIZER = {"optimizer": {"name": "adam", "learning_rate": 0.01}}


def run(recipe: Recipe, home: Path, refresh: frozenset[str] = frozenset()) -> tuple[list[str], Release]:
    """Run a recipe; gives the names of the tasks that had something to do, and the release."""
    walk = WalkHere(recipe, home, refresh)
    walk.go(GRAPH)
    release = publish(walk.home, walk.made["publish"])
    assert release.is_champion
    return walk.ran, read_in_place(release.path)


def test_runs_start_from_the_champion_and_a_run_that_is_repeated_is_up_to_date(tmp_path: Path) -> None:
    data, home = write_pictures(tmp_path / "data", each=20), tmp_path / "home"
    recipe = small_recipe(
        data,
        model={"backbone": "SmallCNN", "weights": {"champion": {"shrink": 0.4, "perturb": 0.1}}},
        stage_one=HEAD | OPTIMIZER,
        stage_two=LAST_BLOCK | OPTIMIZER,
        publish={"min_examples": 1, "require": "always", "formats": ["keras"]},
    )
    ran, first = run(recipe, home)
    assert "stage_one" in ran
    assert first.started_from is None
    assert run(recipe, home) == ([], first)

    Image.new("RGB", (24, 24), (40, 60, 201)).save(data / "blue" / "new.png")
    ran, second = run(recipe, home)
    assert {"features_one", "stage_one", "stage_two"} <= set(ran)
    assert second.started_from == first.id
    assert second.made_from["champion"] == first.made_from["stage_two"]
    folder = home / "releases" / second.id
    for name in ("recipe.yaml", "README.md"):
        assert first.id in (folder / name).read_text(encoding="utf-8"), name
    assert run(recipe, home) == ([], second)
    assert plan(recipe, Home.open(home)).up_to_date

    # What the champion started from stays, so that all can be made again; and the same is made.
    collect_garbage(Home.open(home), Limits(0, young_after=time.time() + 60), dry_run=False)
    ran, again = run(recipe, home, with_all_after(["stage_one"]))
    assert {"stage_one", "stage_two"} <= set(ran)
    assert again == second
