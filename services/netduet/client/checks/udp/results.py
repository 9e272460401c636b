"""What is measured by datagrams: openings, a burst, sizes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from netduet.client.net.dial import Address
from netduet.client.net.udp_socket import IcmpNotice
from netduet.client.results.instance import instance_of
from netduet.client.results.location import Side
from netduet.wire.messages import ErrorMessage, Welcome
from netduet.wire.udp_count import CountAnswer

SMALL_BYTES: Final = 200
"""Bytes of a small datagram: no path has an MTU that it would not fit."""

MIN_LOSS_RUN: Final = 8
"""Datagrams one behind the other without an answer, from which on chance is not it."""


@dataclass(frozen=True, slots=True)
class BurstPlan:
    """A burst: how many datagrams, and the seconds from one to the next."""

    count: int
    gap: float


@dataclass(frozen=True, slots=True)
class UdpOpeningResult:
    """What came of the openings. Times are monotonic seconds.

    ``small``: a small question was answered, whether or not an opening was;
    ``foreign``: the first thing that came and is no answer of a netduet's;
    ``error`` is what kept one of them from leaving; ``elsewhere`` the address and port
    that answered instead of the one that was asked.
    """

    openings: int = 0
    welcome: Welcome | None = None
    refused: ErrorMessage | None = None
    small_answered: bool = False
    foreign: bytes = b""
    notices: tuple[IcmpNotice, ...] = ()
    error: str = ""
    answered_from: str = ""
    round_trip: float = 0.0
    start: float = 0.0
    end: float = 0.0

    @property
    def reached(self) -> bool:
        """A netduet has answered."""
        return (
            self.welcome is not None or self.refused is not None or self.small_answered
        )


@dataclass(frozen=True, slots=True)
class Burst:
    """A burst as both ends counted it. Times are monotonic seconds.

    ``tally`` is the server's last word, None when it could not be had; ``mixed``:
    the answers cannot all be of one tally. ``answered``, ``doubled`` and
    ``reordered`` count answers here, ``dropped`` those that this end's kernel had no
    room for (None: it does not say); ``sending`` is how many seconds it took to send
    them, ``late`` by how much the latest left late. ``in_a_row`` are those without an
    answer that were sent one behind the other, ROW or more, in ``row_seconds`` in all.
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
    """A flow of questions of one size: how many were sent, arrived, came back.

    ``arrived`` and ``given`` (answers) are the server's word, None without one;
    ``kept`` of those sent did not even leave, by the ``error``.
    """

    sent: int
    returned: int
    arrived: int | None = None
    answers: int | None = None
    unsent: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class DatagramTrial:
    """Whether datagrams of a size pass; ``beside`` are small ones sent in between.

    Without ``beside``: the first ones were answered, and all is well. ``too_large``:
    this kernel refuses the size, or has just learned to.
    """

    size: int
    flow: DatagramFlow
    control: DatagramFlow | None = None
    too_large: bool = False


@dataclass(frozen=True, slots=True)
class UdpSizes:
    """What passes whole, by sizes of datagrams without headers.

    ``whole`` is the trial of the largest that this kernel sends, ``back`` one of the
    largest that passes up; ``up`` and ``down`` are the largest that passed when a
    larger one did not. ``told`` are the ICMP errors that lowered the path MTU.
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
    """What came of one address.

    ``tcp`` is what a connection there was welcomed with; ``again`` the instance that
    answered behind the burst; ``detail`` why no socket could be had.
    """

    address: Address
    tcp: Welcome | None
    opening: UdpOpeningResult = field(default_factory=UdpOpeningResult)
    burst: Burst | None = None
    boot_id_after: str | None = None
    sizes: UdpSizes | None = None
    socket_error: str = ""


def tcp_evidence(measured: UdpResult) -> tuple[Side, str]:
    """Return the evidence that the server itself is there."""
    name = instance_of(measured.tcp) if measured.tcp is not None else "unknown"
    return Side.SERVER, f"over TCP, instance {name} answers at the same address"


@dataclass(frozen=True, slots=True)
class Udp:
    """What came of each address, and the share of datagrams that may be lost."""

    exchanges: tuple[UdpResult, ...]
    max_loss: float
