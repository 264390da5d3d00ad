"""The Prefect server that Prefect's settings name: whether it answers, and where its UI shows a run."""

import httpx
from prefect.client.orchestration import get_client
from prefect.settings import get_current_settings, temporary_settings

from thaw.flows.server_errors import server_error, start_one
from thaw.flows.temporary_server import runs_on_temporary_server
from thaw.pipeline_config.errors import RequestError

_TIMEOUT = httpx.Timeout(5.0, connect=3.0)  # seconds; all commands say within ten what is wrong


def is_named() -> bool:
    """Say whether Prefect's settings name a server: the environment, a `prefect.toml` here, or the profile."""
    return bool(get_current_settings().api.url)


def require_lasting(command: str) -> None:
    """Make sure that the settings name a server, which outlives this process, and that it answers.

    Raises:
        RequestError: They name none.
        ServerError: It does not answer.
    """
    if not is_named():
        raise RequestError(f"{command} needs a Prefect server that outlives it. {start_one()}.")
    require_answer()


def require_answer() -> None:
    """Make sure that the server which the settings name answers, and is one that this Prefect can talk to.

    Raises:
        ServerError: It does not, or is not.
    """
    try:
        with temporary_settings({"client.max_retries": 0}):
            client = get_client(sync_client=True, httpx_settings={"timeout": _TIMEOUT})
            if (error := client.api_healthcheck()) is not None:
                raise error
            client.raise_for_api_version_mismatch()
    except Exception as error:
        raise server_error(error) from error


def version() -> str:
    """Ask the server for its version; raises what a request to it raises."""
    return str(get_client(sync_client=True, httpx_settings={"timeout": _TIMEOUT}).api_version())


def outlives_the_run() -> bool:
    """Say whether the server is there when a run is over: not so a temporary one."""
    return is_named() and not runs_on_temporary_server()


def run_page(run: str) -> str:
    """Give the address of a run in the new UI of the server, or of the one that `prefect server start` would start."""
    return _page(f"runs/flow-run/{run}")


def artifact_page(key: str) -> str:
    """Give the address of all that was made under an artifact's key, in the same way."""
    return _page(f"artifacts/key/{key}")


def _page(path: str) -> str:
    settings = get_current_settings()
    base = settings.ui_url or ""
    if not outlives_the_run() and "ui_url" not in settings.model_fields_set:  # else it is the temporary one's
        server = settings.server
        base = f"http://{server.api.host}:{server.api.port}{server.ui.serve_base}"
    base = base.rstrip("/")
    new = "" if settings.connected_to_cloud or base.endswith("/v2") else "/v2"  # without it, they open the old one
    return f"{base}{new}/{path}"
