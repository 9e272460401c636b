"""The listening sockets: one port, TCP and UDP, IPv4 and IPv6."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from netduet import kernel

if TYPE_CHECKING:
    from netduet.server.session import Session

_TRIES: Final = 16
"""Ports tried when any free one will do: it must be free in every family."""

_HANDSHAKE: Final = 0.25
"""Seconds from a SYN that was heard to the end of its handshake, on most paths.

The peer's first retransmission is in it (200 ms, Linux's TCP_RTO_MIN).
"""

_HOLD: Final = 0.05
"""Seconds between two looks at the accept queues."""

_NO_FAMILY: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


class BindError(Exception):
    """An address that cannot be listened on; the message names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """Bound sockets, all on one port. ``absent`` names families this host lacks."""

    port: int
    tcp: list[socket.socket]
    udp: list[socket.socket]
    absent: list[str]

    def close(self) -> None:
        """Close all of them."""
        for sock in (*self.tcp, *self.udp):
            sock.close()


def bind(host: str, port: int, *, udp: bool) -> Sockets:
    """Bind the port on every address of the host ("" means every address there is).

    Raises:
        BindError: the host has no address here, or the port is taken or forbidden.

    """
    for left in range(_TRIES, 0, -1):
        try:
            return _bind_all(_addresses(host), port, udp=udp)
        except OSError as error:
            if port == 0 and left > 1 and error.errno == errno.EADDRINUSE:
                continue
            raise BindError(_reason(error, host, port)) from None
    raise AssertionError  # the last try returned or raised


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    if not host:
        return [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]  # noqa: S104 - every address is the documented default
    found = socket.getaddrinfo(
        host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    return list(dict.fromkeys((info[0], str(info[4][0])) for info in found))


def _bind_all(
    addresses: list[tuple[socket.AddressFamily, str]], port: int, *, udp: bool
) -> Sockets:
    sockets = Sockets(port, [], [], [])
    kinds = [(socket.SOCK_STREAM, sockets.tcp)]
    if udp:
        kinds.append((socket.SOCK_DGRAM, sockets.udp))
    try:
        for family, address in addresses:
            for kind, bound in kinds:
                try:
                    sock = _bind_one(family, kind, address, port)
                except OSError as error:
                    if error.errno in _NO_FAMILY and len(addresses) > 1:
                        sockets.absent.append(family.name)
                        break
                    raise
                bound.append(sock)
                port = sock.getsockname()[1]
    except OSError:
        sockets.close()
        raise
    if not sockets.tcp:
        raise OSError(errno.EADDRNOTAVAIL, "no family has this address")
    return Sockets(port, sockets.tcp, sockets.udp, sockets.absent)


def _bind_one(
    family: socket.AddressFamily, kind: socket.SocketKind, address: str, port: int
) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        if kind is socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind((address, port))
    except OSError:
        sock.close()
        raise
    return sock


def _reason(error: OSError, host: str, port: int) -> str:
    remedies = {
        errno.EADDRINUSE: "something else listens there: stop it or take another port",
        errno.EACCES: "ports below 1024 need a privilege: take a higher one",
        errno.EADDRNOTAVAIL: "this host has no such address",
    }
    if isinstance(error, socket.gaierror):
        remedy = "this name has no address here"
    else:
        remedy = remedies.get(error.errno or 0, error.strerror or str(error))
    return f"cannot listen on {host or 'every address'}, port {port}: {remedy}"


class Listener:
    """Accepts on the TCP sockets, a session for each connection."""

    def __init__(
        self, sockets: list[socket.socket], accept: Callable[[int | None], Session]
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
                raise BindError(_reason(error, address, port)) from None
            server = await loop.create_server(accept, sock=sock, backlog=backlog)
            self._servers.append(server)

    async def stop(self, patience: float) -> None:
        """Accept what already waits in the accept queues, then close the listeners.

        A close resets what is in the queue and what is about to come to it. So new
        connections are held off, and the queue must have been empty for as long as
        a handshake takes whose last segment was lost. ``patience`` bounds all of
        it, in seconds.
        """
        held = [sock.dup() for sock in self._sockets]
        for server in self._servers:
            server.close()
        loop = asyncio.get_running_loop()
        begin = busy = now = loop.time()
        for sock in held if patience else ():
            _hold_off(sock)
        while now < begin + patience and now < busy + _HANDSHAKE:
            await asyncio.sleep(_HOLD)
            now = loop.time()
            if await self._empty(held):
                busy = now
        for sock in held:
            sock.close()

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
    """Have a listening socket drop new SYNs: they come again, to a closed port.

    Where a kernel keeps the filter that does it to the privileged, a backlog of
    zero does nearly the same: one connection that waits makes the queue full
    (listen(2); net/ipv4/tcp_input.c, tcp_conn_request).
    """
    if not kernel.ignore_new_connections(sock.fileno()):
        sock.listen(0)
