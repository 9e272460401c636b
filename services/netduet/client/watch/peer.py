"""One peer: its streams, its connections, what they say of it, what they cost.

Each costs one UDP socket, one old connection, and a fresh one now and then.
"""

from __future__ import annotations

import asyncio
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
from netduet.client.outages.classify import STALL_STARVED_SHARE
from netduet.client.outages.connect_probe import (
    MAX_CONNECT_SECONDS,
    MIN_FAILURES,
    ConnectProbe,
)
from netduet.client.outages.events import (
    ConnectionStall,
    LossRun,
    ProbeEvent,
)
from netduet.client.outages.keepalive_probe import KeepaliveProbe
from netduet.client.outages.loss_tracker import MIN_LOSSES, LossCounts, LossTracker
from netduet.client.outages.open_outage import ProbeState, without_starvation
from netduet.client.outages.outage import OutageNotice
from netduet.client.outages.udp_probe import UdpProbe
from netduet.client.results.instance import instance_of
from netduet.client.results.location import Location
from netduet.client.stats.histogram import RoundTrips
from netduet.client.watch.outage_tracker import (
    QUIET_SECONDS,
    OutageTracker,
    ProbeTotals,
)
from netduet.client.watch.peer_identity import PeerIdentity
from netduet.net.time_span import TimeSpan

if TYPE_CHECKING:
    from netduet.client.net.timeouts import Timeouts
    from netduet.client.outages.udp_scheduler import UdpScheduler
    from netduet.client.results.instance import Instance
    from netduet.runtime.stall_monitor import StallMonitor
    from netduet.wire.messages import Welcome

RING_SIZE: Final = 4096
"""Datagrams of which it is known when each left: 32 KiB a peer."""

MAX_EVENTS: Final = 256
"""Events that wait for a look; there is one several times a second."""

CONNECT_PERIODS: Final = 20
ECHO_PERIODS: Final = 10
"""Datagrams of a stream for each fresh connection, and each question on the old one."""

POLL_SECONDS: Final = 0.25
"""Seconds between two looks at a peer."""

STUCK_DATAGRAMS: Final = 300
"""Datagrams without an answer, while connections work, after which others are tried."""

MIN_FAILURES_WITHOUT_DATAGRAMS: Final = 2
"""New connections behind one another that are told of where no datagrams pass: with the
old one's pause so few may prove an outage.
"""

_TRIAL_SECONDS: Final = 1.0
_ROUND_TRIPS: Final = 6
_MAX_CONNECT_SECONDS: Final = 3.0
_SOCKET_RETRY_SECONDS: Final = 10.0
_NO_DATAGRAMS_SECONDS: Final = 10.0
_CONFIRM_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class PeerContext:
    """What all peers share. ``period`` is the seconds between datagrams of a stream."""

    period: float
    tolerance: float
    timeouts: Timeouts
    udp_scheduler: UdpScheduler
    stalls: StallMonitor
    outage_numbers: Iterator[int]


def is_answered_from_new_port(address: Address, period: float) -> bool:
    """Tell whether a stream from a new port is answered. Blocking, for a second or two.

    Raises:
        OSError: no socket, or no route.

    """
    with UdpSocket(address) as sock:
        trial = UdpProbe(sock, period, lambda _: None, LossTracker(period, RING_SIZE))
        trial.run(_TRIAL_SECONDS, threading.Event())
        return trial.tracker.last_arrival is not None


