"""The classifier: preprocessing, backbone, pooling, dropout, one dense layer, softmax."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from keras import layers

from pipeline_config.errors import DownloadError, RecipeError
from pipeline_config.schema import ModelConfig
from tasks.training.backbones import BACKBONES

BACKBONE_NAME = "backbone"
POOLING_NAME = "pooling"
LOGITS_NAME = "logits"


def build_classifier(config: ModelConfig, *, classes: int, resolution: int, pretrained: bool) -> keras.Model:
    """Build a classifier.

    Args:
        config: The recipe's `model`.
        classes: Number of classes.
        resolution: Height and width of the images, in pixels.
        pretrained: Load the weights that the configuration names; else all weights are random, for a caller that
            replaces them.

    Returns:
        A model from float32 images (batch, resolution, resolution, 3) in [0, 255] to float32 probabilities
        (batch, classes). The input range of the backbone is seen to inside.

    Raises:
        RecipeError: The backbone cannot be built at this resolution, or the weights do not fit it.
        DownloadError: The ImageNet weights cannot be fetched.
    """
    backbone = BACKBONES[config.backbone]
    inputs = keras.Input((resolution, resolution, 3), name="images")
    x = layers.Rescaling(backbone.scale, backbone.offset, name="rescaling")(inputs)
    x = _build_backbone(config, resolution, pretrained)(x)
    x = layers.GlobalAveragePooling2D(name=POOLING_NAME)(x)
    x = layers.Dropout(config.dropout, name="dropout")(x)
    x = layers.Dense(classes, name=LOGITS_NAME, dtype="float32")(x)
    probabilities = layers.Softmax(name="probabilities", dtype="float32")(x)
    return keras.Model(inputs, probabilities, name="classifier")


def _build_backbone(config: ModelConfig, resolution: int, pretrained: bool) -> keras.Model:
    backbone = BACKBONES[config.backbone]
    imagenet = pretrained and config.weights == "imagenet"
    try:
        model = backbone.build(
            include_top=False,
            weights="imagenet" if imagenet else None,
            input_shape=(resolution, resolution, 3),
            name=BACKBONE_NAME,
        )
    except ValueError as error:
        raise RecipeError(
            f"{config.backbone} cannot be built for {resolution} px: {error} "
            f"Its own resolution is {backbone.resolution}."
        ) from error
    except Exception as error:  # a download of weights fails with a bare Exception in keras.utils.get_file
        raise DownloadError(
            f"The ImageNet weights of {config.backbone} cannot be downloaded: {error}. "
            "Give a local file with --weights."
        ) from error
    if pretrained and config.weights is not None and not imagenet:
        _load_weights(model, config, Path(config.weights))
    return model


def _load_weights(model: keras.Model, config: ModelConfig, path: Path) -> None:
    try:
        model.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        raise RecipeError(
            f"model.weights: {path} does not hold the weights of {config.backbone} without its classifier: "
            f"{' '.join(str(error).split())[:200]}."
        ) from error


def backbone_of(model: keras.Model) -> keras.Model:
    """Find the backbone inside a classifier.

    Args:
        model: Made by `build_classifier`, or loaded again.

    Returns:
        The nested model.
    """
    return model.get_layer(BACKBONE_NAME)


def weights_sha256(arrays: Sequence[np.ndarray]) -> str:
    """Digest weights: shapes, dtypes and values, in order.

    Args:
        arrays: What `model.get_weights()` returns.

    Returns:
        SHA-256 in hexadecimal.
    """
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
