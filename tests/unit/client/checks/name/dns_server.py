"""A DNS server on loopback that answers as a test wants."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import cast

from netduet.client.net.dial import Address

_CODES = {"SERVFAIL": 2, "NXDOMAIN": 3, "REFUSED": 5}
_NUMBERS = {1: "A", 28: "AAAA"}

Answer = tuple[str, ...] | str | None
"""Addresses, an RCODE's name, ``truncated``, or no answer."""


class DnsServer(asyncio.DatagramProtocol):
    """Answers with ``answer(name, record)``; ``asked`` are the questions so far."""

    def __init__(self, answer: Callable[[str, str], Answer]) -> None:
        """Prepare."""
        self._answer = answer
        self.asked: list[tuple[str, str]] = []
        self.sources: set[int] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers are sent with."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer, or not."""
        self.sources.add(addr[1])
        response = self.respond(data)
        if response:
            self._transport.sendto(response, addr)

    def respond(self, query: bytes) -> bytes:
        """Return the answer to a query of one question, b"" for none."""
        labels, end = [], 12
        while length := query[end]:
            labels.append(query[end + 1 : end + 1 + length].decode())
            end += 1 + length
        name = ".".join(labels)
        record = _NUMBERS[int.from_bytes(query[end + 1 : end + 3])]
        self.asked.append((name, record))
        answer = self._answer(name, record)
        if answer is None:
            return b""
        flags = 0x8180 | _CODES.get(answer if isinstance(answer, str) else "", 0)
        flags |= 0x0200 * (answer == "truncated")
        found = () if isinstance(answer, str) else answer
        packed = [ipaddress.ip_address(address).packed for address in found]
        records = b"".join(
            b"\xc0\x0c"
            + query[end + 1 : end + 5]
            + struct.pack(">IH", 5, len(each))
            + each
            for each in packed
        )
        head = query[:2] + struct.pack(">5H", flags, 1, len(packed), 0, 0)
        return head + query[12 : end + 5] + records


@asynccontextmanager
async def serve(
    answer: Callable[[str, str], Answer],
    over_tcp: Callable[[str, str], Answer] | None = None,
) -> AsyncIterator[tuple[Address, DnsServer]]:
    """Serve on a free port, over TCP too if so wanted."""
    async with AsyncExitStack() as stack:
        port = 0
        if over_tcp is not None:
            # First: TCP ports may be in TIME_WAIT, or a client's, UDP ports hardly.
            listener = await asyncio.start_server(_over_tcp(over_tcp), "127.0.0.1", 0)
            stack.callback(listener.close)
            port = listener.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        transport, server = await loop.create_datagram_endpoint(
            lambda: DnsServer(answer), local_addr=("127.0.0.1", port)
        )
        stack.callback(transport.close)
        port = transport.get_extra_info("sockname")[1]
        yield Address(socket.AF_INET, "127.0.0.1", port), server


def _over_tcp(
    answer: Callable[[str, str], Answer],
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Return what serves one question of a connection."""
    server = DnsServer(answer)

    async def respond(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        size = int.from_bytes(await reader.readexactly(2))
        response = server.respond(await reader.readexactly(size))
        writer.write(len(response).to_bytes(2) + response)
        writer.close()

    return respond