class Peer:
    """Watches one address. ``run`` it; ``look`` often; ``close`` it in the end."""

    def __init__(self, address: Address, target: str, context: PeerContext) -> None:
        """Prepare; ``target`` is the name that it is watched for."""
        self.address = address
        self.target = target
        self.round_trips = RoundTrips()
        self.last_problem = float("-inf")
        """When it was in trouble last."""
        self.absent_from_dns = False
        """Its name has it no more, and it is watched while it answers."""
        self.should_drop = False
        """It is in trouble since: it ends, which is none of the network's business."""
        self.identity = PeerIdentity()
        self._context = context
        self._events: deque[ProbeEvent] = deque(maxlen=MAX_EVENTS)
        period = context.period
        self.connect_probe = ConnectProbe(
            address,
            context.timeouts,
            CONNECT_PERIODS * period,
            context.stalls,
            self._events.append,
            on_welcome=self._on_welcome,
        )
        self.keepalive_probe = KeepaliveProbe(
            address,
            context.timeouts,
            ECHO_PERIODS * period,
            self._on_stall,
            self.round_trips.add,
            on_welcome=self._on_welcome,
        )
        self.outage_tracker = OutageTracker(
            address,
            period,
            CONNECT_PERIODS * period,
            context.tolerance,
            context.outage_numbers,
        )
        self.udp_probe: UdpProbe | None = None
        self._sock: UdpSocket | None = None
        self._reported_blocked = float("-inf")
        self._worked_since: float | None = None
        self._socket_tried_at = float("-inf")
        self._started = time.monotonic()
        self._no_datagrams_pending = True
        self._socket_error = ""
        self._trial: asyncio.Task[bool] | None = None
        self._trial_started = float("-inf")

    async def run(self) -> None:
        """Go on until cancelled."""
        # Else all peers would have their turns at the same time.
        spread = random.uniform(0.0, ECHO_PERIODS * self._context.period)  # noqa: S311
        await asyncio.sleep(spread)
        forever = float("inf")
        await asyncio.gather(
            self.connect_probe.run(forever), self.keepalive_probe.run(forever)
        )

    def close(self) -> None:
        """End the stream."""
        if self._trial is not None:
            self._trial.cancel()
        self._stop_stream()

    def poll(self, now: float) -> list[OutageNotice]:
        """Return what is to be told of it now."""
        if (
            self.udp_probe is None
            and now - self._socket_tried_at > _SOCKET_RETRY_SECONDS
        ):
            self._socket_tried_at = now
            self._start_stream()
        max_seconds = _ROUND_TRIPS * self.keepalive_probe.detector.min_round_trip
        self.connect_probe.max_seconds = min(
            _MAX_CONNECT_SECONDS, max(MAX_CONNECT_SECONDS, max_seconds)
        )
        totals = self.totals()  # before the events, which it has counted already
        events = [self._events.popleft() for _ in range(len(self._events))]
        state = self._probe_state(now)
        if events or state.start is not None:
            self.last_problem = now
            if self.absent_from_dns and not self._may_be_local(state, events):
                self.should_drop = True
                return []
        self._try_new_port(state, now)
        return self.outage_tracker.update(now, state, events, totals)

    @property
    def instance(self) -> Instance | None:
        """The instance that answers there; None: not known, or several do."""
        return self.identity.instance

    def take_identity_change(self, now: float) -> tuple[Instance, ...]:
        """Return who it is, when that is new: nothing until an outage has been told of."""
        return (
            self.identity.take_change(now)
            if now - self.last_problem >= QUIET_SECONDS
            else ()
        )

    def totals(self) -> ProbeTotals:
        """Return all that was counted."""
        connect_tracker, detector = (
            self.connect_probe.tracker,
            self.keepalive_probe.detector,
        )
        counts = (
            connect_tracker.started,
            connect_tracker.failed,
            detector.asked,
            detector.answered,
        )
        if self.udp_probe is None:
            return ProbeTotals(LossCounts(), LossCounts(), *counts)
        udp_probe = self.udp_probe
        up, down, stalls = (
            udp_probe.tracker.up,
            udp_probe.tracker.down,
            udp_probe.tracker.stalls,
        )
        return ProbeTotals(
            up, down, *counts, stalls, udp_probe.send_blocked, udp_probe.error
        )

    def take_no_datagrams_reason(self, now: float) -> str:
        """Return, once, why its datagrams can tell nothing; "" where they can."""
        udp_probe = self.udp_probe
        if (
            not self._no_datagrams_pending
            or now - self._started < _NO_DATAGRAMS_SECONDS
        ):
            return ""
        if udp_probe is not None and udp_probe.tracker.last_arrival is not None:
            return ""
        worked = self.connect_probe.tracker.started > self.connect_probe.tracker.failed
        if not worked:
            return ""  # nothing answers there at all
        self._no_datagrams_pending = False
        if udp_probe is None:
            return f"this host cannot send datagrams there ({self._socket_error})"
        if udp_probe.refused:
            return f"the server refuses to stream datagrams: {udp_probe.refused}"
        return f"datagrams do not pass ({udp_probe.error or 'no response to any'})"

    def _probe_state(self, now: float) -> ProbeState:
        udp_probe, failures = self.udp_probe, self.connect_probe.tracker
        stream = None
        if udp_probe is not None and not udp_probe.refused:
            stream = udp_probe.ongoing
        stall = self.keepalive_probe.detector.ongoing(now)
        if stall is not None and (
            stall.seconds <= self._context.tolerance
            or (
                stream is None
                and failures.ongoing is None
                and failures.last_success < stall.start
            )
        ):
            stall = None  # too short; or who knows whether new ones work
        datagrams_pass = (
            udp_probe is not None and udp_probe.tracker.last_arrival is not None
        )
        failures.min_failures = (
            MIN_FAILURES if datagrams_pass else MIN_FAILURES_WITHOUT_DATAGRAMS
        )
        answered_before = (
            datagrams_pass
            or self.identity.answered
            or failures.started > failures.failed
        )
        unreachable = self.keepalive_probe.broken and not datagrams_pass
        connections_work = self._connections_work(stream, now)
        send_error, blocked = "", self._blocked_run(now)
        if udp_probe is not None and blocked is not None:
            send_error, stream = udp_probe.error, stream or blocked
        state = ProbeState(
            stream,
            failures.ongoing,
            stall,
            failures.last_error,
            answered_before,
            unreachable,
            send_error,
            connections_work,
        )
        start = state.start
        if start is None:
            return state
        if self.outage_tracker.ongoing is None and not state.proven:
            return replace(state, stream=None)  # told when it is over, as what it is
        stalls = () if udp_probe is None else udp_probe.tracker.stalls
        server_stalled = TimeSpan(start, now).covered_seconds(stalls)
        client_stalled = self._context.stalls.stalled(start, now)
        return without_starvation(
            state, client_stalled, server_stalled, max(now - start, POLL_SECONDS)
        )

    def _blocked_run(self, now: float) -> LossRun | None:
        """Return the outage that this end itself is, when its kernel sends nothing.

        Those that are over are told of: what was never sent is lost to nobody's count.
        """
        udp_probe, period = self.udp_probe, self._context.period
        if udp_probe is None:
            return None
        spans = [
            span
            for span in udp_probe.send_blocked
            if span.start > self._reported_blocked
        ]
        outages = [
            LossRun(
                Location.TO_SERVER,
                span.start,
                span.end,
                round(span.seconds / period),
                precision=period,
            )
            for span in spans
            if span.seconds >= MIN_LOSSES * period
        ]
        if not outages:
            return None
        *closed, last = outages
        if last.end < now - POLL_SECONDS:
            closed.append(last)
        for loss_run in closed:
            self._reported_blocked = loss_run.start
            self._events.append(loss_run)
        return None if last in closed else replace(last, end=now, ended=False)

    def _connections_work(self, stream: LossRun | None, now: float) -> bool:
        """Tell whether connections work while datagrams stay away.

        One that waited for a server to go on is done before its datagrams come.
        """
        failures = self.connect_probe.tracker
        if stream is None or failures.last_error:
            self._worked_since = None
        elif self._worked_since is None and failures.last_success > stream.start:
            self._worked_since = now
        return (
            self._worked_since is not None
            and now - self._worked_since >= _CONFIRM_SECONDS
        )

    def _may_be_local(self, state: ProbeState, events: list[ProbeEvent]) -> bool:
        """Tell whether it may all come from this end, which did not run meanwhile."""
        stalled = self._context.stalls.stalled
        return state.start is None and all(
            stalled(event.start, event.end) >= STALL_STARVED_SHARE * event.seconds
            for event in events
        )

    def _try_new_port(self, state: ProbeState, now: float) -> None:
        """Where datagrams do not pass but connections work: see whether another port helps.

        What keeps track of flows may go on sending one to a server that is gone, for as
        long as the flow goes on.
        """
        loss_run, period = state.stream, self._context.period
        if (
            loss_run is None
            or state.connect_error
            or now - loss_run.start < STUCK_DATAGRAMS * period
        ):
            return
        trial = self._trial
        if trial is None:
            if now - self._trial_started >= STUCK_DATAGRAMS * period:
                self._trial_started = now
                work = in_thread(
                    partial(is_answered_from_new_port, self.address, period)
                )
                self._trial = asyncio.create_task(work)
        elif trial.done():
            self._trial = None
            if not trial.exception() and trial.result():
                self.outage_tracker.note_new_port(now)
                tracker = None if self.udp_probe is None else self.udp_probe.tracker
                self._stop_stream()
                self._start_stream(tracker)

    def _stop_stream(self) -> None:
        if self.udp_probe is not None and self._sock is not None:
            self._context.udp_scheduler.remove(self.udp_probe, self._sock)
        self.udp_probe = self._sock = None

    def _start_stream(self, tracker: LossTracker | None = None) -> None:
        """Begin to stream, from another port than before; the picture may go on."""
        try:
            sock = UdpSocket(self.address)
        except OSError as error:
            self._socket_error = classify(error)[1]
            return
        period = self._context.period
        tracker = tracker or LossTracker(period, RING_SIZE)
        self._sock = sock
        self.udp_probe = UdpProbe(sock, period, self._events.append, tracker)
        self._context.udp_scheduler.add(self.udp_probe, sock, period)

    def _on_welcome(self, welcome: Welcome) -> None:
        self.identity.record(instance_of(welcome), time.monotonic())

    def _on_stall(self, event: ProbeEvent) -> None:
        if isinstance(event, ConnectionStall):
            stalled = self._context.stalls.stalled(event.start, event.end)
            event = replace(event, client_stalled=stalled)
        self._events.append(event)
