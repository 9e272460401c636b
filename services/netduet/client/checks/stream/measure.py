"""Watches an address: two UDP streams, new connections, a long-lived one."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from netduet.client.checks.base import CheckContext
from netduet.client.checks.identity.results import IdentityAnswer
from netduet.client.checks.reach.results import ReachResult
from netduet.client.net.dial import classify as classify_error
from netduet.client.net.dial import in_thread
from netduet.client.net.path_rate import (
    CONNECTION_BYTES,
    DATAGRAM_BYTES,
    ECHO_BYTES,
    spacing,
)
from netduet.client.net.udp_socket import UdpSocket
from netduet.client.outages.classify import Rules, classify
from netduet.client.outages.connect_probe import MAX_CONNECT_SECONDS, ConnectProbe
from netduet.client.outages.correlate import correlate
from netduet.client.outages.events import (
    ConnectFailureRun,
    ConnectionStall,
    EventHandler,
    LossRun,
    ProbeEvent,
    ServerRestart,
    of_kind,
)
from netduet.client.outages.keepalive_probe import KeepaliveProbe
from netduet.client.outages.observations import (
    DatagramObservations,
    LongLivedConnection,
    NewConnections,
    Observations,
)
from netduet.client.outages.outage import OUTAGE
from netduet.client.outages.udp_probe import UdpProbe
from netduet.runtime.stall_monitor import StallMonitor
from netduet.wire.udp_stream import MAX_PERIOD_MS

FEATURE: Final = "stream"

MAX_EVENTS: Final = 1000
"""Maximum events kept per address."""

_SERVICE_PERIOD_SECONDS: Final = 0.2
"""Minimum seconds between two connections to a service, and between two questions."""

_RHYTHM_SECONDS: Final = 7.0
"""Seconds to watch for a rhythm if a shorter time has shown a short outage."""

_CONNECTION_SHARE: Final = 0.25
"""Share of the connections in a row that a protocol allows; ``churn`` makes the others."""

_BURST_SECONDS: Final = 60.0
"""Seconds after which a service has forgotten earlier connections."""

_PATH_SHARE: Final = 0.15
"""Share of a slow path's rate for each of datagrams, connections and echoes."""

_MAX_PERIOD_SECONDS: Final = MAX_PERIOD_MS / 1000
_ROUND_TRIPS: Final = 6
_CONNECT_FACTOR: Final = 1.5
"""Factor by which a new connection may exceed the usual time of a handshake."""

_MAX_CONNECT_SECONDS: Final = 3.2
"""Maximum of these times: two SYNs that are lost each time, with a margin."""


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """Duration, and seconds between two datagrams, connections and echoes."""

    seconds: float
    datagram: float = 0.02
    connect: float = 0.1
    echo: float = 0.05


PLANS: Final = {
    "quick": StreamPlan(2.0),
    "full": StreamPlan(20.0),
    "soak": StreamPlan(3600.0, connect=0.2),
}


async def measure(context: CheckContext, answer: IdentityAnswer) -> Observations:
    """Watch an address for the time of the profile."""
    plan = PLANS[context.profile]
    if context.options.stream_time:
        plan = replace(plan, seconds=context.options.stream_time)
    observations = await watch(context, answer, plan)
    if plan.seconds >= _RHYTHM_SECONDS or not _has_short_outages(
        observations, context.options.max_outage
    ):
        return observations
    longer = await watch(context, answer, replace(plan, seconds=_RHYTHM_SECONDS))
    return longer if longer.loss_runs else observations


def _has_short_outages(observations: Observations, max_outage: float) -> bool:
    """Whether there were outages, and all so short that only a rhythm matters."""
    outages = classify(observations, correlate(observations), Rules(max_outage))
    return bool(outages) and all(
        outage.tolerated and outage.proven and outage.failure == OUTAGE
        for outage in outages
    )


