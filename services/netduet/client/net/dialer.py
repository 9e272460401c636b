"""How a probe connects: to a netduet server, or to any other service.

Both kinds of connections can be asked a harmless question again and again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from netduet.client.net.datagram_service import open_datagram_service
from netduet.client.net.dial import Connect, connect
from netduet.client.net.framed_connection import (
    FramedConnection,
    open_connection,
    start_framed_connection,
)
from netduet.client.net.service_connection import (
    ServiceConnection,
    open_service,
    start_service_connection,
)

if TYPE_CHECKING:
    import socket
    from contextlib import AbstractAsyncContextManager

    from netduet.client.net.dial import Address
    from netduet.client.net.handshake import ConnectionEnd, Handshake
    from netduet.client.net.timeouts import Timeouts
    from netduet.client.protocols import base
    from netduet.wire.messages import TcpInfo


MIN_CONNECTIONS: Final = 10
"""Connections in a row that a service must allow to be probed like any other."""

_CAUTIOUS_SECONDS: Final = 5.0


class ProbeConnection(Protocol):
    """What a probe needs of an open connection."""

    @property
    def ending(self) -> ConnectionEnd | None:
        """How it ended, None while it is open."""

    def ask(self) -> bool:
        """Send a harmless question; return whether there is one."""

    async def answers(self, timeout: float) -> int | None:
        """Return the number of answers that arrive next; None if none does in time."""

    def info(self) -> TcpInfo | None:
        """Return this kernel's view of it."""

    def local(self) -> tuple[str, int]:
        """Return our own address and port."""

    async def end(self, timeout: float) -> bool:
        """End it in an orderly way; return whether the other end did so as well."""


class Dialer(Protocol):
    """Opens connections to one address."""

    @property
    def address(self) -> Address:
        """The address."""

    @property
    def server_may_close(self) -> bool:
        """Whether the other end may close connections whenever it likes."""

    @property
    def max_hold(self) -> float:
        """Maximum seconds for which a connection should be kept open."""

    @property
    def min_period(self) -> float:
        """Minimum seconds between two connections, however long a probe runs."""

    async def start(self, sock: socket.socket) -> FramedConnection | ServiceConnection:
        """Return a connection that owns this connected socket, and is to be opened.

        Raises:
            OSError: the connection is already closed.
        """

    def open(
        self, timeouts: Timeouts
    ) -> AbstractAsyncContextManager[tuple[Handshake, ProbeConnection | None]]:
        """Connect and open; close at the end. Never raises by itself.

        Yields the result, and the connection if the expected kind of server answered.
        """


@dataclass(frozen=True, slots=True)
class FramedDialer:
    """Opens framed connections to a netduet server."""

    address: Address

    @property
    def server_may_close(self) -> bool:
        """False: a netduet server keeps connections in use open."""
        return False

    @property
    def max_hold(self) -> float:
        """Infinite: a netduet server keeps connections in use open."""
        return math.inf

    @property
    def min_period(self) -> float:
        """None: a netduet server takes connections for what they are."""
        return 0.0

    async def start(self, sock: socket.socket) -> FramedConnection:
        """Return a connection that is to be opened; see ``Dialer``."""
        return await start_framed_connection(sock)

    def open(
        self, timeouts: Timeouts
    ) -> AbstractAsyncContextManager[tuple[Handshake, ProbeConnection | None]]:
        """Connect and open; see ``Dialer``."""
        return open_connection(self.address, timeouts)


@dataclass(frozen=True, slots=True)
class ServiceDialer:
    """Opens connections to a service of a protocol.

    ``protocol`` None: the service is not known, and a connection that stays open is
    enough. ``host`` is the target as the user named it; ``connect`` makes connections.
    """

    address: Address
    protocol: base.Protocol | None
    host: str
    connect: Connect = connect

    @property
    def server_may_close(self) -> bool:
        """True: services end connections after a time, or a number of requests."""
        return True

    @property
    def max_hold(self) -> float:
        """Half of the time that the service gives for a login, if it gives any.

        Some count a connection that reaches this limit as an attack.
        """
        login = None if self.protocol is None else self.protocol.login_timeout
        return math.inf if login is None else login / 2

    @property
    def min_period(self) -> float:
        """Several seconds if the service blocks clients that connect often.

        OpenSSH adds a second of penalty for each connection, and blocks from 15 s on
        (sshd_config(5), PerSourcePenalties).
        """
        if self.protocol is None or self.protocol.max_connections >= MIN_CONNECTIONS:
            return 0.0
        return _CAUTIOUS_SECONDS

    async def start(self, sock: socket.socket) -> ServiceConnection:
        """Return a connection that is to be opened; see ``Dialer``."""
        protocol = self.protocol
        conversation = None if protocol is None else protocol.converse(self.host)
        return await start_service_connection(sock, conversation)

    def open(
        self, timeouts: Timeouts
    ) -> AbstractAsyncContextManager[tuple[Handshake, ProbeConnection | None]]:
        """Connect and greet; see ``Dialer``."""
        if self.protocol is not None and self.protocol.datagrams:
            return open_datagram_service(
                self.address, timeouts, self.protocol, self.host
            )
        return open_service(
            self.address, timeouts, self.protocol, self.host, self.connect
        )
