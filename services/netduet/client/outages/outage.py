"""An outage, ongoing or closed, for the check ``stream`` and for ``watch``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from netduet.client.outages.events import (
    ConnectFailureRun,
    ConnectionStall,
    LossRun,
    ServerRestart,
)
from netduet.client.results.location import Location
from netduet.client.results.verdict import Evidence
from netduet.net.time_span import Timed

OUTAGE: Final = "stream.outage"
RESTARTED: Final = "stream.restarted"
NEW_CONNECTIONS: Final = "stream.new_connections"
OLD_CONNECTIONS: Final = "stream.old_connections"
DATAGRAMS_ONLY: Final = "watch.datagrams"
LEFT: Final = "watch.stale_dns"
NEVER_ANSWERED: Final = "watch.never_reached"
PARTIAL: Final = "watch.partial"
PAUSED: Final = "watch.paused"
REFUSED: Final = "watch.refused"
STUCK_FLOW: Final = "watch.stuck_flow"

UNAVAILABLE_CLASSES: Final = frozenset(
    (
        *(OUTAGE, RESTARTED, NEW_CONNECTIONS),
        *(LEFT, PAUSED, REFUSED, STUCK_FLOW, NEVER_ANSWERED),
    )
)
"""Classes in which no new work was possible: they reduce availability."""


@dataclass(frozen=True, slots=True)
class Outage(Timed):
    """One outage, in monotonic seconds; ``ended`` False: it is ongoing.

    ``proven`` False: an end was not running for most of it, or chance explains it.
    ``tolerated``: it is short enough to pass. The last four fields are the events that
    it consists of.
    """

    failure: str
    where: Location
    start: float
    end: float
    description: str = ""
    evidence: Evidence = ()
    proven: bool = True
    ended: bool = True
    tolerated: bool = False
    loss_runs: tuple[LossRun, ...] = ()
    failure_run: ConnectFailureRun | None = None
    stall: ConnectionStall | None = None
    restart: ServerRestart | None = None

    @property
    def direction(self) -> str:
        """Its location, as metrics and logs name it."""
        return self.where.direction

    @property
    def starved_seconds(self) -> float:
        """For how many seconds of it the sender or the receiver was not running."""
        return max(
            (run.sender_stalled + run.receiver_stalled for run in self.loss_runs),
            default=0.0,
        )

    @property
    def overflows(self) -> tuple[LossRun, ...]:
        """The loss runs that the receiver's own full buffer may explain."""
        return tuple(run for run in self.loss_runs if run.overflowed)


@dataclass(frozen=True, slots=True)
class OutageStarted:
    """An outage that is ongoing; its end will have the same ``number``."""

    number: int
    outage: Outage


@dataclass(frozen=True, slots=True)
class OutageUpdated:
    """An ongoing outage of which more is known than when it started."""

    number: int
    outage: Outage


@dataclass(frozen=True, slots=True)
class OutageEnded:
    """An outage that is over. ``number`` 0: it was too short to be reported before."""

    number: int
    outage: Outage


@dataclass(frozen=True, slots=True)
class OutageOpen:
    """An outage that is ongoing when its peer is no longer watched."""

    number: int
    outage: Outage


OutageNotice = OutageStarted | OutageUpdated | OutageEnded | OutageOpen
