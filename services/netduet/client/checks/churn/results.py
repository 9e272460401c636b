"""What the check ``churn`` measures: each attempt, its pacing, and both ends' counters."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from netduet.client.net.dial import Address
from netduet.client.results.instance import UNKNOWN_INSTANCE, Instance
from netduet.net.time_span import Timed

SYN_RETRANSMIT_SECONDS: Final = 0.9
"""Duration of a connect from which a SYN was certainly retransmitted.

The first retransmission comes after 1 s (RFC 6298 §2.1), less a margin for clocks.
The number of retransmissions does not follow from the time, because it depends on
tcp_syn_linear_timeouts and more."""


class AttemptOutcome(StrEnum):
    """The outcome of an attempt."""

    SERVED = "served"
    """A netduet server welcomed it."""
    NEVER_MADE = "never made"
    """No answer to any SYN in time."""
    REFUSED = "refused"
    """A reset or an ICMP error instead of an acceptance."""
    ENDED = "ended"
    """It was made, and ended (or another program answered) before a welcome."""
    UNANSWERED = "unanswered"
    """It was made, and nothing arrived in time."""
    BUSY = "busy"
    """The server reported that it serves no more at once."""
    NO_PORT = "no port"
    """This host has no free port for it: nothing was sent."""
    NOT_TRIED = "not tried"
    """This host failed in another way (descriptors, memory): nothing was sent."""


@dataclass(frozen=True, slots=True)
class Attempt(Timed):
    """A connection attempt. ``offset`` is its start in seconds since the run began.

    ``start`` and ``end`` are monotonic seconds; ``connect_seconds`` is the duration of the
    TCP handshake, None if it did not complete. ``lost_syns`` is how many SYNs were
    retransmitted: by TCP_INFO (``counted_by_kernel``), else a lower bound from the time.
    ``server_retransmits`` is how often the server retransmitted its SYN-ACK (its TCP_INFO,
    requested only after a lost SYN); None if unknown, or if the server's connection may be
    another one than ours (``direct`` is False: it sees another peer than our socket).
    ``rtt_seconds`` is the kernel's RTT, ``answer_seconds`` how long the first answer
    took once the connection was made; None if unknown. ``local`` are our address and
    port, None if it was not made. ``instance`` is the server's, if it was welcomed.
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
    rtt_seconds: float | None = None
    answer_seconds: float | None = None
    local: tuple[str, int] | None = None
    instance: Instance = UNKNOWN_INSTANCE

    @property
    def passed(self) -> bool:
        """Whether it was established and not ended; a silent server may be starved."""
        return self.outcome in (AttemptOutcome.SERVED, AttemptOutcome.UNANSWERED)

    @property
    def passed_cleanly(self) -> bool:
        """Whether it passed without a retransmitted SYN."""
        return self.passed and not self.lost_syns

    @property
    def sent_syns(self) -> int:
        """The number of SYNs sent."""
        silent = (AttemptOutcome.NO_PORT, AttemptOutcome.NOT_TRIED)
        return 0 if self.outcome in silent else self.lost_syns + 1


@dataclass(frozen=True, slots=True)
class ChurnPlan:
    """How many connections at what gap in seconds, and how many to hold open at once.

    ``connect_timeout`` bounds each attempt, ``max_concurrent`` the attempts in
    progress; further ones are skipped. ``extra_count`` more are made if many of the
    first fail: few attempts show that something fails, more show what.
    """

    count: int
    gap: float
    hold_count: int
    connect_timeout: float
    max_concurrent: int = 400
    extra_count: int = 0


@dataclass(frozen=True, slots=True)
class PacedRun:
    """Attempts started at a fixed rate, whatever the outcome of earlier ones.

    ``unstarted`` could not be started in time and were skipped; ``max_start_delay`` is
    the largest delay of the others, in seconds.
    """

    planned: int
    gap: float
    attempts: tuple[Attempt, ...] = ()
    unstarted: int = 0
    max_start_delay: float = 0.0

    @property
    def rate(self) -> float:
        """Planned attempts per second."""
        return 1 / self.gap


@dataclass(frozen=True, slots=True)
class HoldResult:
    """Connections held open, to see how many there may be at once.

    ``held_count`` were still open after the last one had been made. If the last ones
    failed: ``alive`` of them were still open when further attempts (``while_held``)
    failed; ``after_release`` were made when all had been closed. ``answered``: a held
    connection answered a request meanwhile.
    """

    run: PacedRun
    held_count: int = 0
    alive: int = 0
    answered: bool = False
    while_held: tuple[Attempt, ...] = ()
    after_release: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Witness:
    """A connection that stays open throughout, and the server's reports on it.

    ``drops`` is what its listening socket dropped meanwhile, None if unknown;
    ``max_backlog`` is the longest accept queue seen; ``survived``: it still answered at
    the end. ``answer_seconds`` are the times of its answers, the first one left out.
    """

    boot_id: str = ""
    instance: Instance = UNKNOWN_INSTANCE
    drops: int | None = None
    max_backlog: int = 0
    survived: bool = False
    missing: str = ""
    answer_seconds: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class RepeatedFlow:
    """Two connections from the same port, one after the other.

    ``first_lost`` and ``second_lost`` are how many SYNs each lost.
    """

    first_lost: int
    second_lost: int


@dataclass(frozen=True, slots=True)
class BudgetTrial:
    """Connections after a pause of ``pause`` seconds without any.

    ``fresh_passed`` of ``fresh`` from new ports were made, and ``known_passed`` of
    ``known`` from ports whose connections had been made before.
    """

    pause: float
    fresh: int
    fresh_passed: int
    known: int
    known_passed: int


@dataclass(frozen=True, slots=True)
class FastOpenTrial:
    """Connections whose SYN asks for a TCP Fast Open cookie, and ``plain`` ones.

    ``asking_passed`` and ``plain_passed`` were made with their first SYN; ``setting`` is
    net.ipv4.tcp_fastopen.
    """

    asking: int = 0
    asking_passed: int = 0
    plain: int = 0
    plain_passed: int = 0
    setting: int = 0


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports for this host's outgoing connections, and those in TIME_WAIT."""

    low: int
    high: int
    time_wait: int | None

    @property
    def count(self) -> int:
        """The number of ports."""
        return self.high - self.low + 1


@dataclass(frozen=True, slots=True)
class ChurnResult:
    """What was measured at one address.

    ``repeated`` are tried if each connection needs a second SYN. ``asks_for_ecn``: this
    host's SYNs ask for ECN. ``budget`` is tried if most new connections fail.
    ``fast_open`` is None if this host does not ask for a cookie.
    """

    address: Address
    run: PacedRun
    hold: HoldResult | None = None
    witness: Witness = field(default_factory=Witness)
    ports: Ports | None = None
    repeated: tuple[RepeatedFlow, ...] = ()
    asks_for_ecn: bool = False
    budget: BudgetTrial | None = None
    fast_open: FastOpenTrial | None = None

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """All attempts except those that probe a limit."""
        return self.run.attempts + (() if self.hold is None else self.hold.run.attempts)
