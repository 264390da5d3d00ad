"""What belongs to the machine rather than to a recipe: read from the environment, `THAW_…`."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where thaw keeps its things: `home` (`THAW_HOME`) is the folder of artifacts, releases and checkpoints."""

    model_config = SettingsConfigDict(env_prefix="THAW_", env_ignore_empty=True)

    home: Path = Path(".thaw")
