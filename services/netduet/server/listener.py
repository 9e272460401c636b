"""The listening sockets: one port, TCP and UDP, IPv4 and IPv6."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from functools import partial
from typing import Final

from netduet.net import kernel
from netduet.net.bind import BindError, reason
from netduet.net.tcp_info import accept_queue

_HANDSHAKE_SECONDS: Final = 0.25
"""Seconds from a received SYN to the end of its handshake, on most paths.

It includes the peer's first retransmission (200 ms, Linux's TCP_RTO_MIN)."""

_ACCEPT_TURNS: Final = 2
"""Turns of asyncio's loop from an accept to ``connection_made``."""

_POLL_SECONDS: Final = 0.05
"""Seconds between two checks of the accept queues."""


class Listener:
    """Accepts connections on the TCP sockets."""

    def __init__(
        self,
        sockets: list[socket.socket],
        accept: Callable[[int | None], asyncio.BaseProtocol],
        dead_peer_timeout: float = 12.0,
    ) -> None:
        """Take over bound sockets; ``accept`` gets the listener's descriptor.

        Connections to peers that are gone end after ``dead_peer_timeout`` seconds.
        """
        self._sockets = sockets
        self._accept = accept
        self._dead_peer_timeout = dead_peer_timeout
        self._held: list[socket.socket] = []  # the same, for the end
        self._servers: list[asyncio.Server] = []

    async def start(self, backlog: int) -> None:
        """Start to listen.

        Raises:
            BindError: another process on the same port was first to listen.
        """
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            address, port = sock.getsockname()[:2]
            accept = partial(self._accept, sock.fileno())
            kernel.detect_dead_peers(sock, self._dead_peer_timeout)
            try:
                sock.listen(backlog)  # uvloop reports no error
            except OSError as error:
                raise BindError(reason(error, address, port)) from None
            server = await loop.create_server(accept, sock=sock, backlog=backlog)
            self._servers.append(server)
            self._held.append(sock.dup())

    @property
    def waiting(self) -> int:
        """How many connections wait in the accept queues."""
        return sum(accept_queue(sock.fileno()) or 0 for sock in self._held)

    async def stop(self, timeout: float) -> None:
        """Accept what waits in the accept queues, then close the listeners.

        Closing resets the connections in the queue and those about to enter it. So new
        connections are held off first, and the queue must have been empty for as long
        as a handshake takes whose last segment was lost. ``timeout`` bounds all of it,
        in seconds.
        """
        loop = asyncio.get_running_loop()
        for sock in self._held:
            _hold_off(sock)
        try:
            if isinstance(loop, asyncio.SelectorEventLoop):
                await self._take_accepted(loop)
            for server in self._servers:
                server.close()
            start = busy = now = loop.time()
            while now < start + timeout and now < busy + _HANDSHAKE_SECONDS:
                await asyncio.sleep(_POLL_SECONDS)
                now = loop.time()
                if await self._accept_waiting():
                    busy = now
        finally:
            for sock in self._held:
                sock.close()

    async def _take_accepted(self, loop: asyncio.SelectorEventLoop) -> None:
        """Stop accepting, and start the connections accepted in this very turn.

        asyncio's server forgets them once it is closed (an assertion in Server._attach,
        in a separate task); uvloop's does not.
        """
        for sock in self._sockets:
            loop.remove_reader(sock)
        for _ in range(_ACCEPT_TURNS):
            await asyncio.sleep(0)

    async def _accept_waiting(self) -> int:
        accepted = []
        for sock in self._held:
            with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
                while True:
                    accepted.append(sock.accept()[0])
        loop = asyncio.get_running_loop()
        for sock in accepted:
            sock.setblocking(False)
            await loop.connect_accepted_socket(partial(self._accept, None), sock)
        return len(accepted)


def _hold_off(sock: socket.socket) -> None:
    """Keep new connections from a listening socket, as well as the kernel permits.

    Best is to refuse them: a client or load balancer that can go elsewhere does so at
    once. A kernel before 5.7 keeps that for privileged processes; there their SYNs are
    dropped, and retransmitted a second later to a closed port or to a successor.

    Where neither is possible, a backlog of zero does nearly the same: one waiting
    connection fills the queue (listen(2); net/ipv4/tcp_input.c, tcp_conn_request). But
    each accepted connection lets the next one in, and a full queue drops the last
    segment of a handshake whose peer considers itself connected.
    """
    descriptor = sock.fileno()
    if not (
        kernel.refuse_new_connections(descriptor)
        or kernel.ignore_new_connections(descriptor)
    ):
        sock.listen(0)
