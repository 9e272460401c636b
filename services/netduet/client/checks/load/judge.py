"""What a loaded path shows: findings, notes, figures. Pure.

A queue is reported only if the sender's kernel sees its RTT rise above the minimum,
which does not include delays of the programs, and if the echoes agree. A limit of an
end is never reported as a limit of the path.
"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.base import CheckOptions
from netduet.client.checks.load.findings import (
    MIN_NETWORK_SHARE,
    find_crawling,
    find_failures,
    judge_rate,
    small_windows,
)
from netduet.client.checks.load.format import format_milliseconds, format_rate
from netduet.client.checks.load.ill_instance import add_instance
from netduet.client.checks.load.results import (
    LatencySpread,
    LoadResult,
    Phase,
    TransferFlow,
)
from netduet.client.results.location import Direction, Side
from netduet.client.results.verdict import RATE, Figures, Finding, Judgement
from netduet.wire.untrusted import escape

MIN_QUEUE_SECONDS: Final = 0.03
"""Seconds by which the RTT must rise to be called a queue."""

MIN_QUEUE_SHARE: Final = 0.5
"""The same, as a share of the minimum RTT."""

MIN_ASYMMETRY_FACTOR: Final = 3.0
"""Factor between the directions' rates that is noted."""

MAX_CAP_DEVIATION: Final = 0.1
"""Maximum deviation of the slices' rates from their mean at a cap, as a share."""

BUSY_CPU_SHARE: Final = 0.85
"""Share of a CPU from which this process counts as the limit."""


def judge(result: LoadResult, options: CheckOptions) -> Judgement:
    """Judge one address."""
    min_rate = options.min_rate
    single = {
        phase.flows[0].direction: phase
        for phase in result.phases
        if phase.name in _ONE_WAY_PHASES
    }
    findings: list[Finding] = []
    for phase in result.phases:
        for flow in phase.flows:
            findings += _named(result, flow, find_failures(flow))
    for phase in single.values():
        flow = phase.flows[0]
        crawling = find_crawling(flow, result.bursts, result.scaling_removed)
        findings += _named(result, flow, crawling)
        found = (
            judge_rate(flow, min_rate, limiting_part(phase, flow)) if min_rate else None
        )
        if found is not None and not find_failures(flow):
            findings += _named(result, flow, [found])
    refused = [
        f"the server ended a transfer: {flow.server_refusal}"
        for phase in result.phases
        for flow in phase.flows
        if flow.server_refusal
    ]
    skipped = result.skipped or next(iter(refused), "")
    rated = any(phase.flows[0].rate for phase in single.values())
    if not rated and not findings:
        why = skipped or "too little data arrived to compute a rate"
        return Judgement(
            "",
            (),
            (),
            _figures(result),
            skipped=f"{result.address}: {why}",
            doubt=_doubt(result),
        )
    remarks = [*_remarks(result, single), *([skipped] if skipped else [])]
    if result.latency_error:
        remarks.append(
            "the connection that measures latency ended early, so latencies are "
            f"missing or incomplete: {escape(result.latency_error)}"
        )
    summary = _summary(result, single)
    return Judgement(
        summary,
        _first_of_each_kind(findings),
        tuple(remarks),
        _figures(result),
        doubt=None if findings else _doubt(result),
    )


def _named(
    result: LoadResult, flow: TransferFlow, findings: list[Finding]
) -> list[Finding]:
    """Return the findings about a transfer with the instance at fault."""
    return [
        add_instance(result.repeated, flow.direction, finding) for finding in findings
    ]


_ONE_WAY_PHASES: Final = frozenset(direction.value for direction in Direction)


def _doubt(result: LoadResult) -> Finding | None:
    """Return that a connection failed, though earlier ones did not."""
    failed = result.failed
    if failed is None:
        return None
    seen = f"{result.address}: {result.skipped}"
    evidence = ((Side.CLIENT, f"after {failed.seconds:.1f} s: {failed.failure}"),)
    missed = failed.missed_deadline
    return Finding("path.broken", seen, evidence, missed_deadline=missed)


