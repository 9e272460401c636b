"""What the check ``reach`` measures: a connection attempt per address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from netduet.client.checks.containers import ContainerFacts
from netduet.client.checks.name.results import Lookup
from netduet.client.net.dial import Address, Cause, ConnectResult

ACCEPTED_CAUSES: Final = (None, Cause.RESET)


@dataclass(frozen=True, slots=True)
class ReachResult:
    """A connection attempt per address; the sockets are closed.

    ``host`` is the target's. ``facts`` are read if no address accepts. ``failed_ports``
    are the attempts from other source ports that failed at an address that accepts.
    ``link_addresses`` are the MAC addresses of those that refused, whenever they changed.
    ``lookup`` is what DNS answered for the host; ``is_misled``: a search domain may be
    why no address accepts.
    """

    tried: tuple[ConnectResult, ...]
    left_out: int
    host: str = ""
    facts: ContainerFacts | None = None
    failed_ports: tuple[ConnectResult, ...] = ()
    link_addresses: Mapping[Address, tuple[str, ...]] = field(default_factory=dict)
    lookup: Lookup = field(default_factory=Lookup)
    is_misled: bool = False

    @property
    def accepted(self) -> tuple[ConnectResult, ...]:
        """The attempts that were accepted, including those that were then reset at once.

        A reset instead of an acceptance is ECONNREFUSED (RFC 9293 §3.10.7.3).
        """
        return tuple(
            attempt for attempt in self.tried if attempt.cause in ACCEPTED_CAUSES
        )
