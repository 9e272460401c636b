"""What the check ``udp`` measures: openings, a burst, sizes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from netduet.client.net.dial import Address
from netduet.client.net.udp_handshake import UdpOpeningResult
from netduet.client.net.udp_socket import IcmpNotice
from netduet.client.results.instance import instance_of
from netduet.client.results.location import Side
from netduet.net.time_span import Timed
from netduet.wire.messages import Welcome
from netduet.wire.udp_count import CountAnswer

SMALL_BYTES: Final = 200
"""Size of a small datagram, which fits any path MTU."""

MIN_LOSS_RUN: Final = 8
"""Consecutive unanswered datagrams that chance does not explain."""


@dataclass(frozen=True, slots=True)
class BurstPlan:
    """The number of datagrams in a burst, and the seconds between them."""

    count: int
    gap: float


@dataclass(frozen=True, slots=True)
class Burst(Timed):
    """A burst as counted at both ends. Times are monotonic seconds.

    ``server_count`` is the server's final count, None if unavailable; ``contradictory``:
    the answers cannot all belong to one count. ``answered``, ``duplicated`` and
    ``reordered`` count answers at this end, ``dropped`` those its kernel had no room for
    (None: unknown); ``send_seconds`` is how long sending took, ``max_send_delay`` the delay
    of the latest datagram. ``lost_in_runs`` are unanswered datagrams sent consecutively,
    MIN_LOSS_RUN or more, over ``runs_seconds`` in total, the first run from
    ``first_run_start`` on.
    """

    planned: int
    sent: int
    size: int = SMALL_BYTES
    unsent: int = 0
    error: str = ""
    send_seconds: float = 0.0
    max_send_delay: float = 0.0
    answered: int = 0
    duplicated: int = 0
    reordered: int = 0
    dropped: int | None = 0
    lost_in_runs: int = 0
    first_run_start: float = 0.0
    runs_seconds: float = 0.0
    server_count: CountAnswer | None = None
    contradictory: bool = False
    start: float = 0.0
    end: float = 0.0


@dataclass(frozen=True, slots=True)
class DatagramFlow:
    """A flow of questions of one size: how many were sent, arrived and came back.

    ``arrived`` and ``answers`` are the server's counts, None if unavailable; ``unsent`` of
    those sent did not leave this host, because of ``error``.
    """

    sent: int
    returned: int
    arrived: int | None = None
    answers: int | None = None
    unsent: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class DatagramTrial:
    """Whether datagrams of a size pass; ``control`` are small ones sent in between.

    Without ``control``: a first datagram was answered. ``too_large``: this kernel refuses
    the size, or has just learned to.
    """

    size: int
    flow: DatagramFlow
    control: DatagramFlow | None = None
    too_large: bool = False


@dataclass(frozen=True, slots=True)
class UdpSizes:
    """Which sizes of datagrams (without headers) pass unfragmented.

    ``largest_trial`` is the trial of the largest that this kernel sends, ``return_trial``
    one of the largest that passes up; ``largest_up`` and ``largest_down`` are the largest
    that passed when a larger one did not. ``mtu_notices`` are the ICMP errors that lowered
    the path MTU.
    """

    headers: int
    interface_mtu: int | None
    mtu: int | None
    largest_trial: DatagramTrial
    return_trial: DatagramTrial | None = None
    largest_up: int | None = None
    largest_down: int | None = None
    mtu_notices: tuple[IcmpNotice, ...] = ()
    fragments: DatagramTrial | None = None


@dataclass(frozen=True, slots=True)
class UdpResult:
    """What was measured at one address.

    ``tcp`` is the welcome of a TCP connection there; ``boot_id_after`` is the instance
    that answered after the burst; ``socket_error`` is why no socket could be opened.
    ``is_published_here``: the address is this host's own, and the server's is not.
    """

    address: Address
    tcp: Welcome | None
    opening: UdpOpeningResult = field(default_factory=UdpOpeningResult)
    burst: Burst | None = None
    boot_id_after: str | None = None
    sizes: UdpSizes | None = None
    socket_error: str = ""
    is_published_here: bool = False


def leads_elsewhere(result: UdpResult) -> bool:
    """Whether the server's end of a TCP connection is not the address that was named.

    Then a port is published, forwarded or proxied, for each protocol by itself.
    """
    if result.tcp is None:
        return False
    local, address = result.tcp.local, result.address
    named = (address.host.partition("%")[0], address.port)
    return (local.address.partition("%")[0], local.port) != named


def tcp_evidence(result: UdpResult) -> tuple[Side, str]:
    """Return the evidence that the server itself is reachable."""
    name = instance_of(result.tcp) if result.tcp is not None else "unknown"
    return Side.SERVER, f"over TCP, instance {name} responds at the same address"
