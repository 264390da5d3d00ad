"""The catalogue of backbones: what is known of each without TensorFlow. tasks/training/backbones.py builds them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Backbone:
    """What a recipe and a plan must know of a network.

    It was designed for images of `resolution` pixels a side. `multiplications`, for one such image, are counted from
    the graph; a test compares. With drop connect it skips blocks in training, at a rate that a recipe may set.
    """

    resolution: int
    multiplications: float
    has_imagenet_weights: bool = True
    has_drop_connect: bool = False


BACKBONES: dict[str, Backbone] = {
    "SmallCNN": Backbone(32, 0.0386e9, has_imagenet_weights=False),
    "MobileNetV2": Backbone(224, 0.299e9),
    "ResNet50V2": Backbone(224, 3.48e9),
    # The compound scaling of Tan and Le, 2019, as keras.applications publishes it.
    "EfficientNetB0": Backbone(224, 0.385e9, has_drop_connect=True),
    "EfficientNetB1": Backbone(240, 0.686e9, has_drop_connect=True),
    "EfficientNetB2": Backbone(260, 0.992e9, has_drop_connect=True),
    "EfficientNetB3": Backbone(300, 1.83e9, has_drop_connect=True),
    "EfficientNetB4": Backbone(380, 4.39e9, has_drop_connect=True),
    "EfficientNetB5": Backbone(456, 10.3e9, has_drop_connect=True),
    "EfficientNetB6": Backbone(528, 19.1e9, has_drop_connect=True),
    "EfficientNetB7": Backbone(600, 37.7e9, has_drop_connect=True),
}
