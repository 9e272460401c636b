"""Watches each address for a time: two streams of datagrams, fresh connections, an old one."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeVar

from netduet.client.checks.base import CheckContext
from netduet.client.checks.identity.results import IdentityAnswer, IdentityResult
from netduet.client.net.dial import classify, in_thread
from netduet.client.net.udp_socket import UdpSocket
from netduet.client.outages.connect_probe import AT_ONCE, ConnectProbe
from netduet.client.outages.events import (
    ConnectFailureRun,
    ConnectionStall,
    Event,
    LossRun,
    ServerRestart,
    Tell,
)
from netduet.client.outages.keepalive_probe import KeepaliveProbe
from netduet.client.outages.observations import (
    DatagramObservations,
    LongLivedConnection,
    NewConnections,
    Observations,
    Stream,
)
from netduet.client.outages.udp_probe import UdpProbe
from netduet.runtime.stall_monitor import StallMonitor

MOST: Final = 4
"""Addresses that are watched."""

FEATURE: Final = "stream"

KEPT: Final = 1000
"""Events that are kept of each address."""

_ROUND_TRIPS: Final = 6
_LONGEST: Final = 3.0

One = TypeVar("One")


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """For how long, and how often: seconds from one to the next of each kind."""

    seconds: float
    datagram: float = 0.02
    fresh: float = 0.1
    echo: float = 0.05


PLANS: Final = {
    "quick": StreamPlan(2.0),
    "full": StreamPlan(20.0),
    "soak": StreamPlan(3600.0, fresh=0.2),
}


async def measure(context: CheckContext) -> Stream:
    """Watch all addresses at which a netduet answers, side by side."""
    known = context.earlier(IdentityResult).known[:MOST]
    plan = PLANS[context.profile]
    if context.options.stream_time:
        plan = replace(plan, seconds=context.options.stream_time)
    places = await asyncio.gather(*(watch(context, answer, plan) for answer in known))
    return Stream(tuple(places), context.options.max_outage)


async def watch(
    context: CheckContext, answer: IdentityAnswer, plan: StreamPlan
) -> Observations:
    """Watch one address."""
    address, patience = answer.address, context.timeouts
    welcome = answer.opening.welcome
    asked = welcome is not None and FEATURE in welcome.features
    events: list[Event] = []
    start = time.monotonic()

    def tell(event: Event) -> None:  # also by the thread: a list takes both
        if len(events) < KEPT:
            events.append(event)

    async with StallMonitor() as stalls:

        def tell_pause(event: Event) -> None:
            if isinstance(event, ConnectionStall):
                away = stalls.stalled(event.start, event.end)
                event = replace(event, stalled=away)
            tell(event)

        at_once = max(AT_ONCE, _ROUND_TRIPS * answer.opening.seconds)
        fresh = ConnectProbe(
            address,
            patience,
            plan.fresh,
            stalls,
            tell,
            at_once=min(at_once, _LONGEST),
        )
        echoes = KeepaliveProbe(address, patience, plan.echo, tell_pause)
        datagrams, _, _ = await asyncio.gather(
            _streamed(answer, plan, tell) if asked else _unasked(),
            fresh.run(plan.seconds),
            echoes.run(plan.seconds),
        )
    closures, pauses = fresh.closures, echoes.pauses
    return Observations(
        address,
        start,
        time.monotonic(),
        datagrams,
        NewConnections(
            plan.fresh,
            closures.started,
            closures.failed,
            closures.void,
            fresh.skipped,
            closures.longest_void,
        ),
        LongLivedConnection(
            pauses.asked,
            pauses.answered,
            echoes.connections,
            echoes.unmade,
            echoes.sent_again,
            echoes.report,
        ),
        _only(events, LossRun),
        _only(events, ServerRestart),
        _only(events, ConnectFailureRun),
        _only(events, ConnectionStall),
        time.time() - time.monotonic(),
    )


async def _unasked() -> DatagramObservations:
    return DatagramObservations(asked=False, answered=False)


async def _streamed(
    answer: IdentityAnswer, plan: StreamPlan, tell: Tell
) -> DatagramObservations:
    """Stream in a thread, which ends when this is cancelled."""
    stop = threading.Event()
    try:
        return await in_thread(partial(_stream, answer, plan, tell, stop))
    finally:
        stop.set()


def _stream(
    answer: IdentityAnswer, plan: StreamPlan, tell: Tell, stop: threading.Event
) -> DatagramObservations:
    try:
        sock = UdpSocket(answer.address)
    except OSError as error:
        return DatagramObservations(answered=False, error=classify(error)[1])
    with sock:
        streaming = UdpProbe(sock, plan.datagram, tell)
        streaming.run(plan.seconds, stop)
        picture = streaming.picture
        notices = sock.notices
        return DatagramObservations(
            plan.datagram,
            answered=streaming.answered,
            refused=streaming.refused,
            error=streaming.error,
            notice=notices[0].error if notices else "",
            round_trip=streaming.round_trip,
            up=picture.up,
            down=picture.down,
            unsent=streaming.unsent,
            stalled=streaming.stalled,
            dropped=sock.dropped,
            lateness=picture.lateness,
            server_stalls=picture.stalls,
        )


def _only(events: list[Event], kind: type[One]) -> tuple[One, ...]:
    return tuple(event for event in events if isinstance(event, kind))
