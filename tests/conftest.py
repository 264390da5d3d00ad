"""Settings and fixtures for all tests."""

from hypothesis import HealthCheck, settings

from tests.prefect_server import prefect_server, thaw

__all__ = ["prefect_server", "thaw"]

# The machines are shared: how long an example takes says nothing. The first text that hypothesis makes on a new machine
# costs it two seconds.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")
