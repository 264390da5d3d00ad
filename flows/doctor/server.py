"""Prefect: its settings, and the server that they name. Imports Prefect when it is asked, and no server of it."""

from collections.abc import Iterator
from importlib import metadata

from thaw.flows.doctor.base import Check, Finding, Here
from thaw.flows.server_errors import complaint_about, import_with_prefect, prefect_command, start_one
from thaw.pipeline_config.errors import ServerError


class PrefectServer(Check):
    """Asks the server."""

    name = "prefect"

    def examine(self, here: Here) -> Iterator[Finding]:
        """Look at the settings, and where they name a server, ask it for its version."""
        try:
            import_with_prefect("thaw.flows.server_in_use")
        except ServerError as error:
            remedy = f"Put the setting right: `{prefect_command()} config view` lists them."
            yield Finding(level="error", text=str(error), remedy=remedy)
            return
        from thaw.flows import server_in_use

        if not server_in_use.is_named():
            yield from _without_server(scheduled=here.recipe is not None and here.recipe.schedule is not None)
            return
        try:
            server_in_use.require_answer()
        except ServerError as error:
            remedy = f"{start_one()}; or unset it, and thaw run starts one of its own."
            yield Finding(level="error", text=f"{complaint_about(error.__cause__ or error)}.", remedy=remedy)
            return
        theirs, ours = server_in_use.version(), metadata.version("prefect")
        if theirs == ours:
            yield Finding(level="ok", text=f"a server of Prefect {theirs} answers")
        else:
            text = f"The server is of Prefect {theirs}, and here is {ours}."
            yield Finding(level="warning", text=text, remedy="Use one version of Prefect for both.")


def _without_server(*, scheduled: bool) -> Iterator[Finding]:
    if scheduled:
        text = "The recipe has a schedule, and Prefect's settings name no server, which thaw serve needs."
        yield Finding(level="warning", text=text, remedy=f"{start_one()}.")
    else:
        yield Finding(level="ok", text="no server is named: thaw run starts one of its own")
