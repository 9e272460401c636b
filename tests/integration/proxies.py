"""Proxies of bad manners before a server of this host."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

from tests.integration.peer import connect, reset
from tests.integration.strangers import Manner, Stranger

IDLE = 0.5
"""Seconds of silence after which a connection is cut."""

_CHUNK = 65536


@contextlib.asynccontextmanager
async def standing(manner: Manner) -> AsyncIterator[int]:
    """Return the port of a proxy; the server may live in the test's own loop."""
    stranger = Stranger(manner, "127.0.0.1")
    try:
        yield stranger.port
    finally:
        # Not here: what it still carries is for the loop to send.
        await asyncio.to_thread(stranger.close)


@dataclass
class Pair:
    """Both sides of a connection that a proxy carries."""

    client: socket.socket
    server: socket.socket

    def other(self, sock: socket.socket) -> socket.socket:
        """Return the other side."""
        return self.server if sock is self.client else self.client

    def carry(
        self,
        patience: float | None = None,
        *,
        until_end: bool = False,
        largest: int = _CHUNK,
    ) -> socket.socket | None:
        """Carry bytes and ends of sending; return who ended, None when all is silent.

        With ``until_end`` the first end is not carried, but returned; what is larger
        than ``largest`` is not carried either, and ends it.
        """
        open_sides = [self.client, self.server]
        while open_sides:
            ready, _, _ = select.select(open_sides, [], [], patience)
            if not ready:
                return None
            for sock in ready:
                data = sock.recv(_CHUNK)
                if len(data) > largest:
                    return sock
                if data:
                    self.other(sock).sendall(data)
                    continue
                open_sides.remove(sock)
                if until_end:
                    return sock
                end(self.other(sock))
        return self.client

    def reset(self) -> None:
        """Reset both sides."""
        reset(self.client)
        reset(self.server)


def end(sock: socket.socket) -> None:
    """End the sending, if the other end is still there."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)


def faithful(port: int) -> Manner:
    """Pass on bytes, each end of sending and each reset as what they are."""

    def manner(client: socket.socket) -> None:
        with connect(port) as server:
            pair = Pair(client, server)
            try:
                pair.carry()
            except ConnectionError:
                pair.reset()

    return manner


def idle_cutting(port: int, how: str) -> Manner:
    """Cut what is silent: by ``reset``, by ``fin``, or by ``silence``, swallowing all."""

    def manner(client: socket.socket) -> None:
        with connect(port) as server:
            pair = Pair(client, server)
            if pair.carry(IDLE) is not None:
                return
            if how == "reset":
                pair.reset()
            elif how == "silence":
                while client.recv(_CHUNK):
                    pass

    return manner


def half_close_breaking(port: int) -> Manner:
    """Close both ways when the first end of sending comes."""

    def manner(client: socket.socket) -> None:
        with connect(port) as server:
            Pair(client, server).carry(until_end=True)

    return manner


def answer_cutting(port: int, limit: int) -> Manner:
    """Carry the asker's end of sending, and so many bytes of answer after it."""

    def manner(client: socket.socket) -> None:
        with connect(port) as server:
            if Pair(client, server).carry(until_end=True) is server:
                end(client)
                while data := client.recv(_CHUNK):
                    server.sendall(data)
                return
            end(server)
            left = limit
            while left and (data := server.recv(left)):
                client.sendall(data)
                left -= len(data)

    return manner


def end_swallowing(port: int) -> Manner:
    """Never tell the server that the client has ended its sending."""

    def manner(client: socket.socket) -> None:
        with connect(port) as server:
            source, sink = client, server
            if Pair(client, server).carry(until_end=True) is client:
                source, sink = server, client
            else:
                end(client)
            while data := source.recv(_CHUNK):
                sink.sendall(data)

    return manner


def reset_holding(port: int) -> Manner:
    """Lose the server's reset, and send one when the client speaks again."""

    def manner(client: socket.socket) -> None:
        with connect(port) as server:
            try:
                Pair(client, server).carry()
            except ConnectionError:
                client.recv(1)
                reset(client)
                reset(server)

    return manner


def large_swallowing(port: int) -> Manner:
    """Swallow all that comes once a larger answer has come, as a hole does."""

    def manner(client: socket.socket) -> None:
        with connect(port) as server:
            pair = Pair(client, server)
            try:
                pair.carry(largest=2048)
                while client.recv(_CHUNK):
                    pass
            except ConnectionError:
                pair.reset()

    return manner


def reset_hiding(port: int) -> Manner:
    """Turn each reset into a proper end."""

    def manner(client: socket.socket) -> None:
        with connect(port) as server, contextlib.suppress(ConnectionError):
            Pair(client, server).carry()

    return manner


def end_hardening(port: int) -> Manner:
    """Turn the server's proper end into a reset, once its bytes were taken."""

    def manner(client: socket.socket) -> None:
        with connect(port) as server:
            pair = Pair(client, server)
            if pair.carry(until_end=True) is server:
                pair.reset()
                return
            end(server)
            while data := server.recv(_CHUNK):
                client.sendall(data)
            pair.reset()

    return manner
