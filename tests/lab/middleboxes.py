"""Small faulty proxies, and foreign servers in the server's place.

A behaviour is called with each accepted connection; both its sockets are closed
when it returns. It forwards bytes and knows nothing of netduet.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

from tests.lab.conditions import PORT
from tests.lab.namespace_loop import bound_socket

Dial = Callable[[], Awaitable[socket.socket]]
"""Connects to the next server."""
Behaviour = Callable[[socket.socket, Dial], Awaitable[None]]
Change = Callable[[bytes], bytes]

_CHUNK: Final = 65536
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class Middlebox:
    """Listens on both families, and handles each connection by its behaviour."""

    def __init__(self, behaviour: Behaviour, servers: tuple[str, ...]) -> None:
        """Have these servers (addresses) behind it; connections take turns."""
        self._behaviour = behaviour
        self._servers = {
            family: itertools.cycle(
                [
                    address
                    for address in servers
                    if (":" in address) == (family == socket.AF_INET6)
                ]
            )
            for family in (socket.AF_INET, socket.AF_INET6)
        }
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Serve in the running loop."""
        for host in ("0.0.0.0", "::"):
            self._spawn(self._accept(bound_socket(socket.SOCK_STREAM, host, PORT)))

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listener:
            while True:
                client, _ = await loop.sock_accept(listener)
                self._spawn(self._serve(client))

    async def _serve(self, client: socket.socket) -> None:
        with contextlib.ExitStack() as sockets:
            sockets.enter_context(client)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            async def connect() -> socket.socket:
                server = socket.socket(client.family)
                sockets.enter_context(server)
                server.setblocking(False)
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                address = next(self._servers[client.family])
                await asyncio.get_running_loop().sock_connect(server, (address, PORT))
                return server

            with contextlib.suppress(OSError):
                await self._behaviour(client, connect)


# Proxies


async def forward_all(client: socket.socket, connect: Dial) -> None:
    """Forward bytes, FIN and RST unchanged."""
    await relay(client, await connect())


def every_nth(nth: int, other: Behaviour) -> Behaviour:
    """Treat each nth connection by another behaviour, and forward the rest."""
    turns = itertools.count(1)

    async def behave(client: socket.socket, connect: Dial) -> None:
        treat = forward_all if next(turns) % nth else other
        await treat(client, connect)

    return behave


def to_server(address: str, other: Behaviour) -> Behaviour:
    """Treat connections that are led to one server by another behaviour."""

    async def behave(client: socket.socket, connect: Dial) -> None:
        server = await connect()

        async def connected() -> socket.socket:
            return server

        treat = other if server.getpeername()[0] == address else forward_all
        await treat(client, connected)

    return behave


async def answer_http_error(client: socket.socket, _: Dial) -> None:
    """Answer whatever comes as a web server does that does not understand."""
    loop = asyncio.get_running_loop()
    await loop.sock_recv(client, _CHUNK)
    await loop.sock_sendall(client, b"HTTP/1.1 400 Bad Request\r\n\r\n")


def convert_line_ends(*, up: bool) -> Behaviour:
    """Take one way's bytes for text, and turn each CR LF into LF."""

    def convert(data: bytes) -> bytes:
        return data.replace(b"\r\n", b"\n")

    async def behave(client: socket.socket, connect: Dial) -> None:
        server = await connect()
        await relay(
            client, server, up=convert if up else bytes, down=bytes if up else convert
        )

    return behave


async def close_at_first_fin(client: socket.socket, connect: Dial) -> None:
    """Close both ways once either end has ended its sending."""
    server = await connect()
    with resets_forwarded(client, server):
        await _first_of(pump(client, server), pump(server, client))


def truncate_answer(limit: int) -> Behaviour:
    """Forward the client's FIN, and at most ``limit`` bytes of answer after it."""

    async def behave(client: socket.socket, connect: Dial) -> None:
        server = await connect()
        asked = asyncio.Event()

        async def up() -> None:
            await pump(client, server)
            asked.set()

        async def down() -> None:
            loop = asyncio.get_running_loop()
            left = limit
            while left > 0 and (data := await loop.sock_recv(server, _CHUNK)):
                if asked.is_set():
                    data, left = data[:left], left - len(data)
                await loop.sock_sendall(client, data)
            if not asked.is_set():  # the server ended first: nothing to cut
                end_sending(client)

        with resets_forwarded(client, server):
            await wait_for_all(up(), down())

    return behave


async def swallow_client_fin(client: socket.socket, connect: Dial) -> None:
    """Do not forward the client's FIN."""
    server = await connect()
    loop = asyncio.get_running_loop()

    async def up() -> None:
        while data := await loop.sock_recv(client, _CHUNK):
            await loop.sock_sendall(server, data)
        await loop.create_future()

    await wait_for_all(up(), pump(server, client))


