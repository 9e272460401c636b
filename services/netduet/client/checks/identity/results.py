"""What the check ``identity`` measures: the answer at each address."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from netduet.client.checks.name.results import Lookup
from netduet.client.net.dial import Address, ConnectResult
from netduet.client.net.dialer import Dialer, FramedDialer, ServiceDialer
from netduet.client.net.handshake import Handshake
from netduet.client.protocols.base import Protocol

ANY_NETDUET: Final = "*"
"""Expected service: a netduet server of any name."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must answer: a netduet server, a protocol, or anything.

    ``service`` is the name of a netduet server's service, ``ANY_NETDUET``, or "" if
    none is demanded; ``protocol`` is the demanded protocol, None for any. ``tcp_alone``:
    an accepted connection is enough. ``must_respond``: any service may answer, if it
    sends anything; ``service`` is then only what a netduet server must be.
    """

    service: str = ""
    protocol: Protocol | None = None
    tcp_alone: bool = False
    must_respond: bool = False

    @property
    def is_netduet(self) -> bool:
        """Whether a netduet server is demanded."""
        return bool(self.service) and not self.must_respond


@dataclass(frozen=True, slots=True)
class IdentityAnswer:
    """What answered at one address.

    ``protocol`` is that of a recognised service. ``usual`` is the protocol whose
    services usually listen on this port, if the service did not answer to it.
    ``waits``: it accepts connections, keeps them open, and sends nothing that netduet
    knows. ``tried`` are the titles of the protocols that it was greeted in. ``host`` is
    the target as the user named it. ``counters`` are the server's kernel's at that time
    (see ``netduet.net.counters``), None if it does not report them. ``rate`` is that of
    a slow path in bit/s, so that checks do not fill it; infinity for any other.
    ``echo_seconds`` is by how much an echo of 8 KiB came later than a small answer,
    infinity if it did not come, None if it was not tried.
    """

    address: Address
    handshake: Handshake
    protocol: Protocol | None = None
    usual: Protocol | None = None
    waits: bool = False
    tried: tuple[str, ...] = ()
    host: str = ""
    counters: Mapping[str, int] | None = None
    rate: float = math.inf
    echo_seconds: float | None = None

    @property
    def is_netduet(self) -> bool:
        """Whether a netduet server answered."""
        return self.handshake.welcome is not None

    @property
    def is_service(self) -> bool:
        """Whether a service other than netduet-server can be talked to there."""
        return not self.is_netduet and (self.protocol is not None or self.waits)

    @property
    def is_over_udp(self) -> bool:
        """Whether it is a service that is asked over UDP."""
        return self.protocol is not None and self.protocol.datagrams

    @property
    def dialer(self) -> Dialer:
        """How further connections to it are made."""
        if self.is_netduet:
            return FramedDialer(self.address)
        return ServiceDialer(self.address, self.protocol, self.host)

    @property
    def features(self) -> frozenset[str]:
        """The server's features; empty if no netduet server answered."""
        welcome = self.handshake.welcome
        return frozenset() if welcome is None else frozenset(welcome.features)

    @property
    def hold_limit(self) -> float | None:
        """Maximum seconds for which the server holds a connection, None if unknown."""
        welcome = self.handshake.welcome
        return None if welcome is None else welcome.limits.hold


@dataclass(frozen=True, slots=True)
class IdentityResult:
    """The answers, what was expected, and what DNS answered for the target's name.

    ``failed_ports`` are the attempts from other source ports that failed at an address
    that answered.
    """

    answers: tuple[IdentityAnswer, ...]
    expected: Expectation
    failed_ports: tuple[ConnectResult, ...] = ()
    lookup: Lookup = field(default_factory=Lookup)

    @property
    def rates(self) -> dict[Address, float]:
        """The rates of slow paths in bit/s, infinity for all others, by address."""
        return {answer.address: answer.rate for answer in self.answers}

    @property
    def known(self) -> tuple[IdentityAnswer, ...]:
        """The answers of netduet servers."""
        return tuple(answer for answer in self.answers if answer.is_netduet)

    @property
    def usable(self) -> tuple[IdentityAnswer, ...]:
        """The answers of netduet servers and, unless one is demanded, other services.

        A service of another protocol than the demanded one is not used.
        """
        return tuple(answer for answer in self.answers if self._is_usable(answer))

    def _is_usable(self, answer: IdentityAnswer) -> bool:
        demanded = self.expected.protocol
        if demanded is not None:
            return answer.is_service and answer.protocol == demanded
        return answer.is_netduet or (answer.is_service and not self.expected.is_netduet)
