"""Servers that send what nobody asked for, and never end: floods, drips, huge answers.

They listen for TCP and UDP on one port. Some are devices in front of a real server: they
relay until a client trusts them.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from netduet.wire import datagram
from netduet.wire.frames import ANSWER, HEADER, MAGIC, Kind, serialize
from netduet.wire.messages import encode
from tests.integration.framed_client import connect
from tests.unit.client.fake_server import (
    AcceptedConnection,
    make_server_report,
    make_welcome,
)

CHUNK_BYTES = 256 * 1024
"""Bytes of one write of a flood, about."""

DRIP_SECONDS = 0.5
"""Seconds between two bytes of a server that is slow on purpose."""

_MAX_THREADS = 2000
_WAIT_SECONDS = 30.0

Behaviour = Callable[["HostileServer", socket.socket], None]
"""What a server does with a connection; it is closed afterwards."""


@dataclass(frozen=True)
class Hostility:
    """A behaviour of TCP connections, and one of datagrams.

    ``relays``: it needs a real server behind it.
    """

    behave: Behaviour
    answer_datagram: Callable[[bytes], list[bytes]] = lambda _: []
    relays: bool = False


class HostileServer:
    """Listens on a free port of loopback; one thread per connection."""

    def __init__(self, hostility: Hostility, real_port: int = 0) -> None:
        """Listen; ``real_port`` is that of the server behind it, if there is one."""
        self.real_port = real_port
        self.stopped = threading.Event()
        self.started_at = time.monotonic()
        self._hostility = hostility
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self.target = f"127.0.0.1:{self.port}"
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.bind(("127.0.0.1", self.port))
        self._datagrams.settimeout(0.2)
        self._threads = [
            threading.Thread(target=self._accept),
            threading.Thread(target=self._receive),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End all connections."""
        self.stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        for thread in self._threads:
            thread.join(_WAIT_SECONDS)
        self._listener.close()
        self._datagrams.close()

    def flood(self, sock: socket.socket, chunk: bytes) -> None:
        """Send the same again and again, until the client has left."""
        while not self.stopped.is_set():
            sock.sendall(chunk)

    def drip(self, sock: socket.socket, data: bytes) -> None:
        """Send one byte after the other, and then silence."""
        for byte in data:
            if self.stopped.wait(DRIP_SECONDS):
                return
            sock.sendall(bytes([byte]))
        self.wait_for_close(sock)

    def wait_for_close(self, sock: socket.socket) -> None:
        """Read until the client has left."""
        while not self.stopped.is_set():
            with contextlib.suppress(TimeoutError):
                if not sock.recv(65_536):
                    return

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while len(self._threads) < _MAX_THREADS:
                sock, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(sock,))
                thread.start()
                self._threads.append(thread)

    def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError, AssertionError):
            sock.settimeout(1.0)
            self._hostility.behave(self, sock)

    def _receive(self) -> None:
        while not self.stopped.is_set():
            with contextlib.suppress(OSError):
                data, source = self._datagrams.recvfrom(65_535)
                for answer in self._hostility.answer_datagram(data):
                    self._datagrams.sendto(answer, source)


@contextlib.contextmanager
def hostile_server(hostility: Hostility, real_port: int = 0) -> Iterator[HostileServer]:
    """Run one."""
    server = HostileServer(hostility, real_port)
    try:
        yield server
    finally:
        server.close()


