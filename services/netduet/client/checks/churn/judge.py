"""What short connections prove. Pure."""

from __future__ import annotations

from typing import Final

from netduet.client.checks.base import CheckOptions
from netduet.client.checks.churn import budget, constant_price, findings
from netduet.client.checks.churn.counts import (
    ConnectionCounts,
    count_attempts,
    exceeds_max_loss,
    format_share,
)
from netduet.client.checks.churn.fast_open import (
    fast_open_finding,
    fast_open_note,
    is_dropped,
)
from netduet.client.checks.churn.ill_instance import add_instance
from netduet.client.checks.churn.results import (
    Attempt,
    AttemptOutcome,
    ChurnResult,
    Ports,
)
from netduet.client.results.verdict import Figures, Finding, Judgement
from netduet.client.stats import histogram
from netduet.client.stats.percentiles import percentile
from netduet.client.stats.proportions import lower_bound

_MIN_STARTED_SHARE: Final = 1 / 3
"""Share of the planned connections that must be started to prove anything."""

_HIGH_TIME_WAIT_SHARE: Final = 0.5
"""Share of this host's ports in TIME_WAIT that is noted."""


def judge(result: ChurnResult, options: CheckOptions) -> Judgement:
    """Judge one address."""
    max_loss = options.max_loss
    counted = count_attempts(result.attempts)
    findings = tuple(
        add_instance(result, finding)
        for finding in _findings(result, counted, max_loss)
    )
    remarks = () if findings else _remarks(result, counted)
    return Judgement(
        _summary(result, counted),
        findings,
        (*remarks, *_context_remarks(result, counted), *fast_open_note(result)),
        _figures(result, counted),
    )


def _findings(
    result: ChurnResult, counted: ConnectionCounts, max_loss: float
) -> tuple[Finding, ...]:
    """Return the findings: this client's first, then the one that explains the most."""
    if counted.with_outcome(AttemptOutcome.NO_PORT):
        return (findings.ports_exhausted(result, counted),)
    started = len(result.run.attempts) - len(
        counted.with_outcome(AttemptOutcome.NOT_TRIED)
    )
    if started < _MIN_STARTED_SHARE * result.run.planned:
        return (findings.unstarted(result, counted, started),)
    price = constant_price.repeated_syns(result, counted)
    if price is not None:
        return (price,)
    full = budget.table_full(result)
    hold = findings.count_limited(result) if full is None else None
    # The failures at the limit are reported by its own finding.
    judged = counted if hold is None else count_attempts(result.run.attempts)
    found = _frequent_failures(result, judged, max_loss)
    if found:
        explanation = findings.accept_queue(result, judged) or full
        if explanation is None:
            explanation = findings.rate_limited(result)
        if explanation is not None:
            return (explanation,)
    others = (constant_price.slow_first_answer(result), fast_open_finding(result))
    found += [finding for finding in others if finding is not None]
    return tuple(found if hold is None else [hold, *found])


def _frequent_failures(
    result: ChurnResult, judged: ConnectionCounts, max_loss: float
) -> list[Finding]:
    found = []

    def frequent(attempts: tuple[Attempt, ...]) -> bool:
        return lower_bound(len(attempts), len(judged.attempts)) > max_loss

    if exceeds_max_loss(judged, max_loss):
        found.append(findings.syn_lost(result, judged))
    if frequent(refused := judged.with_outcome(AttemptOutcome.REFUSED)):
        found.append(findings.refused(result, refused))
    if frequent(
        unserved := judged.with_outcome(AttemptOutcome.ENDED, AttemptOutcome.UNANSWERED)
    ):
        found.append(findings.unserved(result, unserved))
    if frequent(
        busy := count_attempts(result.run.attempts).with_outcome(AttemptOutcome.BUSY)
    ):
        found.append(findings.server_busy(result, busy))
    return found


def _remarks(result: ChurnResult, counted: ConnectionCounts) -> tuple[str, ...]:
    """Return notes on what is not as it should be, but not a failure."""
    remarks = []
    address = result.address
    if counted.lost_syns and counted.countable:
        remarks.append(
            f"{address}: {counted.lost_syns} of {counted.syns} connection attempts "
            "(SYNs) got no response in time and were retransmitted: "
            f"{format_share(counted.lost_syns, counted.syns)}"
        )
    for outcomes, text in (
        ((AttemptOutcome.NEVER_MADE,), "timed out"),
        ((AttemptOutcome.REFUSED,), "were refused"),
        (
            (AttemptOutcome.ENDED, AttemptOutcome.UNANSWERED),
            "connected but were not served",
        ),
    ):
        found = counted.with_outcome(*outcomes)
        if found:
            of = len(counted.attempts)
            why = f" ({found[0].detail})" if found[0].detail else ""
            remarks.append(f"{address}: {len(found)} of {of} connections {text}{why}")
    drops = result.witness.drops
    if drops:
        remarks.append(
            f"{address}: the server's listening socket dropped {drops} SYN{'s' * (drops != 1)}: its "
            "accept queue was briefly full"
        )
    return tuple(remarks)


