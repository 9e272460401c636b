"""What an investigation measures: clues about one finding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from netduet.client.net.content_probe import ContentTrial
from netduet.client.net.dial import Address
from netduet.client.net.hops import Trace
from netduet.client.net.own_host import OwnHostTrial
from netduet.client.net.port_probe import ProbeResult

FULL_PACKET_BYTES: Final = 1500
"""Size of the packets whose path is traced when large ones are lost: Ethernet's MTU."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to look into for a class of failure.

    ``transport`` is what fails. ``refusal``: connect again, for the sender of the ICMP
    error, or the TTL of the reset; ``own_host``: try this host's own kernel; ``other``:
    try the other transport; ``hops``: trace the path; ``large``: trace it with large
    datagrams; ``data``: with data on connections. ``content``: send the same data, and
    as much changed data.
    """

    transport: str = "tcp"
    refusal: bool = False
    own_host: bool = False
    other: bool = False
    hops: bool = False
    large: bool = False
    data: bool = False
    content: bool = False


_SILENT: Final = Plan(own_host=True, other=True, hops=True)

PLANS: Final[Mapping[str, Plan]] = {
    "reach.timeout": _SILENT,
    "reach.no_response": Plan("udp", own_host=True, other=True, hops=True),
    "reach.refused": Plan(refusal=True),
    "reach.unreachable": Plan(refusal=True),
    "reach.other": Plan(refusal=True),
    "reach.port_unreachable": Plan("udp", refusal=True),
    "udp.rejected": Plan("udp", refusal=True),
    "identity.unacknowledged": Plan(hops=True, data=True, content=True),
    "identity.reset": Plan(content=True),
    "udp.silent": Plan("udp", own_host=True, hops=True),
    "udp.black_hole": Plan("udp", large=True),
    "size.black_hole": Plan(large=True),
}
"""What to look into, by class; for other classes the kernels' counters alone."""


@dataclass(frozen=True, slots=True)
class Clues:
    """What was found out about one finding; None, or 0, for what was not looked into.

    ``client`` and ``server`` are the growth of both kernels' counters, ``server`` None
    if it is not known. ``refusal`` is a further attempt of what is refused, ``other``
    one by the other transport; ``syns``, ``datagrams``, ``large`` and ``data`` are traces. ``reset_ttl`` is the TTL with which resets
    arrive. ``own_address`` is this host's address on that route. ``content`` are
    connections with the data that does not pass, and with changed data.
    """

    address: Address | None = None
    own_address: str = ""
    client: Mapping[str, int] = field(default_factory=dict)
    server: Mapping[str, int] | None = None
    own_host: OwnHostTrial | None = None
    refusal: ProbeResult | None = None
    other: ProbeResult | None = None
    syns: Trace | None = None
    datagrams: Trace | None = None
    large: Trace | None = None
    data: Trace | None = None
    reset_ttl: int = 0
    content: ContentTrial | None = None

    @property
    def is_ipv6(self) -> bool:
        """Whether the address is one of IPv6."""
        return self.address is not None and self.address.version == "IPv6"

    @property
    def target(self) -> str:
        """The address as an ICMP error names it, "" if unknown."""
        return "" if self.address is None else self.address.host.partition("%")[0]

    @property
    def is_own(self) -> bool:
        """Whether the target is this host itself."""
        return bool(self.target) and self.target == self.own_address
