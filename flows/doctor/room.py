"""Free disk, against what a run of the recipe takes at the most."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from thaw.flows.doctor.base import Check, Finding, Here, nearest_folder
from thaw.flows.places import places_of_images
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.training.features.choice import possible_views

_LEAST = 20_000_000  # bytes: below it not even the digits fit
_BYTES_OF_A_VIEW = 50_000  # of one image, at the most (docs/operations.md)
# In float32 weights: two stages, the states of their optimizers with a copy, and a release of three formats, twice.
_COPIES = 2 + 2 * 4 + 2 * 3
_BYTES_OF_A_WEIGHT = 4
# Millions, without a classifier. In the catalogue of backbones they would be a part of every stage's key.
MILLIONS_OF_WEIGHTS = {
    "SmallCNN": 0.3,
    "MobileNetV2": 2.3,
    "ResNet50V2": 23.6,
    "EfficientNetB0": 4.1,
    "EfficientNetB1": 6.6,
    "EfficientNetB2": 7.8,
    "EfficientNetB3": 10.8,
    "EfficientNetB4": 17.7,
    "EfficientNetB5": 28.5,
    "EfficientNetB6": 41.0,
    "EfficientNetB7": 64.1,
}


class Images(NamedTuple):
    """The files that a source has on this machine."""

    files: int
    bytes: int


class Room(Check):
    """Compares."""

    name = "room"

    def examine(self, here: Here) -> Iterator[Finding]:
        """Look at the disk of the home folder, and at the files of the recipe's source."""
        free = shutil.disk_usage(nearest_folder(here.home)).free
        needed, unknown = _LEAST, ""
        if here.recipe is not None:
            images = images_here(here.recipe)
            needed += estimate(here.recipe, images)
            unknown = "" if images.files else ", besides images that are not here yet"
        text = f"{_gigabytes(free)} GB are free; a run takes {_gigabytes(needed)} GB at the most{unknown}"
        remedy = "Make room, for example with thaw gc, or choose another disk with --home."
        if free < _LEAST:
            yield Finding(level="error", text=f"{text}.", remedy=remedy)
        elif free < needed:  # it may take less, and much of it may be there already
            yield Finding(level="warning", text=f"{text}.", remedy=remedy)
        else:
            yield Finding(level="ok", text=text)


def images_here(recipe: Recipe) -> Images:
    """Count the files at the places of this machine that the source names, and their bytes; none of them is read.

    Of a table that names files, only the table counts.
    """
    sizes = [size for path in places_of_images(recipe) for size in _sizes(path)]
    return Images(len(sizes), sum(sizes))


def estimate(recipe: Recipe, images: Images) -> int:
    """Say how many bytes a first run of a recipe takes at the most, rather too many than too few."""
    from thaw.flows.requests import may_want_features_one, may_want_features_two  # which imports NumPy and SciPy

    stages = recipe.resolved
    views = possible_views(stages.stage_one) if may_want_features_one(recipe) else 0
    views += possible_views(stages.stage_two) if may_want_features_two(recipe) else 0
    weights = MILLIONS_OF_WEIGHTS[recipe.model.backbone] * 1e6 * _BYTES_OF_A_WEIGHT
    return round(images.bytes + images.files * views * _BYTES_OF_A_VIEW + _COPIES * weights)


def _sizes(path: Path) -> Iterator[int]:
    # Patterns of Parquet files are matched as the source matches them: in one folder.
    for place in [path] if path.exists() else path.parent.glob(path.name):
        for each in place.rglob("*") if place.is_dir() else [place]:
            if each.is_file():
                yield each.stat().st_size


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f}" if size < 1e10 else f"{size / 1e9:,.0f}"
