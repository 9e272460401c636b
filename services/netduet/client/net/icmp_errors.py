"""The meanings of ICMP error types and codes. Pure."""

from __future__ import annotations

import socket
from enum import StrEnum
from typing import Final


class IcmpMeaning(StrEnum):
    """What an ICMP error refuses."""

    PORT = "port"
    """Nothing listens on the port."""
    HOST = "host"
    """The host or its network cannot be reached."""
    PROHIBITED = "prohibited"
    """A rule forbids it."""
    TTL = "TTL"
    """Its TTL (hop limit) ended on the way."""
    OTHER = "other"


_UNREACHABLE_TYPE: Final = {socket.AF_INET: 3, socket.AF_INET6: 1}
_TIME_EXCEEDED_TYPE: Final = {socket.AF_INET: 11, socket.AF_INET6: 3}
"""RFC 792; RFC 4443 §3.3."""

_BY_CODE: Final = {
    socket.AF_INET: {3: IcmpMeaning.PORT}
    | dict.fromkeys((2, 9, 10, 13), IcmpMeaning.PROHIBITED)
    | dict.fromkeys((0, 1, 5, 6, 7, 11, 12), IcmpMeaning.HOST),
    socket.AF_INET6: {4: IcmpMeaning.PORT}
    | dict.fromkeys((1, 5, 6), IcmpMeaning.PROHIBITED)
    | dict.fromkeys((0, 3), IcmpMeaning.HOST),
}
"""Codes of "destination unreachable": RFC 792, RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1; RFC 4443 §3.1."""


def icmp_meaning(family: socket.AddressFamily, kind: int, code: int) -> IcmpMeaning:
    """Return the meaning of an ICMP error."""
    if is_time_exceeded(family, kind):
        return IcmpMeaning.TTL
    if kind != _UNREACHABLE_TYPE[family]:
        return IcmpMeaning.OTHER
    return _BY_CODE[family].get(code, IcmpMeaning.OTHER)


def is_time_exceeded(family: socket.AddressFamily, kind: int) -> bool:
    """Whether an ICMP type says that a packet's TTL (hop limit) ended on the way."""
    return kind == _TIME_EXCEEDED_TYPE[family]
