"""Availability and outages of a watch, by peer, class and direction. Pure."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import Final

from netduet.client.outages.outage import (
    UNAVAILABLE_CLASSES,
    Outage,
    OutageEnded,
    OutageOpen,
)
from netduet.client.results.instance import Instance
from netduet.client.watch.partial_failure import (
    PartialFailure,
    PartialNotice,
    PartialPhase,
)
from netduet.net.time_span import Timed, TimeSpan

MAX_NAMED_UNREACHED: Final = 20
"""Peers and names that were never reached and that a summary names."""

MAX_REMEMBERED: Final = 32
"""Removed peers with outages whose metrics are kept."""


@dataclass(slots=True)
class OutageTotals:
    """Counts of outages. ``unproven`` ones are not in the other counts.

    ``open`` ones were ongoing when their peer was last watched.
    """

    outages: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    unproven: int = 0
    open: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Number of outages, by class and direction."""
    seconds_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Seconds of outages, by class and direction."""
    _until: float = float("-inf")

    def add(self, outage: Outage) -> None:
        """Count an outage that is over, or that is open at the end of the watch."""
        if not outage.proven:
            self.unproven += 1
            return
        self.outages += 1
        self.open += not outage.ended
        self.longest = max(self.longest, outage.seconds)
        kind = outage.failure, outage.direction
        self.counts[kind] += 1
        self.seconds_out[kind] += outage.seconds  # type: ignore[assignment]  # a Counter of floats
        if outage.failure in UNAVAILABLE_CLASSES:
            self.seconds += self.uncovered_seconds(outage)
            self._until = max(self._until, outage.end)

    def uncovered_seconds(self, outage: Timed) -> float:
        """Return the seconds of a span that no earlier outage covers."""
        return max(0.0, outage.end - max(outage.start, self._until))


@dataclass(slots=True)
class PartialTotals:
    """Counts of partial failures, from their beginnings on. ``worst`` is the longest."""

    count: int = 0
    seconds: float = 0.0
    worst: PartialFailure | None = None
    ongoing: PartialFailure | None = None

    def add(self, notice: PartialNotice) -> None:
        """Add what is reported of a partial failure."""
        partial, phase = notice.partial, notice.phase
        self.count += phase is PartialPhase.BEGAN
        self.ongoing = partial
        if phase in {PartialPhase.ENDED, PartialPhase.OPEN}:
            self.ongoing = None
            self.seconds += partial.seconds
            if self.worst is None or partial.seconds > self.worst.seconds:
                self.worst = partial

    def seconds_until(self, now: float) -> float:
        """Return the seconds of all, including the ongoing one."""
        ongoing = self.ongoing
        return self.seconds + (0.0 if ongoing is None else now - ongoing.start)


@dataclass(slots=True)
class RisingCounter:
    """Turns a number that may be corrected downwards into a counter, which never falls."""

    _counted: float = 0.0
    _excess: float = 0.0

    def count(self, value: float) -> float:
        """Return the counter; what was counted too much stays in."""
        self._excess = max(self._excess, self._counted - value)
        self._counted = value + self._excess
        return self._counted


@dataclass(slots=True)
class PeerAvailability:
    """One peer: ``until`` is None while it is watched.

    ``client_stalled`` is for how many seconds this client was not running. ``instance``
    is the instance that answers there, None if unknown or if several do;
    ``instance_since`` is when it was identified.
    """

    peer: str
    target: str
    since: float
    until: float | None = None
    client_stalled: float = 0.0
    instance: Instance | None = None
    instance_since: float = 0.0
    totals: OutageTotals = field(default_factory=OutageTotals)
    ongoing: Outage | None = None
    reached: bool | None = None
    """Whether it has ever answered; None while no attempt has shown it."""
    last: Outage | None = None
    """The latest proven outage that is over or left open."""
    partial: PartialTotals = field(default_factory=PartialTotals)
    _down: RisingCounter = field(default_factory=RisingCounter)
    _partial: RisingCounter = field(default_factory=RisingCounter)

    def set_instance(self, instance: Instance | None, now: float) -> None:
        """Set the instance that answers from now on."""
        if instance != self.instance:
            self.instance, self.instance_since = instance, now

    def watched_seconds(self, now: float) -> float:
        """Return how long the peer was watched while this client was running."""
        end = now if self.until is None else self.until
        return max(0.0, end - self.since - self.client_stalled)

    def down_seconds(self, now: float) -> float:
        """Return how long the peer was out, including the ongoing outage.

        A peer that has never answered was out all the time.
        """
        if self.reached is False:
            return self.watched_seconds(now)
        down = self.totals.seconds
        outage = self.ongoing
        if outage is not None and outage.failure in UNAVAILABLE_CLASSES:
            down += self.totals.uncovered_seconds(TimeSpan(outage.start, now))
        return min(down, self.watched_seconds(now))

    def count_down(self, now: float) -> float:
        """Return ``down_seconds`` as a counter, which never falls.

        It keeps the seconds of an ongoing outage that turns out to prove nothing.
        """
        return self._down.count(self.down_seconds(now))

    def count_partial(self, now: float) -> float:
        """Return the seconds of partial failures as a counter, which never falls."""
        return self._partial.count(self.partial.seconds_until(now))

    def availability(self, now: float) -> float | None:
        """Return the share of the time in which it was available; None if unknown."""
        if self.reached is False:
            return 0.0
        watched = self.watched_seconds(now)
        return 1.0 - self.down_seconds(now) / watched if watched else None


@dataclass(frozen=True, slots=True)
class OutageRecord:
    """An outage of the past: its peer, and the peer's instance when it started."""

    peer: str
    instance: Instance | None
    outage: Outage


