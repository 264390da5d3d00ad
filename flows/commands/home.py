"""The home folder of a command."""

import tempfile
from pathlib import Path

from thaw.pipeline_config.errors import ArtifactError
from thaw.pipeline_config.settings import Settings


def resolve_home(option: Path | None) -> Path:
    """Find the home folder: the option, else the environment, else `.thaw` here.

    Args:
        option: `--home`, if it was given.

    Returns:
        An absolute path, which may not exist yet.
    """
    return (option or Settings().home).expanduser().absolute()


def prepare_home(option: Path | None) -> Path:
    """Make sure, before any work, that the home folder can be written.

    Args:
        option: `--home`, if it was given.

    Returns:
        The folder, absolute.

    Raises:
        ArtifactError: It cannot be made or written.
    """
    home = resolve_home(option)
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):  # has no name, so that nothing stays if this process is killed here
            pass
    except OSError as error:
        raise ArtifactError(
            f"Home folder {home} cannot be written: {error.strerror}. Choose another with --home."
        ) from error
    return home
