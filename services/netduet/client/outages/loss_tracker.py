"""Loss and outages of the two UDP streams of a flow. Pure.

The times of sent and received datagrams go in; outages come out once no late datagram
can change them. Memory is bounded, however long the streams last.

Up (to the server), each of the server's datagrams lists the gaps, so the next one that
arrives reports all of them. Down (from the server), the numbers and times of the
server's datagrams show the gaps. The server's times are mapped to this client's clock
by the fastest datagram of the last minute (its arrival minus the server's time).
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from dataclasses import dataclass
from typing import Final

from netduet.client.outages.events import (
    LossRun,
    ProbeEvent,
    ServerRestart,
)
from netduet.client.outages.socket_drops import SocketDrops
from netduet.client.results.location import Location
from netduet.net.time_span import TimeSpan
from netduet.wire.sequence import Gap, SequenceGaps
from netduet.wire.udp_stream import EndReason, StreamStatus

MIN_LOSSES: Final = 8
MIN_SECONDS: Final = 0.2
"""Datagrams in a row, and seconds, that must be lost to be an outage."""

SETTLE_SECONDS: Final = 1.0
"""Seconds for which a datagram may still arrive late, and is not lost."""

STALL_SECONDS: Final = 0.1
"""Seconds by which a server's datagram must be late to show a stall of the server."""

RING_SIZE: Final = 1 << 16
"""Datagrams whose time of sending is remembered; of older gaps only the start is."""

_MAX_GAPS: Final = 4096
_MAX_STALLS: Final = 64
_OFFSET_SECONDS: Final = 30.0
_MAX_RUNS: Final = 16


@dataclass(slots=True)
class LossCounts:
    """Counts of one direction; the fate of ``unknown`` datagrams was never reported."""

    sent: int = 0
    lost: int = 0
    duplicated: int = 0
    late: int = 0
    unknown: int = 0


class ClockOffset:
    """Our clock minus the server's, from the fastest datagram of the last minute.

    Only of the last minute, because clocks drift, by up to 0.2 s per hour.
    """

    def __init__(self) -> None:
        self._rotated_at = float("-inf")
        self._previous = self._current = float("inf")

    def add(self, server_time: float, client_time: float) -> None:
        """Add the times of a datagram."""
        if client_time - self._rotated_at > _OFFSET_SECONDS:
            self._rotated_at = client_time
            self._previous, self._current = self._current, float("inf")
        self._current = min(self._current, client_time - server_time)

    @property
    def value(self) -> float:
        """Seconds to add to the server's time."""
        return min(self._previous, self._current)


@dataclass(frozen=True, slots=True)
class _TimedGap:
    """A gap in the server's numbers, with the server's times before and after it."""

    gap: Gap
    before: float
    after: float
    arrived: float

    def span(self, start: int, end: int, period: float) -> tuple[float, float]:
        """Return when these numbers were sent: the earliest and the latest time."""
        since = self.before + (start - self.gap[0] + 1) * period
        return since, self.after - (self.gap[1] - end) * period


