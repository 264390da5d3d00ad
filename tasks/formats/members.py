"""The formats that there are. TensorFlow and Keras."""

from collections.abc import Sequence
from pathlib import Path

from thaw.pipeline_config.errors import PublishError, RequestError
from thaw.pipeline_config.preprocessing import Preprocessing
from thaw.pipeline_config.publish_schema import FormatName
from thaw.tasks.formats.base import Format, ModelContext, Scorer
from thaw.tasks.formats.keras_file import KerasFile
from thaw.tasks.formats.saved_model import SavedModel
from thaw.tasks.pictures.files import canonical, readable

# In the order of preference: the first that a release has is the one that answers, and that the model card shows first.
FORMATS: dict[FormatName, Format] = {"saved_model": SavedModel(), "keras": KerasFile()}


def chosen(names: Sequence[FormatName]) -> list[Format]:
    """Pick the formats that a recipe asks for, each once, in the order of preference."""
    return [member for name, member in FORMATS.items() if name in names]


def load_first(folder: Path, context: ModelContext) -> Scorer:
    """Load a release's model from the first format that is there and can be loaded here.

    Raises:
        PublishError: The release has no format that this version of thaw knows.
        RequestError: It has, but what they need is not installed; the message says what to install.
    """
    present = [member for member in FORMATS.values() if member.is_in(folder)]
    for member in present:
        if member.missing() is None:
            return member.load(folder, context)
    if not present:
        expected = ", ".join(member.file for member in FORMATS.values())
        raise PublishError(f"{folder} has no model to load. Expected one of {expected}. Run the recipe again.")
    raise RequestError(" ".join(str(member.missing()) for member in present))


def as_input(encoded: bytes, how: Preprocessing) -> bytes:
    """Make an image file into one that the formats of a release read; raises BadImageError where it is none."""
    image = readable(encoded, how.max_pixels)
    # A release of an earlier thaw does not turn images, so they are turned for it.
    return image if how.orientation == "exif" else canonical(image, None)
