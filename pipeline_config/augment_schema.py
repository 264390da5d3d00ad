"""The recipe's `augment` list: one model per operation, with the ranges that its random numbers are drawn from."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from thaw.pipeline_config.strict import Strict

FillMode = Literal["reflect", "nearest", "constant"]
_Share = Annotated[float, Field(ge=0, le=1)]
_Ratio = Annotated[float, Field(ge=0.001, le=1000)]


class RandomFlip(Strict):
    """Mirror an image with probability one half, along each named axis on its own."""

    name: Literal["random_flip"]
    mode: Literal["horizontal", "vertical", "horizontal_and_vertical"] = "horizontal"


class RandomRotation(Strict):
    """Turn an image about its centre by an angle between -factor and factor of a full turn."""

    name: Literal["random_rotation"]
    factor: float = Field(ge=0, le=0.5, description="share of a full turn: 0.2 is 72 degrees either way")
    fill: FillMode = "reflect"


class RandomTranslation(Strict):
    """Move an image by up to the given shares of its height and width."""

    name: Literal["random_translation"]
    height: float = Field(ge=0, le=1)
    width: float = Field(ge=0, le=1)
    fill: FillMode = "reflect"


class RandomZoom(Strict):
    """Enlarge or shrink an image about its centre by a factor between 1 - factor and 1 + factor."""

    name: Literal["random_zoom"]
    factor: float = Field(ge=0, lt=1)
    fill: FillMode = "reflect"


class RandomContrast(Strict):
    """Scale each channel's distance from its mean by a factor between 1 - factor and 1 + factor."""

    name: Literal["random_contrast"]
    factor: float = Field(ge=0, lt=1)


class RandomResizedCrop(Strict):
    """Cut a random part of the original image and resize it: the crop of the Inception papers. Training only."""

    name: Literal["random_resized_crop"]
    # Not strict about the pair itself, which YAML and JSON have as a list; the numbers in it stay strict.
    area: tuple[_Share, _Share] = Field(
        default=(0.08, 1.0), strict=False, description="smallest and largest share of the image's area"
    )
    aspect_ratio: tuple[_Ratio, _Ratio] = Field(
        default=(3 / 4, 4 / 3), strict=False, description="width divided by height"
    )

    @model_validator(mode="after")
    def _check_ranges(self) -> Self:
        if not 0 < self.area[0] <= self.area[1] <= 1:
            raise ValueError(f"area must be two numbers with 0 < low <= high <= 1. Received: {list(self.area)}.")
        if not self.aspect_ratio[0] <= self.aspect_ratio[1]:
            raise ValueError(f"aspect_ratio must be two numbers, low <= high. Received: {list(self.aspect_ratio)}.")
        return self


class CenterCrop(Strict):
    """Cut the central square, a share of the shorter side, and resize it.

    It acts in evaluation, and in training unless a random crop is also named.
    """

    name: Literal["center_crop"]
    fraction: float = Field(default=1.0, gt=0, le=1, description="side of the square as a share of the shorter side")


Augmentation = Annotated[
    RandomFlip | RandomRotation | RandomTranslation | RandomZoom | RandomContrast | RandomResizedCrop | CenterCrop,
    Field(discriminator="name"),
]


def _check_crops(operations: list[Augmentation]) -> list[Augmentation]:
    for kind in (RandomResizedCrop, CenterCrop):
        found = [operation for operation in operations if isinstance(operation, kind)]
        if len(found) > 1:
            raise ValueError(f"{found[0].name} is named {len(found)} times. Use it once.")
    return operations


Augmentations = Annotated[list[Augmentation], Field(max_length=100), AfterValidator(_check_crops)]
