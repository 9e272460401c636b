"""Small requests at fixed times, in a separate thread and on a separate connection.

Open loop: each is sent at its time whether or not the one before it was answered, and
its round trip counts from when it was due, so a stall delays all that were due in it
(coordinated omission: G. Tene, "How NOT to Measure Latency"). The kernel reports when
an answer arrived (SO_TIMESTAMPNS, Documentation/networking/timestamping.rst), so a late
reader adds no latency; the delay of the sender is recorded separately.
"""

from __future__ import annotations

import contextlib
import secrets
import select
import socket
import struct
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Self

from netduet.client.checks.load.results import EchoTiming
from netduet.client.net.client_tls import current_tls
from netduet.client.net.run_id import run_id
from netduet.client.net.shared_token import shared_token
from netduet.net.tls_layer import TlsBytes
from netduet.wire.connection import Connection
from netduet.wire.events import WelcomeReceived
from netduet.wire.frames import ANSWER, Kind, parse, serialize
from netduet.wire.messages import Open
from netduet.wire.state_machine import Limits, Role

if TYPE_CHECKING:
    from netduet.client.net.dial import Address

_SO_TIMESTAMPNS: Final = 35
_TIMESPEC: Final = struct.Struct("@ll")
_PAYLOAD: Final = bytes(range(16))
_MAX_QUESTIONS: Final = 50_000
"""Maximum requests."""

_SELECTABLE: Final = 1024
"""select(2) works for descriptors below this."""

_READ_BYTES: Final = 65_536
_MAX_UNREAD_BYTES: Final = 4096
"""Bytes of an incomplete frame: each is an echo of a few bytes, or why there is none."""

_DRAIN_SECONDS: Final = 1.0
"""Seconds to wait for the last answers."""


