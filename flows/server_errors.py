"""The one place that puts what goes wrong with Prefect, or between thaw and its server, into one line. No Prefect here.

It is imported before Prefect is, and needs none of it: whatever a request to the server raises comes from httpx.
"""

import contextlib
import importlib
import io
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from thaw.pipeline_config.errors import ServerError, ThawError
from thaw.pipeline_config.messages import word

_LONGEST_PART = 160  # characters of an address or a reason


def prefect_command() -> str:
    """Find the command to show to users: with the path of the one beside this Python, where a shell finds none."""
    return "prefect" if shutil.which("prefect") else str(Path(sys.executable).with_name("prefect"))


def start_one() -> str:
    """Say how to get a server that outlives the command."""
    return f"Start one with `{prefect_command()} server start`, and set PREFECT_API_URL to the address that it prints"


def import_with_prefect(module: str) -> ModuleType:
    """Import a module that imports Prefect, which reads its settings then.

    Raises:
        ServerError: Prefect's settings are wrong. What Prefect prints of that, over many lines, is left out.
    """
    said = io.StringIO()
    # It needs none, where a server runs; where it does, that is said in a line.
    warnings.filterwarnings("ignore", "Failed to create the Prefect home directory", UserWarning)
    try:
        with contextlib.redirect_stderr(said):
            imported = importlib.import_module(module)
            importlib.import_module("prefect.settings").get_current_settings()
    except (ValueError, OSError) as error:  # pydantic's and TOML's errors are ValueErrors
        reason = str(error).partition(" [type=")[0]
        raise ServerError(
            f"Prefect's settings cannot be used: {_short(reason)}. Look at the variables PREFECT_… of the environment, "
            "at prefect.toml here, and at Prefect's profile."
        ) from error
    sys.stderr.write(said.getvalue())
    return imported


@contextlib.contextmanager
def server_errors() -> Iterator[None]:
    """Raise a `ServerError` where the server fails a block, in place of what Prefect or httpx make of that.

    Any other error of the block is left as it is.
    """
    try:
        yield
    except ThawError:
        raise
    except Exception as error:
        if _failed_request(error) is None:
            raise
        raise server_error(error) from error


def server_error(error: Exception) -> ServerError:
    """Say in one line what is wrong with the server that Prefect's settings name; the error is of a request to it."""
    return ServerError(
        f"{complaint_about(error)}. {start_one()}. "
        f"(`{prefect_command()} config view` says where the present address is set.)"
    )


def complaint_about(error: BaseException) -> str:
    """Say the same without what to do about it, and without a full stop."""
    from prefect.settings import get_current_settings

    cause = _failed_request(error) or error.__cause__ or error
    return f"Prefect's server at {word(str(get_current_settings().api.url))} {_complaint(cause)}"


def _complaint(cause: BaseException) -> str:
    import httpx

    match cause:
        case httpx.InvalidURL() | httpx.UnsupportedProtocol():
            return f"has no such address as http://127.0.0.1:4200/api: {_short(cause)}"
        case httpx.TimeoutException():
            return "does not answer"
        case httpx.HTTPStatusError(response=response):
            status = f"{response.status_code} {response.reason_phrase}".strip()
            return f"refuses what it is asked: {status}: {_short(response.text) or 'no reason given'}"
        case httpx.TransportError():
            return f"cannot be reached: {_short(cause)}"
        case ValueError():  # of what reads JSON, or a version
            return "answers, but not as a server of Prefect's does"
    return f"does not answer as one that thaw can use: {_short(cause)}"


def _failed_request(error: BaseException) -> BaseException | None:
    """Find the request to the server that an error comes from, if it does: Prefect wraps errors in its own."""
    import httpx

    if isinstance(error, httpx.HTTPError | httpx.InvalidURL):
        return error
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else (error.__cause__,)
    return next(filter(None, (_failed_request(part) for part in parts if part is not None)), None)


def _short(text: object) -> str:
    return " ".join(str(text).split())[:_LONGEST_PART].rstrip(".")
