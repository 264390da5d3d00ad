"""The images that the benchmarks run on: given ones in three disjoint splits, more of the same, or generated ones."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from thaw.flows import requests
from thaw.pipeline_config.dataset_schema import SPLITS
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.step import Made
from thaw.tasks.children import run_in_child
from thaw.tasks.home import Home
from thaw.tasks.ingest.dataset import DatasetImage, read_dataset
from thaw.tasks.ingest.sources import open_source
from thaw.tasks.ingest.step import IngestWork

_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp", "GIF": ".gif"}  # what Keras takes for images
_QUALITY = 90
_SMALLEST_CROP = 0.85  # of each side
_JITTER = 0.15  # of brightness, colour and contrast
_CLASSES = ("blue", "red")
_COLOURS = {"blue": (70, 90, 170), "red": (170, 90, 70)}


def images_of(recipe: Recipe, home: Path) -> Iterator[tuple[DatasetImage, bytes]]:
    """Read a recipe's images as thaw's own ingest finds them: checked, each once, each in one split.

    Args:
        recipe: Says where they are and how they are split.
        home: A home folder for the dataset.

    Yields:
        Each image's row, with its encoded bytes.
    """
    opened = Home.open(home)
    step = requests.ingest(recipe, opened)

    def work(folder: Path) -> Made:  # in a child, because it needs TensorFlow
        request = IngestWork(home=opened, folder=folder, step=step)
        seconds = recipe.execution.deadline_minutes * 60
        return run_in_child(step.work, request, deadline_seconds=seconds, listener=lambda *_: None)

    dataset = read_dataset(opened.store.verified(opened.store.build(step, work)))
    source = open_source(recipe.dataset.source, opened)
    for image in dataset.images:
        yield image, source.read_again(image.origin)


def write_three_splits(recipe: Recipe, home: Path, folder: Path) -> dict[str, int]:
    """Write a recipe's images as train, validation and test folders of class folders; no image is in two of them.

    Args:
        recipe: Says where they are and how they are split.
        home: A home folder for the dataset.
        folder: The folder to make.

    Returns:
        The number of images of each split.
    """
    counts: dict[str, int] = dict.fromkeys(SPLITS, 0)
    for image, encoded in images_of(recipe, home):
        place = folder / image.split / image.class_name
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{image.id[:16]}{_SUFFIXES[image.format]}").write_bytes(encoded)
        counts[image.split] += 1
    return counts


def multiply(folder: Path, times: int, destination: Path, *, at_most: int | None = None) -> int:
    """Write several images for each one of a folder, each with a crop, a mirroring and colours of its own.

    Args:
        folder: Train, validation and test folders of class folders.
        times: Images for each one. With 1 they are changed as well, so that an image is as large with any number.
        destination: The folder to make, with the same folders in it.
        at_most: So many images of each class folder are taken; None for all.

    Returns:
        The number of images.
    """
    folders = sorted(place for place in folder.glob("*/*") if place.is_dir())
    paths = [path for place in folders for path in sorted(place.iterdir())[:at_most]]
    for number, path in enumerate(paths):
        place = destination / path.parent.relative_to(folder)
        place.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            original = image.convert("RGB")
        for variant in range(times):
            changed = _change(original, np.random.default_rng([number, variant]))
            changed.save(place / f"{number:05}-{variant:02}.jpg", quality=_QUALITY)
    return len(paths) * times


def _change(image: Image.Image, random: np.random.Generator) -> Image.Image:
    share, place = random.uniform(_SMALLEST_CROP, 1, 2), random.uniform(0, 1, 2)
    size = np.maximum(np.round(np.asarray(image.size) * share), 1)
    left, top = np.floor((np.asarray(image.size) - size) * place)
    image = image.crop((int(left), int(top), int(left + size[0]), int(top + size[1])))
    if random.uniform() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Color, ImageEnhance.Contrast):
        image = enhance(image).enhance(random.uniform(1 - _JITTER, 1 + _JITTER))
    return image


def write_generated(folder: Path, each: int, size: tuple[int, int] = (320, 240)) -> Path:
    """Write clouded pictures of two colours, where no images are given: as large, encoded, as photos of their size.

    Args:
        folder: The folder to make, with a folder for each of two classes in it.
        each: Pictures of each class.
        size: Width and height, in pixels.

    Returns:
        The folder.
    """
    width, height = size
    for label, name in enumerate(_CLASSES):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            random = np.random.default_rng([label, number])
            noise = random.normal(0, 90, (height, width, 3)) + np.asarray(_COLOURS[name])
            picture = Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8))
            picture = picture.filter(ImageFilter.GaussianBlur(1.2))
            picture.save(folder / name / f"{number:05}.jpg", quality=_QUALITY)
    return folder
