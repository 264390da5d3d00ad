"""A classifier that starts from the champion's weights, as the champion's stage holds them: without a temperature."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.process import Reporter
from thaw.tasks.training.model import LOGITS_NAME, backbone_of, build_classifier, copy_weights, head_batch_norm_of
from thaw.tasks.training.stage_artifact import load_classifier, read_stage
from thaw.tasks.training.step import TrainStep

_CLASSES_NAMED = 5


def take_over(folder: Path, model: keras.Model, classes: Sequence[str]) -> None:
    """Give a classifier the weights of a stage with the same backbone, from its artifact's folder, checked.

    The outputs are matched by the names of their classes. Those of a class that the stage does not have stay random, as
    does a BatchNormalization of the head that it does not have.
    """
    champion, before = load_classifier(folder), read_stage(folder).classes
    copy_weights(backbone_of(champion), backbone_of(model))
    old_norm, new_norm = head_batch_norm_of(champion), head_batch_norm_of(model)
    if old_norm is not None and new_norm is not None:
        new_norm.set_weights(old_norm.get_weights())
    shared = [name for name in classes if name in before]
    here, there = ([names.index(name) for name in shared] for names in (list(classes), before))
    outputs = model.get_layer(LOGITS_NAME)
    values = outputs.get_weights()
    for value, known in zip(values, champion.get_layer(LOGITS_NAME).get_weights(), strict=True):
        value[..., here] = known[..., there]
    outputs.set_weights(values)


def leave_champion(
    step: TrainStep,
    store: ArtifactStore,
    variables: Sequence[keras.Variable],
    classes: Sequence[str],
    reporter: Reporter,
) -> None:
    """Say which classes the champion has not learned, and shrink and perturb what the stage trains, if it asks for it.

    What it does not train stays the champion's, also the statistics of a BatchNormalization: nothing would mend it.
    """
    if step.champion_stage is None:
        return
    before = read_stage(store.folder(step.champion_stage)).classes
    is_new = np.asarray([name not in before for name in classes])
    if new := _named([name for name in classes if name not in before]):
        reporter.warn(
            f"{step.name}: the champion has not learned {new}: what is put out for it starts from random weights."
        )
    if gone := _named([name for name in before if name not in classes]):
        reporter.log(f"{step.name}: what the champion puts out for {gone} is dropped.")
    if (step.shrink, step.perturb) != (1, 0):
        resolution = step.stage.fit.resolution
        fresh = build_classifier(step.model, classes=len(classes), resolution=resolution, pretrained=False)
        shrink_and_perturb(variables, fresh, is_new, shrink=step.shrink, perturb=step.perturb)


def shrink_and_perturb(
    variables: Sequence[keras.Variable],
    fresh: keras.Model,
    is_new: NDArray[np.bool_],
    *,
    shrink: float,
    perturb: float,
) -> None:
    """Make each variable `shrink` times itself plus `perturb` times what it is in a fresh network of the same form.

    The outputs of classes that are new, a bool for each, are fresh already and stay as they are.
    """
    noise = {variable.path: variable for variable in fresh.variables}
    outputs = {variable.path for variable in fresh.get_layer(LOGITS_NAME).weights}
    for variable in variables:
        value, fresh_value = map(keras.ops.convert_to_numpy, (variable, noise[variable.path]))
        mixed = np.float32(shrink) * value + np.float32(perturb) * fresh_value
        variable.assign(np.where(is_new, value, mixed) if variable.path in outputs else mixed)


def _named(classes: Sequence[str]) -> str:
    more = f" and {len(classes) - _CLASSES_NAMED} more" if len(classes) > _CLASSES_NAMED else ""
    return ", ".join(classes[:_CLASSES_NAMED]) + more
