"""The request for predictions, apart from the work, so that it can be made without TensorFlow."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict


class PredictWork(BaseModel):
    """What the child process gets.

    Attributes:
        release: A release's folder.
        paths: Image files.
    """

    model_config = ConfigDict(frozen=True)

    release: Path
    paths: list[Path]