async def watch(
    context: CheckContext, answer: IdentityAnswer, plan: StreamPlan
) -> Observations:
    """Watch one address."""
    dialer, timeouts = answer.dialer, context.timeouts
    if answer.is_service:
        plan = _gentle_plan(plan, answer)
    plan = fit_plan(plan, answer.rate)
    events: list[ProbeEvent] = []
    start = time.monotonic()

    def on_event(event: ProbeEvent) -> None:  # also called by the thread
        if len(events) < MAX_EVENTS:
            events.append(event)

    async with StallMonitor() as stalls:
        max_connect_seconds = max(
            MAX_CONNECT_SECONDS,
            _ROUND_TRIPS * answer.handshake.seconds,
            _CONNECT_FACTOR * _usual_connect_seconds(context, answer),
        )
        connect_probe = ConnectProbe(
            dialer,
            timeouts,
            plan.connect,
            stalls,
            on_event,
            max_seconds=min(max_connect_seconds, _MAX_CONNECT_SECONDS),
        )
        keepalive_probe = KeepaliveProbe(dialer, timeouts, plan.echo, stalls, on_event)
        datagrams, _, _ = await asyncio.gather(
            _stream_in_thread(answer, plan, on_event)
            if FEATURE in answer.features
            else _unsupported(answer),
            connect_probe.run(plan.seconds),
            keepalive_probe.run(plan.seconds),
        )
    connect_tracker, detector = connect_probe.tracker, keepalive_probe.detector
    return Observations(
        answer.address,
        start,
        time.monotonic(),
        datagrams,
        NewConnections(
            plan.connect,
            connect_tracker.started,
            connect_tracker.failed,
            connect_tracker.void,
            connect_tracker.longest_void,
            tuple(connect_tracker.trials),
        ),
        LongLivedConnection(
            detector.asked,
            detector.answered,
            keepalive_probe.connect_error,
            keepalive_probe.retransmits,
            keepalive_probe.server_report,
        ),
        of_kind(events, LossRun),
        of_kind(events, ServerRestart),
        of_kind(events, ConnectFailureRun),
        of_kind(events, ConnectionStall),
        time.time() - time.monotonic(),
    )


def fit_plan(plan: StreamPlan, rate: float) -> StreamPlan:
    """Return a plan that leaves most of a path with this rate in bit/s free."""
    datagram = spacing(DATAGRAM_BYTES, rate, _PATH_SHARE)
    return replace(
        plan,
        datagram=min(_MAX_PERIOD_SECONDS, max(plan.datagram, datagram)),
        connect=max(plan.connect, spacing(CONNECTION_BYTES, rate, _PATH_SHARE)),
        echo=max(plan.echo, spacing(ECHO_BYTES, rate, _PATH_SHARE)),
    )


def _gentle_plan(plan: StreamPlan, answer: IdentityAnswer) -> StreamPlan:
    """Return a plan that a service does not take for an attack."""
    protocol = answer.protocol
    connect = max(plan.connect, _SERVICE_PERIOD_SECONDS)
    if protocol is not None:
        most = max(1.0, protocol.max_connections * _CONNECTION_SHARE)
        burst = min(plan.seconds, _BURST_SECONDS) / most
        connect = max(connect, burst)
    echo = max(plan.echo, _SERVICE_PERIOD_SECONDS)
    return replace(plan, connect=connect, echo=echo)


def _usual_connect_seconds(context: CheckContext, answer: IdentityAnswer) -> float:
    """Return how long TCP's handshake takes each time: the shorter of the first two.

    If each new connection needs a second SYN, its price is no outage.
    """
    reach = context.measured.get(ReachResult)
    accepted = reach.accepted if isinstance(reach, ReachResult) else ()
    reached = [
        attempt.seconds for attempt in accepted if attempt.address == answer.address
    ]
    opened = answer.handshake.connect_seconds
    return min([*([opened] if opened else []), *reached], default=0.0)


async def _unsupported(answer: IdentityAnswer) -> DatagramObservations:
    return DatagramObservations(
        supported=False, answered=False, of_service=answer.is_service
    )


async def _stream_in_thread(
    answer: IdentityAnswer, plan: StreamPlan, on_event: EventHandler
) -> DatagramObservations:
    """Stream in a thread, which ends when this is cancelled."""
    stop = threading.Event()
    try:
        return await in_thread(partial(_stream, answer, plan, on_event, stop))
    finally:
        stop.set()


def _stream(
    answer: IdentityAnswer,
    plan: StreamPlan,
    on_event: EventHandler,
    stop: threading.Event,
) -> DatagramObservations:
    try:
        sock = UdpSocket(answer.address)
    except OSError as error:
        return DatagramObservations(answered=False, error=classify_error(error)[1])
    with sock:
        udp_probe = UdpProbe(sock, plan.datagram, on_event)
        udp_probe.run(plan.seconds, stop)
        tracker = udp_probe.tracker
        notices = sock.notices
        return DatagramObservations(
            plan.datagram,
            answered=udp_probe.answered,
            refused=udp_probe.refused,
            error=udp_probe.error,
            notice=notices[0].error if notices else "",
            up=tracker.up,
            down=tracker.down,
            unsent=udp_probe.unsent,
            stalled=udp_probe.stalled,
            dropped=sock.dropped,
            lateness=tracker.lateness,
            server_stalls=tracker.stalls,
        )
