"""The classifier: preprocessing, backbone, pooling, BatchNormalization if asked for, dropout, dense layer, softmax."""

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from keras import layers

from thaw.pipeline_config.backbones import BACKBONES
from thaw.pipeline_config.errors import DownloadError, RecipeError
from thaw.pipeline_config.schema import ModelConfig
from thaw.tasks.training.backbones import NETWORKS, with_drop_connect_rate

BACKBONE_NAME = "backbone"
POOLING_NAME = "pooling"
HEAD_BATCH_NORM_NAME = "head_batch_norm"
LOGITS_NAME = "logits"
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)  # of the channels, images in [0, 1]; as keras.applications has it


def build_classifier(config: ModelConfig, *, classes: int, resolution: int, pretrained: bool) -> keras.Model:
    """Build a classifier, with random weights unless those that the configuration names are to be loaded.

    Returns:
        A model from float32 images (batch, resolution, resolution, 3) in [0, 255] to float32 probabilities
        (batch, classes). The input range of the backbone is seen to inside.

    Raises:
        RecipeError: The backbone cannot be built at this resolution, or the weights do not fit it.
        DownloadError: The ImageNet weights cannot be fetched.
    """
    network = NETWORKS[config.backbone]
    inputs = keras.Input((resolution, resolution, 3), name="images")
    x = layers.Rescaling(network.scale, network.offset, name="rescaling", dtype="float32")(inputs)
    trunk = _construct(config, resolution, weights=None)
    if config.drop_connect_rate is not None:
        trunk = with_drop_connect_rate(trunk, config.drop_connect_rate)
    x = trunk(x)
    x = layers.GlobalAveragePooling2D(name=POOLING_NAME)(x)
    if config.head_batch_norm:
        x = layers.BatchNormalization(name=HEAD_BATCH_NORM_NAME)(x)
    x = layers.Dropout(config.dropout, name="dropout")(x)
    x = layers.Dense(classes, name=LOGITS_NAME, dtype="float32")(x)
    probabilities = layers.Softmax(name="probabilities", dtype="float32")(x)
    model = keras.Model(inputs, probabilities, name="classifier")
    if pretrained and isinstance(config.weights, str):
        # Last, so that the classifier's random weights do not depend on how the backbone's are loaded.
        if config.weights == "imagenet":
            copy_weights(_download(config, resolution), trunk)
        else:
            _load_weights(trunk, config, Path(config.weights))
        _divide_by_the_deviation(trunk)
    return model


def _construct(config: ModelConfig, resolution: int, weights: str | None) -> keras.Model:
    try:
        return NETWORKS[config.backbone].build(
            include_top=False, weights=weights, input_shape=(resolution, resolution, 3), name=BACKBONE_NAME
        )
    except ValueError as error:
        raise RecipeError(
            f"{config.backbone} cannot be built for {resolution} px: {error} "
            f"Its own resolution is {BACKBONES[config.backbone].resolution}."
        ) from error


def _download(config: ModelConfig, resolution: int) -> keras.Model:
    try:
        return _construct(config, resolution, weights="imagenet")
    except RecipeError:
        raise
    except Exception as error:  # keras.utils.get_file raises nothing narrower
        raise DownloadError(
            f"The ImageNet weights of {config.backbone} cannot be downloaded: {error}. "
            "Give a local file with --weights."
        ) from error


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Give a backbone the weights of another one of its kind."""
    # Layer by layer, because keras.applications adds a layer without weights where it loads ImageNet's (see below).
    pairs = zip(*([layer for layer in model.layers if layer.weights] for model in (source, target)), strict=True)
    for from_layer, to_layer in pairs:
        _set_weights(to_layer, from_layer.get_weights())


def _set_weights(layer: keras.Layer, weights: list[np.ndarray]) -> None:
    layer.set_weights(weights)
    if isinstance(layer, layers.Normalization):
        layer.finalize_state()  # it computes with constants that are made of its weights


def _divide_by_the_deviation(model: keras.Model) -> None:
    """Make an EfficientNet with ImageNet's weights divide by the standard deviation, as it was trained to.

    The published files hold the deviation where Normalization expects its square. keras.applications mends that with
    a further Rescaling, but only under `weights="imagenet"`: a model that loads the same weights from a file, or that
    is built anew for stage two, lacks it. With the square in its place every way of loading gives the same model.
    """
    for layer in model.layers:
        if isinstance(layer, layers.Normalization):
            mean, variance, count = layer.get_weights()
            if np.allclose(variance, _IMAGENET_DEVIATION):
                _set_weights(layer, [mean, np.square(variance), count])


def _load_weights(model: keras.Model, config: ModelConfig, path: Path) -> None:
    try:
        with warnings.catch_warnings():
            # Keras only warns where a part of the file is missing, and leaves random weights in its place.
            warnings.simplefilter("error", UserWarning)
            model.load_weights(path)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        raise RecipeError(
            f"model.weights: {path} does not hold the weights of {config.backbone} without its classifier: "
            f"{' '.join(str(error).split())[:200]}."
        ) from error


def backbone_of(model: keras.Model) -> keras.Model:
    """Find the backbone, a nested model, inside a classifier."""
    return model.get_layer(BACKBONE_NAME)


def head_batch_norm_of(model: keras.Model) -> layers.BatchNormalization | None:
    """Find the BatchNormalization after the backbone; None where the recipe has no `model.head_batch_norm`."""
    return next((layer for layer in model.layers if layer.name == HEAD_BATCH_NORM_NAME), None)


def weights_sha256(arrays: Sequence[np.ndarray]) -> str:
    """Digest weights, as `model.get_weights()` returns them: SHA-256 of shapes, dtypes and values, in hexadecimal."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