@dataclass(frozen=True, slots=True)
class Summary:
    """The whole watch. ``rows`` are the peers, worst first; ``longest`` are outages.

    ``history`` has the latest outages, all of them from ``complete_since`` on.
    ``open_outages`` were ongoing when their peers were last watched; ``unresolved`` are
    the names that never had an address.
    """

    seconds: float
    peers: int
    watched_seconds: float
    down_seconds: float
    outages: int
    longest_seconds: float
    unproven: int
    counts: dict[tuple[str, str], int]
    findings: dict[str, int]
    rows: tuple[PeerAvailability, ...]
    worst: tuple[OutageRecord, ...]
    now: float
    history: tuple[OutageRecord, ...] = ()
    complete_since: float = float("-inf")
    open_outages: int = 0
    unresolved: tuple[str, ...] = ()
    partial: PartialTotals = field(default_factory=PartialTotals)

    @property
    def availability(self) -> float | None:
        """Share of the time in which peers were available.

        0 if nothing was ever found behind any name; None if the watch was too short.
        """
        if self.watched_seconds > 0:
            return 1.0 - self.down_seconds / self.watched_seconds
        return 0.0 if self.never_reached else None

    @property
    def never_reached(self) -> tuple[str, ...]:
        """The peers that never answered, and the names that never had an address."""
        peers = (row.peer for row in self.rows if row.reached is False)
        return (*self.unresolved, *dict.fromkeys(peers))[:MAX_NAMED_UNREACHED]


@dataclass(slots=True)
class TargetTotals:
    """The outages of all addresses of a target, also of those that have left."""

    outages: int = 0
    down_seconds: float = 0.0
    partial_failures: int = 0
    partial_seconds: float = 0.0

    def add(self, row: PeerAvailability, now: float) -> None:
        """Add a peer."""
        self.outages += row.totals.outages
        self.down_seconds += row.count_down(now)
        self.partial_failures += row.partial.count
        self.partial_seconds += row.count_partial(now)