def _first_of_each_kind(findings: list[Finding]) -> tuple[Finding, ...]:
    kinds: dict[tuple[str, str | None], Finding] = {}
    for finding in findings:
        kinds.setdefault((finding.failure, finding.where), finding)
    return tuple(kinds.values())


# What limited a transfer


def limiting_part(phase: Phase, flow: TransferFlow) -> Side | str:
    """Return what limited a transfer: an end, "network", or "" if unknown.

    A window that arrives tiny at the sender is no limit of the receiver.
    """
    if small_windows(flow):
        return "network"
    if phase.cpu_share >= BUSY_CPU_SHARE:
        return Side.CLIENT
    shares = flow.wait_shares
    if shares is None:
        return ""
    network, receiver, sender = shares
    if network >= max(receiver, sender):
        return "network"
    return flow.direction.receiver if receiver > sender else flow.direction.sender


# Notes


def _remarks(result: LoadResult, single: dict[Direction, Phase]) -> list[str]:
    remarks = []
    rates = {direction: phase.flows[0].rate for direction, phase in single.items()}
    up, down = rates.get(Direction.UP), rates.get(Direction.DOWN)
    if up and down and max(up, down) >= MIN_ASYMMETRY_FACTOR * min(up, down):
        less = Direction.UP if up < down else Direction.DOWN
        if limiting_part(single[less], single[less].flows[0]) == "network":
            times = max(up, down) / min(up, down)
            remarks.append(
                f"up {format_rate(up)}, down {format_rate(down)}: "
                f"{less.transfer} is {times:.3g} times slower"
            )
    idle = next((phase for phase in result.phases if phase.name == "idle"), None)
    for direction, phase in single.items():
        remarks += _cap_remarks(direction, phase)
        if idle is not None:
            remarks += _queue_remarks(direction, phase, idle)
    slow_ends = {
        direction: end
        for direction, phase in single.items()
        if isinstance(end := limiting_part(phase, phase.flows[0]), Side)
    }
    for end in sorted(set(slow_ends.values())):
        directions = " and ".join(
            direction for direction, by in slow_ends.items() if by == end
        )
        remarks.append(
            f"{directions}: limited by {end.phrase}, not by the path, which may carry "
            f"more; {end.phrase} also adds to the latency under load"
        )
    return remarks


def _cap_remarks(direction: Direction, phase: Phase) -> list[str]:
    """Note a rate that is as steady as a shaper's, if no end is the limit."""
    flow = phase.flows[0]
    shares, furthest, mean = flow.wait_shares, flow.max_deviation, flow.rate
    if shares is None or furthest is None or mean is None or flow.exhausted:
        return []
    if (
        furthest > MAX_CAP_DEVIATION
        or shares[0] < MIN_NETWORK_SHARE
        or phase.cpu_share >= BUSY_CPU_SHARE
    ):
        return []
    return [
        (
            f"{direction}: a steady {format_rate(mean)}, within {max(1, round(furthest * 100))} %: "
            "typical of a traffic shaper or a slow link"
        )
    ]


def _queue_remarks(direction: Direction, phase: Phase, idle: Phase) -> list[str]:
    """Note a queue that both the sender's kernel and the echoes show."""
    flow = phase.flows[0]
    least, full = flow.min_rtt, flow.rtt
    rest, loaded = idle.path_latency, _settled_latency(phase)
    if least is None or full is None or rest is None or loaded is None:
        return []
    rise = full - least
    if rise < max(MIN_QUEUE_SECONDS, MIN_QUEUE_SHARE * least):
        return []
    if loaded.p50 - rest.p50 < MIN_QUEUE_SHARE * rise:
        return []
    late = phase.send_delay
    own = (
        ""
        if late is None
        else f"; this process sent {format_milliseconds(late.p99)} late (p99)"
    )
    return [
        (
            f"{direction}: p99 latency {format_milliseconds(rest.p99)} idle, {format_milliseconds(loaded.p99)} "
            f"under load, without delays of this process: a queue in the {direction.transfer} path "
            f"({direction.sender.phrase}'s kernel saw the RTT rise from {format_milliseconds(least)} to "
            f"{format_milliseconds(full)}{own})"
        )
    ]