class LatencyProbe:
    """Measures the latency of one address while its context is active."""

    def __init__(self, address: Address, interval: float, timeout: float) -> None:
        """Prepare; one request each ``interval`` seconds."""
        self._address = address
        self._interval = interval
        self._timeout = timeout
        self._run_id, self._token = run_id(), shared_token()  # the thread has no task
        self._over = threading.Event()
        self._echoes: list[EchoTiming] = []
        self._unread = b""
        self.detail = ""
        """Why it ended early."""
        self._tls: TlsBytes | None = None
        self._client_tls = current_tls()  # the thread has no context of the task
        self._thread = threading.Thread(target=self._run, daemon=True, name="echoing")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the requests; ``finish`` waits for the last answers."""
        self._over.set()

    @property
    def running(self) -> bool:
        """Whether it still sends requests."""
        return self._thread.is_alive()

    def finish(self) -> None:
        """Wait for the last answers and for the end of the thread; blocks."""
        self._over.set()
        self._thread.join(self._timeout + 2 * _DRAIN_SECONDS)

    def echoes_between(self, start: float, end: float) -> tuple[EchoTiming, ...]:
        """Return the echoes that were due between two times."""
        return tuple(echo for echo in list(self._echoes) if start <= echo.due < end)

    def current_delay(self) -> float | None:
        """Return the latest round trip, or how long the next one is overdue.

        The longer of the two, because a queue delays what has not arrived yet. None
        before the first answer.
        """
        overdue = 0.0
        for echo in reversed(self._echoes):
            if echo.arrived is not None:
                return max(echo.arrived - echo.due, overdue)
            overdue = time.monotonic() - echo.due
        return None

    # In the thread

    def _run(self) -> None:
        try:
            with socket.create_connection(
                self._address.sockaddr[:2], self._timeout
            ) as sock:
                if self._client_tls is not None:
                    tls = self._client_tls
                    self._tls = TlsBytes(sock, tls.context, tls.name, self._timeout)
                self._open(sock)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with contextlib.suppress(OSError):  # then this process's clock is used
                    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
                sock.setblocking(False)
                self._send_questions(sock)
        except OSError as error:
            self.detail = error.strerror or str(error)

    def _open(self, sock: socket.socket) -> None:
        connection = Connection(
            Role.CLIENT, Limits(), time.monotonic(), token=self._token
        )
        opening = Open(nonce=secrets.token_hex(16))
        connection.open(opening, time.monotonic(), self._run_id)
        sock.sendall(self._encrypted(b"".join(connection.data_to_send())))
        until = time.monotonic() + self._timeout
        while True:
            left = until - time.monotonic()
            if left <= 0:  # a byte now and then extends nothing
                raise TimeoutError("no response in time")
            sock.settimeout(left)
            received = sock.recv(_READ_BYTES)
            data = self._decrypted(received)
            if received and not data:
                continue
            events = connection.receive_data(data, time.monotonic()) if data else []
            if any(isinstance(event, WelcomeReceived) for event in events):
                # The proof of a token, if the server demands one.
                proof = b"".join(connection.data_to_send())
                sock.sendall(self._encrypted(proof) if proof else b"")
                return
            if events or not data:
                raise ConnectionError("the echo connection was not accepted")

    def _send_questions(self, sock: socket.socket) -> None:
        """Send each request when it is due, and read in between."""
        due = time.monotonic()
        until = None
        while until is None or time.monotonic() < until:
            now = time.monotonic()
            if until is None and self._over.is_set():
                until = now + _DRAIN_SECONDS
            if until is None and now >= due and len(self._echoes) < _MAX_QUESTIONS:
                self._echoes.append(EchoTiming(due, now))
                question = serialize(Kind.ECHO, _PAYLOAD, id=len(self._echoes))
                sock.send(self._encrypted(question))
                due += self._interval
            elif until is not None and (
                not self._echoes or self._echoes[-1].arrived is not None
            ):
                return
            wait = max(0.0, min(due - time.monotonic(), self._interval))
            if until is not None:
                wait = self._interval
            if _readable(sock, wait):
                self._read(sock)

    def _read(self, sock: socket.socket) -> None:
        data, ancillary, _, _ = sock.recvmsg(_READ_BYTES, 128)
        now = time.monotonic()
        if not data:
            raise ConnectionError("the echo connection was closed")
        arrived = now - max(0.0, _seconds_queued(ancillary))
        self._unread += self._decrypted(data)
        offset = 0
        while (found := parse(self._unread, offset)) is not None:
            frame, offset = found
            if frame.kind == Kind.TOKEN:
                continue
            if frame.kind != Kind.ECHO or frame.flags != ANSWER:
                raise ConnectionError("the server closed the echo connection")
            if not 0 < frame.id <= len(self._echoes):
                raise ConnectionError("an echo arrived that was never requested")
            echo = self._echoes[frame.id - 1]
            if echo.arrived is not None:
                raise ConnectionError("an echo arrived twice")
            # The kernel's clock may step: never before the request was sent.
            instant = max(arrived, echo.sent)
            self._echoes[frame.id - 1] = replace(echo, arrived=instant)
        self._unread = self._unread[offset:]
        if len(self._unread) > _MAX_UNREAD_BYTES:
            raise ConnectionError("an echo arrived that is too large")

    def _encrypted(self, data: bytes) -> bytes:
        return data if self._tls is None else self._tls.encrypt(data)

    def _decrypted(self, data: bytes) -> bytes:
        return data if self._tls is None else self._tls.decrypt(data)


def _readable(sock: socket.socket, wait: float) -> bool:
    """Wait for data; poll(2) waits whole milliseconds, which is too coarse here."""
    if sock.fileno() < _SELECTABLE:
        return bool(select.select([sock], [], [], wait)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(wait * 1000))


def _seconds_queued(ancillary: list[tuple[int, int, bytes]]) -> float:
    """Return how many seconds the data had been in the socket's buffer."""
    for level, kind, data in ancillary:
        known = (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS)
        if known and len(data) == _TIMESPEC.size:
            seconds, nanoseconds = map(int, _TIMESPEC.unpack(data))
            return time.time() - (seconds + nanoseconds / 1e9)
    return 0.0