class AvailabilityTracker:
    """Counts the outages of all peers, in bounded memory."""

    def __init__(self, start: float, history: int) -> None:
        """Start to count; ``history`` bounds remembered outages and removed peers."""
        self.start = start
        self.peers: dict[str, PeerAvailability] = {}
        self.totals = OutageTotals()
        self.partial = PartialTotals()
        """The partial failures of all peers; ``ongoing`` is that of none of them."""
        self.findings: Counter[str] = Counter()
        """Findings of the scheduled checks, by class."""
        self.peers_total = 0
        self.history: deque[OutageRecord] = deque(maxlen=history)
        self.complete_since = float("-inf")
        """The end of the latest outage that is no longer in the history."""
        self._max_removed = history
        self._removed: deque[PeerAvailability] = deque()
        self._removed_out: deque[PeerAvailability] = deque()
        """Those with outages, which others do not crowd out."""
        self._removed_watched_seconds = self._removed_down_seconds = 0.0
        self._removed_by_target: dict[str, TargetTotals] = {}

    def add(self, peer: str, target: str, now: float) -> PeerAvailability:
        """Start to count a peer."""
        self.peers_total += 1
        watched = self.peers[peer] = PeerAvailability(peer, target, now)
        return watched

    def remove(self, peer: str, now: float, *, reached: bool = True) -> None:
        """Stop counting a peer; its counts are kept.

        Without ``reached`` and outages it counts for nothing: a stale answer had it.
        """
        watched = self.peers.pop(peer)
        watched.until, watched.ongoing = now, None
        if not reached and not watched.totals.outages:
            self.peers_total -= 1
            return
        self._removed_watched_seconds += watched.watched_seconds(now)
        self._removed_down_seconds += watched.down_seconds(now)
        totals = self._removed_by_target.setdefault(watched.target, TargetTotals())
        totals.add(watched, now)
        failed = watched.totals.outages or watched.partial.count
        failed = failed or watched.reached is False
        (self._removed_out if failed else self._removed).append(watched)
        if len(self._removed) + len(self._removed_out) > self._max_removed:
            (self._removed or self._removed_out).popleft()

    def record(self, peer: str, notice: OutageEnded | OutageOpen) -> None:
        """Count an outage that is over, or that is open when its peer is not watched."""
        watched, history = self.peers[peer], self.history
        watched.ongoing = None
        if notice.outage.proven:
            watched.last = notice.outage
        watched.totals.add(notice.outage)
        self.totals.add(notice.outage)
        if len(history) == history.maxlen:
            self.complete_since = max(self.complete_since, history[0].outage.end)
        history.append(OutageRecord(peer, watched.instance, notice.outage))

    def record_partial(self, peer: str, notice: PartialNotice) -> None:
        """Count what is reported of a partial failure."""
        self.peers[peer].partial.add(notice)
        self.partial.add(notice)

    def remembered(self) -> list[PeerAvailability]:
        """Return the latest removed peers with outages that are not watched again."""
        latest = {(row.target, row.peer): row for row in self._removed_out}
        rows = [row for row in latest.values() if row.peer not in self.peers]
        return rows[-MAX_REMEMBERED:]

    def ongoing(self, now: float) -> dict[tuple[str, str], float]:
        """Return the seconds of the ongoing outages, by class and direction."""
        found: dict[tuple[str, str], float] = {}
        for row in self.peers.values():
            outage = row.ongoing
            if outage is not None:
                kind = outage.failure, outage.direction
                found[kind] = found.get(kind, 0.0) + max(0.0, now - outage.start)
        return found

    def by_target(self, now: float) -> dict[str, TargetTotals]:
        """Return the outages of each target; seconds count as in ``count_down``."""
        found = {
            target: replace(totals)
            for target, totals in self._removed_by_target.items()
        }
        for row in self.peers.values():
            found.setdefault(row.target, TargetTotals()).add(row, now)
        return found

    def summary(self, now: float, unresolved: tuple[str, ...] = ()) -> Summary:
        """Return the summary up to now; ``unresolved`` names never had an address."""
        rows = [*self.peers.values(), *self._removed, *self._removed_out]
        rows.sort(
            key=lambda peer: (-peer.down_seconds(now), -peer.totals.outages, peer.peer)
        )
        proven = [record for record in self.history if record.outage.proven]
        present = self.peers.values()
        return Summary(
            now - self.start,
            self.peers_total,
            self._removed_watched_seconds
            + sum(availability.watched_seconds(now) for availability in present),
            self._removed_down_seconds
            + sum(peer.down_seconds(now) for peer in present),
            self.totals.outages,
            self.totals.longest,
            self.totals.unproven,
            dict(self.totals.counts),
            dict(self.findings),
            tuple(rows),
            tuple(sorted(proven, key=lambda record: -record.outage.seconds)[:5]),
            now,
            tuple(self.history),
            self.complete_since,
            self.totals.open,
            unresolved,
            self.partial,
        )
