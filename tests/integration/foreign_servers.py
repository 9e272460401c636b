"""Servers that are not netduet: one thread per connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from tests.integration.framed_client import connect, reset
from tests.integration.servers import TIMEOUT_SECONDS

Behaviour = Callable[[socket.socket], None]
"""What a server does with a connection; it is closed afterwards."""


class ForeignServer:
    """A server with a given behaviour, on a free port of a loopback address."""

    def __init__(self, behaviour: Behaviour, host: str) -> None:
        """Listen."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._manner = behaviour
        self._listener = socket.create_server((host, 0), family=family)
        self._threads = [threading.Thread(target=self._accept)]
        self._spoken_to = threading.Event()
        self._heard: list[bytes] = []
        self.port: int = self._listener.getsockname()[1]
        self.target = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self._threads[0].start()

    def wait_for_data(self) -> None:
        """Wait until a client has sent something."""
        assert self._spoken_to.wait(TIMEOUT_SECONDS * 2), "nobody spoke"

    @property
    def received(self) -> bytes:
        """The first data of a client."""
        self.wait_for_data()
        return self._heard[0]

    def close(self) -> None:
        """Stop, once all clients have left."""
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        for thread in self._threads:
            thread.join(TIMEOUT_SECONDS)
            assert not thread.is_alive(), "a client has not left"
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(sock,))
                thread.start()
                self._threads.append(thread)

    def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(ConnectionError):
            sock.settimeout(TIMEOUT_SECONDS * 2)
            first = sock.recv(4096, socket.MSG_PEEK)
            if first:
                self._heard.append(first)
                self._spoken_to.set()
                self._manner(sock)


@contextlib.contextmanager
def foreign_server(
    behaviour: Behaviour, host: str = "127.0.0.1"
) -> Iterator[ForeignServer]:
    """Run a server that treats each client like this, once it has sent data."""
    server = ForeignServer(behaviour, host)
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def closed_port() -> Iterator[str]:
    """Return a target that refuses: its port is taken, and nothing listens on it."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{sock.getsockname()[1]}"


def stay_silent(sock: socket.socket) -> None:
    """Read all that comes, and say nothing."""
    while sock.recv(65536):
        pass


def close_normally(sock: socket.socket) -> None:
    """Send a FIN without data."""
    sock.shutdown(socket.SHUT_WR)
    stay_silent(sock)


def close_by_reset(sock: socket.socket) -> None:
    """Cut the connection."""
    reset(sock)


def echo_bytes(sock: socket.socket) -> None:
    """Send back what comes."""
    while data := sock.recv(65536):
        sock.sendall(data)


def answer_and_close(answer: bytes) -> Behaviour:
    """Answer, and end the sending."""

    def behave(sock: socket.socket) -> None:
        sock.sendall(answer)
        close_normally(sock)

    return behave


def answer_and_stay(answer: bytes) -> Behaviour:
    """Answer, and keep the connection."""

    def behave(sock: socket.socket) -> None:
        sock.sendall(answer)
        stay_silent(sock)

    return behave


def convert_line_ends(port: int) -> Behaviour:
    """Pass on to a port of this host as text: each CR LF becomes LF on the way there."""

    def behave(sock: socket.socket) -> None:
        with connect(port) as server:
            server.sendall(sock.recv(65536).replace(b"\r\n", b"\n"))
            while data := server.recv(65536):
                sock.sendall(data)

    return behave
