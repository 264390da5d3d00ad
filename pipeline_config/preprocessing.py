"""What happens to an image between its file and the network, as one value. No TensorFlow."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from thaw.pipeline_config.augment_schema import Augmentation, CenterCrop
from thaw.pipeline_config.dataset_schema import DatasetConfig
from thaw.pipeline_config.strict import Strict


class Fit(Strict):
    """How an upright image is brought to a model's size: cut, if at all, then squeezed into a square."""

    resolution: int = Field(ge=1, description="height and width of the result, in pixels")
    center_crop: float | None = Field(gt=0, le=1, description="side of the central square by the shorter side; or none")
    resize: Literal["bilinear"] = "bilinear"


class Preprocessing(Fit):
    """What a release does with an image file: all that the images did which its model was tested on.

    It is decoded to RGB and turned upright; shrunk, bilinearly and antialiased, if it is larger than that; then fitted.
    """

    max_pixels: int = Field(ge=1, description="an image whose header declares more is refused unread")
    orientation: Literal["exif", "none"] = Field(
        default="exif", description="exif: a JPEG is turned by its tag; none: what is exported expects upright images"
    )
    max_side: int | None = Field(description="pixels; larger images are shrunk to this longer side first")


def fit_of(resolution: int, augment: Sequence[Augmentation]) -> Fit:
    """Say how a stage fits images where nothing is drawn at random; of its augmentations, `center_crop` counts."""
    crops = (operation.fraction for operation in augment if isinstance(operation, CenterCrop))
    return Fit(resolution=resolution, center_crop=next(crops, None))


def upgraded_input(document: dict[str, Any]) -> dict[str, Any]:
    """Bring the `input` of a `release.json` without a form, which had a resolution and a crop alone, to this one."""
    max_pixels = DatasetConfig.model_fields["max_pixels"].default  # all that `thaw predict` knew then
    return {"max_pixels": max_pixels, "orientation": "none", "max_side": None} | document
