"""What a peer's probes counted in the last minutes, outside of runs. Pure.

It determines which events chance explains.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from netduet.client.net.dial import Address
from netduet.client.outages.events import (
    ConnectFailureRun,
    ConnectionStall,
    LossRun,
    ProbeEvent,
    ServerRestart,
    of_kind,
)
from netduet.client.outages.loss_tracker import LossCounts
from netduet.client.outages.observations import (
    DatagramObservations,
    LongLivedConnection,
    NewConnections,
    Observations,
)
from netduet.client.results.location import Location
from netduet.net.time_span import TimeSpan

WINDOW_SECONDS: Final = 300.0
"""Losses of the last one to two such windows determine what chance may cause."""

MAX_RUNS: Final = 200
"""Runs of these windows that are remembered."""


@dataclass(frozen=True, slots=True)
class ProbeTotals:
    """The counters of a peer's probes since the watch began."""

    up: LossCounts
    down: LossCounts
    connections_started: int = 0
    connections_failed: int = 0
    questions_asked: int = 0
    questions_answered: int = 0
    server_stalls: tuple[TimeSpan, ...] = ()
    send_blocked: tuple[TimeSpan, ...] = ()
    send_error: str = ""

    @property
    def connections_worked(self) -> int:
        """The number of new connections that worked."""
        return self.connections_started - self.connections_failed


class RecentCounts:
    """The counts of one peer."""

    def __init__(self, address: Address, period: float, connect_period: float) -> None:
        """Count for an address; the periods are those of ``OutageTracker``."""
        self._address = address
        self._period = period
        self._connect_period = connect_period
        self._rotated_at = float("-inf")
        self._latest = self._base = ProbeTotals(LossCounts(), LossCounts())
        self._runs: deque[tuple[float, LossRun | ConnectFailureRun]] = deque(
            maxlen=MAX_RUNS
        )

    def rotate(self, now: float, totals: ProbeTotals) -> None:
        """Move the window; copy the streams' counts, which change."""
        if now - self._rotated_at < WINDOW_SECONDS:
            return
        self._rotated_at = now
        self._base = self._latest
        up, down = replace(totals.up), replace(totals.down)
        self._latest = replace(totals, up=up, down=down)
        while self._runs and self._runs[0][0] < now - 2 * WINDOW_SECONDS:
            self._runs.popleft()

    def add(self, event: ProbeEvent, now: float) -> None:
        """Remember a run, whose losses are not scattered."""
        if isinstance(event, LossRun | ConnectFailureRun):
            self._runs.append((now, event))

    def scattered(self, totals: ProbeTotals) -> tuple[LossCounts, LossCounts]:
        """Return the datagrams to and from the server, and those lost outside of runs."""
        runs = [run for _, run in self._runs if isinstance(run, LossRun)]
        up = sum(run.lost for run in runs if run.where != Location.FROM_SERVER)
        down = sum(run.lost for run in runs if run.where == Location.FROM_SERVER)
        return (
            _scattered(totals.up, self._base.up, up),
            _scattered(totals.down, self._base.down, down),
        )

    def observations(
        self, now: float, totals: ProbeTotals, events: Sequence[ProbeEvent]
    ) -> Observations:
        """Return the events of an episode, with the counts of the recent windows."""
        base = self._base
        up, down = self.scattered(totals)
        failed = sum(
            run.failed for _, run in self._runs if isinstance(run, ConnectFailureRun)
        )
        return Observations(
            self._address,
            min((event.start for event in events), default=now),
            now,
            DatagramObservations(
                self._period,
                up=up,
                down=down,
                error=totals.send_error,
                server_stalls=totals.server_stalls,
                send_blocked=totals.send_blocked,
            ),
            NewConnections(
                self._connect_period,
                totals.connections_started - base.connections_started,
                max(0, totals.connections_failed - base.connections_failed - failed),
            ),
            LongLivedConnection(
                totals.questions_asked - base.questions_asked,
                totals.questions_answered - base.questions_answered,
                retransmits=None,
            ),
            of_kind(events, LossRun),
            of_kind(events, ServerRestart),
            of_kind(events, ConnectFailureRun),
            of_kind(events, ConnectionStall),
        )


def _scattered(now: LossCounts, base: LossCounts, in_runs: int) -> LossCounts:
    """Return the recent datagrams, and those lost outside of loss runs."""
    return LossCounts(now.sent - base.sent, max(0, now.lost - base.lost - in_runs))
