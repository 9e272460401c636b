"""What the check ``isolation`` measures: the answers of TCP and UDP ports."""

from __future__ import annotations

from dataclasses import dataclass

from netduet.client.net.dial import Address
from netduet.client.net.handshake import Handshake
from netduet.client.net.port_probe import ProbeResult, Response


@dataclass(frozen=True, slots=True)
class PortState:
    """A port of one address. ``own_address`` is this host's address on that route.

    ``handshake`` is the result of an opening, if TCP is open.
    """

    address: Address
    tcp: ProbeResult
    udp: ProbeResult
    own_address: str = ""
    handshake: Handshake | None = None

    @property
    def is_open(self) -> bool:
        """Whether TCP or UDP is open."""
        return Response.OPEN in {self.tcp.response, self.udp.response}

    @property
    def answered(self) -> bool:
        """Whether something other than this host answered, even if only to refuse."""
        silent = {Response.DROPPED, Response.NO_ROUTE, Response.OTHER}
        return any(
            probe.response not in silent
            and (not self.own_address or probe.offender != self.own_address)
            for probe in (self.tcp, self.udp)
        )


@dataclass(frozen=True, slots=True)
class IsolationResult:
    """All addresses of a target that should be blocked.

    ``has_routes``: this host has a route to another host; ``control`` is another target
    that was reached, "" for none.
    """

    ports: tuple[PortState, ...]
    left_out: int = 0
    has_routes: bool = True
    control: str = ""
