"""The request for predictions, apart from the work, so that it can be made without TensorFlow."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict


class PredictWork(BaseModel):
    """What the child process gets: a release's folder, and image files."""

    model_config = ConfigDict(frozen=True)

    release: Path
    paths: list[Path]
