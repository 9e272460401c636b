"""What short connections prove. Pure."""

from __future__ import annotations

from typing import Final

from netduet.client.checks.churn import findings
from netduet.client.checks.churn.counts import (
    ConnectionCounts,
    tally,
    told_share,
    too_many,
)
from netduet.client.checks.churn.results import (
    Attempt,
    AttemptOutcome,
    Churn,
    ChurnResult,
    Ports,
)
from netduet.client.results.verdict import Figures, Finding, Judgement, merge_judgements
from netduet.client.stats import histogram
from netduet.client.stats.percentiles import percentile
from netduet.client.stats.proportions import lower_bound

_STARTED: Final = 1 / 3
"""Share of the planned connections that must be started to tell anything."""

_PRESSED: Final = 0.5
"""Share of this host's ports in TIME_WAIT from which on it is remarked on."""


def judge(churn: Churn) -> Judgement:
    """Judge each address by itself."""
    if not churn.places:
        return Judgement("", skipped="no netduet to connect to")
    return merge_judgements(
        [_judge_place(measured, churn.max_loss) for measured in churn.places]
    )


def _judge_place(place: ChurnResult, max_loss: float) -> Judgement:
    counted = tally(place.tries)
    findings = _findings(place, counted, max_loss)
    remarks = () if findings else _remarks(place, counted)
    return Judgement(
        _summary(place, counted),
        findings,
        (*remarks, *_always_remarked(place, counted)),
        _figures(place, counted),
    )


def _findings(
    place: ChurnResult, counted: ConnectionCounts, max_loss: float
) -> tuple[Finding, ...]:
    """Return what is wrong: what is at this end first, then what explains the most."""
    if counted.of(AttemptOutcome.NO_PORT):
        return (findings.ports(place, counted),)
    started = len(place.run.attempts) - len(counted.of(AttemptOutcome.NOT_TRIED))
    if started < _STARTED * place.run.planned:
        return (findings.unstarted(place, counted, started),)
    held = findings.count_limited(place)
    # Beside held connections none passes: that is told by itself.
    judged = counted if held is None else tally(place.run.attempts)
    found = _troubles(place, judged, max_loss)
    if found:
        whole = findings.accept_queue(place, judged)
        if whole is None:
            whole = findings.rate_limited(place)
        if whole is not None:
            return (whole,)
    return tuple(found if held is None else [held, *found])


def _troubles(
    place: ChurnResult, judged: ConnectionCounts, max_loss: float
) -> list[Finding]:
    """Return what goes wrong too often for chance."""
    found = []

    def often(some: tuple[Attempt, ...]) -> bool:
        return lower_bound(len(some), len(judged.tries)) > max_loss

    if too_many(judged, max_loss):
        found.append(findings.syn_lost(place, judged))
    if often(refused := judged.of(AttemptOutcome.REFUSED)):
        found.append(findings.refused(place, refused))
    if often(unserved := judged.of(AttemptOutcome.ENDED, AttemptOutcome.UNANSWERED)):
        found.append(findings.unserved(place, unserved))
    if often(busy := tally(place.run.attempts).of(AttemptOutcome.BUSY)):
        found.append(findings.busy(place, busy))
    return found


def _remarks(place: ChurnResult, counted: ConnectionCounts) -> tuple[str, ...]:
    """Return what is not as it should be, and less than a failure."""
    remarks = []
    address = place.address
    if counted.lost and counted.countable:
        remarks.append(
            f"{address}: {counted.lost} of {counted.syns} attempts to connect (SYN packets) "
            "got no answer in time and were sent again: "
            f"{told_share(counted.lost, counted.syns)}"
        )
    for fates, said in (
        ((AttemptOutcome.NEVER_MADE,), "never came about"),
        ((AttemptOutcome.REFUSED,), "were refused"),
        ((AttemptOutcome.ENDED, AttemptOutcome.UNANSWERED), "were made and not served"),
    ):
        found = counted.of(*fates)
        if found:
            of = len(counted.tries)
            why = f" ({found[0].detail})" if found[0].detail else ""
            remarks.append(f"{address}: {len(found)} of {of} connections {said}{why}")
    drops = place.witness.drops
    if drops:
        remarks.append(
            f"{address}: the server's listening socket dropped {drops} openings "
            "meanwhile: its queue of connections was full for moments"
        )
    return tuple(remarks)


