"""A minimal DNS server: one name, its addresses, and what is odd about its answers."""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import random
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.lab.namespace_loop import bound_socket

NAME: Final = "server.test"

_HEADER: Final = struct.Struct("!6H")
_RECORD: Final = struct.Struct("!HHHIH")
_RESPONSE: Final = 0x8180  # a response, recursion desired and available
_TRUNCATED: Final = 0x0200
_CODES: Final = {"SERVFAIL": 2, "NXDOMAIN": 3, "REFUSED": 5}
_TYPES: Final = {1: "A", 28: "AAAA"}
_SIZES: Final = {"A": 4, "AAAA": 16}

Answer = tuple[str, ...] | str | None
"""Addresses of any family, the name of a code, ``truncated``, or no answer."""

Quirk = Callable[[str, str, Answer], Answer]
"""Changes the answer to a query for a name and a type."""


@dataclass(frozen=True, slots=True)
class Names:
    """The addresses of ``NAME`` (none: it does not exist), and how late they come."""

    addresses: tuple[str, ...]
    delay: float = 0.0
    quirk: Quirk | None = None


# Quirks


def on_type(wanted: str, instead: Answer) -> Quirk:
    """Answer queries for one type otherwise."""

    def change(_: str, record: str, usual: Answer) -> Answer:
        return instead if record == wanted else usual

    return change


def every_nth(nth: int, instead: Answer) -> Quirk:
    """Answer every nth query otherwise."""
    turns = itertools.count(1)

    def change(_: str, __: str, usual: Answer) -> Answer:
        return usual if next(turns) % nth else instead

    return change


def unanswered(share: float) -> Quirk:
    """Answer this share of the queries not at all, at random."""
    choose = random.Random(13)

    def change(_: str, __: str, usual: Answer) -> Answer:
        return None if choose.random() < share else usual

    return change


def below(domain: str, address: str) -> Quirk:
    """Have an address for every name below a domain."""

    def change(name: str, _: str, usual: Answer) -> Answer:
        return (address,) if name.endswith(f".{domain}") else usual

    return change


class NameServer(asyncio.DatagramProtocol):
    """Answers each query by itself, so that slow ones do not queue up."""

    def __init__(self, names: Names) -> None:
        """Know these names."""
        self._names = names

    @classmethod
    async def open(cls, names: Names, host: str) -> None:
        """Serve in the running loop."""
        sock = bound_socket(socket.SOCK_DGRAM, host, 53)
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: cls(names), sock=sock)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers are sent with."""
        assert isinstance(transport, asyncio.DatagramTransport)
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer, late if so declared."""
        loop = asyncio.get_running_loop()
        response = answer(data, self._names)
        if response:
            loop.call_later(self._names.delay, self._transport.sendto, response, addr)


def answer(query: bytes, names: Names) -> bytes:
    """Return the answer to a query of one question, b"" for none."""
    number = _HEADER.unpack_from(query)[0]
    labels, end = [], _HEADER.size
    while length := query[end]:
        labels.append(query[end + 1 : end + 1 + length].decode().lower())
        end += 1 + length
    wanted = int.from_bytes(query[end + 1 : end + 3])
    question = query[_HEADER.size : end + 5]
    name, record = ".".join(labels), _TYPES.get(wanted, "")
    known = name == NAME and bool(names.addresses)
    usual: Answer = names.addresses if known else "NXDOMAIN"
    if names.quirk is not None:
        usual = names.quirk(name, record, usual)
    if usual is None:
        return b""
    code = usual if isinstance(usual, str) else ""
    flags = _RESPONSE | _CODES.get(code, 0) | _TRUNCATED * (code == "truncated")
    every = () if isinstance(usual, str) else usual
    packed = [ipaddress.ip_address(address).packed for address in every]
    found = [each for each in packed if len(each) == _SIZES.get(record)]
    head = _HEADER.pack(number, flags, 1, len(found), 0, 0)
    records = b"".join(
        _RECORD.pack(0xC000 | _HEADER.size, wanted, 1, 5, len(each)) + each
        for each in found
    )
    return head + question + records
