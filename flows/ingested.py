"""Which images the last run of a recipe took in, so that `thaw serve` starts none for them again. No Prefect.

It stands in `runs/ingested`, a file for each recipe and place of images: a run with another folder says nothing of the
recipe's own.
"""

import contextlib
from pathlib import Path

from thaw.flows import requests
from thaw.pipeline_config.messages import without_secrets
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.atomic import make_folder, write_atomically
from thaw.tasks.artifacts.manifest import digest_of
from thaw.tasks.artifacts.step import Step
from thaw.tasks.home import Home
from thaw.tasks.runs import RUNS_NAME


def images_now(recipe: Recipe, home: Home) -> str:
    """Digest what a recipe's source holds now; a file that did not change is not read again.

    Raises:
        ThawError: The source cannot be read.
    """
    return _images_of(requests.ingest(recipe, home))


def images_of_last_run(recipe: Recipe, home: Home) -> str | None:
    """Read the digest of what the last run took in; None where there was none."""
    with contextlib.suppress(FileNotFoundError):
        return _place(recipe, home).read_text(encoding="utf-8")
    return None


def note_images(recipe: Recipe, home: Home, ingest: Step) -> None:
    """Note what a run has taken in, by its request for the dataset.

    Raises:
        ArtifactError: The home folder cannot be written.
    """
    place = _place(recipe, home)
    make_folder(place.parent)
    write_atomically(place, _images_of(ingest).encode())


def _images_of(ingest: Step) -> str:
    # Not its key: another seed, or another thaw, makes another dataset of the same images.
    asked = ingest.depends_on()
    return digest_of([asked["content"], asked.get("columns_content")])


def _place(recipe: Recipe, home: Home) -> Path:
    source = digest_of(without_secrets(recipe.dataset.source.model_dump(mode="json")))
    return home.path / RUNS_NAME / "ingested" / f"{recipe.name}-{source[:12]}"
