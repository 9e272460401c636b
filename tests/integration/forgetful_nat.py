"""A NAT for UDP on loopback that forgets silent flows, or loses their first datagram."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast


class ForgetfulNat(asyncio.DatagramProtocol):
    """Gives each client a port of its own towards the server, for as long as it talks."""

    def __init__(
        self, server_port: int, seconds: float, *, loses_first: bool = False
    ) -> None:
        """Forget a flow after so many seconds of silence."""
        self._loses_first = loses_first
        self._server = ("127.0.0.1", server_port)
        self._seconds = seconds
        self._ports: dict[Any, _OutsidePort] = {}
        self._opening: dict[Any, list[bytes]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is sent to clients with."""
        self.inside = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Forward a client's datagram, from a new port if its flow is forgotten."""
        port = self._ports.get(addr)
        if port is not None:
            port.send(data)
        elif addr in self._opening:
            self._opening[addr].append(data)
        else:
            self._opening[addr] = [] if self._loses_first else [data]
            self._task = asyncio.ensure_future(self._open(addr))

    async def _open(self, client: Any) -> None:
        loop = asyncio.get_running_loop()
        _, port = await loop.create_datagram_endpoint(
            lambda: _OutsidePort(self, client, self._seconds), remote_addr=self._server
        )
        self._ports[client] = port
        for data in self._opening.pop(client):
            port.send(data)

    def forget(self, client: Any) -> None:
        """Forget a flow."""
        self._ports.pop(client).close()

    def close(self) -> None:
        """Forget all flows."""
        for client in list(self._ports):
            self.forget(client)
        self.inside.close()


class _OutsidePort(asyncio.DatagramProtocol):
    """The port of one flow."""

    def __init__(self, nat: ForgetfulNat, client: Any, seconds: float) -> None:
        self._nat, self._client, self._seconds = nat, client, seconds
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self._restart()

    def datagram_received(self, data: bytes, _: object) -> None:
        self._restart()
        self._nat.inside.sendto(data, self._client)

    def send(self, data: bytes) -> None:
        self._restart()
        self._transport.sendto(data)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._transport.close()

    def _restart(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._seconds, self._nat.forget, self._client)


@asynccontextmanager
async def running_nat(
    server_port: int, seconds: float, *, loses_first: bool = False
) -> AsyncIterator[int]:
    """Run a NAT in front of a server; return its port."""
    loop = asyncio.get_running_loop()
    transport, nat = await loop.create_datagram_endpoint(
        lambda: ForgetfulNat(server_port, seconds, loses_first=loses_first),
        local_addr=("127.0.0.1", 0),
    )
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        nat.close()