def _context_remarks(result: ChurnResult, counted: ConnectionCounts) -> tuple[str, ...]:
    """Return notes that help to read the numbers."""
    remarks = []
    run, address = result.run, result.address
    if run.unstarted and run.unstarted <= run.planned * (1 - _MIN_STARTED_SHARE):
        remarks.append(
            f"{address}: {run.unstarted} of {run.planned} connections could not be "
            "started in time on this host and were left out"
        )
    if counted.lost_syns and not counted.countable:
        remarks.append(
            f"{address}: the RTT is so long that SYNs are retransmitted although none "
            "was lost: losses cannot be counted"
        )
    busy = counted.with_outcome(AttemptOutcome.BUSY)
    if busy:
        remarks.append(
            f"{address}: {busy[0].detail} (the server's own limit, not a fault of the "
            "network)"
        )
    remarks += _time_wait_remarks(result.ports)
    return tuple(remarks)


def _time_wait_remarks(ports: Ports | None) -> list[str]:
    """Return notes on closed connections that still use up ports."""
    if ports is None or ports.time_wait is None:
        return []
    if ports.time_wait < _HIGH_TIME_WAIT_SHARE * ports.count:
        return []
    return [
        (
            f"{ports.time_wait} connections of this host are in TIME_WAIT, of "
            f"{ports.count} local ports: these may run out for a single address"
        )
    ]


def _summary(result: ChurnResult, counted: ConnectionCounts) -> str:
    served = counted.with_outcome(AttemptOutcome.SERVED)
    run = result.run
    text = (
        f"{len(served)} of {len(counted.attempts)} connections to {result.address} served, "
        f"at {run.rate:.0f} per second"
    )
    if len(served) == len(counted.attempts):
        text = f"{len(served)} connections to {result.address}, at {run.rate:.0f} per second"
    times = sorted(
        attempt.connect_seconds
        for attempt in served
        if attempt.connect_seconds is not None
    )
    if times:
        p50, p99 = (1000 * percentile(times, share) for share in (0.5, 0.99))
        text += f", connected in {p50:.1f} ms (p50), {p99:.1f} ms (p99)"
    if counted.lost_syns and counted.countable:
        text += f", {counted.lost_syns} SYN{'s' * (counted.lost_syns > 1)} lost"
    elif counted.countable:
        text += ", no SYNs lost"
    if result.hold is not None and result.hold.held_count:
        text += f"; {result.hold.held_count} open at once"
    return text


def _passes_fast_open(result: ChurnResult) -> bool | None:
    """Whether SYNs pass that ask for a TCP Fast Open cookie; None if that is open."""
    trial = result.fast_open
    if trial is None:
        return None
    return False if is_dropped(result) else bool(trial.asking_passed) or None


def _figures(result: ChurnResult, counted: ConnectionCounts) -> Figures:
    run, hold, ports = result.run, result.hold, result.ports
    figures: Figures = {
        "planned": run.planned,
        "fast_open": _passes_fast_open(result),
        "rate": round(run.rate, 3),
        "unstarted": run.unstarted,
        "start_late_ms": round(1000 * run.max_start_delay, 3),
        "tried": len(counted.attempts),
        "served": len(counted.with_outcome(AttemptOutcome.SERVED)),
        "never_made": len(counted.with_outcome(AttemptOutcome.NEVER_MADE)),
        "refused": len(counted.with_outcome(AttemptOutcome.REFUSED)),
        "unserved": len(
            counted.with_outcome(AttemptOutcome.ENDED, AttemptOutcome.UNANSWERED)
        ),
        "busy": len(counted.with_outcome(AttemptOutcome.BUSY)),
        "no_port": len(counted.with_outcome(AttemptOutcome.NO_PORT)),
        "syns": counted.syns,
        "lost_syns": counted.lost_syns,
        "lost_syns_counted": all(
            attempt.counted_by_kernel for attempt in counted.attempts
        ),
        "instances": len(
            {attempt.boot_id for attempt in counted.attempts if attempt.boot_id}
        ),
        "held": None if hold is None else hold.held_count,
        "listener_instance": result.witness.instance.instance,
        "listener_node": result.witness.instance.node or None,
        "listener_zone": result.witness.instance.zone or None,
        "listener_drops": result.witness.drops,
        "listener_queue": result.witness.max_backlog,
        "ports": None if ports is None else ports.count,
        "time_wait": None if ports is None else ports.time_wait,
    }
    times = [
        attempt.connect_seconds
        for attempt in counted.attempts
        if attempt.connect_seconds is not None
    ]
    return figures | histogram.connect_time_figures(times)
