"""One watched address: its probes, and their state.

It costs a UDP socket, a long-lived connection, and new connections at intervals.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from netduet.client.net.dial import classify
from netduet.client.net.udp_socket import UdpSocket
from netduet.client.outages.classify import STALL_STARVED_SHARE
from netduet.client.outages.connect_probe import (
    MAX_CONNECT_SECONDS,
    MIN_FAILURES,
    ConnectProbe,
)
from netduet.client.outages.events import (
    ConnectFailureRun,
    ConnectionStall,
    LossRun,
    ProbeEvent,
)
from netduet.client.outages.keepalive_probe import KeepaliveProbe
from netduet.client.outages.loss_tracker import LossCounts, LossTracker
from netduet.client.outages.open_outage import ProbeState, without_starvation
from netduet.client.outages.outage import OutageNotice
from netduet.client.outages.udp_probe import UdpProbe
from netduet.client.results.instance import instance_of
from netduet.client.stats.histogram import RoundTrips
from netduet.client.watch.outage_tracker import QUIET_SECONDS, OutageTracker
from netduet.client.watch.partial_failure import PartialFailureTracker
from netduet.client.watch.peer_identity import PeerIdentity
from netduet.client.watch.port_trial import RING_SIZE, NewPortTrial
from netduet.client.watch.recent_counts import ProbeTotals
from netduet.client.watch.send_blocks import SendBlocks
from netduet.client.watch.shutdowns import Shutdowns
from netduet.net.time_span import TimeSpan

if TYPE_CHECKING:
    from netduet.client.results.instance import Instance
    from netduet.client.watch.peer_context import PeerContext
    from netduet.client.watch.peer_dialer import PeerDialer
    from netduet.wire.messages import Welcome

MAX_EVENTS: Final = 256
"""Events between two polls."""

CONNECT_PERIODS: Final = 20
ECHO_PERIODS: Final = 10
"""Periods of the stream per new connection, and per request on the long-lived one."""

POLL_SECONDS: Final = 0.25
"""Seconds between two polls."""

STUCK_DATAGRAMS: Final = 300
"""Unanswered datagrams, while connections work, after which a new port is tried."""

MIN_FAILURES_WITHOUT_DATAGRAMS: Final = 2
"""Consecutive failures to report when no datagrams pass: together with a stall of the
long-lived connection they may prove an outage."""

_ROUND_TRIPS: Final = 6
_MAX_CONNECT_SECONDS: Final = 3.0
_SOCKET_RETRY_SECONDS: Final = 10.0
_NO_DATAGRAMS_SECONDS: Final = 10.0
_CONFIRM_SECONDS: Final = 1.0


class Peer:
    """One watched address: ``run`` the probes, ``poll`` for notices, then ``close``."""

    def __init__(self, dialer: PeerDialer, target: str, context: PeerContext) -> None:
        """Prepare; ``target`` is the name that it was resolved from."""
        self.address = address = dialer.address
        self._dialer = dialer
        self.target = target
        self.round_trips = RoundTrips()
        self.last_problem = float("-inf")
        """The monotonic second of the latest problem."""
        self.absent_since: float | None = None
        """Since when no name has this address any more; it is watched while it works."""
        self.should_drop = False
        """Whether it is absent from DNS, and what is wrong is no outage, or reported."""
        self.left_at: float | None = None
        """When its server shut down, as announced, and no other followed."""
        self.follows = False
        """Whether a server answers that follows such a shutdown, not reported yet."""
        self.identity = PeerIdentity()
        self.shutdowns = Shutdowns(CONNECT_PERIODS * context.period)
        self._context = context
        self._events: deque[ProbeEvent] = deque(maxlen=MAX_EVENTS)
        period = context.period
        self.partial_failures = PartialFailureTracker(
            context.outage_numbers, context.connection_budget
        )
        self.connect_probe = ConnectProbe(
            dialer,
            context.timeouts,
            CONNECT_PERIODS * period,
            context.stalls,
            self._events.append,
            on_welcome=self._on_welcome,
            follower=self.partial_failures,
        )
        self.keepalive_probe = KeepaliveProbe(
            dialer,
            context.timeouts,
            ECHO_PERIODS * period,
            context.stalls,
            self._events.append,
            on_round_trip=self.round_trips.add,
            on_welcome=self._on_welcome,
            on_shutdown=self.shutdowns.record_announcement,
        )
        self.outage_tracker = OutageTracker(
            address,
            period,
            CONNECT_PERIODS * period,
            context.max_outage,
            context.outage_numbers,
        )
        self.udp_probe: UdpProbe | None = None
        self._sock: UdpSocket | None = None
        self._send_blocks = SendBlocks(period, POLL_SECONDS)
        self._worked_since: float | None = None
        self._socket_tried_at = float("-inf")
        self._started = time.monotonic()
        self._no_datagrams_pending = True
        self._socket_error = ""
        self._port_trial = NewPortTrial(address, period, STUCK_DATAGRAMS * period)

    async def run(self) -> None:
        """Run the TCP probes until cancelled, when it is known what answers there."""
        await self._dialer.identify_once()
        # A random delay, so that the probes of all peers do not run in step.
        spread = random.uniform(0.0, ECHO_PERIODS * self._context.period)  # noqa: S311
        await asyncio.sleep(spread)
        probes = self.connect_probe, self.keepalive_probe
        await asyncio.gather(
            self._dialer.identify(), *(probe.run(float("inf")) for probe in probes)
        )

    def close(self) -> None:
        """End the UDP stream."""
        self._port_trial.close()
        self._stop_stream()

    def poll(self, now: float) -> list[OutageNotice]:
        """Return the notices that are due."""
        retry_at = self._socket_tried_at + _SOCKET_RETRY_SECONDS
        if self._dialer.is_netduet and self.udp_probe is None and now > retry_at:
            self._socket_tried_at = now
            self._start_stream()
        connect_seconds = _ROUND_TRIPS * self.keepalive_probe.detector.min_round_trip
        self.connect_probe.max_seconds = min(
            _MAX_CONNECT_SECONDS, max(MAX_CONNECT_SECONDS, connect_seconds)
        )
        totals = self.totals()  # before the events: the probes count first
        events = [self._events.popleft() for _ in range(len(self._events))]
        tracker = None if self.udp_probe is None else self.udp_probe.tracker
        self.shutdowns.observe(self.keepalive_probe, tracker)
        state = self._probe_state(now)
        if events or state.start is not None or self.shutdowns.is_pending(now):
            self.last_problem = now
        state = self.shutdowns.explain_state(state, now)
        events = self.shutdowns.explain_events(events, now)
        self.left_at = self.shutdowns.left_at(now)
        if self.left_at is not None:
            return []
        if events or state.start is not None:
            self.last_problem = now
            if self._has_left(state, events):
                self.should_drop = True
                return []
        self._try_new_port(state, now)
        notices = self.outage_tracker.update(now, state, events, totals)
        losses = self.outage_tracker.scattered_losses(totals)
        self.partial_failures.exclude(notices, totals.server_stalls, losses)
        return notices

    @property
    def is_netduet(self) -> bool:
        """Whether a netduet server is demanded, or answers there."""
        return self._dialer.is_netduet

    @property
    def instance(self) -> Instance | None:
        """The instance that answers there; None if unknown or if several do."""
        return self.identity.instance

    @property
    def reached(self) -> bool | None:
        """Whether it has ever answered; None while no attempt has shown it."""
        attempts = self.connect_probe.tracker
        if self.identity.answered or attempts.started > attempts.failed:
            return True
        if self._datagrams_pass or self.keepalive_probe.connections:
            return True
        return False if attempts.failed else None

    def take_identity_change(self, now: float) -> tuple[Instance, ...]:
        """Return the instances if they changed, but not shortly after a problem."""
        quiet = now - self.last_problem >= QUIET_SECONDS
        return self.identity.take_change(now) if quiet else ()

    def totals(self) -> ProbeTotals:
        """Return the counters of all probes."""
        connect, keepalive = self.connect_probe.tracker, self.keepalive_probe.detector
        counts = connect.started, connect.failed, keepalive.asked, keepalive.answered
        probe = self.udp_probe
        if probe is None:
            return ProbeTotals(LossCounts(), LossCounts(), *counts)
        up, down, stalls = probe.tracker.up, probe.tracker.down, probe.tracker.stalls
        return ProbeTotals(up, down, *counts, stalls, probe.send_blocked, probe.error)

    def take_no_datagrams_reason(self, now: float) -> str:
        """Return, once, the reason why UDP shows nothing here; "" if it does."""
        early = now - self._started < _NO_DATAGRAMS_SECONDS
        if early or not self._no_datagrams_pending or self._datagrams_pass:
            return ""
        if not self._dialer.is_netduet:
            return ""  # none are sent to other services
        if not self.totals().connections_worked:
            return ""  # nothing answers there at all
        udp_probe = self.udp_probe
        self._no_datagrams_pending = False
        if udp_probe is None:
            return f"this host cannot send datagrams there ({self._socket_error})"
        if udp_probe.refused:
            return f"the server refuses to stream datagrams: {udp_probe.refused}"
        return (
            f"datagrams do not get through ({udp_probe.error or 'no response to any'})"
        )

    @property
    def _datagrams_pass(self) -> bool:
        probe = self.udp_probe
        return probe is not None and probe.tracker.last_arrival is not None

    def _probe_state(self, now: float) -> ProbeState:
        udp_probe, failures = self.udp_probe, self.connect_probe.tracker
        stream = None
        if udp_probe is not None and not udp_probe.refused:
            stream = udp_probe.ongoing
        stall = self._ongoing_stall(now, others=stream or failures.ongoing)
        datagrams_pass = self._datagrams_pass
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
            self.keepalive_probe.detector.answered > 0,
            self.partial_failures.since,
            self.partial_failures.suspected,
        )
        start = state.start
        if start is None:
            return state
        if self.outage_tracker.ongoing is None and not state.proven:
            # Reported once it is over and classified.
            return replace(state, stream=None)
        stalls = () if udp_probe is None else udp_probe.tracker.stalls
        server_stalled = TimeSpan(start, now).covered_seconds(stalls)
        client_stalled = self._context.stalls.stalled(start, now)
        return without_starvation(
            state, client_stalled, server_stalled, max(now - start, POLL_SECONDS)
        )

    def _ongoing_stall(
        self, now: float, others: LossRun | ConnectFailureRun | None
    ) -> ConnectionStall | None:
        """Return a long stall, if it is known whether new connections work meanwhile."""
        stall = self.keepalive_probe.detector.ongoing(now)
        if stall is None or stall.seconds <= self._context.max_outage:
            return None
        worked = self.connect_probe.tracker.last_success >= stall.start
        return stall if worked or others is not None else None

    def _blocked_run(self, now: float) -> LossRun | None:
        """Return the ongoing outage in which this client's own kernel sends nothing.

        Those that are over become events.
        """
        udp_probe = self.udp_probe
        if udp_probe is None:
            return None
        ongoing, over = self._send_blocks.update(udp_probe.send_blocked, now)
        self._events.extend(over)
        return ongoing

    def _connections_work(self, stream: LossRun | None, now: float) -> bool:
        """Whether connections work while no datagrams arrive.

        Only after a while: after a pause of the server, connections work before
        datagrams arrive.
        """
        failures = self.connect_probe.tracker
        partial = self.partial_failures.since is not None
        fail = failures.ongoing is not None or (failures.last_error and not partial)
        if stream is None or fail:
            self._worked_since = None
        elif self._worked_since is None and failures.last_success > stream.start:
            self._worked_since = now
        return (
            self._worked_since is not None
            and now - self._worked_since >= _CONFIRM_SECONDS
        )

    def _has_left(self, state: ProbeState, events: list[ProbeEvent]) -> bool:
        """Whether a problem means that the server has gone after its name dropped it.

        A problem that is older than that is an outage: it is reported first.
        """
        if self.absent_since is None or self._may_be_local(state, events):
            return False
        starts = [event.start for event in events]
        if state.start is not None:
            starts.append(state.start)
        reported = self.outage_tracker.ongoing is not None
        return reported or not self.reached or min(starts) >= self.absent_since

    def _may_be_local(self, state: ProbeState, events: list[ProbeEvent]) -> bool:
        """Whether it may all be due to this client, which was not running."""
        stalled = self._context.stalls.stalled
        return state.start is None and all(
            stalled(event.start, event.end) >= STALL_STARVED_SHARE * event.seconds
            for event in events
        )

    def _try_new_port(self, state: ProbeState, now: float) -> None:
        """Try another port when connections work but datagrams do not pass.

        A stateful device may send a flow to a dead server for as long as the flow
        lasts.
        """
        loss_run, period = state.stream, self._context.period
        if (
            loss_run is None
            or state.connect_error
            or now - loss_run.start < STUCK_DATAGRAMS * period
        ):
            return
        if self._port_trial.update(now):
            self.outage_tracker.note_new_port(now)
            tracker = None if self.udp_probe is None else self.udp_probe.tracker
            self._stop_stream()
            self._start_stream(tracker)

    def _stop_stream(self) -> None:
        if self.udp_probe is not None and self._sock is not None:
            self._context.udp_scheduler.remove(self.udp_probe, self._sock)
        self.udp_probe = self._sock = None

    def _start_stream(self, tracker: LossTracker | None = None) -> None:
        """Start a stream from a new port; a given tracker continues."""
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
        now, instance = time.monotonic(), instance_of(welcome)
        self.identity.record(instance, now)
        self.shutdowns.record_answer(welcome.boot_id, now, instance)
