"""Judges after which silence UDP flows are forgotten. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from netduet.client.checks.idle import known_timers
from netduet.client.checks.idle.results import (
    WAKE_SECONDS,
    UdpSilence,
    UdpSilences,
)
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import Figures, Finding

MIN_TIMER_SECONDS: Final = 120.0
"""Silence that a NAT must allow a UDP flow (RFC 4787 §4.3, REQ-5)."""

_MIN_BUSY_ARRIVALS: Final = 2
"""Datagrams of the busy flow that show that the path was up meanwhile."""


@dataclass(frozen=True, slots=True)
class UdpJudgement:
    """What was found about silent UDP flows: at most one finding or remark."""

    summary: str = ""
    findings: tuple[Finding, ...] = ()
    remarks: tuple[str, ...] = ()
    figures: Figures | None = None


def judge_udp(silences: UdpSilences | None) -> UdpJudgement:
    """Find the silence from which on flows are forgotten."""
    if silences is None:
        return UdpJudgement()
    held = [flow for flow in silences.flows if flow.is_held]
    lived = [flow.rung for flow in held if flow.is_alive]
    longest = max(lived, default=0)
    died = [
        flow
        for flow in held
        if not flow.is_alive and flow.rung > longest and _path_was_up(silences, flow)
    ]
    figures: Figures = {
        "udp_longest_lived": longest or None,
        "udp_shortest_died": min((flow.rung for flow in died), default=None),
    }
    if not died:
        text = f"UDP flows, silent for up to {longest} s, too" if lived else ""
        return UdpJudgement(text, figures=figures)
    first = min(died, key=lambda flow: flow.rung)
    seen = _describe(silences, first, longest)
    if first.rung >= MIN_TIMER_SECONDS:
        note = f"{seen}; RFC 4787 asks for {MIN_TIMER_SECONDS / 60:g} minutes at least"
        return UdpJudgement(remarks=(note,), figures=figures)
    finding = Finding(
        "idle.udp_forgotten",
        seen,
        tuple(_evidence(silences, first)),
        figures={"lived": longest or None, "died": first.rung},
        where=None if first.answers_again else Location.UNKNOWN,
        missed_deadline=first.span,
    )
    return UdpJudgement(findings=(finding,), figures=figures)


def _path_was_up(silences: UdpSilences, flow: UdpSilence) -> bool:
    """Whether a busy flow received something while this one should have."""
    window = [
        arrived
        for arrived in silences.busy_arrivals
        if flow.start + flow.rung <= arrived <= flow.end
    ]
    return len(window) >= _MIN_BUSY_ARRIVALS


def _describe(silences: UdpSilences, first: UdpSilence, longest: int) -> str:
    limits = f"between {longest} and {first.rung} s"
    if not longest:
        limits = f"below {first.rung} s"
    text = (
        f"{silences.address}: a UDP flow that was silent for {first.rung} s is "
        "forgotten: datagrams that the server sends then do not arrive"
    )
    if first.is_moved:
        text += ", and the next ones of this client leave from another port or address"
    timers = known_timers.describe(known_timers.between(longest, first.rung, udp=True))
    owners = timers or "not a well-known timeout"
    return f"{text}; the timer is {limits}: {owners}"


def _evidence(silences: UdpSilences, first: UdpSilence) -> list[tuple[Side, str]]:
    alive = len([flow for flow in silences.flows if flow.is_alive])
    asked = "nothing came back"
    if first.answers_again:
        asked = "it was answered"
    lines = [
        (
            Side.CLIENT,
            (
                f"nothing arrived within {WAKE_SECONDS:g} s after the silence; a busy "
                "flow of the same age went on; then this end asked again: "
                f"{asked}"
            ),
        )
    ]
    if alive:
        lines.append((Side.CLIENT, f"{alive} flows with shorter silences went on"))
    if first.unheard is not None:
        text = f"sent {first.unheard} datagrams after the silence"
        lines.append((Side.SERVER, text))
    if first.is_moved:
        text = "saw the next datagram of this client come from another address or port"
        lines.append((Side.SERVER, text))
    return lines
