"""How the probes of a peer connect: to what is found to answer there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from netduet.client.checks.identity.recognition import NETDUET_PORT, Recogniser
from netduet.client.net.dialer import Dialer, FramedDialer, ServiceDialer

if TYPE_CHECKING:
    import socket
    from contextlib import AbstractAsyncContextManager

    from netduet.client.net.dial import Address
    from netduet.client.net.dialer import ProbeConnection
    from netduet.client.net.framed_connection import FramedConnection
    from netduet.client.net.handshake import Handshake
    from netduet.client.net.service_connection import ServiceConnection
    from netduet.client.net.timeouts import Timeouts

_RETRY_SECONDS: Final = 2.0


class PeerDialer:
    """Connects as the demanded or the recognised kind of server wants it.

    Until a service has been recognised, a connection that stays open is enough.
    """

    def __init__(self, address: Address, recogniser: Recogniser) -> None:
        """Prepare; what answers is found out by ``identify``, unless it is demanded."""
        expected = recogniser.expected
        self._recogniser = recogniser
        self._is_known = bool(
            expected.is_netduet or expected.protocol or expected.tcp_alone
        )
        self._current: Dialer = ServiceDialer(
            address, expected.protocol, recogniser.host
        )
        if expected.is_netduet or (not self._is_known and address.port == NETDUET_PORT):
            self._current = FramedDialer(address)

    @property
    def address(self) -> Address:
        """The address."""
        return self._current.address

    @property
    def is_netduet(self) -> bool:
        """Whether a netduet server is demanded, or answers there."""
        return isinstance(self._current, FramedDialer)

    @property
    def server_may_close(self) -> bool:
        """As for the current kind of server."""
        return self._current.server_may_close

    @property
    def max_hold(self) -> float:
        """As for the current kind of server."""
        return self._current.max_hold

    @property
    def min_period(self) -> float:
        """As for the current kind of server."""
        return self._current.min_period

    async def identify_once(self) -> None:
        """Find out what answers, if that is not known."""
        if self._is_known:
            return
        answer = await self._recogniser.identify(self.address)
        if answer.is_netduet or answer.is_service:
            self._current, self._is_known = answer.dialer, True

    async def identify(self) -> None:
        """Repeat ``identify_once`` until it is known."""
        while not self._is_known:
            await asyncio.sleep(_RETRY_SECONDS)
            await self.identify_once()

    async def start(self, sock: socket.socket) -> FramedConnection | ServiceConnection:
        """Return a connection that is to be opened; see ``Dialer``."""
        return await self._current.start(sock)

    def open(
        self, timeouts: Timeouts
    ) -> AbstractAsyncContextManager[tuple[Handshake, ProbeConnection | None]]:
        """Connect and open; see ``Dialer``."""
        return self._current.open(timeouts)
