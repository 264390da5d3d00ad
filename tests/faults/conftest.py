"""The server and the command of the flow tests, for faults that are injected into whole runs."""

from tests.flows.conftest import prefect_server, thaw

__all__ = ["prefect_server", "thaw"]
