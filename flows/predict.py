"""Score images with a published release. No flow of Prefect's: an answer should not wait for a server to start."""

from pathlib import Path
from typing import Any

from pipeline_config.errors import RequestError
from tasks.process import run_in_child
from tasks.publishing.predict_request import PredictWork
from tasks.publishing.registry import Registry
from tasks.publishing.release import ReleaseInfo

_DEADLINE_SECONDS = 3600.0


def predict(home: Path, paths: list[Path], release_id: str | None) -> list[dict[str, Any]]:
    """Classify images.

    Args:
        home: The home folder.
        paths: Image files.
        release_id: A release; None for the champion, if there is exactly one.

    Returns:
        For each path: path, class, probability, and the probabilities of all classes by name.

    Raises:
        RequestError: There is no such release, or no single champion.
        PublishError: The release is damaged.
        DatasetError: A file is not an image.
    """
    registry = Registry(home)
    release = registry.get(release_id) if release_id else _only_champion(registry)
    registry.verify(release.id)
    request = PredictWork(release=release.path, paths=[path.absolute() for path in paths])
    answer = run_in_child(
        "tasks.publishing.predict:predict", request, deadline_seconds=_DEADLINE_SECONDS, listener=lambda *_: None
    )
    predictions: list[dict[str, Any]] = answer["predictions"]
    # Under the names that were asked for, which may be relative to where the caller is.
    return [prediction | {"path": str(path)} for path, prediction in zip(paths, predictions, strict=True)]


def _only_champion(registry: Registry) -> ReleaseInfo:
    champions = registry.champions()
    if len(champions) != 1:
        names = ", ".join(champions.values()) or "none"
        raise RequestError(
            f"Expected one champion in {registry.releases}, found: {names}. Name a release with --release."
        )
    return registry.get(next(iter(champions.values())))