def _always_remarked(place: ChurnResult, counted: ConnectionCounts) -> tuple[str, ...]:
    """Return what a person must know to read the numbers, whatever was found."""
    remarks = []
    run, address = place.run, place.address
    if run.unstarted and run.unstarted <= run.planned * (1 - _STARTED):
        remarks.append(
            f"{address}: {run.unstarted} of {run.planned} connections could not be "
            "started in time here, and were left out"
        )
    if counted.lost and not counted.countable:
        remarks.append(
            f"{address}: an answer takes so long here that SYNs are sent again though "
            "none was lost: losses cannot be counted"
        )
    busy = counted.of(AttemptOutcome.BUSY)
    if busy:
        remarks.append(
            f"{address}: {busy[0].detail} (the server's own limit, which is no fault of "
            "the network)"
        )
    remarks += _pressure(place.ports)
    return tuple(remarks)


def _pressure(ports: Ports | None) -> list[str]:
    """Return what is to be said of connections here that have ended, and keep ports."""
    if ports is None or ports.time_wait is None:
        return []
    if ports.time_wait < _PRESSED * ports.count:
        return []
    return [
        (
            f"{ports.time_wait} connections of this host are in TIME_WAIT, and it has "
            f"{ports.count} ports: towards one address these may run out"
        )
    ]


def _summary(place: ChurnResult, counted: ConnectionCounts) -> str:
    served = counted.of(AttemptOutcome.SERVED)
    run = place.run
    said = (
        f"{len(served)} of {len(counted.tries)} connections to {place.address} served, "
        f"at {run.rate:.0f} a second"
    )
    if len(served) == len(counted.tries):
        said = (
            f"{len(served)} connections to {place.address}, at {run.rate:.0f} a second"
        )
    times = sorted(attempt.connect for attempt in served if attempt.connect is not None)
    if times:
        half, most = (1000 * percentile(times, one) for one in (0.5, 0.99))
        said += f", made in {half:.1f} ms (p50), {most:.1f} ms (p99)"
    if counted.lost and counted.countable:
        said += f", {counted.lost} SYN{'s' * (counted.lost > 1)} lost"
    elif counted.countable:
        said += ", no SYN lost"
    if place.held is not None:
        said += f"; {place.held.kept} held at once"
    return said


def _figures(place: ChurnResult, counted: ConnectionCounts) -> Figures:
    run, held, ports = place.run, place.held, place.ports
    told: Figures = {
        "planned": run.planned,
        "rate": round(run.rate, 3),
        "unstarted": run.unstarted,
        "start_late_ms": round(1000 * run.late, 3),
        "tried": len(counted.tries),
        "served": len(counted.of(AttemptOutcome.SERVED)),
        "never_made": len(counted.of(AttemptOutcome.NEVER_MADE)),
        "refused": len(counted.of(AttemptOutcome.REFUSED)),
        "unserved": len(counted.of(AttemptOutcome.ENDED, AttemptOutcome.UNANSWERED)),
        "busy": len(counted.of(AttemptOutcome.BUSY)),
        "no_port": len(counted.of(AttemptOutcome.NO_PORT)),
        "syns": counted.syns,
        "lost_syns": counted.lost,
        "lost_syns_counted": all(attempt.counted for attempt in counted.tries),
        "instances": len(
            {attempt.boot_id for attempt in counted.tries if attempt.boot_id}
        ),
        "held": None if held is None else held.kept,
        "listener_instance": place.witness.who.instance,
        "listener_node": place.witness.who.node or None,
        "listener_zone": place.witness.who.zone or None,
        "listener_drops": place.witness.drops,
        "listener_queue": place.witness.waiting,
        "ports": None if ports is None else ports.count,
        "time_wait": None if ports is None else ports.time_wait,
    }
    times = [
        attempt.connect for attempt in counted.tries if attempt.connect is not None
    ]
    return told | histogram.connect_time_figures(times)
