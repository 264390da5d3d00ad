"""A proxy in front of a Prefect server, which refuses some requests from the moment that the test says."""

import contextlib
import socket
import threading
from collections.abc import Iterator

REFUSALS = {
    "answers 500": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlost",
    "closes": b"",
}


class ApiProxy:
    """Passes bytes on in both directions; `asked` has the first line of each request that was refused."""

    def __init__(self, port: int, refusal: bytes, paths: tuple[bytes, ...]) -> None:
        self._target, self._refusal, self._paths = port, refusal, paths
        self.refuses = threading.Event()
        self.passed: list[bytes] = []
        self.asked: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._target)) as server, contextlib.suppress(OSError):
            threading.Thread(target=self._answer, args=(server, client), daemon=True).start()
            while received := client.recv(1 << 16):  # the head of a request comes in one piece
                first, *_ = received.split(b"\r\n", 1)
                if any(b" " + path in first for path in self._paths):
                    if self.refuses.is_set():
                        self.asked.append(first)
                        client.sendall(self._refusal)
                        client.shutdown(socket.SHUT_RDWR)
                        return
                    self.passed.append(first)
                server.sendall(received)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while received := server.recv(1 << 16):
                client.sendall(received)
            client.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def proxied(api: str, refusal: str, *paths: str) -> Iterator[ApiProxy]:
    """Put a proxy in front of an API such as "http://127.0.0.1:4200/api" for the length of a block."""
    port = int(api.removesuffix("/api").rpartition(":")[2])
    proxy = ApiProxy(port, REFUSALS[refusal], tuple(path.encode() for path in paths))
    try:
        yield proxy
    finally:
        proxy.close()
