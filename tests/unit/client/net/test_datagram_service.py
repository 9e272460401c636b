"""Questions over UDP on real sockets: each loss is made up for."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import cast

from netduet.client.net.datagram_service import DatagramService, open_datagram_service
from netduet.client.net.dial import Address
from netduet.client.net.timeouts import Timeouts
from netduet.client.protocols.dns import PROTOCOL

TIMEOUTS = Timeouts(resolve=3.0, connect=3.0, answer=3.0)
FIRST = 1
"""The number of the datagram that opens the conversation."""


class _DnsServer(asyncio.DatagramProtocol):
    def __init__(self, is_lost: Callable[[int], bool]) -> None:
        self.received: list[bytes] = []
        self.changed = asyncio.Event()
        self._is_lost = is_lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.received.append(data)
        self.changed.set()
        if not self._is_lost(len(self.received)):
            self._transport.sendto(data[:2] + b"\x80" + data[3:], addr)

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(5.0):
            while len(self.received) < count:
                self.changed.clear()
                await self.changed.wait()


@contextlib.asynccontextmanager
async def _asking(
    is_lost: Callable[[int], bool],
) -> AsyncIterator[tuple[_DnsServer, DatagramService]]:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        lambda: _DnsServer(is_lost), local_addr=("127.0.0.1", 0)
    )
    port = transport.get_extra_info("sockname")[1]
    address = Address(socket.AF_INET, "127.0.0.1", port)
    try:
        async with open_datagram_service(address, TIMEOUTS, PROTOCOL, "localhost") as (
            handshake,
            service,
        ):
            assert service is not None, handshake
            yield server, service
    finally:
        transport.close()


async def test_lost_question_is_sent_again_in_place_of_the_next_one() -> None:
    """It is answered then; no question stays open, and none is counted twice."""
    lost = {FIRST + 1, FIRST + 2}
    async with _asking(lambda number: number in lost) as (server, service):
        asked = [service.ask()]
        for count in (FIRST + 2, FIRST + 3):
            await server.wait_for(count - 1)
            asked.append(service.ask())
        assert await service.answers(3.0) == 1
        assert asked == [True, False, False]
        assert len(set(server.received[FIRST:])) == 1
        assert service.ask()
        assert await service.answers(3.0) == 1
