"""Do idle connections survive?

``measure`` holds the connections; this module judges from which idle time they die,
how, whose timer it may be, and whether keep-alive helps.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from netduet.client.checks.base import CheckOptions
from netduet.client.checks.idle import known_timers
from netduet.client.checks.idle.ill_instance import add_instance
from netduet.client.checks.idle.judge_udp import judge_udp
from netduet.client.checks.idle.lifetime import (
    busy_evidence,
    find_lifetime,
    is_explained,
    lifetime_finding,
)
from netduet.client.checks.idle.results import (
    HeldConnection,
    HoldOutcome,
    IdleResult,
)
from netduet.client.checks.idle.service_hold import ServiceHolds, judge_service
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import (
    LONGEST_LIVED,
    Figures,
    Finding,
    Judgement,
    Outcome,
)
from netduet.net.time_span import TimeSpan
from netduet.wire.untrusted import escape

_FAILED_OUTCOMES: Final = {
    HoldOutcome.RESET: ("idle.reset", "are reset"),
    HoldOutcome.CLOSED: ("idle.closed", "are closed"),
    HoldOutcome.SILENT: (
        "idle.silent",
        "no longer carry data, and neither end is notified",
    ),
}
"""Ways to die, the most conclusive first: failure class, and verb for the description."""

_EARLY_SHARE: Final = 0.9
"""Share of a rung before which an end was not caused by the wake-up."""


def judge(result: IdleResult | ServiceHolds, _: CheckOptions) -> Judgement:
    """Find the idle time from which connections die, how, and whose timer it may be."""
    if isinstance(result, ServiceHolds):
        return judge_service(result)
    remarks = _untried_remarks(result)
    if not result.held:
        text = "not part of profile quick; use --profile full"
        return Judgement("", skipped="; ".join(remarks) or text)
    without_keepalive, with_keepalive = _split_by_keepalive(result)
    lived, died = _rungs_by_outcome(without_keepalive)
    keepalive_lived, keepalive_died = _rungs_by_outcome(with_keepalive)
    findings = _judge_failed_connections(result)
    lifetime = find_lifetime(result)
    if lifetime is not None:
        findings.append(lifetime_finding(result, lifetime))
    if is_explained(lifetime, _failed(result.held)):
        pass
    elif died:
        finding = _finding(result, without_keepalive, with_keepalive)
        findings.append(add_instance(result, died[0], finding))
    elif keepalive_died:
        findings.append(_finding(result, with_keepalive, ()))
        remarks.append("only connections held with keep-alive die")
    findings += _judge_server_ends(result)
    udp = judge_udp(result.udp)
    findings += udp.findings
    remarks += udp.remarks
    remarks += _keepalive_remarks(with_keepalive) + _remarks(
        without_keepalive, lived, died
    )
    figures: Figures = {
        LONGEST_LIVED: max(lived, default=None),
        "shortest_died": min(died, default=None),
        "keepalive_longest_lived": max(keepalive_lived, default=None),
        "keepalive_shortest_died": min(keepalive_died, default=None),
        **(udp.figures or {}),
    }
    parts = [f"idle for {_format_rungs(lived)} stay alive"] if lived else []
    parts += [f"idle for {_format_rungs(died)} die"] if died else []
    parts += [udp.summary] if parts and udp.summary else []
    if not parts and not findings:
        # It was requested, but proves nothing.
        text = "no connection could be held"
        return Judgement("", (), tuple(remarks), figures, skipped=text, blocks=True)
    summary = f"connections {', '.join(parts)}" if parts else ""
    return Judgement(summary, tuple(findings), tuple(remarks), figures)


def _untried_remarks(result: IdleResult) -> list[str]:
    if not result.beyond:
        return []
    text = (
        f"not tried: {_format_rungs(result.beyond)}, because the server holds an idle "
        f"connection for at most {result.limit:g} s (its hold timeout)"
    )
    return [text]


def _split_by_keepalive(
    result: IdleResult,
) -> tuple[tuple[HeldConnection, ...], tuple[HeldConnection, ...]]:
    """Return the connections held without keep-alive, and those with it."""
    without_keepalive = tuple(
        held for held in result.held if held.plan.keepalive is None
    )
    return without_keepalive, tuple(
        held for held in result.held if held not in without_keepalive
    )


def _rungs_by_outcome(
    connections: Iterable[HeldConnection],
) -> tuple[list[float], list[float]]:
    """Return the rungs at which all judged connections lived, or one died."""
    outcomes = {(held.plan.rung, held.outcome) for held in connections}
    died = {rung for rung, outcome in outcomes if outcome in _FAILED_OUTCOMES}
    lived = {rung for rung, outcome in outcomes if outcome is HoldOutcome.ALIVE}
    return sorted(lived - died), sorted(died)


def _failed(held: Iterable[HeldConnection]) -> list[HeldConnection]:
    return [each for each in held if each.outcome in _FAILED_OUTCOMES]


def _finding(
    result: IdleResult,
    connections: tuple[HeldConnection, ...],
    with_keepalive: tuple[HeldConnection, ...],
) -> Finding:
    """Describe how connections died at the shortest fatal rung, and what helps."""
    lived, died = _rungs_by_outcome(connections)
    rung = died[0]
    last = max((seconds for seconds in lived if seconds < rung), default=0.0)
    failed = [
        held
        for held in connections
        if held.plan.rung == rung and held.outcome in _FAILED_OUTCOMES
    ]
    outcomes = {held.outcome for held in failed}
    worst = next(outcome for outcome in _FAILED_OUTCOMES if outcome in outcomes)
    failure, verb = _FAILED_OUTCOMES[worst]
    same_rung = [held for held in with_keepalive if held.plan.rung == rung]
    parts = [f"{result.address}: connections idle for {rung:g} s {verb}"]
    if last:
        parts.append(f"those idle for {last:g} s stay alive")
    saved = _survives_with_keepalive(same_rung)
    keepalive = same_rung[0].plan.keepalive if same_rung else None
    if saved is not None:
        effect = "they stay alive" if saved else "they die too"
        parts.append(f"with keep-alive every {keepalive} s {effect}")
    timer, timers = _describe_timer(last, rung, failed)
    figures = _figures(failed, last, rung) | {
        "keepalive": keepalive,
        "keepalive_lives": saved,
        "known_timer": timers[0].seconds if timers else None,
    }
    seen = f"{'; '.join(parts)}; {timer}"
    also_failed = [held for held in same_rung if held.outcome in _FAILED_OUTCOMES]
    evidence = tuple(line for held in failed + also_failed for line in _evidence(held))
    evidence += busy_evidence(result)
    if not any(held.server.found for held in failed):
        seen += "; the server that held them is no longer reachable"
        return Finding(
            "idle.interrupted",
            seen,
            evidence,
            figures,
            where=Location.UNKNOWN,
            outcome=Outcome.INCONCLUSIVE,
        )
    proven = worst is not HoldOutcome.SILENT or any(
        held.unacknowledged or held.lost_on_path for held in failed
    )
    recorded = any(held.server.entry is not None for held in failed)
    where = None if proven and recorded else Location.UNKNOWN
    return Finding(
        failure,
        seen,
        evidence,
        figures,
        where,
        missed_deadline=None if proven else _wait_window(failed),
    )


def _wait_window(failed: list[HeldConnection]) -> TimeSpan | None:
    return next((held.wait for held in failed if held.wait is not None), None)


def _survives_with_keepalive(with_keepalive: Iterable[HeldConnection]) -> bool | None:
    """Whether keep-alive helped; None if it was not tried."""
    outcomes = {held.outcome for held in with_keepalive}
    if outcomes & set(_FAILED_OUTCOMES):
        return False
    return True if HoldOutcome.ALIVE in outcomes else None


def _describe_timer(
    last: float, rung: float, failed: list[HeldConnection]
) -> tuple[str, tuple[known_timers.Timer, ...]]:
    """Return a description of the timer, and the known timers that match."""
    timer_seconds = min(_early_ends(failed), default=None)
    if timer_seconds is not None:
        timers = known_timers.near(timer_seconds)
        text = f"the idle timeout is {timer_seconds:.1f} s"
    else:
        timers = known_timers.between(last, rung)
        limits = f"between {last:g} s and {rung:g} s" if last else f"below {rung:g} s"
        text = f"the idle timeout is {limits}"
    owners = known_timers.describe(timers) or "not a well-known timeout"
    return f"{text}: {owners}", timers


def _early_ends(failed: list[HeldConnection]) -> list[float]:
    """Return the idle times of connections that ended before they were used again."""
    early_ends = [held.ended_after for held in failed if held.ended_after is not None]
    for held in failed:
        entry = held.server.entry
        if held.outcome is HoldOutcome.SILENT or entry is None or entry.ended is None:
            continue
        if entry.duration < _EARLY_SHARE * held.plan.rung:
            early_ends.append(entry.duration)
    return early_ends


def _figures(failed: list[HeldConnection], last: float, rung: float) -> Figures:
    outcomes = {held.plan.waker: held.outcome.value for held in failed}
    figures: Figures = {
        "lived": last or None,
        "died": rung,
        "woken_by_client": outcomes.get(Side.CLIENT, HoldOutcome.ALIVE.value),
        "woken_by_server": outcomes.get(Side.SERVER, HoldOutcome.ALIVE.value),
    }
    for connection in failed:
        client_info, view = connection.tcp_info, connection.server.view
        if connection.plan.waker is Side.CLIENT and client_info is not None:
            figures |= {
                "client_unacked": client_info.unacked,
                "client_retrans": connection.retrans,
            }
        if connection.plan.waker is Side.SERVER and view is not None:
            figures |= {
                "server_unacked": view.unacked,
                "server_retrans": view.total_retrans,
            }
    return figures


def _evidence(held: HeldConnection) -> list[tuple[Side, str]]:
    waker = f"woken by {held.plan.waker.phrase}"
    keepalive = "" if held.plan.keepalive is None else ", with keep-alive"
    prefix = f"{waker} after {held.plan.rung:g} s{keepalive}"
    if held.ended_after is not None:
        prefix = f"to be {waker}{keepalive}"
    return [
        (Side.CLIENT, f"{prefix}: {_describe_client_side(held)}"),
        (Side.SERVER, f"same connection: {_describe_server_side(held)}"),
    ]


def _describe_client_side(held: HeldConnection) -> str:
    if held.ending is not None:
        idle = held.ended_after
        when = "" if idle is None else f", after {idle:.1f} s of silence"
        ended = {"eof": "the stream ended", "broken": "the stream ended"}
        return f"{ended.get(held.ending.how, held.ending.detail)}{when}"
    waited = 0.0 if held.wait is None else held.wait.seconds
    if held.plan.waker is Side.SERVER or held.tcp_info is None:
        return f"nothing arrived in {waited:.1f} s"
    if not held.tcp_info.unacked:
        return f"no response in {waited:.1f} s, although the data was acknowledged"
    return (
        f"no response in {waited:.1f} s, and nothing was acknowledged despite "
        f"{held.retrans} retransmissions"
    )


def _describe_server_side(held: HeldConnection) -> str:
    entry, view = held.server.entry, held.server.view
    if entry is None:
        return f"the server's record is unavailable: {held.server.missing}"
    if entry.ended is None:
        text = f"still open, {entry.bytes_received} of {held.sent} bytes arrived"
        if view is not None and view.unacked:
            text += (
                f"; what it sent was not acknowledged despite {view.total_retrans} "
                "retransmissions"
            )
        return text
    if entry.ended_by == Side.CLIENT:
        how = {"reset": "reset", "eof": "closed"}.get(entry.ended, "ended")
        return f"{how} by this end, according to its record; this end did not do that"
    return f"ended by the server: {escape(entry.ended)}"


def _judge_failed_connections(result: IdleResult) -> list[Finding]:
    """Report the first connection that could not be made or used."""
    for held in result.held:
        handshake = held.handshake
        if held.outcome is not HoldOutcome.NOT_HELD or (
            held.refused and held.wait is None
        ):
            continue
        reason = held.refused or handshake.failure
        missed = handshake.missed_deadline
        if missed is None and held.ending is None:
            missed = held.wait
        seen = f"{result.address}: a later connection failed: {reason}"
        evidence = ((Side.CLIENT, reason),)
        return [Finding("path.broken", seen, evidence, missed_deadline=missed)]
    return []


def _judge_server_ends(result: IdleResult) -> list[Finding]:
    """Report rungs that prove nothing, because the server ended the connections."""
    judged = {
        held.plan.rung
        for held in result.held
        if held.outcome in _FAILED_OUTCOMES or held.outcome is HoldOutcome.ALIVE
    }
    ended = [
        held
        for held in result.held
        if held.outcome is HoldOutcome.ENDED_BY_SERVER and held.plan.rung not in judged
    ]
    if not ended:
        return []
    rungs, reason = sorted({held.plan.rung for held in ended}), _server_reason(ended[0])
    seen = (
        f"{result.address}: connections meant to be idle for {_format_rungs(rungs)} "
        f"were ended by the server itself: {reason}"
    )
    evidence = ((Side.SERVER, reason),)
    inconclusive = Outcome.INCONCLUSIVE
    return [Finding("idle.interrupted", seen, evidence, outcome=inconclusive)]


def _server_reason(held: HeldConnection) -> str:
    refused = held.handshake.refused
    if refused is not None:
        return escape(f"{refused.code}: {refused.message}")
    if held.ending is not None and held.ending.how == "error":
        return held.ending.detail
    entry = held.server.entry
    return "" if entry is None else escape(entry.ended or "")


def _keepalive_remarks(with_keepalive: tuple[HeldConnection, ...]) -> list[str]:
    refused = {
        held.refused for held in with_keepalive if held.refused and held.wait is None
    }
    return [f"none was held with keep-alive: {reason}" for reason in sorted(refused)]


def _remarks(
    without_keepalive: tuple[HeldConnection, ...], lived: list[float], died: list[float]
) -> list[str]:
    if not died:
        return []
    remarks = []
    first = {
        held.plan.waker: held.outcome
        for held in without_keepalive
        if held.plan.rung == died[0]
    }
    for waker, other in ((Side.CLIENT, Side.SERVER), (Side.SERVER, Side.CLIENT)):
        died_first = first.get(waker) in _FAILED_OUTCOMES
        if died_first and first.get(other) is HoldOutcome.ALIVE:
            remarks.append(
                f"only those woken by {waker.phrase} die; those woken by "
                f"{other.phrase} stay alive"
            )
    longer = [seconds for seconds in lived if seconds > died[0]]
    if longer:
        remarks.append(
            f"those idle for {_format_rungs(longer)} stay alive, so this is not a "
            "simple idle timeout"
        )
    return remarks


def _format_rungs(rungs: Iterable[float]) -> str:
    """Return rungs as text: 2 s, 8 s and 30 s."""
    *first, last = [f"{seconds:g} s" for seconds in rungs]
    return f"{', '.join(first)} and {last}" if first else last