async def turn_resets_into_fins(client: socket.socket, connect: Dial) -> None:
    """Turn each reset into a proper end."""
    server = await connect()
    with contextlib.suppress(ConnectionError):
        await wait_for_all(pump(client, server), pump(server, client))


def end_idle_connections(seconds: float, how: str) -> Behaviour:
    """End idle connections: by ``reset``, by ``fin``, or by ``silence``, forgetting them.

    A proxy that falls silent still acknowledges at its own end; a router that
    forgets does not (``conditions.idle_forgotten``).
    """

    async def behave(client: socket.socket, connect: Dial) -> None:
        server = await connect()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds) as limit:

                def seen(data: bytes) -> bytes:
                    limit.reschedule(loop.time() + seconds)
                    return data

                await relay(client, server, up=seen, down=seen)
        except TimeoutError:
            if how == "reset":
                reset(client)
                reset(server)
            elif how == "silence":
                await loop.create_future()

    return behave


def end_at_age(seconds: float, how: str) -> Behaviour:
    """End connections at an age, by ``reset`` or by ``fin``, however busy they are."""

    async def behave(client: socket.socket, connect: Dial) -> None:
        server = await connect()
        try:
            async with asyncio.timeout(seconds):
                await relay(client, server)
        except TimeoutError:
            if how == "reset":
                reset(client)
                reset(server)

    return behave


# Proxies whose server is dead


async def stay_silent(client: socket.socket, _: Dial) -> None:
    """Accept, read and say nothing, for a server that hangs."""
    while await asyncio.get_running_loop().sock_recv(client, _CHUNK):
        pass


async def close_after_request(client: socket.socket, _: Dial) -> None:
    """Accept, read the request, and close without an answer."""
    await asyncio.get_running_loop().sock_recv(client, _CHUNK)
    end_sending(client)
    await stay_silent(client, _)


async def reset_after_request(client: socket.socket, _: Dial) -> None:
    """Accept, read the request, and reset."""
    await asyncio.get_running_loop().sock_recv(client, _CHUNK)
    reset(client)


async def reset_at_once(client: socket.socket, _: Dial) -> None:
    """Accept, and reset before anything is asked."""
    reset(client)


# Foreign servers


async def serve_web(client: socket.socket, _: Dial) -> None:
    """Be a web server that is asked something odd."""
    loop = asyncio.get_running_loop()
    await loop.sock_recv(client, _CHUNK)
    response = (
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )
    await loop.sock_sendall(client, response)
    end_sending(client)
    await stay_silent(client, _)


async def send_banner(client: socket.socket, _: Dial) -> None:
    """Send a banner first, as a mail or SSH server does."""
    await asyncio.get_running_loop().sock_sendall(client, b"SSH-2.0-OpenSSH_10.0\r\n")
    await stay_silent(client, _)


# What they are made of


async def relay(
    client: socket.socket,
    server: socket.socket,
    up: Change = bytes,
    down: Change = bytes,
) -> None:
    """Forward bytes both ways, changed by ``up`` and ``down``; forward FIN and RST."""
    with resets_forwarded(client, server):
        await wait_for_all(pump(client, server, up), pump(server, client, down))


@contextlib.contextmanager
def resets_forwarded(client: socket.socket, server: socket.socket) -> Iterator[None]:
    """Have a reset at one end be one at the other, too."""
    try:
        yield
    except ConnectionError:
        reset(client)
        reset(server)


async def pump(
    source: socket.socket, sink: socket.socket, change: Change = bytes
) -> None:
    """Carry bytes one way, and then the end of sending."""
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(source, _CHUNK):
        await loop.sock_sendall(sink, change(data))
    end_sending(sink)


async def wait_for_all(*pumps: Awaitable[None]) -> None:
    """Wait for all; the first error ends them."""
    tasks = [asyncio.ensure_future(pump) for pump in pumps]
    try:
        await asyncio.gather(*tasks)
    finally:
        await _cancelled(tasks)


async def _first_of(*pumps: Awaitable[None]) -> None:
    """Wait for one, which ends the others; an error of it is raised."""
    tasks = [asyncio.ensure_future(pump) for pump in pumps]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await _cancelled(tasks)


async def _cancelled(tasks: Sequence[asyncio.Future[None]]) -> None:
    """End what still reads or writes, before its socket is closed."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def end_sending(sock: socket.socket) -> None:
    """End one's sending, if the connection still stands."""
    with contextlib.suppress(OSError):  # it is gone already
        sock.shutdown(socket.SHUT_WR)


def reset(sock: socket.socket) -> None:
    """Have the socket's close be a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
