"""Small services that are not netduet: each runs in threads of the test's process."""

from __future__ import annotations

import contextlib
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.integration.framed_client import reset
from tests.integration.servers import TIMEOUT_SECONDS

LATE_SECONDS = 0.03
"""Seconds between the head of a late answer and its content."""

Behaviour = Callable[[socket.socket], None]
"""What a service does with a connection, from its start; it is closed afterwards."""


@dataclass
class Service:
    """A running service. While ``running`` is cleared, it closes new connections."""

    host: str
    port: int
    running: threading.Event = field(default_factory=threading.Event)
    connections: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait_for_connections(self, count: int) -> None:
        """Wait until so many connections have been accepted."""
        with self.changed:
            assert self.changed.wait_for(
                lambda: self.connections >= count, TIMEOUT_SECONDS
            )

    def pause(self, seconds: float) -> None:
        """Close new connections for a time; those in progress go on."""
        self.running.clear()
        threading.Event().wait(seconds)
        self.running.set()

    @property
    def target(self) -> str:
        """Host and port, as in a target."""
        return f"{self.host}:{self.port}"


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_: object) -> None:
        """Clients leave whenever they like."""


@contextlib.contextmanager
def service(
    behaviour: Behaviour, host: str = "127.0.0.1", port: int = 0
) -> Iterator[Service]:
    """Run a service; on a loopback address of its own it may take a well-known port."""
    found = Service(host, port)
    found.running.set()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with found.changed:
                found.connections += 1
                found.changed.notify_all()
            self.request.settimeout(TIMEOUT_SECONDS)
            if found.running.is_set():
                behaviour(self.request)

    with _Server((host, port), Handler) as server:
        found.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield found
        finally:
            found.running.set()
            server.shutdown()
            thread.join()


def own_loopback_address() -> str:
    """Return an address of this process alone, on which well-known ports are free."""
    number = os.getpid()
    return f"127.{number >> 16 & 127 | 128}.{number >> 8 & 255}.{number & 255}"


def wait_for_client(sock: socket.socket) -> None:
    """Read until the client leaves; send nothing."""
    with contextlib.suppress(OSError):
        while sock.recv(65536):
            pass


def close_at_once(_: socket.socket) -> None:
    """Close the connection without a word."""


def reset_at_once(sock: socket.socket) -> None:
    """Reset the connection."""
    reset(sock)


def send_first(banner: bytes) -> Behaviour:
    """Send a banner, then wait for the client to leave."""

    def behave(sock: socket.socket) -> None:
        sock.sendall(banner)
        wait_for_client(sock)

    return behave


def answer_with(answer: bytes) -> Behaviour:
    """Wait for the first bytes, answer, and close."""

    def behave(sock: socket.socket) -> None:
        if sock.recv(65536):
            sock.sendall(answer)

    return behave


def serve_http(status: str = "200 OK") -> Behaviour:
    """Answer requests on a kept connection (RFC 9112)."""
    head = f"HTTP/1.1 {status}\r\nServer: test/1\r\nContent-Length: 2\r\n\r\n"

    def behave(sock: socket.socket) -> None:
        data = b""
        while chunk := sock.recv(65536):
            data += chunk
            if not data.startswith((b"GET ", b"HEAD ")):
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                return
            while b"\r\n\r\n" in data:
                request, _, data = data.partition(b"\r\n\r\n")
                body = b"" if request.startswith(b"HEAD") else b"ok"
                sock.sendall(head.encode() + body)

    return behave


def serve_http_with_late_content(sock: socket.socket) -> None:
    """Answer requests, the content a moment after the head, as a slow backend does."""
    while sock.recv(65536):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        threading.Event().wait(LATE_SECONDS)
        sock.sendall(b"ok")


def serve_smtp(sock: socket.socket) -> None:
    """Greet, and answer each command (RFC 5321)."""
    sock.sendall(b"220 mail.example ESMTP test\r\n")
    while data := sock.recv(65536):
        sock.sendall(b"221 bye\r\n" if data.startswith(b"QUIT") else b"250 mail\r\n")
