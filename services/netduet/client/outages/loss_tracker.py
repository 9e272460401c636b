"""What two streams of datagrams come to: losses, outages, each way. Pure.

What was sent and what came goes in, with the time; outages come out when nothing late
can change them any more. Memory is bounded, however long it goes on.

Up, the server tells in every datagram what it lacks, so the next one that comes
through tells all. Down, the server's numbers and times do, mapped to our clock by the
quickest datagram of the last minute (its arrival minus the server's time).
"""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass
from typing import Final

from netduet.client.outages.events import Event, LossRun, ServerRestart, covered
from netduet.client.outages.socket_drops import SocketDrops
from netduet.client.results.failure import BACK, FORTH, UNKNOWN
from netduet.wire.sequence import Gap, SequenceGaps
from netduet.wire.udp_stream import StreamStatus

ROW: Final = 8
LEAST: Final = 0.2
"""Datagrams in a row, and seconds, that must be lost to be an outage and no loss."""

SETTLE: Final = 1.0
"""Seconds for which a datagram may still come late: before, it is not lost."""

STALL: Final = 0.1
"""Seconds by which a server's datagram must leave late to show that it did not run."""

RING: Final = 1 << 16
"""Datagrams of which it is known when each left; of a gap before them, its begin alone."""

_KEPT: Final = 4096
_STALLS: Final = 64
_AGE: Final = 30.0
_RUNS: Final = 16


@dataclass(slots=True)
class LossCounts:
    """What has become of one direction so far; ``untold`` of its datagrams nobody knows."""

    sent: int = 0
    lost: int = 0
    duplicated: int = 0
    late: int = 0
    untold: int = 0


class ClockOffset:
    """Our clock minus the server's, by the quickest datagram of the last minute.

    Not of all time: two clocks drift apart, by up to 0.2 s an hour.
    """

    def __init__(self) -> None:
        """Start without any."""
        self._turned = float("-inf")
        self._old = self._new = float("inf")

    def take(self, theirs: float, ours: float) -> None:
        """Learn from an arrival."""
        if ours - self._turned > _AGE:
            self._turned = ours
            self._old, self._new = self._new, float("inf")
        self._new = min(self._new, ours - theirs)

    @property
    def value(self) -> float:
        """What to add to the server's time."""
        return min(self._old, self._new)


@dataclass(frozen=True, slots=True)
class _Hole:
    """Numbers of the server's that a later one overtook, and its times on both sides."""

    gap: Gap
    before: float
    after: float
    arrived: float

    def span(self, start: int, end: int, period: float) -> tuple[float, float]:
        """Return when two of its numbers were sent: at the earliest, at the latest."""
        since = self.before + (start - self.gap[0] + 1) * period
        return since, self.after - (self.gap[1] - end) * period


