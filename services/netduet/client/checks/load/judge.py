"""What a loaded path tells: findings, remarks, figures. Pure.

A queue is claimed on the word of the sender's kernel alone, whose round trip rises
above the least it ever saw: the time in which both programs ran late is not in it.
Echoes have to say the same. What a path does not carry because an end of ours is too
slow is never called a limit of the path.
"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.load.findings import BY_NETWORK, broken, slow
from netduet.client.checks.load.format import NAMES, milliseconds, rate
from netduet.client.checks.load.results import (
    LatencySpread,
    Load,
    LoadResult,
    Phase,
    TransferFlow,
)
from netduet.client.results.location import Direction
from netduet.client.results.verdict import Figures, Finding, Judgement, merge_judgements
from netduet.wire.untrusted import escape

QUEUE: Final = 0.03
"""Seconds by which a round trip must rise to be called a queue."""

QUEUE_SHARE: Final = 0.5
"""The same, as a share of the least round trip."""

UNEVEN: Final = 3.0
"""How many times less one way must carry to be remarked on."""

STEADY: Final = 0.1
"""How far the rates of a cap's slices may be from their mean, as a share."""

BUSY: Final = 0.85
"""Share of a CPU from which on this process counts as the limit."""

_KERNEL: Final = {
    Direction.UP: "this end's kernel",
    Direction.DOWN: "the server's kernel",
}
_PATH: Final = {Direction.UP: "upload", Direction.DOWN: "download"}


def judge(load: Load) -> Judgement:
    """Judge each address by itself."""
    return merge_judgements(
        [_place(measured, load.min_rate) for measured in load.places]
    )


def _place(place: LoadResult, min_rate: float) -> Judgement:
    single = {
        phase.flows[0].direction: phase
        for phase in place.phases
        if phase.name in _SINGLE
    }
    findings: list[Finding] = []
    for phase in place.phases:
        for flow in phase.flows:
            findings += broken(flow)
    for phase in single.values():
        flow = phase.flows[0]
        found = slow(flow, min_rate, limit(phase, flow)) if min_rate else None
        findings += [] if found is None or broken(flow) else [found]
    refused = [
        f"the server ended a transfer: {flow.refused}"
        for phase in place.phases
        for flow in phase.flows
        if flow.refused
    ]
    skipped = place.skipped or next(iter(refused), "")
    rated = any(phase.flows[0].rate for phase in single.values())
    if not rated and not findings:
        why = skipped or "too little arrived to tell a rate"
        return Judgement("", (), (), _figures(place), skipped=f"{place.address}: {why}")
    remarks = [*_remarks(place, single), *([skipped] if skipped else [])]
    if place.unheard:
        remarks.append(
            "the connection that measures latency did not last, so latencies are not "
            f"known, or in part only: {escape(place.unheard)}"
        )
    summary = _summary(place, single)
    return Judgement(summary, _once(findings), tuple(remarks), _figures(place))


_SINGLE: Final = frozenset(direction.value for direction in Direction)


def _once(findings: list[Finding]) -> tuple[Finding, ...]:
    """Return one finding for each class and side: the first."""
    kinds: dict[tuple[str, str | None], Finding] = {}
    for finding in findings:
        kinds.setdefault((finding.failure, finding.where), finding)
    return tuple(kinds.values())


# What limited a transfer


def limit(phase: Phase, flow: TransferFlow) -> str:
    """Return who held a transfer up: client, server, network, or "" where unknown."""
    if phase.cpu >= BUSY:
        return "client"
    shares = flow.shares
    if shares is None:
        return ""
    network, receiver, sender = shares
    if network >= max(receiver, sender):
        return "network"
    up = flow.direction is Direction.UP
    return "server" if (receiver > sender) == up else "client"


# Remarks


def _remarks(place: LoadResult, single: dict[Direction, Phase]) -> list[str]:
    remarks = []
    rates = {direction: phase.flows[0].rate for direction, phase in single.items()}
    up, down = rates.get(Direction.UP), rates.get(Direction.DOWN)
    if up and down and max(up, down) >= UNEVEN * min(up, down):
        less = Direction.UP if up < down else Direction.DOWN
        if limit(single[less], single[less].flows[0]) == "network":
            times = max(up, down) / min(up, down)
            remarks.append(
                f"up {rate(up)}, down {rate(down)}: {times:.3g} times less {less}"
            )
    idle = next((phase for phase in place.phases if phase.name == "idle"), None)
    for direction, phase in single.items():
        remarks += _cap(direction, phase)
        if idle is not None:
            remarks += _queue(direction, phase, idle)
    slow_ends = {
        direction: whose
        for direction, phase in single.items()
        if (whose := limit(phase, phase.flows[0])) in NAMES
    }
    for whose in sorted(set(slow_ends.values())):
        ways = " and ".join(
            direction for direction, by in slow_ends.items() if by == whose
        )
        remarks.append(
            f"{ways}: {NAMES[whose]} itself was the limit: the path may carry more, and "
            "the latency under load is in part its own"
        )
    return remarks


