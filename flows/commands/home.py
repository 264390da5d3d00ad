"""The home folder of a command."""

import os
import tempfile
from pathlib import Path

from thaw.pipeline_config.errors import ArtifactError
from thaw.pipeline_config.settings import Settings
from thaw.tasks.home import Home


def open_home(option: Path | None) -> Home:
    """Open the home folder, which may not exist: `--home`, else the environment's, else `.thaw` here.

    Raises:
        NewerVersionError: A later version of thaw has changed its form.
    """
    return Home.open((option or Settings().home).expanduser())


def prepare_home(option: Path | None) -> Home:
    """Open the home folder, and make sure, before any work, that it can be written.

    Where the user has no home folder of their own, libraries keep there what they would keep in that.

    Raises:
        ArtifactError: It cannot be made or written.
        NewerVersionError: A later version of thaw has changed its form.
    """
    home = open_home(option)
    try:
        require_writable(home.path)
    except OSError as error:
        raise ArtifactError(
            f"Home folder {home.path} cannot be written: {error.strerror}. Choose another with --home."
        ) from error
    home.state_layout()
    if os.path.expanduser("~") == "~":  # noqa: PTH111 (pathlib raises)
        os.environ["HOME"] = str(home.path)  # Prefect cannot be imported where the user has no home folder
    return home


def require_writable(folder: Path) -> None:
    """Make a folder, where there is none, and make sure that it can be written.

    Raises:
        OSError: It cannot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):  # has no name, so that nothing stays if this process is killed here
        pass
