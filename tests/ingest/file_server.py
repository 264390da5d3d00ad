"""A web server with a file, which can be told to misbehave: one behaviour a request, then it is well again."""

import contextlib
import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FileServer:
    """Serves `content` at every path, with ranges and entity tags.

    Attributes:
        content: The file; may be replaced between requests.
        plan: What to do with the next requests, in order.
        requests: Headers of the requests so far, and `paths` what they asked for.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.plan: deque[Callable[[Any], None]] = deque()
        self.requests: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.pause = threading.Event()  # set: a behaviour that waits goes on
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.requests.append(dict(self.headers))
                server.paths.append(self.path)
                (server.plan.popleft() if server.plan else serve)(self)

            def log_message(self, format: str, *arguments: Any) -> None:
                """Print nothing."""

            @property
            def file(self) -> FileServer:
                return server

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/images.zip"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def ranges(self) -> list[str | None]:
        return [request.get("Range") for request in self.requests]

    @contextlib.contextmanager
    def running(self) -> Iterator["FileServer"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.pause.set()
            self._server.shutdown()
            self._server.server_close()


def answer(handler: Any, code: int, body: bytes, **headers: str | int) -> None:
    """Send one answer; a header's underscores stand for dashes."""
    handler.send_response(code)
    for name, value in {"Content_Length": len(body), **headers}.items():
        if value != "":
            handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()
    handler.wfile.write(body)


def serve(handler: Any, *, cut_after: int | None = None, tag: bool = True) -> None:
    """What a good server does; `cut_after` so many bytes it closes the connection."""
    content = handler.file.content
    etag = f'"{hashlib.sha256(content).hexdigest()[:8]}"'
    wanted = handler.headers.get("Range")
    if handler.headers.get("If-Range") not in (None, etag):
        wanted = None
    start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
    if wanted and start >= len(content):
        answer(handler, 416, b"", Content_Range=f"bytes */{len(content)}")
        return
    body = content[start:]
    headers: dict[str, str | int] = {"ETag": etag} if tag else {}
    if wanted:
        headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
    headers["Content_Length"] = len(body)
    answer(handler, 206 if wanted else 200, body[:cut_after], **headers)
    if cut_after is not None:
        handler.close_connection = True


def cut(after: int, *, tag: bool = True) -> Callable[[Any], None]:
    return lambda handler: serve(handler, cut_after=after, tag=tag)


def fail(code: int) -> Callable[[Any], None]:
    return lambda handler: answer(handler, code, b"no")


def ignore_range(handler: Any) -> None:
    answer(handler, 200, handler.file.content)


def hang_up(handler: Any) -> None:
    handler.close_connection = True
