"""Idle connections to a service other than netduet-server.

Only this end can use them again: with a harmless question, or, where the protocol has
none, with TCP keep-alive, which any kernel answers (RFC 9293 §3.8.4).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netduet.client.checks.idle import known_timers
from netduet.client.checks.idle.results import keepalive_interval
from netduet.client.net.dial import Cause
from netduet.client.net.service_connection import (
    KEEPALIVE_DEADLINE_SECONDS,
    ServiceConnection,
    open_service,
)
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import (
    LONGEST_LIVED,
    Figures,
    Finding,
    Judgement,
)
from netduet.net.time_span import TimeSpan

if TYPE_CHECKING:
    from netduet.client.checks.identity.results import IdentityAnswer
    from netduet.client.net.handshake import ConnectionEnd, Handshake
    from netduet.client.net.timeouts import Timeouts
    from netduet.client.protocols.base import Protocol
    from netduet.wire.messages import TcpInfo

_LOGIN_TOLERANCE: Final = 0.1
"""Share by which a service may end a connection later than its login timeout."""

_AT_ONCE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class ServiceHold:
    """A connection that was held idle for ``rung`` seconds, and then used again.

    ``keepalive`` is the interval of its probes meanwhile, None for none. ``ending`` is
    how it ended, ``ended_after`` the seconds of silence if it ended before its use.
    ``wait`` is from the use to the end of the wait for an answer. ``is_asked``: it was
    used by a question of the protocol, not by TCP keep-alive alone.
    """

    rung: float
    keepalive: int | None
    handshake: Handshake
    is_held: bool = False
    answered: bool = False
    ending: ConnectionEnd | None = None
    ended_after: float | None = None
    wait: TimeSpan | None = None
    tcp_info: TcpInfo | None = None
    is_asked: bool = False

    @property
    def was_reset(self) -> bool:
        """Whether it was reset."""
        return self.ending is not None and self.ending.how == Cause.RESET

    @property
    def was_closed(self) -> bool:
        """Whether it was closed in an orderly way."""
        return self.ending is not None and self.ending.how == "eof"


@dataclass(frozen=True, slots=True)
class ServiceHolds:
    """All connections to one service; rungs ``beyond`` its limit were not tried."""

    answer: IdentityAnswer
    holds: tuple[ServiceHold, ...] = ()
    beyond: tuple[float, ...] = ()


async def hold_all(
    answer: IdentityAnswer, timeouts: Timeouts, rungs: Iterable[float]
) -> ServiceHolds:
    """Hold a connection per rung, with and without keep-alive, all concurrently.

    A service that takes a connection without a login for an attack is not made to end
    one.
    """
    limit = math.inf
    if answer.protocol is not None and answer.protocol.counts_silence:
        limit = answer.protocol.login_timeout or limit
    rungs = tuple(rungs)
    beyond = tuple(rung for rung in rungs if rung >= limit)
    plans = []
    for rung in rungs[: len(rungs) - len(beyond)]:
        interval = keepalive_interval(rung)
        plans += [(rung, None)] + [(rung, interval)] * (interval < rung)
    holds = await asyncio.gather(
        *(_hold(answer, timeouts, rung, keepalive) for rung, keepalive in plans)
    )
    return ServiceHolds(answer, tuple(holds), beyond)


async def _hold(
    answer: IdentityAnswer, timeouts: Timeouts, rung: float, keepalive: int | None
) -> ServiceHold:
    async with open_service(answer.address, timeouts, answer.protocol, answer.host) as (
        handshake,
        connection,
    ):
        if connection is None:
            return ServiceHold(rung, keepalive, handshake)
        if keepalive is not None:
            connection.set_keepalive(keepalive)
        start = time.monotonic()
        await connection.wait_for_end(rung)
        if connection.ending is not None:
            idle = time.monotonic() - start
            return ServiceHold(
                rung, keepalive, handshake, True, False, connection.ending, idle
            )
        used = time.monotonic()
        is_asked, answered = await _use(connection, timeouts)
        return ServiceHold(
            rung,
            keepalive,
            handshake,
            True,
            answered,
            connection.ending,
            wait=TimeSpan(used, time.monotonic()),
            tcp_info=connection.info(),
            is_asked=is_asked,
        )


async def _use(connection: ServiceConnection, timeouts: Timeouts) -> tuple[bool, bool]:
    """Use the connection again; return whether by a question, and whether it is alive."""
    if connection.ask():
        return True, await connection.answers(timeouts.answer) is not None
    await connection.wait_for_end(KEEPALIVE_DEADLINE_SECONDS)
    return False, connection.ending is None


def judge_service(measured: ServiceHolds) -> Judgement:
    """Judge what happened to the connections, as far as this end can tell.

    A service may close idle connections; silence and resets are failures.
    """
    answer, holds = measured.answer, measured.holds
    if not holds:
        text = "not part of profile quick; use --profile full"
        return Judgement("", skipped=next(_beyond_remarks(measured), text))
    held = [hold for hold in holds if hold.is_held]
    lived = sorted({hold.rung for hold in held if hold.answered})
    findings = _findings(answer, held)
    if not held:
        reason = f"no connection could be held: {holds[0].handshake.failure}"
        doubt = Finding(
            "path.broken",
            f"{answer.address}: {reason}",
            ((Side.CLIENT, holds[0].handshake.failure),),
            missed_deadline=holds[0].handshake.missed_deadline,
        )
        return Judgement("", skipped=reason, blocks=True, doubt=doubt)
    parts = []
    if lived:
        parts.append(f"connections idle for up to {lived[-1]:g} s stay alive")
    closed = [hold for hold in held if hold.was_closed]
    if closed:
        shortest = _shortest(closed)
        when = "at once" if shortest < _AT_ONCE_SECONDS else f"after {shortest:.0f} s"
        parts.append(f"the other end closes connections {when}")
    figures: Figures = {
        LONGEST_LIVED: max(lived, default=None),
        "shortest_died": min(
            (hold.rung for hold in held if not hold.answered), default=None
        ),
    }
    remarks = (
        *_beyond_remarks(measured),
        *_keepalive_remarks(answer, held),
        *_remarks(answer.protocol, closed),
    )
    return Judgement("; ".join(parts), tuple(findings), remarks, figures)


def _beyond_remarks(measured: ServiceHolds) -> Iterator[str]:
    protocol = measured.answer.protocol
    if measured.beyond and protocol is not None and protocol.login_timeout:
        rungs = ", ".join(f"{rung:g} s" for rung in measured.beyond)
        yield (
            f"not tried: {rungs}, because {protocol.title} blocks clients that do not log "
            f"in within {protocol.login_timeout:g} s ({protocol.login_setting})"
        )


def _keepalive_remarks(
    answer: IdentityAnswer, held: list[ServiceHold]
) -> Iterator[str]:
    if any(hold.answered and not hold.is_asked for hold in held):
        yield (
            f"{answer.address}: TCP keep-alive was answered, but nothing was asked in "
            "the service's protocol; a TCP proxy in between answers keep-alive itself"
        )


def _findings(answer: IdentityAnswer, held: list[ServiceHold]) -> list[Finding]:
    dead = [
        hold
        for hold in held
        if hold.keepalive is None and not (hold.answered or hold.was_closed)
    ] or [hold for hold in held if not (hold.answered or hold.was_closed)]
    if not dead:
        return []
    first = min(dead, key=lambda hold: hold.rung)
    failure, verb = "idle.silent", "no longer carry data, and this end is not notified"
    if first.was_reset:
        failure, verb = "idle.reset", "are reset"
    saved = any(
        hold.answered for hold in held if hold.rung == first.rung and hold.keepalive
    )
    seen = f"{answer.address}: connections idle for {first.rung:g} s {verb}"
    if saved:
        seen += "; with keep-alive they stay alive"
    lived = max((hold.rung for hold in held if hold.answered), default=0.0)
    timers = known_timers.between(lived, first.rung)
    if timers:
        seen += f"; {known_timers.describe(timers)}"
    info = first.tcp_info
    unacked = info is not None and info.unacked > 0 and info.retrans > 0
    timed_out = first.ending is not None and first.ending.how == Cause.TIMEOUT
    proven = first.was_reset or unacked or timed_out
    return [
        Finding(
            failure,
            seen,
            ((Side.CLIENT, _evidence(first)),),
            {"died": first.rung, "lived": lived or None, "keepalive_lives": saved},
            where=Location.UNKNOWN,
            missed_deadline=None if proven else first.wait,
        )
    ]


def _evidence(hold: ServiceHold) -> str:
    if hold.ended_after is not None and hold.ending is not None:
        return f"{hold.ending.detail}, after {hold.ended_after:.1f} s of silence"
    waited = 0.0 if hold.wait is None else hold.wait.seconds
    text = f"used again after {hold.rung:g} s: no response in {waited:.1f} s"
    if hold.ending is not None:
        text = f"used again after {hold.rung:g} s: {hold.ending.detail}"
    info = hold.tcp_info
    if info is not None and info.unacked:
        text += "; nothing was acknowledged"
    return text


def _shortest(closed: list[ServiceHold]) -> float:
    return min(
        hold.rung if hold.ended_after is None else hold.ended_after for hold in closed
    )


def _remarks(protocol: Protocol | None, closed: list[ServiceHold]) -> Iterable[str]:
    if not closed:
        return
    after = _shortest(closed)
    if after < _AT_ONCE_SECONDS:
        yield (
            "connections are closed at once, by the service or by a proxy in between: "
            "how long one may be idle was not tested"
        )
        return
    login = None if protocol is None else protocol.login_timeout
    if protocol is not None and login is not None:
        low, high = login * (1 - _LOGIN_TOLERANCE), login * (1 + _LOGIN_TOLERANCE) + 1
        if low <= after <= high:
            yield (
                f"{protocol.title} ends connections without a login after {login:g} s by "
                f"default ({protocol.login_setting}); idle connections of logged-in "
                "clients were not tested for longer"
            )
            return
    yield (
        f"connections that are idle for {after:.0f} s are closed, by the service or by "
        "a proxy in between: clients must expect that, and open new ones"
    )
