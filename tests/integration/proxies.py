"""TCP proxies with one fault each, in front of a server of this host."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from tests.integration.foreign_servers import Behaviour, ForeignServer
from tests.integration.framed_client import connect, reset

IDLE_SECONDS = 0.5
"""Seconds of silence after which a connection is cut."""

_CHUNK = 65536
_LARGE = 8192


@contextlib.asynccontextmanager
async def running_proxy(behaviour: Behaviour) -> AsyncIterator[int]:
    """Return the port of a proxy; the server may run in the test's own loop."""
    server = ForeignServer(behaviour, "127.0.0.1")
    try:
        yield server.port
    finally:
        # Not here: what it still carries is for the loop to send.
        await asyncio.to_thread(server.close)


@dataclass
class ProxiedConnection:
    """Both sides of a connection that a proxy carries."""

    client: socket.socket
    server: socket.socket

    def other(self, sock: socket.socket) -> socket.socket:
        """Return the other side."""
        return self.server if sock is self.client else self.client

    def forward(
        self,
        timeout: float | None = None,
        *,
        until_end: bool = False,
        largest: int = _CHUNK,
        change: Callable[[bytes], bytes] = bytes,
    ) -> socket.socket | None:
        """Carry bytes and ends of sending; return who ended, None when all is silent.

        With ``until_end`` the first end is not carried, but returned; what is larger
        than ``largest`` is not carried either, and ends it. What is carried is
        first changed by ``change``.
        """
        open_sides = [self.client, self.server]
        while open_sides:
            ready, _, _ = select.select(open_sides, [], [], timeout)
            if not ready:
                return None
            for sock in ready:
                data = sock.recv(_CHUNK)
                if len(data) > largest:
                    return sock
                if data:
                    self.other(sock).sendall(change(data))
                    continue
                open_sides.remove(sock)
                if until_end:
                    return sock
                send_fin(self.other(sock))
        return self.client

    def reset(self) -> None:
        """Reset both sides."""
        reset(self.client)
        reset(self.server)


def send_fin(sock: socket.socket) -> None:
    """End the sending, if the other end is still there."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)


def forward_all(port: int) -> Behaviour:
    """Forward bytes, FIN and RST unchanged."""

    def behave(client: socket.socket) -> None:
        with connect(port) as server:
            pair = ProxiedConnection(client, server)
            try:
                pair.forward()
            except ConnectionError:
                pair.reset()

    return behave


def end_idle_connections(port: int, how: str) -> Behaviour:
    """Cut what is silent: by ``reset``, by ``fin``, or by ``silence``, swallowing all."""

    def behave(client: socket.socket) -> None:
        with connect(port) as server:
            pair = ProxiedConnection(client, server)
            if pair.forward(IDLE_SECONDS) is not None:
                return
            if how == "reset":
                pair.reset()
            elif how == "silence":
                while client.recv(_CHUNK):
                    pass

    return behave


def end_connections_at_age(port: int, seconds: float) -> Behaviour:
    """Close both ways at an age, however much is carried."""

    def behave(client: socket.socket) -> None:
        with connect(port) as server:
            pair = ProxiedConnection(client, server)

            def close() -> None:
                for sock in (client, server):
                    with contextlib.suppress(OSError):  # it has ended before
                        sock.shutdown(socket.SHUT_RDWR)

            timer = threading.Timer(seconds, close)
            timer.start()
            try:
                pair.forward()
            finally:
                timer.cancel()

    return behave


def close_at_first_fin(port: int) -> Behaviour:
    """Close both ways when the first end of sending comes."""

    def behave(client: socket.socket) -> None:
        with connect(port) as server:
            ProxiedConnection(client, server).forward(until_end=True)

    return behave


def truncate_answer(port: int, limit: int) -> Behaviour:
    """Forward the client's FIN, and at most ``limit`` bytes of answer after it."""

    def behave(client: socket.socket) -> None:
        with connect(port) as server:
            if ProxiedConnection(client, server).forward(until_end=True) is server:
                send_fin(client)
                while data := client.recv(_CHUNK):
                    server.sendall(data)
                return
            send_fin(server)
            left = limit
            while left and (data := server.recv(left)):
                client.sendall(data)
                left -= len(data)

    return behave


def swallow_client_fin(port: int) -> Behaviour:
    """Do not forward the client's FIN."""

    def behave(client: socket.socket) -> None:
        with connect(port) as server:
            source, sink = client, server
            if ProxiedConnection(client, server).forward(until_end=True) is client:
                source, sink = server, client
            else:
                send_fin(client)
            while data := source.recv(_CHUNK):
                sink.sendall(data)

    return behave


def hold_server_reset(port: int) -> Behaviour:
    """Drop the server's RST, and send one when the client sends again."""

    def behave(client: socket.socket) -> None:
        with connect(port) as server:
            try:
                ProxiedConnection(client, server).forward()
            except ConnectionError:
                client.recv(1)
                reset(client)
                reset(server)

    return behave


def swallow_after_large_answer(port: int) -> Behaviour:
    """Swallow all that comes once a larger answer has come, as a hole does."""

    def behave(client: socket.socket) -> None:
        with connect(port) as server:
            pair = ProxiedConnection(client, server)
            try:
                pair.forward(largest=2048)
                while client.recv(_CHUNK):
                    pass
            except ConnectionError:
                pair.reset()

    return behave


def turn_resets_into_fins(port: int) -> Behaviour:
    """Turn each reset into a proper end."""

    def behave(client: socket.socket) -> None:
        with connect(port) as server, contextlib.suppress(ConnectionError):
            ProxiedConnection(client, server).forward()

    return behave


def change_large_pieces(port: int) -> Behaviour:
    """Change a bit of each large piece, and turn each reset into a proper end."""

    def change(data: bytes) -> bytes:
        return data[:-1] + bytes([data[-1] ^ 1]) if len(data) > _LARGE else data

    def behave(client: socket.socket) -> None:
        with connect(port) as server, contextlib.suppress(ConnectionError):
            ProxiedConnection(client, server).forward(change=change)

    return behave


def turn_server_fin_into_reset(port: int) -> Behaviour:
    """Turn the server's proper end into a reset, once its bytes were taken."""

    def behave(client: socket.socket) -> None:
        with connect(port) as server:
            pair = ProxiedConnection(client, server)
            if pair.forward(until_end=True) is server:
                pair.reset()
                return
            send_fin(server)
            while data := server.recv(_CHUNK):
                client.sendall(data)
            pair.reset()

    return behave
