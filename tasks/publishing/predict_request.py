"""The request for predictions, apart from the work, so that it can be made without TensorFlow."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from thaw.pipeline_config.schema import Devices


class PredictWork(BaseModel):
    """What the child process gets: a release's folder, and image files."""

    model_config = ConfigDict(frozen=True)

    release: Path
    paths: list[Path]
    devices: Devices = Field(default="auto", description="of these, those that are there; the CPU where none is")
