"""What is told of a peer: trouble that begins, and what it was when it is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from netduet.client.results.location import Location
from netduet.client.results.verdict import Evidence

NEVER_ANSWERED: Final = "watch.unmet"

UNAVAILABLE_CLASSES: Final = frozenset(
    ("stream.outage", "stream.restarted", "stream.new_connections")
) | {
    "watch.left",
    "watch.paused",
    "watch.refused",
    "watch.stuck_flow",
    NEVER_ANSWERED,
}
"""Classes in which new work was not possible: they count against availability."""


@dataclass(frozen=True, slots=True)
class Outage:
    """One outage of a peer, with monotonic seconds; ``ended`` False: it goes on.

    Not ``proven``: an end itself did not run for so much of it that it says nothing of
    the network.
    """

    failure: str
    where: Location
    start: float
    end: float
    description: str
    evidence: Evidence = ()
    proven: bool = True
    ended: bool = True

    @property
    def seconds(self) -> float:
        """How long it lasted, or lasts by now."""
        return self.end - self.start

    @property
    def direction(self) -> str:
        """Its side, as metrics and logs name it."""
        return self.where.direction


@dataclass(frozen=True, slots=True)
class OutageStarted:
    """Trouble that goes on; ``number`` is the same when it is over."""

    number: int
    outage: Outage


@dataclass(frozen=True, slots=True)
class OutageUpdated:
    """Trouble that goes on, and of which more is known than when it began."""

    number: int
    outage: Outage


@dataclass(frozen=True, slots=True)
class OutageEnded:
    """Trouble that is over. ``number`` 0: it was too short to be told before."""

    number: int
    outage: Outage


OutageNotice = OutageStarted | OutageUpdated | OutageEnded
