"""Counts over the connection attempts to one address. Pure."""

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
"""Share of the located losses from which one direction counts as the location."""

_MIN_LOCATED_LOSSES: Final = 4
"""Connections with a lost SYN that are needed to find the direction."""


@dataclass(frozen=True, slots=True)
class ConnectionCounts:
    """Counts of attempts: ``syns`` were sent, ``lost_syns`` of them were retransmitted.

    ``connections_lost_up`` are connections whose first SYN never reached the server,
    ``connections_lost_down`` those whose SYN-ACK the server retransmitted;
    ``syns_lost_up`` and ``syns_lost_down`` count the lost SYNs of each.
    """

    attempts: tuple[Attempt, ...]
    syns: int
    lost_syns: int
    connections_lost_up: int
    connections_lost_down: int
    syns_lost_up: int
    syns_lost_down: int

    def with_outcome(self, *outcomes: AttemptOutcome) -> tuple[Attempt, ...]:
        """Return the attempts with one of these outcomes."""
        return tuple(
            attempt for attempt in self.attempts if attempt.outcome in outcomes
        )

    @property
    def where(self) -> Location:
        """Where SYNs are lost, according to the server's kernel."""
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
        """Whether a retransmitted SYN was lost: answers take less than a second.

        Where each connection loses its first SYN, the answers to later packets show it.
        """
        times = [
            seconds
            for attempt in self.attempts
            for seconds in (attempt.connect_seconds, attempt.answer_seconds)
            if seconds is not None
        ]
        return not times or min(times) < SYN_RETRANSMIT_SECONDS


def count_attempts(attempts: Iterable[Attempt]) -> ConnectionCounts:
    """Count attempts."""
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
    """Whether more SYNs are lost than allowed, in one direction or in both together."""
    if not connection_counts.countable or not connection_counts.lost_syns:
        return False
    each = max(connection_counts.syns_lost_up, connection_counts.syns_lost_down)
    return lower_bound(each, connection_counts.syns) > max_loss or lower_bound(
        connection_counts.lost_syns, connection_counts.syns
    ) > max_loss_both_ways(max_loss)


def max_loss_both_ways(max_loss: float) -> float:
    """Return the share of SYNs that may be retransmitted, with ``max_loss`` each way.

    A retransmitted SYN may have been lost in either direction.
    """
    return 1 - (1 - max_loss) ** 2


def format_share(count: int, total: int) -> str:
    """Return a share with its confidence interval."""
    low, high = lower_bound(count, total), upper_bound(count, total)
    return f"{count / total:.1%} (between {low:.1%} and {high:.1%} with 99.98 % confidence)"
