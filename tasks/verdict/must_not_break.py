"""The images of `publish.must_not_break`, and those of them that a new model has wrong. No TensorFlow of its own."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from thaw.pipeline_config.dataset_schema import DirectorySource
from thaw.pipeline_config.errors import DatasetError, RecipeError
from thaw.pipeline_config.messages import received, word
from thaw.pipeline_config.schema import Recipe
from thaw.pipeline_config.strict import nearest_hint
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.home import Home
from thaw.tasks.ingest.dataset import read_classes, read_dataset
from thaw.tasks.ingest.sources import open_source
from thaw.tasks.ingest.sources.base import ImageSource, RawExample, listed
from thaw.tasks.pictures.opening import BadImageError, check_whole
from thaw.tasks.releases.verdict import Broken

_NAMED = 3  # in the sentence; `verdict.json` has them all
_CLASSES_NAMED = 5


def check_must_not_break(recipe: Recipe, home: Home, dataset: ArtifactRef) -> None:
    """Refuse images that are not in the test split of a dataset which the store has, or damaged, or of no class of its.

    Raises:
        RecipeError: There are such.
        DatasetError: The folder is missing, has no class folders with files, or a file in it is no whole image.
    """
    kept = recipe.publish.must_not_break
    if kept is None:
        return
    if isinstance(kept, str):
        folder, classes = folder_of(kept, home), read_classes(home.store.folder(dataset))
        for unknown in sorted(set(folder.classes()) - set(classes)):
            raise RecipeError(
                f"publish.must_not_break: {kept} has a folder {unknown!r}, which is no class. "
                f"Expected folders named after some of {listed(classes, _CLASSES_NAMED)}."
            )
        _check_images(kept, folder, recipe.dataset.max_pixels)
    else:
        kept_images(kept, home, dataset)


def kept_images(kept: Sequence[str], home: Home, dataset: ArtifactRef) -> dict[str, str]:
    """Find the test images that a list means, by their ids or their origins: from each one's id to what it is called.

    Raises:
        RecipeError: There is no such image in the test split.
    """
    images = read_dataset(home.store.folder(dataset)).images
    tested = {image.origin: image.id for image in images if image.split == "test"}
    known = {image: image for image in tested.values()} | tested
    for unknown in sorted(set(kept) - set(known)):
        split = next((image.split for image in images if unknown in (image.id, image.origin)), None)
        where = f", because it is in the {split} split" if split else ""
        raise RecipeError(
            f"publish.must_not_break: {received(unknown)} is no test image{where}. Expected files or ids of the test "
            "split, as predictions.parquet of a release lists them, or a folder of class folders."
            + ("" if split else nearest_hint(unknown, tested))
        )
    return {known[name]: name for name in sorted(set(kept))}


def _check_images(kept: str, folder: ImageSource, max_pixels: int) -> None:
    def check(example: RawExample) -> None:
        try:
            check_whole(example.read(), max_pixels)
        except (OSError, BadImageError) as error:
            raise no_image(kept, example.origin, error) from error

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # a decoder works while other threads run
        for _ in threads.map(check, folder.examples()):
            pass


def no_image(kept: str, origin: str, error: Exception) -> DatasetError:
    """Say that a file of the folder cannot be used, and why, if the error says so in few words."""
    reason = error.strerror if isinstance(error, OSError) else error if isinstance(error, BadImageError) else ""
    return DatasetError(
        f"publish.must_not_break: {kept}/{origin} is no whole image{reason and f': {reason}'}. Mend it, or remove it."
    )


def folder_of(kept: str, home: Home) -> ImageSource:
    """Open the folder; nothing of it is read yet."""
    return open_source(DirectorySource(kind="directory", path=kept), home)


def broken_in(kept: Mapping[str, str], candidate: pa.Table) -> list[Broken]:
    """List the test images that a table of answers has wrong; `kept` has what each is called, by its id."""
    rows = zip(*(candidate[name].to_pylist() for name in ("id", "class_name", "predicted_class")), strict=True)
    return [
        Broken(image=kept[image], class_name=truth, predicted_class=said)
        for image, truth, said in rows
        if image in kept and truth != said
    ]


def in_words(broken: Sequence[Broken]) -> list[str]:
    """Say which images forbid a promotion."""
    if not broken:
        return []
    named = listed([f"{word(each.image)} is called {each.predicted_class}" for each in broken], _NAMED)
    return [f"Images that must stay right are wrong: {named} (publish.must_not_break)."]
