"""Parses the files of /proc/net. Pure: text in, values out; lines that are cut are skipped.

The formats: proc(5), proc_net(5), Linux Documentation/networking/proc_net_tcp.rst and
snmp_counter.rst, net/ipv4/route.c, net/ipv6/route.c. Addresses are in the byte order of
the host, in words of four bytes.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
from collections.abc import Iterator
from enum import IntFlag
from itertools import pairwise
from typing import Final

from netduet.net.namespace.snapshot import ListenerPart, RoutePart, Transport

_STATES: Final = {"tcp": "0A", "udp": "07"}
"""TCP_LISTEN, and TCP_CLOSE, which is the state of a UDP socket without a peer."""

_MIN_SOCKET_FIELDS: Final = 10
_MIN_ROUTE_FIELDS: Final = 8
_MIN_ROUTE_V6_FIELDS: Final = 10
_MIN_DEVICE_COUNTERS: Final = 16
_IPV4_LENGTH: Final = len("7F000001")


class _RouteFlag(IntFlag):
    """Flags of a route (linux/route.h, linux/ipv6_route.h)."""

    UP = 0x0001
    GATEWAY = 0x0002
    REJECT = 0x0200
    ANYCAST = 0x0010_0000
    LOCAL = 0x8000_0000


def listeners(text: str, transport: Transport) -> Iterator[ListenerPart]:
    """Yield the listeners of /proc/net/tcp, tcp6, udp or udp6."""
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) < _MIN_SOCKET_FIELDS or words[3] != _STATES[transport]:
            continue
        address, _, port = words[1].partition(":")
        drops = int(words[-1]) if transport == "udp" and words[-1].isdigit() else None
        yield ListenerPart(
            transport=transport,
            address=parse_address(address),
            port=int(port, 16),
            queue=int(words[4].partition(":")[2], 16),
            uid=int(words[7]),
            drops=drops,
        )


def parse_address(digits: str, byte_order: str = sys.byteorder) -> str:
    """Return an address of /proc/net/tcp or tcp6 as people write it.

    Raises:
        ValueError: it is no such address.
    """
    data = bytes.fromhex(digits)
    count = len(data) // 4
    order = "<" if byte_order == "little" else ">"
    data = struct.pack(f">{count}I", *struct.unpack(f"{order}{count}I", data))
    if len(digits) == _IPV4_LENGTH:
        return socket.inet_ntop(socket.AF_INET, data)
    return socket.inet_ntop(socket.AF_INET6, data)


def routes(text: str) -> Iterator[RoutePart]:
    """Yield the routes of /proc/net/route."""
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) < _MIN_ROUTE_FIELDS or not int(words[3], 16) & _RouteFlag.UP:
            continue
        interface, destination, gateway, flags, _, _, metric, mask = words[:8]
        prefix = int(mask, 16).bit_count()
        yield RoutePart(
            destination=f"{parse_address(destination)}/{prefix}",
            gateway=parse_address(gateway)
            if int(flags, 16) & _RouteFlag.GATEWAY
            else "",
            interface=interface,
            metric=int(metric),
            rejects=bool(int(flags, 16) & _RouteFlag.REJECT),
        )


def routes_v6(text: str) -> Iterator[RoutePart]:
    """Yield the routes of /proc/net/ipv6_route, without those to own addresses."""
    for line in text.splitlines():
        words = line.split()
        if len(words) < _MIN_ROUTE_V6_FIELDS:
            continue
        destination, prefix, _, _, gateway, metric, _, _, flags, interface = words
        bits = int(flags, 16)
        if not bits & _RouteFlag.UP or bits & (_RouteFlag.LOCAL | _RouteFlag.ANYCAST):
            continue
        network = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(destination))
        if ipaddress.IPv6Address(network).is_multicast:
            continue
        hop = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(gateway))
        yield RoutePart(
            destination=f"{network}/{int(prefix, 16)}",
            gateway=hop if bits & _RouteFlag.GATEWAY else "",
            interface=interface,
            metric=int(metric, 16),
            rejects=bool(bits & _RouteFlag.REJECT),
        )


def addresses_v6(text: str) -> dict[str, list[str]]:
    """Return the addresses of /proc/net/if_inet6, by interface."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == len(("address", "index", "prefix", "scope", "flags", "name")):
            address = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(words[0]))
            found.setdefault(words[5], []).append(f"{address}/{int(words[2], 16)}")
    return found


def devices(text: str) -> dict[str, tuple[int, int, int, int]]:
    """Return the counters of /proc/net/dev, by interface.

    They are the drops received and sent, and the errors received and sent.
    """
    found = {}
    for line in text.splitlines()[2:]:
        name, _, rest = line.rpartition(":")
        counters = rest.split()
        if name and len(counters) >= _MIN_DEVICE_COUNTERS:
            numbers = [int(counters[index]) for index in (3, 11, 2, 10)]
            found[name.strip()] = (numbers[0], numbers[1], numbers[2], numbers[3])
    return found


def counter(text: str, group: str, name: str) -> int | None:
    """Return a counter of /proc/net/netstat or snmp; None if the kernel has none."""
    rows = [line.split() for line in text.splitlines()]
    for names, values in pairwise(rows):
        if names[:1] == values[:1] == [f"{group}:"] and name in names:
            index = names.index(name)
            return int(values[index]) if index < len(values) else None
    return None
