"""What the tries of one place add up to. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from netduet.client.checks.churn.results import STEP, Attempt, AttemptOutcome
from netduet.client.results.location import Location
from netduet.client.stats.proportions import lower_bound, upper_bound

_ONE_SIDED: Final = 0.9
"""Share of the lost SYNs from which on they are said to be lost on one way."""

_FEW: Final = 4
"""Connections with a lost SYN that tell too little of the way."""


@dataclass(frozen=True, slots=True)
class ConnectionCounts:
    """Tries, counted. ``syns`` left, ``lost`` of them were sent again.

    ``forth`` counts connections whose first SYN the server never had, ``back`` those
    to which it sent its answer again; ``ahead`` are the SYNs of the former that were
    lost, ``doubles`` those of the latter: SYNs that arrived though their
    answer was lost.
    """

    tries: tuple[Attempt, ...]
    syns: int
    lost: int
    forth: int
    back: int
    ahead: int
    doubles: int

    def of(self, *fates: AttemptOutcome) -> tuple[Attempt, ...]:
        """Return those of these fates."""
        return tuple(attempt for attempt in self.tries if attempt.outcome in fates)

    @property
    def where(self) -> Location:
        """Where SYNs are lost, as the server's kernel tells."""
        if self.forth + self.back < _FEW:
            return Location.UNKNOWN
        share = self.forth / (self.forth + self.back)
        if share >= _ONE_SIDED:
            return Location.TO_SERVER
        return (
            Location.FROM_SERVER if share <= 1 - _ONE_SIDED else Location.INTERMEDIARY
        )

    @property
    def countable(self) -> bool:
        """A SYN that is sent again was lost: an answer takes no second to come."""
        times = [
            attempt.connect for attempt in self.tries if attempt.connect is not None
        ]
        return not times or min(times) < STEP


def tally(tries: Iterable[Attempt]) -> ConnectionCounts:
    """Count."""
    kept = tuple(tries)
    told = [attempt for attempt in kept if attempt.lost and attempt.theirs is not None]
    back = [attempt for attempt in told if attempt.theirs]
    return ConnectionCounts(
        kept,
        sum(attempt.sent for attempt in kept),
        sum(attempt.lost for attempt in kept),
        len(told) - len(back),
        len(back),
        sum(attempt.lost for attempt in told if not attempt.theirs),
        sum(attempt.lost for attempt in back),
    )


def too_many(connection_counts: ConnectionCounts, max_loss: float) -> bool:
    """Tell whether more SYNs are lost than may be: on one way, or on both together."""
    if not connection_counts.countable or not connection_counts.lost:
        return False
    each = max(connection_counts.ahead, connection_counts.doubles)
    return lower_bound(each, connection_counts.syns) > max_loss or lower_bound(
        connection_counts.lost, connection_counts.syns
    ) > both_ways(max_loss)


def both_ways(max_loss: float) -> float:
    """Return the share of SYNs that may be lost, they or their answers.

    One that is sent again may have been lost on either way, and on each of them the
    share that is set may be lost.
    """
    return 1 - (1 - max_loss) ** 2


def told_share(count: int, of: int) -> str:
    """Return a share with its interval."""
    low, high = lower_bound(count, of), upper_bound(count, of)
    return f"{count / of:.1%} (between {low:.1%} and {high:.1%}, with a confidence of 99.98 %)"
