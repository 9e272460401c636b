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

_HANDSHAKE: Final = 0.25
"""Seconds from a SYN that was heard to the end of its handshake, on most paths.

The peer's first retransmission is in it (200 ms, Linux's TCP_RTO_MIN).
"""

_TURNS: Final = 2
"""Turns of asyncio's loop from an accept to the begin of its connection."""

_HOLD: Final = 0.05
"""Seconds between two looks at the accept queues."""


class Listener:
    """Accepts connections on the TCP sockets."""

    def __init__(
        self,
        sockets: list[socket.socket],
        accept: Callable[[int | None], asyncio.BaseProtocol],
    ) -> None:
        """Take over bound sockets; ``accept`` gets the descriptor that accepted."""
        self._sockets = sockets
        self._accept = accept
        self._servers: list[asyncio.Server] = []

    async def start(self, backlog: int) -> None:
        """Listen from now on.

        Raises:
            BindError: someone who had bound the port too was first to listen.

        """
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            address, port = sock.getsockname()[:2]
            accept = partial(self._accept, sock.fileno())
            try:
                sock.listen(backlog)  # uvloop is silent when it cannot
            except OSError as error:
                raise BindError(reason(error, address, port)) from None
            server = await loop.create_server(accept, sock=sock, backlog=backlog)
            self._servers.append(server)

    async def stop(self, patience: float) -> None:
        """Accept what already waits in the accept queues, then close the listeners.

        A close resets what is in the queue and what is about to come to it. So new
        connections are held off, and the queue must have been empty for as long as
        a handshake takes whose last segment was lost. ``patience`` bounds all of
        it, in seconds.
        """
        loop = asyncio.get_running_loop()
        held = [sock.dup() for sock in self._sockets]
        if isinstance(loop, asyncio.SelectorEventLoop):
            await self._take_accepted(loop)
        for server in self._servers:
            server.close()
        start = busy = now = loop.time()
        for sock in held if patience else ():
            _hold_off(sock)
        while now < start + patience and now < busy + _HANDSHAKE:
            await asyncio.sleep(_HOLD)
            now = loop.time()
            if await self._empty(held):
                busy = now
        for sock in held:
            sock.close()

    async def _take_accepted(self, loop: asyncio.SelectorEventLoop) -> None:
        """Accept no more, and let those begin that were accepted in this very turn.

        asyncio's server, once closed, forgets them (an assertion in Server._attach, in
        a task of its own); uvloop's does not.
        """
        for sock in self._sockets:
            loop.remove_reader(sock)
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    async def _empty(self, held: list[socket.socket]) -> int:
        """Accept all that waits; return how many that were."""
        accepted = []
        for sock in held:
            with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
                while True:
                    accepted.append(sock.accept()[0])
        loop = asyncio.get_running_loop()
        for sock in accepted:
            sock.setblocking(False)
            await loop.connect_accepted_socket(partial(self._accept, None), sock)
        return len(accepted)


def _hold_off(sock: socket.socket) -> None:
    """Keep new connections from a listening socket, whatever the kernel lets us do.

    Best is that their SYNs are dropped: they come again, to a closed port or to a
    successor. Some kernels keep the filter that does it to the privileged (a container
    may have no such privilege): there they are refused.

    Where neither can be had, a backlog of zero does nearly the same: one connection
    that waits makes the queue full (listen(2); net/ipv4/tcp_input.c,
    tcp_conn_request). But each that is accepted lets in the next, and a full queue
    drops the last segment of a handshake whose peer believes to be connected.
    """
    descriptor = sock.fileno()
    if not (
        kernel.ignore_new_connections(descriptor)
        or kernel.refuse_new_connections(descriptor)
    ):
        sock.listen(0)
