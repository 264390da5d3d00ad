"""Score images with a published release. No flow of Prefect's: an answer should not wait for a server to start."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from thaw.pipeline_config.errors import RequestError
from thaw.pipeline_config.messages import received
from thaw.pipeline_config.schema import Devices
from thaw.pipeline_config.strict import nearest_hint
from thaw.pipeline_config.yaml_dialect import read_yaml
from thaw.tasks.children import run_in_child
from thaw.tasks.home import Home
from thaw.tasks.publishing.predict_request import PredictWork
from thaw.tasks.releases.registry import Registry
from thaw.tasks.releases.release import RESOLVED_RECIPE_FILE_NAME, ReleaseInfo


def predict(home: Home, paths: list[Path], release_id: str | None, recipe: str | None = None) -> list[dict[str, Any]]:
    """Classify images with a release, else with a recipe's champion, else with the only champion there is.

    For each path the answer has the path, class, probability, and the probabilities of all classes by name; `unsure`
    says whether the answer does not count, None where the release has no threshold.

    Raises:
        RequestError: There is no such release or champion, or it is not clear which is meant.
        PublishError: The release is damaged.
        DatasetError: A file is not an image.
    """
    registry = home.registry
    release = _choose(registry, release_id, recipe)
    registry.verify(release.id)
    request = PredictWork(release=release.path, paths=[path.absolute() for path in paths], devices=devices_of(release))
    made = run_in_child(
        "thaw.tasks.publishing.predict:predict", request, deadline_seconds=3600, listener=lambda *_: None, shared=True
    )
    predictions: list[dict[str, Any]] = made.facts["predictions"]
    # Under the names that were asked for, which may be relative to where the caller is.
    return [prediction | {"path": str(path)} for path, prediction in zip(paths, predictions, strict=True)]


def devices_of(release: ReleaseInfo) -> Devices:
    """Read which devices the recipe names that a release was made from."""
    path = release.path / RESOLVED_RECIPE_FILE_NAME
    if not path.is_file():  # an older release, which never had it
        return "auto"
    devices: Devices = TypeAdapter(Devices).validate_python(read_yaml(path.read_text(encoding="utf-8"))["devices"])
    return devices


def _choose(registry: Registry, release_id: str | None, recipe: str | None) -> ReleaseInfo:
    if release_id and recipe:
        raise RequestError("--release and --recipe each name a release by themselves. Give one of them.")
    if release_id:
        return registry.get(release_id)
    champions = registry.champions()
    if recipe and recipe not in champions:
        raise RequestError(
            f"Recipe {received(recipe)} has no champion in {registry.releases}.{nearest_hint(recipe, champions)}"
        )
    if not recipe and len(champions) != 1:
        raise RequestError(
            f"Expected the champion of one recipe in {registry.releases}, found: {', '.join(champions) or 'none'}. "
            "Name a recipe with --recipe, or a release with --release."
        )
    return registry.get(champions[recipe] if recipe else next(iter(champions.values())))
