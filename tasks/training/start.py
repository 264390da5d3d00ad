"""Prepares a process for the work of a stage, and builds the classifier that the stage starts from."""

import keras
import tensorflow as tf

from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.training.champion import take_over
from thaw.tasks.training.devices import choose_strategy
from thaw.tasks.training.model import backbone_of, build_classifier
from thaw.tasks.training.pipeline import stage_salt
from thaw.tasks.training.stage_artifact import WEIGHTS_NAME
from thaw.tasks.training.step import ClassifierStep
from thaw.tasks.training.thawing import check_stage


def prepare_process(step: ClassifierStep, draws: str) -> tf.distribute.Strategy:
    """Set what holds for the whole process, and return the strategy in whose scope the classifier is to be built.

    To be called before anything is computed. `draws` names the stage whose random numbers are drawn.
    """
    if step.deterministic or not tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()  # costs nothing on a CPU
    strategy = choose_strategy(step.devices)
    keras.utils.clear_session()  # so that the names of layers, which are saved, do not depend on what was built before
    keras.utils.set_random_seed(step.seed ^ stage_salt(draws))
    return strategy


def build_start(step: ClassifierStep, store: ArtifactStore, *, classes: list[str], resolution: int) -> keras.Model:
    """Build a classifier with the weights that a stage starts from; the random ones are those of the stage's seed.

    Raises:
        RecipeError: The classifier cannot be built, or a stage after this one asks for what it does not have.
        ArtifactError: What it starts from is missing or damaged.
    """
    model = build_classifier(step.model, classes=len(classes), resolution=resolution, pretrained=step.start is None)
    if step.start is not None:
        # Built anew rather than loaded whole, because the resolution may differ; the weights do not depend on it.
        model.load_weights(store.verified(step.start) / WEIGHTS_NAME)
    if step.champion_stage is not None:
        take_over(store.verified(step.champion_stage), model, classes)
    for name, stage in step.stages_after.items():
        check_stage(name, stage, backbone_of(model), step.model.backbone)
    return model
