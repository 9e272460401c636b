"""What is worth a remark, and is no failure. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netduet.client.checks.stream.summary import losses
from netduet.client.outages import describe
from netduet.client.outages.correlate import (
    HALF,
    Correlation,
    is_new_process,
    starved_seconds,
)
from netduet.client.outages.events import ConnectFailureRun, ConnectionStall, LossRun
from netduet.client.outages.observations import Observations

Span = LossRun | ConnectFailureRun | ConnectionStall

_PASSES = "short enough to pass"
_CHANCE = "that may come of scattered losses; a longer --stream-time can say more"


def notes(place: Observations, told: Correlation, longest: float) -> Iterator[str]:
    """Return the remarks, those of one kind in one."""
    yield from losses(place)
    for incident in told.incidents:
        if incident.seconds <= longest:
            did = "; ".join(text for _, text in describe.effects(incident))
            yield f"{describe.incident(place, incident)}: {_PASSES}; {did}"
    for restart in told.restarts:
        if not is_new_process(restart):
            yield (
                f"{place.address}: the server began its stream anew "
                f"{describe.at(place, restart.end)}, for it had heard nothing for long"
            )
        elif restart.end - restart.start <= longest:
            yield describe.restarted(place, restart)
    closures = [
        failure_run
        for failure_run in told.closures
        if failure_run.last_start - failure_run.start <= longest
    ]
    pauses = [
        stall
        for stall in told.pauses
        if stall.seconds - starved_seconds(place, stall) <= longest and not stall.broken
    ]
    for some, why in ((closures, _PASSES), (pauses, _PASSES), (told.chance, _CHANCE)):
        for kind in (LossRun, ConnectFailureRun, ConnectionStall):
            yield from _of_kind(place, [one for one in some if type(one) is kind], why)


def _of_kind(place: Observations, some: Sequence[Span], why: str) -> Iterator[str]:
    """Tell of the longest of some events of one kind, and how many there were."""
    if not some:
        return
    span = max(some, key=lambda span: span.seconds)
    match span:
        case LossRun():
            what = f"{span.lost} datagrams in a row were lost"
        case ConnectFailureRun():
            what = f"{span.failed} new connections in a row did not work"
        case ConnectionStall():
            what = (
                f"the old connection stood still for {describe.seconds(span.seconds)}"
            )
            starved = starved_seconds(place, span)
            if starved:
                what += f", and for up to {starved:.2f} s of it an end did not run"
            if starved >= HALF * span.seconds:
                why = "the network need not be at fault"
    when = describe.at(place, span.start)
    if len(some) > 1:
        when += f", and {len(some) - 1} more times for less long"
    yield f"{place.address}: {what}, {when}: {why}"
