"""Whatever is wrong with Prefect's server or its folder, a command says it in one line, with a remedy, and soon."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from prefect.settings import temporary_settings

from tests.prefect_server import Thaw
from thaw.flows import server_in_use
from thaw.flows.server_errors import server_errors
from thaw.pipeline_config.errors import ServerError

# A command promises to say within 10 seconds what is wrong. Some 4 are its start, for which a busy machine takes what
# it likes; so what is measured is how long it waits for a server that says nothing. It stops after 5.
SECONDS_OF_WAITING = 8

COMMANDS = {
    "run": ("run", "digits"),
    "compare": ("compare", "digits"),
    "serve": ("serve", "digits"),
}


@dataclass(frozen=True)
class Answers:
    """What a server that is none of ours answers: to everything, or to some paths."""

    status: int
    body: str
    of: dict[str, str] = field(default_factory=dict)


PAGE = "<!doctype html><html>" + "<p>Welcome</p>" * 1000
STRANGERS = {
    "another page": (Answers(200, PAGE), "answers, but not as a server of Prefect's does"),
    "nothing there": (Answers(404, PAGE), "refuses what it is asked: 404 Not Found"),
    "a login": (Answers(401, '{"exception_message": "Unauthorized"}'), "refuses what it is asked: 401 Unauthorized"),
    "an older form": (
        Answers(400, '{"detail": "Client specified API version 0.8.4, but this server only supports 0.8.3"}'),
        "but this server only supports 0.8.3",
    ),
    "another main version": (
        Answers(200, "true", {"/api/admin/version": '"2.20.4"'}),
        "server: 2.20.4. Major versions must match",
    ),
    "no version": (Answers(200, "true", {"/api/admin/version": '"soon"'}), "not as a server of Prefect's does"),
    "no text": (Answers(200, "true", {"/api/admin/version": '{"a": 1}'}), "not as a server of Prefect's does"),
}


@contextlib.contextmanager
def stranger(answers: Answers) -> Iterator[str]:
    """Answer on a port of this machine for the length of a block; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = answers.of.get(self.path)
            self.send_response(answers.status if known is None else 200)
            self.end_headers()
            self.wfile.write((answers.body if known is None else known).encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()


@contextlib.contextmanager
def listener() -> Iterator[tuple[str, list[float]]]:
    """Take connections, and say nothing: the address, and for how many seconds each was held."""
    held: list[float] = []

    def listen() -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = server.accept()
                since = time.monotonic()
                with client:
                    while client.recv(4096):
                        pass
                held.append(time.monotonic() - since)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=listen, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/api", held


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def complaint(url: str) -> str:
    with temporary_settings({"api.url": url}), pytest.raises(ServerError) as caught:
        server_in_use.require_answer()
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 500
    assert "server start`" in line
    return line


@pytest.mark.parametrize("kind", STRANGERS)
def test_a_server_that_is_none_of_ours_is_named_with_what_it_answered(kind: str) -> None:
    answers, words = STRANGERS[kind]
    with stranger(answers) as url:
        line = complaint(url)
    assert line.startswith(f"Prefect's server at {url} ")
    assert words in line


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:{free}/api", "cannot be reached: [Errno"),
        ("junk", "has no such address as http://127.0.0.1:4200/api"),
        ("ftp://127.0.0.1/api", "has no such address as"),
        ("http://" + "long" * 1000, "Prefect's server at http://longlong"),
    ],
)
def test_an_address_that_leads_nowhere_is_named(url: str, words: str) -> None:
    assert words in complaint(url.replace("{free}", str(free_port())))


def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_in_use, "_TIMEOUT", httpx.Timeout(0.5))
    with listener() as (url, _):
        assert f"Prefect's server at {url} does not answer. " in complaint(url)


def test_what_is_secret_in_an_address_is_not_shown() -> None:
    port = free_port()
    line = complaint(f"http://user:secret@127.0.0.1:{port}/api?token=hidden")
    assert line.startswith(f"Prefect's server at http://127.0.0.1:{port}/api?token=REMOVED cannot be reached")


def test_a_server_that_fails_later_is_named_also_where_prefect_wraps_what_happened() -> None:
    request = httpx.Request("GET", "http://127.0.0.1/api/flows")
    for wrap in (lambda error: error, lambda error: ExceptionGroup("several", [KeyError(1), error]), wrapped):
        with pytest.raises(ServerError, match=r"cannot be reached: gone"), server_errors():
            raise wrap(httpx.ConnectError("gone", request=request))
    with pytest.raises(KeyError), server_errors():
        raise KeyError(1)


