"""How a new model does on parts of the test images: by their size, brightness or folder, or by a column of a table."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa

from thaw.pipeline_config.messages import word
from thaw.pipeline_config.publish_schema import Floors
from thaw.tasks.evaluation.intervals import wilson_interval
from thaw.tasks.ingest.columns import read_column
from thaw.tasks.ingest.dataset import DatasetImage
from thaw.tasks.releases.verdict import SliceResult
from thaw.tasks.verdict.comparison import compare

_MOST_VALUES = 50  # of one column: those with the most images are listed

# The upper ends of the bands, in pixels, and in the mean of all values of an image's pixels, from 0 to 255.
_SIZES = {"tiny": 20_000, "small": 250_000, "medium": 1_000_000, "large": 4_000_000, "huge": float("inf")}
_BRIGHTNESS = {"dark": 80.0, "medium": 160.0, "bright": float("inf")}


def values_of(name: str, images: Sequence[DatasetImage], dataset: Path) -> list[str]:
    """Say to which slice each test image belongs.

    What is not derived from the images is a column that the dataset keeps.
    """
    match name:
        case "size":
            return [_band(image.width * image.height, _SIZES) for image in images]
        case "folder":
            return [str(PurePosixPath(image.origin).parent) for image in images]
        case "brightness":
            return [_band(image.brightness, _BRIGHTNESS) for image in images]
        case _:
            values = read_column(dataset, name)
            return [values[image.id] for image in images]


def slices_by(
    name: str, values: Sequence[str], candidate: pa.Table, other: pa.Table | None, confidence: float
) -> list[SliceResult]:
    """Judge each part by itself, the largest first; `other` has the champion's answers, where there is one."""
    right = candidate["class_name"].to_numpy() == candidate["predicted_class"].to_numpy()
    found = []
    for value, images in sorted(Counter(values).items(), key=lambda each: (-each[1], each[0])):
        rows = np.flatnonzero(np.asarray(values, object) == value)
        correct = int(right[rows].sum())
        low, high = wilson_interval(correct, images, confidence)
        result = SliceResult(
            name=name,
            value=value,
            images=images,
            accuracy=correct / images,
            accuracy_ci=(low, high),
            compared=None if other is None else compare(candidate.take(rows), other.take(rows)),
        )
        found.append(result)
    return found


def below_slice_floors(floors: Floors, slices: Sequence[SliceResult]) -> list[str]:
    """Say which floors a model does not reach on parts of the test split, also where a part has no images."""
    found = []
    for name, wanted in floors.slices.items():
        known = {each.value: each for each in slices if each.name == name}
        for value, floor in wanted.items():
            if value not in known:
                found.append(
                    f"No test image is of {word(name)} {value!r}, so its accuracy is not known (publish.floors)."
                )
            elif known[value].accuracy < floor:
                found.append(
                    f"The accuracy on the {known[value].images:,} images of {word(name)} {value!r} is "
                    f"{known[value].accuracy:.4f}, expected {floor:g} or more (publish.floors)."
                )
    return found


def listed_slices(slices: Sequence[SliceResult]) -> list[SliceResult]:
    """Leave out the small ones where a column has too many."""
    names = list(dict.fromkeys(each.name for each in slices))
    return [each for name in names for each in [one for one in slices if one.name == name][:_MOST_VALUES]]


def _band(value: float, bands: dict[str, float]) -> str:
    return next(name for name, end in bands.items() if value < end)
