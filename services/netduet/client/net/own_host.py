"""What this host's own kernel does with packets: sends or keeps, hands on or drops.

A firewall of this host leaves no trace in a socket: its packets are lost as those of any
other. But the kernel counts what IP was given to send and what it sent, what arrived and
what was handed on (``netduet.net.counters``), for the whole network namespace. So a
number of packets is sent at once, and the growth is compared with that of a quiet time
just before.

It blocks, in a thread, for about a second.
"""

from __future__ import annotations

import contextlib
import errno
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from netduet.client.net.udp_socket import UdpSocket
from netduet.net import counters
from netduet.wire import datagram
from netduet.wire.frames import Kind

if TYPE_CHECKING:
    from netduet.client.net.dial import Address

ATTEMPTS: Final = 30
"""Packets that are sent."""

_QUIET_SECONDS: Final = 0.6
_ANSWER_SECONDS: Final = 0.6
"""Seconds for the answers, shorter than the first retransmission of a SYN (1 s)."""

_SPACING_SECONDS: Final = 0.005


@dataclass(frozen=True, slots=True)
class OwnHostTrial:
    """What this host's kernel counted while ``sent`` packets to a target left.

    ``answered`` of them got an answer. ``quiet`` and ``grown`` are the changes of the
    counters in the quiet time and in that of the packets, ``quiet_seconds`` and
    ``seconds`` long. ``errors`` are the errnos, by name, with which sending failed.
    """

    sent: int = 0
    answered: int = 0
    quiet: Mapping[str, int] = field(default_factory=dict)
    grown: Mapping[str, int] = field(default_factory=dict)
    quiet_seconds: float = _QUIET_SECONDS
    seconds: float = _ANSWER_SECONDS
    errors: tuple[str, ...] = ()


def try_own_host(address: Address, *, datagrams: bool) -> OwnHostTrial:
    """Send SYNs, or datagrams, to an address, and count. Never raises."""
    start = time.monotonic()
    before = counters.read()
    time.sleep(_QUIET_SECONDS)
    middle = counters.read()
    begin = time.monotonic()
    send = _send_datagrams if datagrams else _send_syns
    answered, errors = send(address)
    after = counters.read()
    return OwnHostTrial(
        ATTEMPTS,
        answered,
        counters.difference(before, middle),
        counters.difference(middle, after),
        begin - start,
        time.monotonic() - begin,
        errors,
    )


def _send_syns(address: Address) -> tuple[int, tuple[str, ...]]:
    errors: list[str] = []
    answered = 0
    with contextlib.ExitStack() as stack:
        pending = []
        for _ in range(ATTEMPTS):
            with contextlib.suppress(OSError):
                sock = socket.socket(address.family, socket.SOCK_STREAM)
                stack.callback(sock.close)
                sock.setblocking(False)
                number = sock.connect_ex(address.sockaddr)
                if number in {0, errno.EINPROGRESS}:
                    pending.append(sock)
                else:
                    errors.append(errno.errorcode.get(number, str(number)))
            time.sleep(_SPACING_SECONDS)
        time.sleep(_ANSWER_SECONDS)
        for sock in pending:
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            answered += number == errno.ECONNREFUSED or _is_connected(sock)
    return answered, tuple(errors)


def _send_datagrams(address: Address) -> tuple[int, tuple[str, ...]]:
    errors: list[str] = []
    answered = 0
    with contextlib.suppress(OSError), UdpSocket(address) as sock:
        token = secrets.token_bytes(8)
        for number in range(ATTEMPTS):
            error = sock.send(datagram.serialize(Kind.ECHO, token, number))
            errors += [error] if error else []
            time.sleep(_SPACING_SECONDS)
        time.sleep(_ANSWER_SECONDS)
        answered = len(sock.receive()) + len(sock.notices)
    return answered, tuple(errors)


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True
