"""Notes on what is not a failure. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netduet.client.checks.stream.summary import losses
from netduet.client.outages import describe, evidence
from netduet.client.outages.classify import STARVED_SHARE
from netduet.client.outages.correlate import Correlation
from netduet.client.outages.events import ConnectFailureRun, ConnectionStall, LossRun
from netduet.client.outages.observations import Observations
from netduet.client.outages.outage import NEW_CONNECTIONS, OLD_CONNECTIONS, Outage

Event = LossRun | ConnectFailureRun | ConnectionStall

_SHORT = "within the allowed length"
_CHANCE = (
    "scattered losses may explain it; a longer --stream-time can show whether they do"
)


def notes(
    observations: Observations, correlation: Correlation, outages: Sequence[Outage]
) -> Iterator[str]:
    """Yield the notes, one for all events of a kind."""
    yield from losses(observations)
    short: list[Event] = []
    for outage in outages:
        if not outage.tolerated:
            continue
        event = outage.failure_run or outage.stall
        if outage.failure in {NEW_CONNECTIONS, OLD_CONNECTIONS} and event is not None:
            short.append(event)
            continue
        when = describe.at(observations, outage.start)
        effects = "; ".join(text for _, text in evidence.effects(outage))
        text = f"{observations.address}: {when}, {outage.description}: {_SHORT}"
        yield f"{text}; {effects}" if effects else text
    for restart in correlation.restarts:
        if not restart.is_new_process:
            yield (
                f"{observations.address}: {describe.at(observations, restart.end)}, "
                "the server began a new stream, because it had received nothing for a "
                "long time"
            )
    for events, reason in ((short, _SHORT), (correlation.by_chance, _CHANCE)):
        for kind in (LossRun, ConnectFailureRun, ConnectionStall):
            same = [event for event in events if type(event) is kind]
            yield from _of_kind(observations, same, reason)


def _of_kind(
    observations: Observations, events: Sequence[Event], reason: str
) -> Iterator[str]:
    """Describe the longest event of a kind, and count the others."""
    if not events:
        return
    event = max(events, key=lambda event: event.seconds)
    match event:
        case LossRun():
            text = describe.lost_in_a_row(event)
        case ConnectFailureRun():
            text = describe.failed_in_a_row(event)
        case ConnectionStall():
            text = describe.stalled_for(event)
            starved = observations.starved_seconds(event)
            if starved:
                text += f", and for up to {starved:.2f} s of that time one end was suspended or starved of CPU"
            if starved >= STARVED_SHARE * event.seconds:
                reason = "the network need not be the cause"
    if len(events) > 1:
        text += f", and {len(events) - 1} more times for a shorter time"
    when = describe.at(observations, event.start)
    yield f"{observations.address}: {when}, {text}: {reason}"
