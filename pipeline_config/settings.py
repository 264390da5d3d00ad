"""What belongs to the machine rather than to a recipe: read from the environment, `THAW_…`."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _words(value: Any) -> Any:
    return value.split() if isinstance(value, str) else value


class Settings(BaseSettings):
    """Where thaw keeps its things, and whom it tells.

    `home` (`THAW_HOME`) is the folder of artifacts, releases and checkpoints. `notify` (`THAW_NOTIFY`) has Apprise's
    addresses, which may hold secrets, and names of Prefect's notification blocks, as in "slack-webhook/ops", with
    blanks between them.
    """

    model_config = SettingsConfigDict(env_prefix="THAW_", env_ignore_empty=True)

    home: Path = Path(".thaw")
    notify: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_words)] = ()
