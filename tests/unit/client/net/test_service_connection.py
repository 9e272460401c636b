"""A connection to a service that says more after our end, or has closed it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

import pytest

from netduet.client.net import service_connection
from netduet.client.net.dial import Address
from netduet.client.net.service_connection import ServiceConnection, open_service
from netduet.client.net.timeouts import Timeouts
from netduet.client.protocols import find_protocol
from tests.integration.framed_client import reset
from tests.integration.servers import wait_until

TIMEOUTS = Timeouts(resolve=3.0, connect=3.0, answer=3.0)
INFO = b'INFO {"server_id":"A","version":"2"}\r\n'

Use = Callable[[ServiceConnection], Awaitable[None]]


async def use(port: int, name: str, with_connection: Use) -> None:
    """Open a connection in a protocol and use it."""
    address = Address(socket.AF_INET, "127.0.0.1", port)
    async with open_service(address, TIMEOUTS, find_protocol(name), "localhost") as (
        handshake,
        connection,
    ):
        assert connection is not None, handshake
        await with_connection(connection)


async def test_question_of_the_service_after_our_end_is_not_answered() -> None:
    """NATS sends PING when it likes; our side of the stream has ended by then."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(INFO)
        await reader.readline()
        writer.write(b"PONG\r\n")
        assert await reader.read() == b""
        writer.write(b"PING\r\n")
        writer.close()
        ended.set()

    async def end(connection: ServiceConnection) -> None:
        assert await connection.end(3.0)
        assert connection.ending is not None
        assert connection.ending.how == "eof"

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        await use(server.sockets[0].getsockname()[1], "nats", end)
        await ended.wait()


async def test_option_of_a_closed_connection_is_left_alone() -> None:
    """There is no socket any more with uvloop."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        loop = asyncio.get_running_loop()

        async def serve() -> None:
            sock, _ = await loop.sock_accept(listener)
            await loop.sock_sendall(sock, b"SSH-2.0-test\r\n")
            sockets.append(sock)

        async def set_option(connection: ServiceConnection) -> None:
            await serving
            reset(sockets[0])
            await connection.wait_for_end(3.0)
            assert connection.is_closed
            connection.set_option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

        sockets: list[socket.socket] = []
        serving = asyncio.create_task(serve())
        await use(listener.getsockname()[1], "ssh", set_option)


async def test_service_that_sends_without_end_is_read_slowly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a burst only so much a second is read; the rest waits at the service."""
    monkeypatch.setattr(service_connection, "_BURST_BYTES", 1024 * 1024)
    monkeypatch.setattr(service_connection, "_BYTES_PER_SECOND", 64 * 1024)
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(bytes(65_536))
                await writer.drain()
        left.set()

    async def read(connection: ServiceConnection) -> None:
        await wait_until(lambda: connection.received > 1024 * 1024)
        before = connection.received
        await wait_until(lambda: connection.received > before)  # it goes on
        await asyncio.sleep(0.3)  # in which it could read a hundred times as much
        assert connection.received < 4 * 1024 * 1024
        assert connection.ending is None

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        await use(server.sockets[0].getsockname()[1], "http", read)
        await left.wait()
