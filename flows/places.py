"""Which places of this machine a recipe names: its images, and what else a run reads."""

from collections.abc import Iterator
from pathlib import Path

from thaw.pipeline_config.messages import is_address
from thaw.pipeline_config.schema import Recipe


def places_of_images(recipe: Recipe) -> list[Path]:
    """List the folders, files and patterns of files that the source names."""
    source = recipe.dataset.source
    named = [getattr(source, field) for field in source.of_this_machine()]
    return [Path(place) for value in named for place in _places(value)]


def folders_to_read(recipe: Recipe) -> list[Path]:
    """List the folders in which a run finds all that it reads; of a table or a pattern, the folder that it is in."""
    folders = [place.parent if place.suffix else place for place in places_of_images(recipe)]
    if recipe.model.weights not in (None, "imagenet"):
        folders.append(Path(str(recipe.model.weights)).parent)
    if isinstance(recipe.publish.must_not_break, str):
        folders.append(Path(recipe.publish.must_not_break))
    return list(dict.fromkeys(folders))


def _places(value: object) -> Iterator[str]:
    match value:
        case str() if not is_address(value):
            yield value
        case dict():
            for part in value.values():
                yield from _places(part)
        case list():
            for part in value:
                yield from _places(part)
