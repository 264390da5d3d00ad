"""How each backbone of the catalogue is built in Keras, the input range that it expects, and where its blocks begin."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers


@dataclass(frozen=True)
class Network:
    """A backbone in Keras: a network without its classifier.

    Attributes:
        build: Makes it; called with `include_top`, `weights`, `input_shape` and `name` as `keras.applications` are.
        scale: Images in [0, 255] are multiplied by this …
        offset: … and then this is added. The EfficientNets do it themselves: 1 and 0.
        smallest: The least height and width of an image, in pixels.
        block_pattern: Matches the name of every layer of a block; its first group is the block's name.
    """

    build: Callable[..., keras.Model]
    scale: float
    offset: float
    smallest: int
    block_pattern: re.Pattern[str]


def small_cnn(*, include_top: bool, weights: None, input_shape: tuple[int, int, int], name: str) -> keras.Model:
    """Build a network of three blocks for small images, such as the 8 × 8 digits.

    From images in [0, 1], at least 8 × 8, to (height / 8, width / 8, 128) features. It has no top and no pretrained
    weights; the arguments are there because all backbones are built alike.
    """
    del include_top, weights
    inputs = keras.Input(input_shape)
    x = inputs
    for number, filters in enumerate((32, 64, 128), start=1):
        for part in ("a", "b"):
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"block{number}_{part}_conv")(x)
            x = layers.BatchNormalization(momentum=0.9, name=f"block{number}_{part}_bn")(x)
            x = layers.ReLU(name=f"block{number}_{part}_relu")(x)
        x = layers.MaxPooling2D(name=f"block{number}_pool")(x)
    return keras.Model(inputs, x, name=name)


def with_drop_connect_rate(backbone: keras.Model, rate: float) -> keras.Model:
    """Build an EfficientNet anew with another rate of stochastic depth, which keras.applications does not offer.

    The rate, 0 ≤ rate < 1, is the share of images for which the last block is skipped in training. Earlier blocks are
    skipped less often, in proportion to their depth, the first one never. The weights are random, and not copied.
    """
    config = backbone.get_config()
    for layer in config["layers"]:
        if layer["class_name"] == "Dropout":
            layer["config"]["rate"] *= rate / _DEFAULT_DROP_CONNECT_RATE
    return keras.Model.from_config(config)


_PLUS_MINUS_ONE: dict[str, Any] = {"scale": 1 / 127.5, "offset": -1.0, "smallest": 32}
_EFFICIENT_NET_BLOCK = re.compile(r"^(block\d+[a-z])_")
_DEFAULT_DROP_CONNECT_RATE = 0.2  # of keras.applications

NETWORKS: dict[str, Network] = {
    "SmallCNN": Network(small_cnn, 1 / 255, 0.0, 8, re.compile(r"^(block\d+)_")),
    "MobileNetV2": Network(
        keras.applications.MobileNetV2, **_PLUS_MINUS_ONE, block_pattern=re.compile(r"^(block_\d+|expanded_conv)_")
    ),
    "ResNet50V2": Network(
        keras.applications.ResNet50V2, **_PLUS_MINUS_ONE, block_pattern=re.compile(r"^(conv\d+_block\d+)_")
    ),
} | {
    (name := f"EfficientNetB{number}"): Network(getattr(keras.applications, name), 1.0, 0.0, 32, _EFFICIENT_NET_BLOCK)
    for number in range(8)
}
