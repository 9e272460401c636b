"""What the tries of one place add up to. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from netduet.client.checks.churn.results import (
    SYN_RETRANSMIT_SECONDS,
    Attempt,
    AttemptOutcome,
)
from netduet.client.results.location import Location
from netduet.client.stats.proportions import lower_bound, upper_bound

_ONE_WAY_SHARE: Final = 0.9
"""Share of the lost SYNs from which on they are said to be lost on one way."""

_MIN_LOCATED_LOSSES: Final = 4
"""Connections with a lost SYN that tell too little of the way."""


@dataclass(frozen=True, slots=True)
class ConnectionCounts:
    """Tries, counted. ``syns`` left, ``lost`` of them were sent again.

    ``forth`` counts connections whose first SYN the server never had, ``back`` those
    to which it sent its answer again; ``ahead`` are the SYNs of the former that were
    lost, ``doubles`` those of the latter: SYNs that arrived though their
    answer was lost.
    """

    attempts: tuple[Attempt, ...]
    syns: int
    lost_syns: int
    connections_lost_up: int
    connections_lost_down: int
    syns_lost_up: int
    syns_lost_down: int

    def with_outcome(self, *outcomes: AttemptOutcome) -> tuple[Attempt, ...]:
        """Return those of these fates."""
        return tuple(
            attempt for attempt in self.attempts if attempt.outcome in outcomes
        )

    @property
    def where(self) -> Location:
        """Where SYNs are lost, as the server's kernel tells."""
        if self.connections_lost_up + self.connections_lost_down < _MIN_LOCATED_LOSSES:
            return Location.UNKNOWN
        share = self.connections_lost_up / (
            self.connections_lost_up + self.connections_lost_down
        )
        if share >= _ONE_WAY_SHARE:
            return Location.TO_SERVER
        return (
            Location.FROM_SERVER
            if share <= 1 - _ONE_WAY_SHARE
            else Location.INTERMEDIARY
        )

    @property
    def countable(self) -> bool:
        """A SYN that is sent again was lost: an answer takes no second to come."""
        connect_times = [
            attempt.connect_seconds
            for attempt in self.attempts
            if attempt.connect_seconds is not None
        ]
        return not connect_times or min(connect_times) < SYN_RETRANSMIT_SECONDS


def count_attempts(attempts: Iterable[Attempt]) -> ConnectionCounts:
    """Count."""
    counted = tuple(attempts)
    located = [
        attempt
        for attempt in counted
        if attempt.lost_syns and attempt.server_retransmits is not None
    ]
    lost_down = [attempt for attempt in located if attempt.server_retransmits]
    return ConnectionCounts(
        counted,
        sum(attempt.sent_syns for attempt in counted),
        sum(attempt.lost_syns for attempt in counted),
        len(located) - len(lost_down),
        len(lost_down),
        sum(attempt.lost_syns for attempt in located if not attempt.server_retransmits),
        sum(attempt.lost_syns for attempt in lost_down),
    )


def exceeds_max_loss(connection_counts: ConnectionCounts, max_loss: float) -> bool:
    """Tell whether more SYNs are lost than may be: on one way, or on both together."""
    if not connection_counts.countable or not connection_counts.lost_syns:
        return False
    each = max(connection_counts.syns_lost_up, connection_counts.syns_lost_down)
    return lower_bound(each, connection_counts.syns) > max_loss or lower_bound(
        connection_counts.lost_syns, connection_counts.syns
    ) > max_loss_both_ways(max_loss)


def max_loss_both_ways(max_loss: float) -> float:
    """Return the share of SYNs that may be lost, they or their answers.

    One that is sent again may have been lost on either way, and on each of them the
    share that is set may be lost.
    """
    return 1 - (1 - max_loss) ** 2


def format_share(count: int, of: int) -> str:
    """Return a share with its interval."""
    low, high = lower_bound(count, of), upper_bound(count, of)
    return (
        f"{count / of:.1%} (between {low:.1%} and {high:.1%} with 99.98 % confidence)"
    )
