"""What `thaw doctor` asks the process of a step. No TensorFlow."""

from collections.abc import Sequence

from pydantic import BaseModel

from thaw.pipeline_config.publish_schema import FormatName
from thaw.pipeline_config.schema import Devices


class Look(BaseModel):
    """What a recipe wants of the process."""

    devices: Devices = "auto"
    formats: Sequence[FormatName] = ()


class Seen(BaseModel):
    """What is there."""

    tensorflow: str  # its version
    devices: list[str]  # the GPUs, such as "GPU:0"; none where the CPU computes
    missing: list[str]  # what formats lack, a line each with what to do
