"""One peer: its streams, its connections, what they say of it, what they cost.

Each costs one UDP socket, one old connection, and a fresh one now and then.
"""

from __future__ import annotations

import asyncio
import bisect
import random
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from netduet.client.net.dial import Address, classify, in_thread
from netduet.client.net.udp_socket import UdpSocket
from netduet.client.outages.classify import QUARTER, ProbeState, without_starvation
from netduet.client.outages.connect_probe import AT_ONCE, LEAST, ConnectProbe
from netduet.client.outages.events import ConnectionStall, Event, LossRun, covered
from netduet.client.outages.keepalive_probe import KeepaliveProbe
from netduet.client.outages.loss_tracker import ROW, LossCounts, LossTracker
from netduet.client.outages.outage import OutageNotice
from netduet.client.outages.udp_probe import UdpProbe
from netduet.client.results.failure import FORTH
from netduet.client.results.instance import instance_of
from netduet.client.watch.outage_tracker import HOLD, OutageTracker, ProbeTotals
from netduet.client.watch.peer_identity import PeerIdentity

if TYPE_CHECKING:
    from netduet.client.checks.base import Timeouts
    from netduet.client.outages.udp_scheduler import UdpScheduler
    from netduet.client.results.instance import Instance
    from netduet.runtime.stall_monitor import StallMonitor
    from netduet.wire.messages import Welcome

RING: Final = 4096
"""Datagrams of which it is known when each left: 32 KiB a peer."""

EVENTS: Final = 256
"""Events that wait for a look; there is one several times a second."""

BUCKETS: Final = (
    *(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05),
    *(0.1, 0.2, 0.5, 1.0, 2.0, 5.0),
)
"""Seconds up to which round trips are counted together."""

FRESH: Final = 20
ECHO: Final = 10
"""Datagrams of a stream for each fresh connection, and each question on the old one."""

LOOK: Final = 0.25
"""Seconds between two looks at a peer."""

STUCK: Final = 300
"""Datagrams without an answer, while connections work, after which others are tried."""

TOGETHER: Final = 2
"""New connections behind one another that are told of where no datagrams pass: with the
old one's pause so few may prove an outage.
"""

_TRIAL: Final = 1.0
_ROUND_TRIPS: Final = 6
_LONGEST: Final = 3.0
_AGAIN: Final = 10.0
_SILENCE: Final = 10.0
_SURE: Final = 1.0


@dataclass(frozen=True, slots=True)
class PeerContext:
    """What all peers share. ``period`` is the seconds between datagrams of a stream."""

    period: float
    tolerance: float
    patience: Timeouts
    together: UdpScheduler
    stalls: StallMonitor
    numbers: Iterator[int]


