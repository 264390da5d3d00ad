"""`thaw notify`: events by hand."""

import typer

from thaw.flows.server_errors import import_with_prefect, server_errors
from thaw.pipeline_config.errors import RequestError


def notify_dataset(recipe: str) -> None:
    """Send the event that a recipe's images have changed, and wait until the server has it.

    Raises:
        RequestError: No Prefect server is set, or none of its deployments would start a run.
        ServerError: The server does not answer.
    """
    import_with_prefect("thaw.flows.events")  # reads Prefect's settings, also a `prefect.toml` here

    from thaw.flows import server_in_use
    from thaw.flows.automations import deployment_of
    from thaw.flows.events import DATASET_CHANGED, tell_dataset_changed

    server_in_use.require_lasting("thaw notify")
    with server_errors():
        if deployment_of(recipe) is None:
            raise RequestError(
                f"The server has no deployment retrain/{recipe}, which would start a run. Begin with thaw serve."
            )
        tell_dataset_changed(recipe, "by hand")
    typer.echo(f"Told the server {DATASET_CHANGED} of {recipe}.")
