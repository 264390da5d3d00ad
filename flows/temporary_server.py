"""Prefect's temporary server for `thaw run`, which ends with the run, however that ends.

The one that Prefect starts gets a terminal's Ctrl-C together with the run, so that the run cannot say how it ended, and
outlives a run that is killed. This one is in a session of its own, and leaves when its standard input ends, which the
run holds open. It starts while the run imports Prefect. Only the server's process imports Prefect here.
"""

import atexit
import http
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque

from thaw.flows.server_errors import start_one
from thaw.pipeline_config.errors import ServerError

_SECONDS_TO_LEAVE = 10.0
_KEPT_LINES = 50  # of what the server prints, to find its error in
_LONGEST_REASON = 160  # characters
_HOST = "127.0.0.1"

_addresses: set[str] = set()  # of the servers that this process uses


class TemporaryServer:
    """A server in a process of its own."""

    def __init__(self) -> None:
        """Start it; it is not ready yet. It ends with this process at the latest."""
        path = os.pathsep.join(entry for entry in sys.path if entry)
        # The process gets the bound socket, so nobody can take the port before it, and whoever connects early waits.
        with socket.create_server((_HOST, 0), backlog=128) as listener:
            self._port: int = listener.getsockname()[1]
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "thaw.flows.temporary_server", str(listener.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                pass_fds=[listener.fileno()],
                start_new_session=True,
                env=os.environ | {"PYTHONPATH": path, "PREFECT_SERVER_UI_ENABLED": "false"},
            )
        self.url = f"http://{_HOST}:{self._port}/api"
        self._last_lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._drain = threading.Thread(target=self._keep_last_lines, daemon=True)
        self._drain.start()
        atexit.register(self.stop)  # Prefect sends its last events before: it does so when the threads end

    def serve_this_process(self) -> None:
        """Make Prefect in this process use the server.

        Raises:
            ServerError: The server did not start, or Prefect's settings want no temporary one.
        """
        from prefect.context import refresh_global_settings_context
        from prefect.settings import get_current_settings

        settings = get_current_settings().server.ephemeral
        if not settings.enabled:
            self.stop()
            raise ServerError(
                "Prefect's settings name no server and want no temporary one (PREFECT_SERVER_EPHEMERAL_ENABLED is "
                f"false). {start_one()}."
            )
        self._wait_until_ready(settings.startup_timeout_seconds)
        _addresses.add(self.url)
        os.environ["PREFECT_API_URL"] = self.url  # for all threads: `temporary_settings` holds in this one only
        refresh_global_settings_context()

    def stop(self) -> None:
        """End the server; does nothing where it has ended."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=_SECONDS_TO_LEAVE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _keep_last_lines(self) -> None:
        if self._process.stdout is not None:
            with self._process.stdout as stream:
                self._last_lines.extend(line.strip() for line in stream)

    def _last_words(self) -> str:
        """What the server said last of an error, such as "sqlite3.OperationalError: disk I/O error"."""
        self._drain.join(timeout=1)
        lines = [line for line in reversed(self._last_lines) if line]
        named = (line for line in lines if re.match(r"[\w.]+(Error|Exception): ", line))
        return next(named, lines[0] if lines else "")[:_LONGEST_REASON]

    def _wait_until_ready(self, seconds: float) -> None:
        connection = http.client.HTTPConnection(_HOST, self._port, timeout=seconds)
        try:
            connection.request("GET", "/api/health")
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            in_time = f" in {seconds:g} seconds" if isinstance(error, TimeoutError) else ""
            self.stop()
            raise ServerError(
                f"Prefect's temporary server did not start{in_time}: {self._last_words() or error}. {start_one()}."
            ) from error
        finally:
            connection.close()
        if status != http.HTTPStatus.OK:
            self.stop()
            raise ServerError(f"Prefect's temporary server is not well: status {status}, expected 200. Run again.")


def runs_on_temporary_server() -> bool:
    """Say whether this process uses a temporary server, which ends with it."""
    return os.environ.get("PREFECT_API_URL") in _addresses


def main(argv: list[str]) -> None:
    """Be the server; the one argument is the number of the descriptor of a socket that listens."""
    threading.Thread(target=_leave_with_parent, daemon=True).start()

    from prefect.settings import get_current_settings

    settings = get_current_settings()
    if settings.api.url or not settings.server.ephemeral.enabled:
        return  # a profile names a server, or wants no temporary one; the run will see the same

    import uvicorn
    from prefect.server.api.server import create_app

    config = uvicorn.Config(create_app(ephemeral=True, final=True), log_level="error", lifespan="on")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(argv[0]))])


def _leave_with_parent() -> None:
    while os.read(0, 4096):  # ends when the run closes it, or is dead
        pass
    os.kill(os.getpid(), signal.SIGTERM)  # in good order, where the server has come so far
    time.sleep(_SECONDS_TO_LEAVE)
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
