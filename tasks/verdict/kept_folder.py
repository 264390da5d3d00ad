"""Lets a new model answer for the images of a folder that must stay right. TensorFlow; runs in a child process."""

import numpy as np
import tensorflow as tf

from thaw.pipeline_config.errors import DatasetError
from thaw.tasks.formats.members import as_input
from thaw.tasks.pictures.decoding import prepare
from thaw.tasks.pictures.opening import BadImageError
from thaw.tasks.releases.verdict import Broken
from thaw.tasks.training.stage_artifact import load_classifier, read_stage
from thaw.tasks.verdict.must_not_break import folder_of, no_image
from thaw.tasks.verdict.step import VerdictWork


def broken_in_folder(work: VerdictWork, kept: str) -> list[Broken]:
    """List the images of a folder of class folders that the model, fed as a release is, has wrong.

    Raises:
        ArtifactError: The stage is damaged.
        DatasetError: The folder has changed since the run began, or a file in it is no image; the message names it.
    """
    stage = work.home.store.verified(work.step.model)
    model, classes = load_classifier(stage), read_stage(stage).classes
    folder, broken = folder_of(kept, work.home), []
    if folder.content_digest(work.home.digests) != work.step.kept:
        raise DatasetError(f"publish.must_not_break: {kept} has changed since the verdict was asked for. Run again.")
    for example in folder.examples():
        try:
            image = as_input(example.read(), work.step.input)
            pixels = prepare(tf.constant(image), work.step.input)
        except (OSError, BadImageError, tf.errors.InvalidArgumentError) as error:
            raise no_image(kept, example.origin, error) from error
        said = classes[int(np.argmax(model(pixels[tf.newaxis], training=False)[0]))]
        if said != example.class_name:
            broken.append(Broken(image=example.origin, class_name=example.class_name, predicted_class=said))
    return broken