def _settled_latency(phase: Phase) -> LatencySpread | None:
    """Return the latency while the path was full, without this process's delays."""
    since = phase.flows[0].settled_at
    late = LatencySpread.from_times(
        [
            echo.arrived - echo.sent
            for echo in phase.echoes
            if echo.arrived is not None and echo.due >= since
        ]
    )
    return late or phase.path_latency


# Summary and figures


def _summary(result: LoadResult, single: dict[Direction, Phase]) -> str:
    parts = []
    for direction, phase in single.items():
        flow = phase.flows[0]
        if flow.rate is not None:
            by_end = isinstance(limiting_part(phase, flow), Side)
            least = "at least " if by_end else ""
            parts.append(f"{direction} {least}{format_rate(flow.rate)}")
    both = next((phase for phase in result.phases if phase.name == "both"), None)
    if both is not None:
        rates = [
            f"{flow.direction} {format_rate(flow.rate)}"
            for flow in both.flows
            if flow.rate is not None
        ]
        if rates:
            parts.append(f"simultaneously {' and '.join(rates)}")
    latencies = [
        f"{format_milliseconds(spread.p99)} {name}"
        for name, spread in _phase_latencies(result)
        if spread is not None
    ]
    text = ", ".join(parts) or "nothing arrived"
    if latencies:
        text += f"; p99 latency {', '.join(latencies)}"
    return f"{result.address}: {text}"


def _phase_latencies(result: LoadResult) -> list[tuple[str, LatencySpread | None]]:
    words = {
        "idle": "idle",
        "up": "during upload",
        "down": "during download",
        "both": "during both",
    }
    return [(words[phase.name], phase.latency) for phase in result.phases]


def _figures(result: LoadResult) -> Figures:
    figures: Figures = {}
    for phase in result.phases:
        name = phase.name
        figures |= _spread_figures(f"{name}.latency", phase.latency)
        figures |= _spread_figures(f"{name}.own_lateness", phase.send_delay)
        figures[f"{name}.echoes"] = len(phase.echoes)
        figures[f"{name}.unanswered"] = sum(
            echo.arrived is None for echo in phase.echoes
        )
        figures[f"{name}.client_cpu"] = round(phase.cpu_share, 2)
        for flow in phase.flows:
            key = name if len(phase.flows) == 1 else f"{name}.{flow.direction}"
            figures |= _flow_figures(key, phase, flow)
    return figures


def _spread_figures(name: str, spread: LatencySpread | None) -> Figures:
    if spread is None:
        return {}
    return {
        f"{name}_{word}_ms": round(value * 1000, 3)
        for word, value in (
            ("p50", spread.p50),
            ("p90", spread.p90),
            ("p99", spread.p99),
            ("max", spread.max),
        )
    }


def _flow_figures(key: str, phase: Phase, flow: TransferFlow) -> Figures:
    figures: Figures = {
        f"{key}.{RATE}": None if flow.rate is None else round(flow.rate),
        f"{key}.bytes": flow.total,
        f"{key}.seconds": round(flow.seconds, 3),
        f"{key}.connections": flow.connections,
        f"{key}.retransmits": flow.retransmits,
        f"{key}.limit": str(limiting_part(phase, flow)) or None,
    }
    for word, value in (("rtt", flow.rtt), ("min_rtt", flow.min_rtt)):
        if value is not None:
            figures[f"{key}.{word}_ms"] = round(value * 1000, 3)
    if flow.max_deviation is not None:
        figures[f"{key}.steady_within"] = round(flow.max_deviation, 3)
    if flow.wait_shares is not None:
        for word, share in zip(
            ("network", "receiver", "sender"), flow.wait_shares, strict=True
        ):
            figures[f"{key}.held_by_{word}"] = round(share, 2)
    return figures
