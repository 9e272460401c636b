"""Link-layer addresses of hosts on this host's own networks (rtnetlink(7), arp(7))."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterator
from typing import Final

# linux/netlink.h, linux/rtnetlink.h, linux/neighbour.h
_ROUTE: Final = 0
"""``NETLINK_ROUTE``."""
_NEW_NEIGHBOUR: Final = 28
"""``RTM_NEWNEIGH``."""
_GET_NEIGHBOUR: Final = 30
"""``RTM_GETNEIGH``."""
_DONE: Final = 3
"""``NLMSG_DONE``."""
_REQUEST_DUMP: Final = 0x301
"""``NLM_F_REQUEST | NLM_F_DUMP``."""
_DESTINATION: Final = 1
"""``NDA_DST``."""
_LINK_ADDRESS: Final = 2
"""``NDA_LLADDR``."""

_HEADER: Final = struct.Struct("=IHHII")
_NEIGHBOUR: Final = struct.Struct("=BBHiHBB")
_ATTRIBUTE: Final = struct.Struct("=HH")
_ALIGNMENT_BYTES: Final = 4
_READ_BYTES: Final = 65_536
_MAX_READS: Final = 64
_TIMEOUT_SECONDS: Final = 0.2


def link_address(host: str) -> str | None:
    """Return the MAC address that this kernel uses for a host; None if unknown.

    It knows those of its own networks alone, from ARP or neighbour discovery.
    """
    target = ipaddress.ip_address(host.partition("%")[0]).packed
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    request = _NEIGHBOUR.pack(family, 0, 0, 0, 0, 0, 0)
    size = _HEADER.size + len(request)
    header = _HEADER.pack(size, _GET_NEIGHBOUR, _REQUEST_DUMP, 1, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _ROUTE) as sock:
            sock.settimeout(_TIMEOUT_SECONDS)
            sock.send(header + request)
            for _ in range(_MAX_READS):
                data = sock.recv(_READ_BYTES)
                for kind, payload in split_messages(data):
                    if kind != _NEW_NEIGHBOUR:
                        return None  # the end, or an error
                    found = _attributes(payload)
                    if found.get(_DESTINATION) == target and _LINK_ADDRESS in found:
                        return found[_LINK_ADDRESS].hex(":")
    except OSError:
        pass  # a sandbox without netlink
    return None


def split_messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and payload of each netlink message; a cut one ends them."""
    while len(data) >= _HEADER.size:
        length, kind, _, _, _ = _HEADER.unpack_from(data)
        if not _HEADER.size <= length <= len(data):
            return
        yield kind, data[_HEADER.size : length]
        data = data[_aligned(length) :]


def _attributes(payload: bytes) -> dict[int, bytes]:
    """Return the attributes of a neighbour by type."""
    found = {}
    data = payload[_NEIGHBOUR.size :]
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if not _ATTRIBUTE.size <= length <= len(data):
            break
        found[kind] = data[_ATTRIBUTE.size : length]
        data = data[_aligned(length) :]
    return found


def _aligned(length: int) -> int:
    return -(-length // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
