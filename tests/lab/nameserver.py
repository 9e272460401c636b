"""A minimal DNS server: one name, its addresses, and the delay of its answers."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
from dataclasses import dataclass
from typing import Final

from tests.lab.namespace_loop import bound_socket

NAME: Final = "server.test"

_HEADER: Final = struct.Struct("!6H")
_RECORD: Final = struct.Struct("!HHHIH")
_ANSWER: Final = 0x8180  # a response, recursion desired and available
_NXDOMAIN: Final = 3
_A, _AAAA = 1, 28


@dataclass(frozen=True, slots=True)
class Names:
    """The addresses of ``NAME`` (none: it does not exist), and how late they come."""

    addresses: tuple[str, ...]
    delay: float = 0.0


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
        loop.call_later(self._names.delay, self._transport.sendto, response, addr)


def answer(query: bytes, names: Names) -> bytes:
    """Return the answer to a query of one question."""
    number = _HEADER.unpack_from(query)[0]
    labels, end = [], _HEADER.size
    while length := query[end]:
        labels.append(query[end + 1 : end + 1 + length].decode().lower())
        end += 1 + length
    wanted = int.from_bytes(query[end + 1 : end + 3])
    question = query[_HEADER.size : end + 5]
    known = ".".join(labels) == NAME and bool(names.addresses)
    found = [
        packed
        for packed in (
            ipaddress.ip_address(address).packed for address in names.addresses
        )
        if known and {_A: 4, _AAAA: 16}.get(wanted) == len(packed)
    ]
    flags = _ANSWER | (0 if known else _NXDOMAIN)
    head = _HEADER.pack(number, flags, 1, len(found), 0, 0)
    records = b"".join(
        _RECORD.pack(0xC000 | _HEADER.size, wanted, 1, 5, len(packed)) + packed
        for packed in found
    )
    return head + question + records
