"""Servers that are no netduet: a thread for each connection, and few means."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from tests.integration.peer import connect, reset
from tests.integration.running import PATIENCE

Manner = Callable[[socket.socket], None]
"""What a stranger does with a connection; it is closed afterwards."""


class Stranger:
    """A server of bad or other manners, on a free port of a loopback address."""

    def __init__(self, manner: Manner, host: str) -> None:
        """Listen."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._manner = manner
        self._listener = socket.create_server((host, 0), family=family)
        self._threads = [threading.Thread(target=self._accept)]
        self._spoken_to = threading.Event()
        self._heard: list[bytes] = []
        self.port: int = self._listener.getsockname()[1]
        self.target = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self._threads[0].start()

    def spoken_to(self) -> None:
        """Wait until a client has sent something."""
        assert self._spoken_to.wait(PATIENCE * 2), "nobody spoke"

    @property
    def heard(self) -> bytes:
        """The first thing that a client said."""
        self.spoken_to()
        return self._heard[0]

    def close(self) -> None:
        """Stop, once all clients have left."""
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        for thread in self._threads:
            thread.join(PATIENCE)
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
            sock.settimeout(PATIENCE * 2)
            first = sock.recv(4096, socket.MSG_PEEK)
            if first:
                self._heard.append(first)
                self._spoken_to.set()
                self._manner(sock)


@contextlib.contextmanager
def stranger(manner: Manner, host: str = "127.0.0.1") -> Iterator[Stranger]:
    """Serve in this manner whoever says something."""
    one = Stranger(manner, host)
    try:
        yield one
    finally:
        one.close()


@contextlib.contextmanager
def nobody() -> Iterator[str]:
    """Return a target that refuses: its port is taken, and nothing listens on it."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{sock.getsockname()[1]}"


def silent(sock: socket.socket) -> None:
    """Read all that comes, and say nothing."""
    while sock.recv(65536):
        pass


def closing(sock: socket.socket) -> None:
    """End without a word, and without a reset."""
    sock.shutdown(socket.SHUT_WR)
    silent(sock)


def resetting(sock: socket.socket) -> None:
    """Cut the connection."""
    reset(sock)


def echoing(sock: socket.socket) -> None:
    """Send back what comes."""
    while data := sock.recv(65536):
        sock.sendall(data)


def saying(answer: bytes) -> Manner:
    """Answer, and end the sending."""

    def manner(sock: socket.socket) -> None:
        sock.sendall(answer)
        closing(sock)

    return manner


def lingering(answer: bytes) -> Manner:
    """Answer, and keep the connection."""

    def manner(sock: socket.socket) -> None:
        sock.sendall(answer)
        silent(sock)

    return manner


def converting(port: int) -> Manner:
    """Pass on to a port of this host as text: each CR LF becomes LF on the way there."""

    def manner(sock: socket.socket) -> None:
        with connect(port) as server:
            server.sendall(sock.recv(65536).replace(b"\r\n", b"\n"))
            while data := server.recv(65536):
                sock.sendall(data)

    return manner
