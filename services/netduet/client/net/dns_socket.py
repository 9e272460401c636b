"""A UDP socket on which a DNS server is asked for the addresses of one name."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import time
from typing import TYPE_CHECKING, Final, cast

from netduet.client.net.dial import Address, classify
from netduet.client.protocols.dns_lookup import (
    DnsAnswer,
    RecordType,
    parse_reply,
    serialize_query,
)

if TYPE_CHECKING:
    from collections.abc import Callable

PORT: Final = 53
"""Where DNS servers listen."""
_IPV6_FIELDS: Final = 4
"""Fields of an IPv6 socket address; the last one is the scope."""
_SIZE_BYTES: Final = 2
"""The size in front of a message over TCP (RFC 1035 §4.2.2)."""


class DnsSocket(asyncio.DatagramProtocol):
    """One socket; make it by ``open``.

    It asks for each record type at once, as glibc does. ``replies`` are the answers so
    far, with the seconds that each took; ``error`` is the errno of a refused question,
    in words, and ``error_seconds`` how long that took.
    """

    def __init__(
        self,
        name: str,
        records: tuple[RecordType, ...],
        on_change: Callable[[], None],
    ) -> None:
        self.name = name
        self.records = records
        self.replies: dict[RecordType, tuple[DnsAnswer, float]] = {}
        self.error = ""
        self.error_seconds = 0.0
        self.asked_at = 0.0
        self._on_change = on_change
        self._numbers = {record: secrets.randbits(16) for record in records}
        self._transport: asyncio.DatagramTransport | None = None

    @classmethod
    async def open(
        cls,
        server: Address,
        name: str,
        records: tuple[RecordType, ...],
        on_change: Callable[[], None],
    ) -> DnsSocket:
        """Open a socket and ask; ``on_change`` is called upon each answer and error."""
        opened = cls(name, records, on_change)
        opened.asked_at = time.monotonic()
        loop = asyncio.get_running_loop()
        try:
            await loop.create_datagram_endpoint(
                lambda: opened, remote_addr=server.sockaddr[:2]
            )
        except OSError as error:
            opened.error = classify(error)[1]
        else:
            opened._ask()
        return opened

    # Callbacks of the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, _: object) -> None:
        """Read an answer."""
        seconds = time.monotonic() - self.asked_at
        for record in self.open_records:
            reply = parse_reply(data, self._numbers[record], self.name, record)
            if reply is not None:
                self.replies[record] = (reply, seconds)
                self.error = ""
                self._on_change()

    def error_received(self, exc: Exception) -> None:
        """Keep the error: the network, or this kernel, refused a question."""
        self.error = classify(exc)[1]
        self.error_seconds = time.monotonic() - self.asked_at
        self._on_change()

    # For the check

    @property
    def open_records(self) -> tuple[RecordType, ...]:
        """The record types that have no answer yet."""
        return tuple(record for record in self.records if record not in self.replies)

    @property
    def is_done(self) -> bool:
        """Whether no answer is awaited any more."""
        return bool(self.error) or not self.open_records

    def _ask(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        for record in self.records:
            query = serialize_query(self._numbers[record], self.name, record)
            with contextlib.suppress(OSError):  # reported to error_received
                self._transport.sendto(query)

    def close(self) -> None:
        """Close the socket."""
        if self._transport is not None:
            self._transport.abort()


async def ask_over_tcp(
    server: Address, name: str, record: RecordType, timeout: float
) -> DnsAnswer | str:
    """Return the answer over TCP, or why there is none; never raises."""
    number = secrets.randbits(16)
    query = serialize_query(number, name, record)
    try:
        async with asyncio.timeout(timeout):
            host, port = server.sockaddr[:2]
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(len(query).to_bytes(_SIZE_BYTES) + query)
                size = int.from_bytes(await reader.readexactly(_SIZE_BYTES))
                message = await reader.readexactly(size)
            finally:
                writer.close()
    except (OSError, EOFError) as error:
        return (
            "the connection ended"
            if isinstance(error, EOFError)
            else classify(error)[1]
        )
    return parse_reply(message, number, name, record) or "an answer of no DNS server"


def server_address(server: str) -> Address | None:
    """Return the address of a server named by resolv.conf; None if it is none."""
    try:
        found = socket.getaddrinfo(
            server, PORT, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )
    except OSError:
        return None
    family, *_, sockaddr = found[0]
    scope = sockaddr[3] if len(sockaddr) == _IPV6_FIELDS else 0
    return Address(family, str(sockaddr[0]), PORT, scope)
