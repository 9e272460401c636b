"""A connected UDP socket with all that its kernel reports: answers, ICMP errors, drops.

It blocks, and is used in its own thread: a burst keeps time better there than in the
event loop, and uvloop takes a non-empty error queue for a broken descriptor.
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from netduet.client.net.dial import errno_meaning, errno_name
from netduet.client.net.error_queue import (
    LEVEL,
    QueuedError,
    enable_error_queue,
    read_error_queue,
)
from netduet.net import kernel

if TYPE_CHECKING:
    from netduet.client.net.dial import Address

MAX_DATAGRAM_BYTES: Final = {socket.AF_INET: 65_507, socket.AF_INET6: 65_527}
"""The largest payload of a datagram, by family."""

HEADER_BYTES: Final = {socket.AF_INET: 28, socket.AF_INET6: 48}
"""Bytes of the headers of IP and UDP, without options."""

# linux/in.h, linux/in6.h: the socket module lacks these before Python 3.14.
_MTU_DISCOVER: Final = {socket.AF_INET: 10, socket.AF_INET6: 23}
_MTU: Final = {socket.AF_INET: 14, socket.AF_INET6: 24}
_FRAGMENT, _FORBID, _FORBID_UP_TO_DEVICE = 0, 2, 3  # IP_PMTUDISC_DONT, _DO, _PROBE

_RECEIVE_BUFFER_BYTES: Final = 4 * 1024 * 1024
_MAX_BATCH: Final = 512
_MAX_NOTICES: Final = 64
_MAX_SEND_TRIES: Final = 4

_MAX_STRAYS: Final = 16
"""Datagrams that are examined for one from another address."""


@dataclass(frozen=True, slots=True)
class IcmpNotice:
    """An ICMP error about a datagram of ours.

    ``error`` is the errno's name; ``offender`` is the sender's address, "" if unknown;
    ``mtu`` is the MTU it reports when a datagram was too large, else 0; ``kind`` and
    ``code`` are the message's type and code, 0 if unknown.
    """

    error: str
    offender: str = ""
    mtu: int = 0
    kind: int = 0
    code: int = 0


class UdpSocket:
    """A connected UDP socket. Use as a context manager."""

    def __init__(self, address: Address, port: int = 0) -> None:
        """Connect; nothing is sent. ``port`` is the local one, 0 for the kernel's choice.

        Raises:
            OSError: no socket, no route, or the local port is in use.
        """
        family = self._family = address.family
        self._sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._sock.setblocking(False)
            self._sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES
            )
            enable_error_queue(self._sock, family)
            if port:
                self._sock.bind(("", port))
            self._sock.connect(address.sockaddr)
        except OSError:
            self._sock.close()
            raise
        self._poll = select.poll()
        self._poll.register(self._sock, select.POLLIN)
        self._drops_before = kernel.socket_drops(self._sock.fileno())
        self.notices: list[IcmpNotice] = []
        """The ICMP errors so far, bounded in number."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    @property
    def headers(self) -> int:
        """Bytes that IP and UDP add to each datagram."""
        return HEADER_BYTES[self._family]

    @property
    def mtu(self) -> int | None:
        """The path MTU that the kernel assumes; None if unknown."""
        try:
            return self._sock.getsockopt(LEVEL[self._family], _MTU[self._family])
        except OSError:
            return None

    @property
    def interface_mtu(self) -> int | None:
        """The MTU of the outgoing interface; None if unknown.

        Nothing is sent: a datagram that is larger than the interface's MTU and must not
        be fragmented comes back through the error queue with that MTU.
        """
        known = self.mtu
        if (
            known is not None
            and known >= MAX_DATAGRAM_BYTES[self._family] + self.headers
        ):
            return known  # loopback: no datagram is too large for it
        self._set_pmtu_discovery(_FORBID_UP_TO_DEVICE)
        with contextlib.suppress(OSError):
            self._sock.send(bytes(MAX_DATAGRAM_BYTES[self._family]))
        return next((error.mtu for error in self._read_errors() if error.mtu), None)

    @property
    def dropped(self) -> int | None:
        """Datagrams that this socket had no room for; None if unknown.

        SO_MEMINFO has the counter (sk_drops) that SO_RXQ_OVFL would attach only to the
        next datagram.
        """
        now = kernel.socket_drops(self._sock.fileno())
        if now is None or self._drops_before is None:
            return None
        return now - self._drops_before

    def set_fragmentation(self, *, allowed: bool) -> None:
        """Allow fragmentation of datagrams, or forbid it along the whole path."""
        self._set_pmtu_discovery(_FRAGMENT if allowed else _FORBID)

    def send(self, data: bytes) -> str:
        """Send; return "" or the name of the error."""
        name = ""
        for _ in range(_MAX_SEND_TRIES):
            try:
                self._sock.send(data)
            except OSError as error:
                name = errno_name(error.errno)
                # An ICMP error about an earlier datagram: this one has not been sent.
                if not self._note_errors(error):
                    break
            else:
                return ""
        return name  # without a route all attempts fail alike

    def fileno(self) -> int:
        """Return the descriptor, for polling."""
        return self._sock.fileno()

    def wait(self, seconds: float) -> list[bytes]:
        """Return what has arrived, or arrives next within so many seconds."""
        if not self._poll.poll(math.ceil(max(0.0, seconds) * 1000)):
            return []
        return self.receive()

    def receive(self) -> list[bytes]:
        """Return what has arrived; record the errors that the kernel reports."""
        arrived: list[bytes] = []
        for _ in range(_MAX_BATCH):
            try:
                arrived.append(self._sock.recv(65_535))
            except BlockingIOError:
                break
            except OSError as error:
                self._note_errors(error)
        if not arrived:
            self._add_notices(self._read_errors())  # or it would wake us again at once
        return arrived

    def _set_pmtu_discovery(self, how: int) -> None:
        self._sock.setsockopt(LEVEL[self._family], _MTU_DISCOVER[self._family], how)

    def _note_errors(self, error: OSError) -> bool:
        """Record the error queue; return whether it was about an earlier datagram."""
        errors = [queued for queued in self._read_errors() if not queued.local]
        self._add_notices(errors)
        if not errors and errno_meaning(error.errno).remote:
            # A kernel without an error queue reports only the error.
            self._add_notices(
                [QueuedError(errno_name(error.errno), "", 0, local=False)]
            )
            return True
        return bool(errors)

    def _add_notices(self, errors: list[QueuedError]) -> None:
        room = _MAX_NOTICES - len(self.notices)
        self.notices += [
            IcmpNotice(
                queued.error, queued.offender, queued.mtu, queued.kind, queued.code
            )
            for queued in errors
            if not queued.local
        ][:room]

    def _read_errors(self) -> list[QueuedError]:
        return read_error_queue(self._sock, self._family)


def answers_from_elsewhere(
    address: Address, question: bytes, seconds: float
) -> list[tuple[bytes, str]]:
    """Ask once, and return the answers from other addresses: data, and host and port.

    A connected socket receives only from its peer, so this one is not connected; it
    waits for the whole time if all is well. Never raises.
    """
    others: list[tuple[bytes, str]] = []
    until = time.monotonic() + seconds
    with (
        contextlib.suppress(OSError),
        socket.socket(address.family, socket.SOCK_DGRAM) as sock,
    ):
        sock.sendto(question, address.sockaddr)
        while len(others) < _MAX_STRAYS and (left := until - time.monotonic()) > 0:
            sock.settimeout(left)
            data, source = sock.recvfrom(65_535)
            host = source[0].partition("%")[0]
            if (host, source[1]) != (address.host.partition("%")[0], address.port):
                shown = f"[{host}]" if ":" in host else host
                others.append((data, f"{shown}:{source[1]}"))
    return others