class RoundTrips:
    """Counts round trips by their length."""

    def __init__(self) -> None:
        """Start with none."""
        self.counts = [0] * (len(BUCKETS) + 1)
        self.sum = 0.0

    def take(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect.bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds


def passes(address: Address, period: float) -> bool:
    """Tell whether a stream from a new port is answered. Blocking, for a second or two.

    Raises:
        OSError: no socket, or no route.

    """
    with UdpSocket(address) as sock:
        trial = UdpProbe(sock, period, lambda _: None, LossTracker(period, RING))
        trial.run(_TRIAL, threading.Event())
        return trial.picture.latest is not None


class Peer:
    """Watches one address. ``run`` it; ``look`` often; ``close`` it in the end."""

    def __init__(self, address: Address, target: str, means: PeerContext) -> None:
        """Prepare; ``target`` is the name that it is watched for."""
        self.address = address
        self.target = target
        self.round_trips = RoundTrips()
        self.troubled = float("-inf")
        """When it was in trouble last."""
        self.lapsed = False
        """Its name has it no more, and it is watched while it answers."""
        self.gone = False
        """It is in trouble since: it ends, which is none of the network's business."""
        self.known = PeerIdentity()
        self._means = means
        self._events: deque[Event] = deque(maxlen=EVENTS)
        period = means.period
        self.fresh = ConnectProbe(
            address,
            means.patience,
            FRESH * period,
            means.stalls,
            self._events.append,
            met=self._meet,
        )
        self.old = KeepaliveProbe(
            address,
            means.patience,
            ECHO * period,
            self._pause,
            self.round_trips.take,
            met=self._meet,
        )
        self.episodes = OutageTracker(
            address, period, FRESH * period, means.tolerance, means.numbers
        )
        self.streaming: UdpProbe | None = None
        self._sock: UdpSocket | None = None
        self._told_held = float("-inf")
        self._worked_at: float | None = None
        self._tried = float("-inf")
        self._started = time.monotonic()
        self._unsaid = True
        self._unmade = ""
        self._trial: asyncio.Task[bool] | None = None
        self._tried_afresh = float("-inf")

    async def run(self) -> None:
        """Go on until cancelled."""
        # Else all peers would have their turns at the same time.
        spread = random.uniform(0.0, ECHO * self._means.period)  # noqa: S311
        await asyncio.sleep(spread)
        forever = float("inf")
        await asyncio.gather(self.fresh.run(forever), self.old.run(forever))

    def close(self) -> None:
        """End the stream."""
        if self._trial is not None:
            self._trial.cancel()
        self._drop()

    def look(self, now: float) -> list[OutageNotice]:
        """Return what is to be told of it now."""
        if self.streaming is None and now - self._tried > _AGAIN:
            self._tried = now
            self._stream()
        bound = _ROUND_TRIPS * self.old.pauses.quickest
        self.fresh.at_once = min(_LONGEST, max(AT_ONCE, bound))
        totals = self.totals()  # before the events, which it has counted already
        events = [self._events.popleft() for _ in range(len(self._events))]
        signs = self._signs(now)
        if events or signs.start is not None:
            self.troubled = now
            if self.lapsed and not self._ours(signs, events):
                self.gone = True
                return []
        self._try_afresh(signs, now)
        return self.episodes.look(now, signs, events, totals)

    @property
    def who(self) -> Instance | None:
        """The instance that answers there; None: not known, or several do."""
        return self.known.who

    def news(self, now: float) -> tuple[Instance, ...]:
        """Return who it is, when that is new: nothing until an outage has been told of."""
        return self.known.news(now) if now - self.troubled >= HOLD else ()

    def totals(self) -> ProbeTotals:
        """Return all that was counted."""
        closures, pauses = self.fresh.closures, self.old.pauses
        counted = closures.started, closures.failed, pauses.asked, pauses.answered
        if self.streaming is None:
            return ProbeTotals(LossCounts(), LossCounts(), *counted)
        udp_probe = self.streaming
        up, down, stalls = (
            udp_probe.picture.up,
            udp_probe.picture.down,
            udp_probe.picture.stalls,
        )
        return ProbeTotals(
            up, down, *counted, stalls, udp_probe.withheld, udp_probe.error
        )

    def silence(self, now: float) -> str:
        """Return, once, why its datagrams can tell nothing; "" where they can."""
        udp_probe = self.streaming
        if not self._unsaid or now - self._started < _SILENCE:
            return ""
        if udp_probe is not None and udp_probe.picture.latest is not None:
            return ""
        worked = self.fresh.closures.started > self.fresh.closures.failed
        if not worked:
            return ""  # nothing answers there at all
        self._unsaid = False
        if udp_probe is None:
            return f"this host cannot send datagrams there ({self._unmade})"
        if udp_probe.refused:
            return f"the server streams no datagrams: {udp_probe.refused}"
        return f"datagrams do not pass ({udp_probe.error or 'no answer came to any'})"

    def _signs(self, now: float) -> ProbeState:
        udp_probe, closures = self.streaming, self.fresh.closures
        stream = None
        if udp_probe is not None and not udp_probe.refused:
            stream = udp_probe.standing
        pause = self.old.pauses.standing(now)
        if pause is not None and (
            pause.seconds <= self._means.tolerance
            or (
                stream is None
                and closures.standing is None
                and closures.worked < pause.start
            )
        ):
            pause = None  # too short; or who knows whether new ones work
        passed = udp_probe is not None and udp_probe.picture.latest is not None
        closures.least = LEAST if passed else TOGETHER
        seen = passed or self.known.met or closures.started > closures.failed
        gone = self.old.broken and not passed
        worked = self._worked(stream, now)
        withheld, held = "", self._held(now)
        if udp_probe is not None and held is not None:
            withheld, stream = udp_probe.error, stream or held
        signs = ProbeState(
            stream, closures.standing, pause, closures.why, seen, gone, withheld, worked
        )
        start = signs.start
        if start is None:
            return signs
        if self.episodes.standing is None and not signs.proven:
            return replace(signs, stream=None)  # told when it is over, as what it is
        stalls = () if udp_probe is None else udp_probe.picture.stalls
        theirs = covered(stalls, start, now)
        ours = self._means.stalls.stalled(start, now)
        return without_starvation(signs, ours, theirs, max(now - start, LOOK))

    def _held(self, now: float) -> LossRun | None:
        """Return the outage that this end itself is, when its kernel sends nothing.

        Those that are over are told of: what was never sent is lost to nobody's count.
        """
        udp_probe, period = self.streaming, self._means.period
        if udp_probe is None:
            return None
        spans = [it for it in udp_probe.withheld if it[0] > self._told_held]
        outages = [
            LossRun(FORTH, start, end, round((end - start) / period), precision=period)
            for start, end in spans
            if end - start >= ROW * period
        ]
        if not outages:
            return None
        *over, last = outages
        if last.end < now - LOOK:
            over.append(last)
        for loss_run in over:
            self._told_held = loss_run.start
            self._events.append(loss_run)
        return None if last in over else replace(last, end=now, ended=False)

    def _worked(self, stream: LossRun | None, now: float) -> bool:
        """Tell whether connections work while datagrams stay away.

        One that waited for a server to go on is done before its datagrams come.
        """
        closures = self.fresh.closures
        if stream is None or closures.why:
            self._worked_at = None
        elif self._worked_at is None and closures.worked > stream.start:
            self._worked_at = now
        return self._worked_at is not None and now - self._worked_at >= _SURE

    def _ours(self, signs: ProbeState, events: list[Event]) -> bool:
        """Tell whether it may all come from this end, which did not run meanwhile."""
        stalled = self._means.stalls.stalled
        return signs.start is None and all(
            stalled(event.start, event.end) >= QUARTER * (event.end - event.start)
            for event in events
        )

    def _try_afresh(self, signs: ProbeState, now: float) -> None:
        """Where datagrams do not pass but connections work: see whether another port helps.

        What keeps track of flows may go on sending one to a server that is gone, for as
        long as the flow goes on.
        """
        loss_run, period = signs.stream, self._means.period
        if loss_run is None or signs.why or now - loss_run.start < STUCK * period:
            return
        trial = self._trial
        if trial is None:
            if now - self._tried_afresh >= STUCK * period:
                self._tried_afresh = now
                work = in_thread(partial(passes, self.address, period))
                self._trial = asyncio.create_task(work)
        elif trial.done():
            self._trial = None
            if not trial.exception() and trial.result():
                self.episodes.afresh(now)
                picture = None if self.streaming is None else self.streaming.picture
                self._drop()
                self._stream(picture)

    def _drop(self) -> None:
        if self.streaming is not None and self._sock is not None:
            self._means.together.remove(self.streaming, self._sock)
        self.streaming = self._sock = None

    def _stream(self, picture: LossTracker | None = None) -> None:
        """Begin to stream, from another port than before; the picture may go on."""
        try:
            sock = UdpSocket(self.address)
        except OSError as error:
            self._unmade = classify(error)[1]
            return
        period = self._means.period
        picture = picture or LossTracker(period, RING)
        self._sock = sock
        self.streaming = UdpProbe(sock, period, self._events.append, picture)
        self._means.together.add(self.streaming, sock, period)

    def _meet(self, welcome: Welcome) -> None:
        self.known.take(instance_of(welcome), time.monotonic())

    def _pause(self, event: Event) -> None:
        if isinstance(event, ConnectionStall):
            away = self._means.stalls.stalled(event.start, event.end)
            event = replace(event, stalled=away)
        self._events.append(event)