def wrapped(error: Exception) -> Exception:
    try:
        raise RuntimeError("Failed to reach API") from error
    except RuntimeError as outer:
        return outer


def refuse(thaw: Thaw, command: str, home: Path, **environment: str) -> str:
    """Call a command that cannot do anything: its last line, where it said no more than it should."""
    ours = {name: value for name, value in thaw.environment.items() if name != "PREFECT_API_URL"}
    done = Thaw(ours | environment, thaw.folder)(*COMMANDS[command], "--home", home)
    *progress, last = done.stderr.splitlines()
    assert done.returncode == (2 if "outlives" in last else 1), done.stderr
    assert done.stdout == ""
    assert [
        line for line in progress if not line.startswith(("thaw: recipe", "thaw: comparing", "thaw: starting"))
    ] == []
    assert len(last) < 500
    return last


def test_a_run_says_that_prefects_folder_cannot_be_written(thaw: Thaw, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = refuse(thaw, "run", tmp_path / "home", PREFECT_HOME=str(tmp_path / "file" / "prefect"))
    assert line.startswith(
        f"thaw: Prefect's folder {tmp_path / 'file' / 'prefect'} cannot be written: Not a directory. "
    )
    assert "Set PREFECT_HOME" in line


def test_serve_and_run_find_the_server_of_prefects_profile_also_where_the_variable_is_empty(
    thaw: Thaw, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{free_port()}/api"
    (tmp_path / "profiles.toml").write_text(f'active = "ours"\n[profiles.ours]\nPREFECT_API_URL = "{url}"\n')
    for command, variables in (("serve", {}), ("run", {"PREFECT_API_URL": ""})):
        line = refuse(
            thaw, command, tmp_path / "home", PREFECT_PROFILES_PATH=str(tmp_path / "profiles.toml"), **variables
        )
        assert line.startswith(f"thaw: Prefect's server at {url} cannot be reached: ")


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_in_one_line_what_is_wrong_with_the_server(thaw: Thaw, tmp_path: Path, command: str) -> None:
    home = tmp_path / "home"
    with listener() as (url, held):
        assert "does not answer" in refuse(thaw, command, home, PREFECT_API_URL=url)
    assert len(held) == 1
    assert held[0] < SECONDS_OF_WAITING
    with stranger(STRANGERS["another page"][0]) as url:
        assert "not as a server of Prefect's" in refuse(thaw, command, home, PREFECT_API_URL=url)
    elsewhere = thaw.environment["PREFECT_API_URL"].removesuffix("/api")
    assert "404 Not Found" in refuse(thaw, command, home, PREFECT_API_URL=f"{elsewhere}/elsewhere")
    for junk in ("junk", f"http://127.0.0.1:{free_port()}/api"):
        assert f"server at {junk} " in refuse(thaw, command, home, PREFECT_API_URL=junk)
    assert "Prefect's settings cannot be used" in refuse(thaw, command, home, PREFECT_API_URL="http://[::1")
    assert "Prefect's settings cannot be used" in refuse(thaw, command, home, PREFECT_CLIENT_MAX_RETRIES="many")
    assert "server start" in refuse(thaw, command, home, PREFECT_SERVER_EPHEMERAL_ENABLED="false")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["run", "compare"])
def test_a_folder_of_prefects_that_cannot_be_written_is_named(thaw: Thaw, tmp_path: Path, command: str) -> None:
    (tmp_path / "file").write_text("")
    places = [tmp_path / "file", tmp_path / "file" / "below", Path("/proc/prefect")]
    if os.geteuid() != 0:
        (tmp_path / "read-only").mkdir(mode=0o555)
        places.append(tmp_path / "read-only")
    for place in places:
        line = refuse(thaw, command, tmp_path / "home", PREFECT_HOME=str(place))
        assert line.startswith(f"thaw: Prefect's folder {place} cannot be written: ")


@pytest.mark.slow
def test_a_damaged_database_of_prefects_is_named_with_what_the_server_said(thaw: Thaw, tmp_path: Path) -> None:
    (tmp_path / "prefect.db").write_text("no database\n" * 1000)
    ours = {name: value for name, value in thaw.environment.items() if name != "PREFECT_API_URL"}
    done = Thaw(ours | {"PREFECT_HOME": str(tmp_path)}, thaw.folder)("run", "digits", "--home", tmp_path / "home")
    assert done.returncode == 1
    assert "Prefect's temporary server did not start: " in done.stderr
    assert "file is not a database" in done.stderr
    assert all(line.startswith("thaw: ") for line in done.stderr.splitlines())