def _cap(direction: Direction, phase: Phase) -> list[str]:
    """Remark on a rate that is as steady as only a shaper's, where no end is slow."""
    flow = phase.flows[0]
    shares, furthest, mean = flow.shares, flow.furthest, flow.rate
    if shares is None or furthest is None or mean is None or flow.spent:
        return []
    if furthest > STEADY or shares[0] < BY_NETWORK or phase.cpu >= BUSY:
        return []
    return [
        (
            f"{direction}: a steady {rate(mean)}, within {max(1, round(furthest * 100))} %: "
            "so a shaper's cap looks, or a slow link"
        )
    ]


def _queue(direction: Direction, phase: Phase, idle: Phase) -> list[str]:
    """Remark on a queue, where the sender's kernel and the echoes both saw it."""
    flow = phase.flows[0]
    least, full = flow.min_rtt, flow.rtt
    rest, loaded = idle.path_latency, _settled(phase)
    if least is None or full is None or rest is None or loaded is None:
        return []
    rise = full - least
    if rise < max(QUEUE, QUEUE_SHARE * least):
        return []
    if loaded.p50 - rest.p50 < QUEUE_SHARE * rise:
        return []
    late = phase.lateness
    own = "" if late is None else f"; this end sent {milliseconds(late.p99)} late (p99)"
    return [
        (
            f"{direction}: p99 {milliseconds(rest.p99)} idle, {milliseconds(loaded.p99)} "
            f"under load, our own lateness left out: a queue in the {_PATH[direction]} path "
            f"({_KERNEL[direction]} saw its round trip rise from {milliseconds(least)} to "
            f"{milliseconds(full)}{own})"
        )
    ]


def _settled(phase: Phase) -> LatencySpread | None:
    """Return the echoes' times, own lateness left out, while the path was full."""
    since = phase.flows[0].settled
    late = LatencySpread.of(
        [
            echo.arrived - echo.sent
            for echo in phase.echoes
            if echo.arrived is not None and echo.due >= since
        ]
    )
    return late or phase.path_latency


# Summary and figures


def _summary(place: LoadResult, single: dict[Direction, Phase]) -> str:
    parts = []
    for direction, phase in single.items():
        flow = phase.flows[0]
        if flow.rate is not None:
            least = "at least " if limit(phase, flow) in NAMES else ""
            parts.append(f"{direction} {least}{rate(flow.rate)}")
    both = next((phase for phase in place.phases if phase.name == "both"), None)
    if both is not None:
        told = [
            f"{flow.direction} {rate(flow.rate)}"
            for flow in both.flows
            if flow.rate is not None
        ]
        if told:
            parts.append(f"at once {' and '.join(told)}")
    spreads = [
        f"{milliseconds(spread.p99)} {name}"
        for name, spread in _latencies(place)
        if spread is not None
    ]
    said = ", ".join(parts) or "nothing arrived"
    if spreads:
        said += f"; p99 {', '.join(spreads)}"
    return f"{place.address}: {said}"


def _latencies(place: LoadResult) -> list[tuple[str, LatencySpread | None]]:
    words = {"idle": "idle", "up": "loaded up", "down": "loaded down", "both": "both"}
    return [(words[phase.name], phase.latency) for phase in place.phases]


def _figures(place: LoadResult) -> Figures:
    figures: Figures = {}
    for phase in place.phases:
        name = phase.name
        figures |= _spread(f"{name}.latency", phase.latency)
        figures |= _spread(f"{name}.own_lateness", phase.lateness)
        figures[f"{name}.echoes"] = len(phase.echoes)
        figures[f"{name}.unanswered"] = sum(
            echo.arrived is None for echo in phase.echoes
        )
        figures[f"{name}.client_cpu"] = round(phase.cpu, 2)
        for flow in phase.flows:
            key = name if len(phase.flows) == 1 else f"{name}.{flow.direction}"
            figures |= _flow(key, phase, flow)
    return figures


def _spread(name: str, spread: LatencySpread | None) -> Figures:
    if spread is None:
        return {}
    return {
        f"{name}_{word}_ms": round(value * 1000, 3)
        for word, value in (
            ("p50", spread.p50),
            ("p90", spread.p90),
            ("p99", spread.p99),
            ("max", spread.most),
        )
    }


def _flow(key: str, phase: Phase, flow: TransferFlow) -> Figures:
    figures: Figures = {
        f"{key}.bit_s": None if flow.rate is None else round(flow.rate),
        f"{key}.bytes": flow.total,
        f"{key}.seconds": round(flow.end - flow.start, 3),
        f"{key}.connections": flow.connections,
        f"{key}.retransmits": flow.retransmits,
        f"{key}.limit": limit(phase, flow) or None,
    }
    for word, value in (("rtt", flow.rtt), ("min_rtt", flow.min_rtt)):
        if value is not None:
            figures[f"{key}.{word}_ms"] = round(value * 1000, 3)
    if flow.furthest is not None:
        figures[f"{key}.steady_within"] = round(flow.furthest, 3)
    if flow.shares is not None:
        for word, share in zip(
            ("network", "receiver", "sender"), flow.shares, strict=True
        ):
            figures[f"{key}.held_by_{word}"] = round(share, 2)
    return figures