class LossTracker:
    """Both directions of one flow."""

    def __init__(self, period: float, ring_size: int = RING_SIZE) -> None:
        """Start; ``period`` is the seconds between datagrams, in both directions.

        ``ring_size`` bounds the memory: eight bytes per datagram.
        """
        self.period = period
        self._ring_size = ring_size
        self.up = LossCounts()
        self.down = LossCounts()
        self.last_arrival: float | None = None
        """When the last datagram of the server's stream arrived."""
        self.lateness = 0.0
        """Seconds by which the slowest datagram down was slower than the fastest."""
        self.shutdown: tuple[str, float] | None = None
        """The boot id of the latest server that announced its shutdown, and when."""
        self._events: list[ProbeEvent] = []
        self._boot_id = self.boot_id = ""
        """That of the server process whose stream arrives, "" if none has yet."""
        self._end_reason = ""
        self._runs: deque[int] = deque(maxlen=_MAX_RUNS)
        self._down_before = (0, 0, 0)
        self._up_before = (0, 0)
        # Up: times of sending, what the server reported last, what is settled
        self._times = array("d", bytes(8 * ring_size))
        self._last_status: StreamStatus | None = None
        self._up_gaps: list[Gap] = []
        self._up_gap_starts: dict[int, float] = {}
        self._acknowledged = self._settled = 0
        # Down
        self._arrived = SequenceGaps(_MAX_GAPS, 0)
        self._down_gaps: deque[_TimedGap] = deque(maxlen=_MAX_GAPS)
        self._offset = ClockOffset()
        self._last_server_time = 0.0  # of the highest number, on the server's clock
        self._stalls: deque[TimeSpan] = deque(maxlen=_MAX_STALLS)
        # Datagrams that the sockets themselves had no room for
        self._drops_up = SocketDrops()
        self._drops_down = SocketDrops()

    @property
    def stalls(self) -> tuple[TimeSpan, ...]:
        """The latest times in which the server was not running, as its stream shows."""
        return tuple(self._stalls)

    # Input

    def set_boot_id(self, boot_id: str) -> None:
        """Set the boot id of the server that answers."""
        self._boot_id = boot_id

    def set_end_reason(self, reason: str, now: float) -> None:
        """Set why the server ended its stream."""
        self._end_reason = reason
        known = self.shutdown is not None and self.shutdown[0] == self._boot_id
        if reason == EndReason.DRAINING.name.lower() and not known:
            self.shutdown = (self._boot_id, now)

    def record_drops(self, total: int | None, now: float) -> None:
        """Record how many datagrams our socket has had no room for so far."""
        self._drops_down.record(total, now)

    def record_sent(self, now: float) -> None:
        """Count a datagram that was just sent; its number is the count before it."""
        if self._unacknowledged() == self._ring_size // 2:  # soon overwritten
            self._up_gap_starts[self._acknowledged] = self.sent_at(self._acknowledged)
        self._times[self.up.sent % self._ring_size] = now
        self.up.sent += 1

    def record_status(
        self, status: StreamStatus, arrived_at: float, *, on_time: bool = True
    ) -> None:
        """Record a datagram of the server's stream.

        ``on_time`` False: it may have arrived earlier and waited for this process.
        """
        if status.next > self.up.sent:
            return  # an invalid status
        last = self._last_status
        if last is None or status.run != last.run:
            if last is not None and status.run in self._runs:
                return  # a late datagram of an old stream
            self._start_stream(status, arrived_at)
        self._record_down(status, arrived_at, on_time=on_time)
        if last is None or status.run != last.run or status.number > last.number:
            self._record_up(status)
            self._last_status = status

    # Output

    @property
    def acknowledged(self) -> int:
        """The number of our datagrams that the server has reported on."""
        return self._acknowledged

    def settle(self, now: float) -> list[ProbeEvent]:
        """Return the events that have become certain, in any order."""
        self._settle_up(now)
        self._settle_down(now)
        events, self._events = self._events, []
        return events

    def finish(self, now: float) -> list[ProbeEvent]:
        """Return the remaining events; an ongoing outage lasts until ``now``.

        One on the way up lasts as long as datagrams were sent: the time for which their
        fate was waited for proves nothing.
        """
        events = self.settle(float("inf"))
        if self.last_arrival is None:
            return events
        sent_until = self.sent_at(self.up.sent - 1) + self.period
        ongoing = self.ongoing(now, sent_until)
        if ongoing is not None:
            events.append(ongoing)
        unacknowledged = self._unacknowledged()
        silent = ongoing is not None and ongoing.where == Location.UNKNOWN
        if unacknowledged >= MIN_LOSSES and not silent:
            self.up.lost += unacknowledged
        else:
            self.up.unknown += unacknowledged
        return events

    def ongoing(self, now: float, sent_until: float = math.inf) -> LossRun | None:
        """Return the ongoing outage, as far as it is known.

        ``sent_until`` is when sending ended.
        """
        last_arrival = self.last_arrival
        if last_arrival is None:
            return None
        if now - last_arrival >= MIN_SECONDS + MIN_LOSSES * self.period:
            # Down is certainly out; whether our datagrams arrive is unknown.
            lost = int((now - last_arrival) / self.period)
            return LossRun(Location.UNKNOWN, last_arrival, now, lost, ended=False)
        if now - last_arrival > max(MIN_SECONDS, 3 * self.period):
            return None  # down may be out too
        start = self._gap_start(self._acknowledged)
        lost = self._unacknowledged()
        end = min(now, sent_until)
        return self._loss_run(Location.TO_SERVER, start, end, lost, ended=False)

    # Both

    def _loss_run(
        self,
        where: Location,
        start: float,
        end: float,
        lost: int,
        *,
        ended: bool = True,
    ) -> LossRun | None:
        """Return the run of so many datagrams, None if it is too short for an outage."""
        if lost < MIN_LOSSES or end - start < MIN_SECONDS:
            return None
        up = where is Location.TO_SERVER
        drops = self._drops_up if up else self._drops_down
        due = (lost + (not ended)) * self.period
        return LossRun(
            where,
            start,
            end,
            lost,
            max(0.0, end - start - due),
            TimeSpan(start, end).covered_seconds(self._stalls) if up else 0.0,
            ended,
            self.period,
            drops.between(start, end + SETTLE_SECONDS),
        )

    def _report(self, run: LossRun | None) -> None:
        self._events += [] if run is None else [run]

    def _start_stream(self, status: StreamStatus, arrived_at: float) -> None:
        """Start a new stream of the server: the first one, or one after an end."""
        self._runs.append(status.run)
        if self._last_status is not None:
            self._settle_down(float("inf"))
            start = self.last_arrival if self.last_arrival is not None else arrived_at
            boot_ids = (self.boot_id, self._boot_id)
            self._events.append(
                ServerRestart(start, arrived_at, boot_ids, self._end_reason)
            )
            self._count_down()
        self._end_reason, self.boot_id = "", self._boot_id
        self._arrived, self._offset = SequenceGaps(_MAX_GAPS, 0), ClockOffset()
        self._drops_up.reset()
        self._last_server_time = -self.period
        self._down_gaps.clear()
        self._down_before = (self.down.sent, self.down.duplicated, self.down.late)
        self._up_before = (self.up.duplicated, self.up.late)
        # Datagrams sent before the server's stream started did not count.
        if status.first > self._acknowledged:
            self._add_up_gap((self._acknowledged, status.first))
            self._acknowledged = status.first

    # Up

    def _record_up(self, status: StreamStatus) -> None:
        floor = max(status.since, self._settled)
        if status.next < floor:
            return
        settled = [
            (start, min(end, floor)) for start, end in self._up_gaps if start < floor
        ]
        self.up.unknown += max(0, status.since - max(self._acknowledged, self._settled))
        self._up_gaps = settled
        known = self._acknowledged
        for since, end in status.gaps:
            if end > floor:
                self._add_up_gap((max(since, floor), end))
        self._acknowledged = max(known, status.next)
        self.up.duplicated = self._up_before[0] + status.duplicated
        self.up.late = self._up_before[1] + status.late

    def _add_up_gap(self, gap: Gap) -> None:
        """Add a gap; the start of a long one is kept outside of the ring."""
        self._up_gaps.append(gap)
        start, end = gap
        if end - start >= MIN_LOSSES and start not in self._up_gap_starts:
            self._up_gap_starts[start] = self.sent_at(start)

    def _settle_up(self, now: float) -> None:
        """Count the gaps whose ends were sent long enough ago."""
        certain = self._acknowledged
        while self._up_gaps and self._up_gaps[0][1] < certain:
            start, end = self._up_gaps[0]
            after = self.sent_at(end)
            if after + SETTLE_SECONDS > now:
                break
            del self._up_gaps[0]
            self._settled = end
            self.up.lost += end - start
            since = self._gap_start(start)
            run = self._loss_run(Location.TO_SERVER, since, after, end - start)
            self._report(run)
        for start in [
            number for number in self._up_gap_starts if number < self._settled
        ]:
            del self._up_gap_starts[start]

    def _gap_start(self, number: int) -> float:
        """Return when the first datagram of a gap was sent."""
        return self._up_gap_starts.get(number) or self.sent_at(number)

    def sent_at(self, number: int) -> float:
        """Return when a number was sent, or the oldest known time."""
        oldest = max(0, self.up.sent - self._ring_size)
        return self._times[max(number, oldest) % self._ring_size]

    def _unacknowledged(self) -> int:
        return self.up.sent - self._acknowledged

    # Down

    def _record_down(
        self, status: StreamStatus, arrived_at: float, *, on_time: bool
    ) -> None:
        server_time, number = status.time / 1_000_000, status.number
        self._offset.add(server_time, arrived_at)
        self.last_arrival = arrived_at
        expected, before = self._arrived.next, self._last_server_time
        if self._arrived.take(number):
            offset = self._offset.value
            if number > expected:
                timed_gap = _TimedGap(
                    (expected, number), before, server_time, arrived_at
                )
                self._down_gaps.append(timed_gap)
            elif server_time - before > self.period + STALL_SECONDS:
                self._stalls.append(
                    TimeSpan(before + self.period + offset, server_time + offset)
                )
            self._last_server_time = server_time
            self._drops_up.record(status.dropped, server_time + offset)
            if on_time:
                self.lateness = max(self.lateness, arrived_at - server_time - offset)
        self._count_down()

    def _count_down(self) -> None:
        arrived = self._arrived
        sent, duplicated, late = self._down_before
        self.down.sent = sent + arrived.next
        self.down.duplicated = duplicated + arrived.duplicated
        self.down.late = late + arrived.late

    def _settle_down(self, now: float) -> None:
        """Count what is still missing of the gaps that are old enough."""
        while self._down_gaps and self._down_gaps[0].arrived + SETTLE_SECONDS <= now:
            timed_gap = self._down_gaps.popleft()
            for start, end in self._arrived.forget(timed_gap.gap[1]):
                self.down.lost += end - start
                self._report_down_gap(timed_gap, start, end)

    def _report_down_gap(self, timed_gap: _TimedGap, start: int, end: int) -> None:
        offset = self._offset.value
        since, after = (
            time + offset for time in timed_gap.span(start, end, self.period)
        )
        self._report(self._loss_run(Location.FROM_SERVER, since, after, end - start))
