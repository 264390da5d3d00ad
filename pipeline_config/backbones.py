"""The catalogue of backbones: what is known of each without TensorFlow. tasks/training/backbones.py builds them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Backbone:
    """What a recipe and a plan must know of a network.

    Attributes:
        resolution: Height and width that it was designed for, in pixels.
        multiplications: For one image of that size. Counted from the graph; a test compares.
        has_imagenet_weights: Whether there are weights to download.
        has_drop_connect: Whether it skips blocks in training, at a rate that a recipe may set.
    """

    resolution: int
    multiplications: float
    has_imagenet_weights: bool = True
    has_drop_connect: bool = False


# The compound scaling of Tan and Le, 2019, as keras.applications publishes it: resolution and multiplications.
_EFFICIENT_NETS = (
    (224, 0.385e9),
    (240, 0.686e9),
    (260, 0.992e9),
    (300, 1.83e9),
    (380, 4.39e9),
    (456, 10.3e9),
    (528, 19.1e9),
    (600, 37.7e9),
)

BACKBONES: dict[str, Backbone] = {
    "SmallCNN": Backbone(32, 0.0386e9, has_imagenet_weights=False),
    "MobileNetV2": Backbone(224, 0.299e9),
    "ResNet50V2": Backbone(224, 3.48e9),
} | {
    f"EfficientNetB{number}": Backbone(resolution, multiplications, has_drop_connect=True)
    for number, (resolution, multiplications) in enumerate(_EFFICIENT_NETS)
}
