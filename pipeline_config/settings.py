"""What belongs to the machine rather than to a recipe: read from the environment, `THAW_…`."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where thaw keeps its things.

    Attributes:
        home: Folder of artifacts, releases and checkpoints (`THAW_HOME`); `.thaw` in the current folder by default.
    """

    model_config = SettingsConfigDict(env_prefix="THAW_")

    home: Path = Path(".thaw")