def _repeated(unit: bytes) -> bytes:
    return unit * max(1, CHUNK_BYTES // len(unit))


def flooding(unit: bytes, before: bytes = b"") -> Behaviour:
    """Send this without end, whatever the client says."""

    def behave(server: HostileServer, sock: socket.socket) -> None:
        sock.sendall(before)
        server.flood(sock, _repeated(unit))

    return behave


def flooding_after_welcome(unit: bytes) -> Behaviour:
    """Welcome the client, then send this without end."""

    def behave(server: HostileServer, sock: socket.socket) -> None:
        AcceptedConnection(sock).send_welcome(
            features=["echo", "report", "ledger", "source", "sink", "hold", "inspect"]
        )
        server.flood(sock, _repeated(unit))

    return behave


def dripping(data: bytes) -> Behaviour:
    """Send one byte after the other."""

    def behave(server: HostileServer, sock: socket.socket) -> None:
        server.drip(sock, data)

    return behave


def send_large_welcome(server: HostileServer, sock: socket.socket) -> None:
    """Answer the opening with a welcome of as many bytes as are allowed."""
    nonce = AcceptedConnection(sock).read_opening()
    message = json.loads(encode(make_welcome(nonce=nonce)))
    message |= {f"field{number}": number for number in range(3500)}
    payload = json.dumps(message).encode()
    sock.sendall(MAGIC + serialize(Kind.OPEN, payload, flags=ANSWER))
    server.wait_for_close(sock)


def relay(
    server: HostileServer,
    sock: socket.socket,
    times: int = 1,
    *,
    flood_at: float = float("inf"),
    unit: bytes = b"",
) -> None:
    """Relay until one side has ended; each of the server's answers ``times`` times.

    From ``flood_at`` on (a monotonic second), flood with the unit. The first answer, the
    welcome, is relayed in any case, so that the client trusts the server.
    """
    with connect(server.real_port) as real:
        thread = threading.Thread(target=_relay_up, args=(server, sock, real))
        thread.start()
        real.settimeout(0.1)
        is_welcomed = False
        try:
            while not server.stopped.is_set():
                if is_welcomed and time.monotonic() >= flood_at:
                    server.flood(sock, _repeated(unit))
                with contextlib.suppress(TimeoutError):
                    data = real.recv(65_536)
                    if not data:
                        break
                    sock.sendall(data * (times if is_welcomed else 1))
                    is_welcomed = True
        finally:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            thread.join(_WAIT_SECONDS)


def _relay_up(server: HostileServer, sock: socket.socket, real: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while not server.stopped.is_set():
            with contextlib.suppress(TimeoutError):
                data = sock.recv(65_536)
                if not data:
                    real.shutdown(socket.SHUT_WR)
                    return
                real.sendall(data)


def multiplying(times: int) -> Behaviour:
    """Relay, and send each answer many times."""

    def behave(server: HostileServer, sock: socket.socket) -> None:
        relay(server, sock, times)

    return behave


def flooding_later(seconds: float, unit: bytes) -> Behaviour:
    """Relay for a while; then flood all connections that are open, and each new one."""

    def behave(server: HostileServer, sock: socket.socket) -> None:
        relay(server, sock, flood_at=server.started_at + seconds, unit=unit)

    return behave


def many_datagrams(data: bytes) -> list[bytes]:
    """Answer each datagram with many: its own bytes as an answer, and others."""
    try:
        frame = datagram.parse(data)
    except Exception:  # noqa: BLE001 - any datagram is answered
        frame = None
    kind = Kind.ECHO if frame is None else frame.kind
    payload = b"" if frame is None else frame.payload
    return [
        MAGIC + serialize(kind, payload, flags=ANSWER, id=number)
        for number in range(200)
    ]


ECHO_ANSWER = serialize(Kind.ECHO, bytes(8), flags=ANSWER, id=1)
REPORT_ANSWER = serialize(Kind.REPORT, encode(make_server_report()), flags=ANSWER, id=1)
SOURCE_ANSWER = serialize(Kind.SOURCE, bytes(CHUNK_BYTES), flags=ANSWER, id=1)
ENDLESS_FRAME = HEADER.pack(2**32 - 1, Kind.ECHO, ANSWER, 0, 1)
HTTP = b"HTTP/1.1 200 OK\r\nServer: nginx\r\n"
TLS_RECORD = struct.pack("!BHH", 22, 0x0303, 16_384) + bytes(16_384)

HOSTILITIES: dict[str, Hostility] = {
    "text": Hostility(flooding(b"yes\n")),
    "echo answers": Hostility(flooding_after_welcome(ECHO_ANSWER)),
    "reports": Hostility(flooding_after_welcome(REPORT_ANSWER)),
    "data": Hostility(flooding_after_welcome(SOURCE_ANSWER)),
    "endless frame": Hostility(flooding_after_welcome(ENDLESS_FRAME)),
    "endless frame at once": Hostility(flooding(bytes(1024), MAGIC + ENDLESS_FRAME)),
    "large welcome": Hostility(send_large_welcome),
    "dripped welcome": Hostility(dripping(MAGIC * 100)),
    "dripped text": Hostility(dripping(b"hello " * 100)),
    "http headers": Hostility(flooding(b"X-Header: value\r\n", HTTP)),
    "http body": Hostility(
        flooding(b"<p>", HTTP + b"Content-Length: 999999999999\r\n\r\n")
    ),
    "http answers": Hostility(flooding(HTTP + b"Content-Length: 0\r\n\r\n")),
    "tls records": Hostility(flooding(TLS_RECORD)),
    "greeting lines": Hostility(flooding(b"220-mail.example.com ESMTP\r\n")),
    "redis answers": Hostility(flooding(b"+PONG\r\n")),
    "redis bulk": Hostility(flooding(b"x" * 1024, b"$999999999999\r\n")),
    "answers x 1000": Hostility(multiplying(1000), relays=True),
    "flood after 2 s": Hostility(flooding_later(2.0, ECHO_ANSWER), relays=True),
    "datagrams": Hostility(multiplying(1), many_datagrams, relays=True),
}
"""By name."""