class LossTracker:
    """Both directions of one flow."""

    def __init__(self, period: float, ring: int = RING) -> None:
        """Start; ``period`` is the seconds from one datagram to the next, both ways.

        ``ring`` bounds the memory: eight bytes for each datagram that it holds.
        """
        self.period = period
        self._ring = ring
        self.up = LossCounts()
        self.down = LossCounts()
        self.latest: float | None = None
        """When the last datagram of the server's stream came."""
        self.lateness = 0.0
        """Seconds that the slowest datagram down took more than the quickest."""
        self._out: list[Event] = []
        self._boot = self._told_boot = ""
        self._said = ""
        self._runs: deque[int] = deque(maxlen=_RUNS)
        self._before = (0, 0, 0)
        self._before_up = (0, 0)
        # Up: when each left, what of them the server told last, what is settled.
        self._times = array("d", bytes(8 * ring))
        self._told: StreamStatus | None = None
        self._gaps: list[Gap] = []
        self._edges: dict[int, float] = {}
        self._known = self._settled = 0
        # Down
        self._arrived = SequenceGaps(_KEPT, 0)
        self._holes: deque[_Hole] = deque(maxlen=_KEPT)
        self._offset = ClockOffset()
        self._before_number = 0.0  # when the highest was sent, on the server's clock
        self._stalls: deque[tuple[float, float]] = deque(maxlen=_STALLS)
        # What the sockets themselves had no room for.
        self._drops_up = SocketDrops()
        self._drops_down = SocketDrops()

    @property
    def stalls(self) -> tuple[tuple[float, float], ...]:
        """The latest times in which the server's stream shows that it did not run."""
        return tuple(self._stalls)

    # In

    def booted(self, boot: str) -> None:
        """Learn which start of the server answers."""
        self._boot = boot

    def ended(self, said: str) -> None:
        """Learn that the server has ended its stream, and its word for why."""
        self._said = said

    def dropped(self, total: int | None, at: float) -> None:
        """Learn how many datagrams our own socket has had no room for so far."""
        self._drops_down.read(total, at)

    def sent(self, at: float) -> None:
        """Count a datagram that has just left; its number is how many left before it."""
        if self._unheard() == self._ring // 2:  # soon overwritten
            self._edges[self._known] = self._time(self._known)
        self._times[self.up.sent % self._ring] = at
        self.up.sent += 1

    def take(self, told: StreamStatus, at: float, *, fair: bool = True) -> None:
        """Take a datagram of the server's stream that came at a time.

        Not ``fair``: it may have come earlier, and waited for us.
        """
        if told.next > self.up.sent:
            return  # a server that makes things up
        last = self._told
        if last is None or told.run != last.run:
            if last is not None and told.run in self._runs:
                return  # an old stream's, late
            self._anew(told, at)
        self._take_down(told, at, fair=fair)
        if last is None or told.run != last.run or told.number > last.number:
            self._take_up(told)
            self._told = told

    # Out

    @property
    def known(self) -> int:
        """How many of ours the server has told about: all below the highest it got."""
        return self._known

    def settle(self, now: float) -> list[Event]:
        """Return what has become certain since the last time, in no special order."""
        self._settle_up(now)
        self._settle_down(now)
        told, self._out = self._out, []
        return told

    def finish(self, now: float) -> list[Event]:
        """Return what is left; an outage that has not ended lasts until ``now``."""
        told = self.settle(float("inf"))
        if self.latest is None:
            return told
        standing = self.standing(now)
        if standing is not None:
            told.append(standing)
        unheard = self._unheard()
        silent = standing is not None and standing.where == UNKNOWN
        if unheard >= ROW and not silent:
            self.up.lost += unheard
        else:
            self.up.untold += unheard
        return told

    def standing(self, now: float) -> LossRun | None:
        """Return the outage that goes on, as far as it can be told by now."""
        heard = self.latest
        if heard is None:
            return None
        if now - heard >= LEAST + ROW * self.period:
            # Down is out for certain; what of ours arrives since then nobody can tell.
            lost = int((now - heard) / self.period)
            return LossRun(UNKNOWN, heard, now, lost, ended=False)
        unheard, start = self._unheard(), self._edges.get(self._known)
        if unheard < ROW or now - heard > max(LEAST, 3 * self.period):
            return None  # few lacking, or soon silent too
        start = start or self._time(self._known)
        if now - start < LEAST:
            return None
        slipped = max(0.0, now - start - (unheard + 1) * self.period)
        deaf = covered(self._stalls, start, now)
        dropped = self._drops_up.between(start, now + SETTLE)
        return LossRun(
            FORTH, start, now, unheard, slipped, deaf, ended=False, dropped=dropped
        )

    # Both

    def _anew(self, told: StreamStatus, at: float) -> None:
        """Begin with a new stream of the server's: the first, or one after an end."""
        self._runs.append(told.run)
        if self._told is not None:
            self._settle_down(float("inf"))
            start = self.latest if self.latest is not None else at
            boots = (self._told_boot, self._boot)
            self._out.append(ServerRestart(start, at, boots, self._said))
            self._count_down()
        self._said, self._told_boot = "", self._boot
        self._arrived, self._offset = SequenceGaps(_KEPT, 0), ClockOffset()
        self._drops_up.anew()
        self._before_number = -self.period
        self._holes.clear()
        self._before = (self.down.sent, self.down.duplicated, self.down.late)
        self._before_up = (self.up.duplicated, self.up.late)
        # What left before the server's stream began has not come to it.
        if told.first > self._known:
            self._lack((self._known, told.first))
            self._known = told.first

    # Up

    def _take_up(self, told: StreamStatus) -> None:
        floor = max(told.since, self._settled)
        if told.next < floor:
            return
        kept = [(start, min(end, floor)) for start, end in self._gaps if start < floor]
        self.up.untold += max(0, told.since - max(self._known, self._settled))
        self._gaps = kept
        known = self._known
        for since, end in told.gaps:
            if end > floor:
                self._lack((max(since, floor), end))
        self._known = max(known, told.next)
        self.up.duplicated = self._before_up[0] + told.duplicated
        self.up.late = self._before_up[1] + told.late

    def _lack(self, gap: Gap) -> None:
        """Note a gap; of a long one, when it began is kept apart from the ring."""
        self._gaps.append(gap)
        start, end = gap
        if end - start >= ROW and start not in self._edges:
            self._edges[start] = self._time(start)

    def _settle_up(self, now: float) -> None:
        """Count the gaps whose ends were sent long enough ago."""
        certain = self._known
        while self._gaps and self._gaps[0][1] < certain:
            start, end = self._gaps[0]
            after = self._time(end)
            if after + SETTLE > now:
                break
            del self._gaps[0]
            self._settled = end
            self.up.lost += end - start
            since = self._edges.get(start) or self._time(start)
            if end - start >= ROW and after - since >= LEAST:
                slipped = max(0.0, after - since - (end - start) * self.period)
                deaf = covered(self._stalls, since, after)
                self._out.append(
                    LossRun(
                        FORTH,
                        since,
                        after,
                        end - start,
                        slipped,
                        deaf,
                        precision=self.period,
                        dropped=self._drops_up.between(since, after + SETTLE),
                    )
                )
        for start in [one for one in self._edges if one < self._settled]:
            del self._edges[start]

    def _time(self, number: int) -> float:
        """Return when a number left; for one too long ago, when the oldest known did."""
        oldest = max(0, self.up.sent - self._ring)
        return self._times[max(number, oldest) % self._ring]

    def _unheard(self) -> int:
        return self.up.sent - self._known

    # Down

    def _take_down(self, told: StreamStatus, at: float, *, fair: bool) -> None:
        theirs, number = told.time / 1_000_000, told.number
        self._offset.take(theirs, at)
        self.latest = at
        expected, before = self._arrived.next, self._before_number
        if self._arrived.take(number):
            offset = self._offset.value
            if number > expected:
                hole = _Hole((expected, number), before, theirs, at)
                self._holes.append(hole)
            elif theirs - before > self.period + STALL:
                self._stalls.append((before + self.period + offset, theirs + offset))
            self._before_number = theirs
            self._drops_up.read(told.dropped, theirs + offset)
            if fair:
                self.lateness = max(self.lateness, at - theirs - offset)
        self._count_down()

    def _count_down(self) -> None:
        arrived = self._arrived
        sent, duplicated, late = self._before
        self.down.sent = sent + arrived.next
        self.down.duplicated = duplicated + arrived.duplicated
        self.down.late = late + arrived.late

    def _settle_down(self, now: float) -> None:
        """Count what of the holes is still missing, once they are old enough."""
        while self._holes and self._holes[0].arrived + SETTLE <= now:
            hole = self._holes.popleft()
            for start, end in self._arrived.forget(hole.gap[1]):
                self.down.lost += end - start
                self._take_hole(hole, start, end)

    def _take_hole(self, hole: _Hole, start: int, end: int) -> None:
        since, after = hole.span(start, end, self.period)
        if end - start < ROW or after - since < LEAST:
            return
        slipped = max(0.0, after - since - (end - start) * self.period)
        offset = self._offset.value
        self._out.append(
            LossRun(
                BACK,
                since + offset,
                after + offset,
                end - start,
                slipped,
                precision=self.period,
                dropped=self._drops_down.between(
                    since + offset, after + offset + SETTLE
                ),
            )
        )
