"""What a home folder must look like after a fault, and after the run that follows it."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from thaw.tasks.artifacts.file_digests import MEMORY_NAME
from thaw.tasks.artifacts.manifest import ArtifactRef, file_sha256
from thaw.tasks.home import Home

# Their bytes hold times, or follow from files that do. What they say is compared where it can be.
_WITH_TIMES = re.compile(r"(artifacts/release/[0-9a-f]+|releases/[^/]+)/(model\.keras|saved_model/.+|SHA256SUMS)")
# Locks stay, and whether the digest of a file is remembered depends on how old the file was.
_NOT_COMPARED = ("locks/", MEMORY_NAME)
_RELEASE_ARTIFACT = re.compile(r"artifacts/release/[0-9a-f]+")
_UNEQUAL = {"seconds", "cost", "time"}


def tree_digest(home: Path) -> str:
    """Digest a home folder: names and contents, without the locks."""
    digest = hashlib.sha256()
    for path in sorted(home.rglob("*")):
        name = path.relative_to(home).as_posix()
        if not name.startswith("locks/"):
            digest.update(f"{name}\0{file_sha256(path) if path.is_file() else ''}\0".encode())
    return digest.hexdigest()


def champion_problem(home: Path, recipe: str) -> str | None:
    """Say what is wrong with a recipe's champion, as every reader sees it.

    Args:
        home: A home folder, perhaps right after a fault.
        recipe: A recipe that has a champion.

    Returns:
        One line; None if the champion is a complete release.
    """
    registry = Home.open(home).registry
    try:
        champion = registry.champion(recipe)
        if champion is None:
            return "there is no champion any more"
        registry.verify(champion.id)
    except Exception as error:  # noqa: BLE001 (whatever it is, it is what is wrong)
        return f"the champion is not whole: {type(error).__name__}: {error}"
    return None


def differences(home: Path, reference: Path) -> list[str]:
    """Compare a home folder with that of a run that was never disturbed.

    Args:
        home: The folder to judge.
        reference: What it should be.

    Returns:
        A line for each file that is missing, left over or of other content, and for each release artifact that is not
        whole. Locks and the memory of digests are left out, and the bytes of model files, which hold times.
    """
    ours, theirs = _named(home), _named(reference)
    lines = [f"{name} is left over" for name in sorted(ours.keys() - theirs.keys())]
    lines += [f"{name} is missing" for name in sorted(theirs.keys() - ours.keys())]
    for name in sorted(ours.keys() & theirs.keys()):
        mine, other = ours[name], theirs[name]
        if mine.is_dir() or _WITH_TIMES.fullmatch(mine.relative_to(home).as_posix()):
            continue
        if _content(mine) != _content(other):
            lines.append(f"{name} has other content")
    store = Home.open(home).store
    for folder in home.glob("artifacts/*/*"):
        store.verified(ArtifactRef(kind=folder.parent.name, digest=folder.name))
    return lines


def model_problem(release: Path, weights: str) -> str | None:
    """Compare the weights in a release's models with what they should be. Imports TensorFlow.

    Args:
        release: A release's folder.
        weights: The SHA-256 that stage two reported.

    Returns:
        One line; None if both models hold these weights.
    """
    import keras
    import numpy as np
    import tensorflow as tf

    from thaw.tasks.training.model import weights_sha256

    model = keras.saving.load_model(release / "model.keras")
    if weights_sha256(model.get_weights()) != weights:
        return "model.keras holds other weights"
    reader = tf.train.load_checkpoint(str(release / "saved_model" / "variables" / "variables"))
    saved = {np.asarray(reader.get_tensor(name)).tobytes() for name in reader.get_variable_to_shape_map()}
    missing = [weight for weight in model.weights if weight.numpy().tobytes() not in saved]
    return f"saved_model lacks the weights of {missing[0].path}" if missing else None


def _named(home: Path) -> dict[str, Path]:
    # A release artifact that is made twice has two digests, because its model files hold times: the id is its name.
    ids = {
        f"artifacts/release/{path.parent.name}": f"artifacts/release/{json.loads(path.read_bytes())['id']}"
        for path in home.glob("artifacts/release/*/release.json")
    }
    names = ((path.relative_to(home).as_posix(), path) for path in home.rglob("*"))
    return {
        _RELEASE_ARTIFACT.sub(lambda match: ids.get(match[0], match[0]), name): path
        for name, path in names
        if not name.startswith(_NOT_COMPARED)
    }


def _content(path: Path) -> Any:
    content = path.read_bytes()
    if path.name == "log.jsonl":
        return [_timeless(json.loads(line)) for line in content.splitlines()]
    if (path.suffix == ".json" and path.parent.name in ("keys", "runs", "champions")) or path.name == "manifest.json":
        return _timeless(json.loads(content))
    return content


def _timeless(document: Any) -> Any:
    if isinstance(document, list):
        return [_timeless(value) for value in document]
    if not isinstance(document, dict):
        return document
    if document.get("kind") == "release" and "digest" in document:
        return "a release artifact"
    if document.get("kind") == "release" and "files" in document:
        document = document | {"files": sorted(document["files"])}
    return {name: _timeless(value) for name, value in document.items() if name not in _UNEQUAL}
