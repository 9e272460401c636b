"""What is measured of short connections: each try, how they were paced, both ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from netduet.client.net.dial import Address
from netduet.client.results.instance import UNSAID, Instance

SYN_RETRANSMIT_SECONDS: Final = 0.9
"""Seconds of connecting from which on a SYN was surely sent again.

A first SYN is sent again after 1 s (RFC 6298 §2.1), a little is left for clocks. How
often it was cannot be told from the time: the steps are those of
tcp_syn_linear_timeouts and more.
"""


class AttemptOutcome(StrEnum):
    """What became of a connection."""

    SERVED = "served"
    """A netduet welcomed it."""
    NEVER_MADE = "never made"
    """No answer to any SYN in time."""
    REFUSED = "refused"
    """A reset or an ICMP error instead of an acceptance."""
    ENDED = "ended"
    """It was made, and ended (or another program spoke) before a welcome."""
    UNANSWERED = "unanswered"
    """It was made, and nothing came in time."""
    BUSY = "busy"
    """The server itself said that it serves no more at once."""
    NO_PORT = "no port"
    """This host has no free port for it: nothing was sent."""
    NOT_TRIED = "not tried"
    """This host failed in another way (descriptors, memory): nothing was sent."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One connection. ``at`` is when it began, in seconds since the first one was due.

    ``start`` and ``end`` are monotonic seconds, ``connect`` is how long the handshake
    took, None where none came about. ``lost`` is how many SYNs were sent again: by
    TCP_INFO (``counted``), or at least so many by the time. ``theirs`` is how often the
    server sent its answer to the SYN again (its TCP_INFO; asked for only where a SYN
    was lost); None where that is not known, or the server's connection may be
    another than ours (``direct`` False: it sees another peer than our own socket).
    """

    outcome: AttemptOutcome
    offset: float = 0.0
    start: float = 0.0
    end: float = 0.0
    connect_seconds: float | None = None
    lost_syns: int = 0
    counted_by_kernel: bool = True
    detail: str = ""
    boot_id: str = ""
    direct: bool = False
    server_retransmits: int | None = None

    @property
    def passed(self) -> bool:
        """It came about, and nobody ended it: a silence may be a starved server's."""
        return self.outcome in (AttemptOutcome.SERVED, AttemptOutcome.UNANSWERED)

    @property
    def smooth(self) -> bool:
        """It passed, and its first SYN was answered."""
        return self.passed and not self.lost_syns

    @property
    def sent_syns(self) -> int:
        """How many SYNs left."""
        silent = (AttemptOutcome.NO_PORT, AttemptOutcome.NOT_TRIED)
        return 0 if self.outcome in silent else self.lost_syns + 1


@dataclass(frozen=True, slots=True)
class ChurnPlan:
    """How many connections, the seconds from one to the next, how many held at once.

    ``patience`` bounds how long one is waited for, ``most`` how many are under way at
    once; further ones are left out. ``longer`` are made besides where many of the first
    have trouble: few say that there is some, and more what it is.
    """

    count: int
    gap: float
    hold_count: int
    connect_timeout: float
    max_concurrent: int = 400
    extra_count: int = 0


@dataclass(frozen=True, slots=True)
class PacedRun:
    """Connections that were due one after the other, whatever came of those before.

    ``unstarted`` could not be started in time and were left out; ``late`` is by how
    many seconds the latest of the others was.
    """

    planned: int
    gap: float
    attempts: tuple[Attempt, ...] = ()
    unstarted: int = 0
    max_start_delay: float = 0.0

    @property
    def rate(self) -> float:
        """How many a second were due."""
        return 1 / self.gap


@dataclass(frozen=True, slots=True)
class HoldResult:
    """Connections that were kept, to see how many there may be at once.

    Where the last ones failed: ``alive`` of the ``kept`` ones still lived when
    ``beside`` was tried once more and failed, and ``after`` came when they had been
    released. ``answered``: one of the kept answered a question meanwhile.
    """

    run: PacedRun
    held_count: int = 0
    alive: int = 0
    answered: bool = False
    while_held: tuple[Attempt, ...] = ()
    after_release: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Witness:
    """A connection that was open all the while: what the server said on it.

    ``drops`` is what the listening socket that accepted it dropped meanwhile, None
    where that is not known; ``waiting`` the most connections seen in its queue.
    ``lived``: it still answered at the end.
    """

    boot_id: str = ""
    instance: Instance = UNSAID
    drops: int | None = None
    max_backlog: int = 0
    survived: bool = False
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of this host for connections of its own, and those in TIME_WAIT."""

    low: int
    high: int
    time_wait: int | None

    @property
    def count(self) -> int:
        """How many there are."""
        return self.high - self.low + 1


@dataclass(frozen=True, slots=True)
class ChurnResult:
    """What came of one address."""

    address: Address
    run: PacedRun
    hold: HoldResult | None = None
    witness: Witness = field(default_factory=Witness)
    ports: Ports | None = None

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """All but those that were made to find a limit out."""
        return self.run.attempts + (() if self.hold is None else self.hold.run.attempts)


@dataclass(frozen=True, slots=True)
class Churn:
    """All addresses, and the share of packets that may be lost one way."""

    places: tuple[ChurnResult, ...]
    max_loss: float
