"""The images of `publish.must_not_break`, and those of them that a new model has wrong. No TensorFlow of its own."""

from collections.abc import Sequence

import pyarrow as pa

from thaw.pipeline_config.dataset_schema import DirectorySource
from thaw.pipeline_config.errors import RecipeError
from thaw.pipeline_config.publish_schema import PublishConfig
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.home import Home
from thaw.tasks.ingest.dataset import read_dataset
from thaw.tasks.ingest.sources import open_source
from thaw.tasks.ingest.sources.base import ImageSource, listed
from thaw.tasks.releases.verdict import Broken

_NAMED = 3  # in the sentence; `verdict.json` has them all
_CLASSES_NAMED = 5


def check_must_not_break(publish: PublishConfig, home: Home, dataset: ArtifactRef) -> None:
    """Refuse images that are not in the test split of a dataset which the store has, or are of no class of its.

    Raises:
        RecipeError: There are such.
        DatasetError: The folder is missing, or has no class folders with files.
    """
    kept = publish.must_not_break
    if kept is None:
        return
    found = read_dataset(home.store.folder(dataset))
    if isinstance(kept, str):
        for unknown in sorted(set(folder_of(kept, home).classes()) - set(found.classes)):
            raise RecipeError(
                f"publish.must_not_break: {kept} has a folder {unknown!r}, which is no class. "
                f"Expected folders named after some of {listed(found.classes, _CLASSES_NAMED)}."
            )
    else:
        tested = {image.id for image in found.images if image.split == "test"}
        for unknown in sorted(set(kept) - tested):
            raise RecipeError(
                f"publish.must_not_break: no test image has the id {unknown}. Expected ids of the test split, as "
                "predictions.parquet of a release lists them, or a folder of class folders."
            )


def folder_of(kept: str, home: Home) -> ImageSource:
    """Open the folder; nothing of it is read yet."""
    return open_source(DirectorySource(kind="directory", path=kept), home)


def broken_in(kept: Sequence[str], candidate: pa.Table) -> list[Broken]:
    """List the test images, by their ids, that a table of answers has wrong."""
    wanted = set(kept)
    rows = zip(*(candidate[name].to_pylist() for name in ("id", "class_name", "predicted_class")), strict=True)
    return [
        Broken(image=image, class_name=truth, predicted_class=said)
        for image, truth, said in rows
        if image in wanted and truth != said
    ]


def in_words(broken: Sequence[Broken]) -> list[str]:
    """Say which images forbid a promotion."""
    if not broken:
        return []
    named = listed([f"{each.image} is called {each.predicted_class}" for each in broken], _NAMED)
    return [f"Images that must stay right are wrong: {named} (publish.must_not_break)."]
