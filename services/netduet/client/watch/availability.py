"""Availability and outages of a watch, by peer, class and direction. Pure."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from netduet.client.outages.outage import UNAVAILABLE_CLASSES, Outage, OutageEnded
from netduet.client.results.instance import Instance
from netduet.net.time_span import Timed, TimeSpan


@dataclass(slots=True)
class OutageTotals:
    """Counts of outages. ``unproven`` ones are not in the other counts."""

    outages: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    unproven: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Number of outages, by class and direction."""
    seconds_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Seconds of outages, by class and direction."""
    _until: float = float("-inf")

    def add(self, outage: Outage) -> None:
        """Count an outage that is over."""
        if not outage.proven:
            self.unproven += 1
            return
        self.outages += 1
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

    def set_instance(self, instance: Instance | None, now: float) -> None:
        """Set the instance that answers from now on."""
        if instance != self.instance:
            self.instance, self.instance_since = instance, now

    def watched_seconds(self, now: float) -> float:
        """Return how long the peer was watched while this client was running."""
        end = now if self.until is None else self.until
        return max(0.0, end - self.since - self.client_stalled)

    def down_seconds(self, now: float) -> float:
        """Return how long the peer was out, including the ongoing outage."""
        down = self.totals.seconds
        outage = self.ongoing
        if outage is not None and outage.failure in UNAVAILABLE_CLASSES:
            down += self.totals.uncovered_seconds(TimeSpan(outage.start, now))
        return min(down, self.watched_seconds(now))


@dataclass(frozen=True, slots=True)
class OutageRecord:
    """An outage that is over: its peer, and the peer's instance when it started."""

    peer: str
    instance: Instance | None
    outage: Outage


@dataclass(frozen=True, slots=True)
class Summary:
    """The whole watch. ``rows`` are the peers, worst first; ``longest`` are outages.

    ``history`` has the latest outages, all of them from ``complete_since`` on.
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

    @property
    def availability(self) -> float | None:
        """Share of the time in which peers were available; None without peers."""
        return (
            1.0 - self.down_seconds / self.watched_seconds
            if self.watched_seconds > 0
            else None
        )


class AvailabilityTracker:
    """Counts the outages of all peers, in bounded memory."""

    def __init__(self, start: float, history: int) -> None:
        """Start to count; ``history`` bounds remembered outages and removed peers."""
        self.start = start
        self.peers: dict[str, PeerAvailability] = {}
        self.totals = OutageTotals()
        self.findings: Counter[str] = Counter()
        """Findings of the scheduled checks, by class."""
        self.peers_total = 0
        self.history: deque[OutageRecord] = deque(maxlen=history)
        self.complete_since = float("-inf")
        """The end of the latest outage that is no longer in the history."""
        self._removed: deque[PeerAvailability] = deque(maxlen=history)
        self._removed_watched_seconds = self._removed_down_seconds = 0.0

    def add(self, peer: str, target: str, now: float) -> PeerAvailability:
        """Start to count a peer."""
        self.peers_total += 1
        watched = self.peers[peer] = PeerAvailability(peer, target, now)
        return watched

    def remove(self, peer: str, now: float) -> None:
        """Stop counting a peer; its counts are kept."""
        watched = self.peers.pop(peer)
        watched.until, watched.ongoing = now, None
        self._removed_watched_seconds += watched.watched_seconds(now)
        self._removed_down_seconds += watched.down_seconds(now)
        self._removed.append(watched)

    def record(self, peer: str, notice: OutageEnded) -> None:
        """Count an outage that is over."""
        watched, history = self.peers[peer], self.history
        watched.totals.add(notice.outage)
        self.totals.add(notice.outage)
        if len(history) == history.maxlen:
            self.complete_since = max(self.complete_since, history[0].outage.end)
        history.append(OutageRecord(peer, watched.instance, notice.outage))

    def summary(self, now: float) -> Summary:
        """Return the summary up to now."""
        rows = [*self.peers.values(), *self._removed]
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
        )
