"""The error queue of a socket: ICMP errors about its packets, and who sent them.

ip(7) and ipv6(7), IP_RECVERR and IPV6_RECVERR; linux/errqueue.h. No privilege is needed.
Linux queues errors about datagrams, and since 5.9 also about the SYN of a connection in
progress (net/ipv4/tcp_ipv4.c, tcp_v4_err).
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from dataclasses import dataclass, replace
from typing import Final

from netduet.client.net.dial import errno_name

LEVEL: Final = {
    socket.AF_INET: socket.IPPROTO_IP,
    socket.AF_INET6: socket.IPPROTO_IPV6,
}
"""The level of the options of IP, by family."""

# linux/in.h, linux/in6.h: the socket module lacks some of these before Python 3.14.
_RECVERR: Final = {socket.AF_INET: 11, socket.AF_INET6: 25}
_RECVTTL: Final = {socket.AF_INET: 12, socket.AF_INET6: 51}
_TTL: Final = {socket.AF_INET: socket.IP_TTL, socket.AF_INET6: 52}

# linux/errqueue.h, struct sock_extended_err: errno, origin, type, code, pad, info,
# data; followed by the address of the ICMP message's sender.
_EXTENDED: Final = struct.Struct("=IBBBBII")
_ORIGIN_LOCAL: Final = 1
"""``SO_EE_ORIGIN_LOCAL`` of linux/errqueue.h: our own kernel reports the error."""

_MAX_ENTRIES: Final = 512
_MAX_PAYLOAD_BYTES: Final = 512
"""Bytes that are kept of the packet that an error quotes."""

_ANCILLARY_BYTES: Final = 512


@dataclass(frozen=True, slots=True)
class QueuedError:
    """An entry of the queue.

    ``error`` is the errno's name; ``offender`` is the sender's address, "" if unknown;
    ``mtu`` is the MTU it reports when a datagram was too large, else 0; ``local``: this
    host's own kernel reports it; ``kind`` and ``code`` are the ICMP type and code.
    ``payload`` is what the error quotes behind the headers of our packet, and ``ttl``
    the TTL (hop limit) with which the error arrived, 0 if unknown.
    """

    error: str
    offender: str
    mtu: int
    local: bool
    kind: int = 0
    code: int = 0
    payload: bytes = b""
    ttl: int = 0


def enable_error_queue(sock: socket.socket, family: socket.AddressFamily) -> None:
    """Make the kernel keep ICMP errors about a socket's packets (ip(7), IP_RECVERR)."""
    sock.setsockopt(LEVEL[family], _RECVERR[family], 1)


def enable_ttl(sock: socket.socket, family: socket.AddressFamily) -> None:
    """Make the kernel report the TTL of what arrives (ip(7), IP_RECVTTL)."""
    sock.setsockopt(LEVEL[family], _RECVTTL[family], 1)


def read_error_queue(
    sock: socket.socket, family: socket.AddressFamily
) -> list[QueuedError]:
    """Empty a socket's error queue, and return its entries."""
    errors: list[QueuedError] = []
    for _ in range(_MAX_ENTRIES):
        try:
            payload, ancillary, _, _ = sock.recvmsg(
                _MAX_PAYLOAD_BYTES, _ANCILLARY_BYTES, socket.MSG_ERRQUEUE
            )
        except OSError:
            break
        ttl = ttl_of(ancillary, family)
        errors += [
            replace(parse_extended_error(data), payload=payload, ttl=ttl)
            for level, kind, data in ancillary
            if (level, kind) == (LEVEL[family], _RECVERR[family])
        ]
    return errors


def ttl_of(
    ancillary: list[tuple[int, int, bytes]], family: socket.AddressFamily
) -> int:
    """Return the TTL in the ancillary data of a message, 0 if there is none."""
    return next(
        (
            int.from_bytes(data[:4], sys.byteorder)
            for level, kind, data in ancillary
            if (level, kind) == (LEVEL[family], _TTL[family])
        ),
        0,
    )


def parse_extended_error(data: bytes) -> QueuedError:
    """Parse a message of the error queue (ip(7), IP_RECVERR)."""
    number, origin, kind, code, _, info, _ = _EXTENDED.unpack_from(data)
    mtu = info if number == errno.EMSGSIZE else 0
    offender = _offender(data[_EXTENDED.size :])
    return QueuedError(
        errno_name(number), offender, mtu, origin == _ORIGIN_LOCAL, kind, code
    )


def _offender(sockaddr: bytes) -> str:
    family = int.from_bytes(sockaddr[:2], sys.byteorder)
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, sockaddr[4:8])
    if family == socket.AF_INET6:
        return socket.inet_ntop(socket.AF_INET6, sockaddr[8:24])
    return ""
