"""The summary, the notes on loss and the figures of an address. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from netduet.client.outages import describe
from netduet.client.outages.connect_probe import MIN_FAILURES
from netduet.client.outages.loss_tracker import LossCounts
from netduet.client.outages.observations import Observations
from netduet.client.outages.outage import Outage
from netduet.client.results.location import Location
from netduet.client.results.verdict import Figures

SLOW_SECONDS: Final = 0.3
"""Seconds by which a datagram must be slower than the fastest one to be noted."""


def summary(observations: Observations, outages: Sequence[Outage]) -> str:
    """Return the result in one line."""
    datagrams, connections = observations.datagrams, observations.new_connections
    text = f"{observations.address}: in {observations.seconds:.0f} s, "
    if datagrams.passed:
        text += f"{datagrams.up.sent} datagrams up, {datagrams.down.sent} down, "
    if outages:
        longest = max(outage.seconds for outage in outages)
        count = len(outages)
        in_all = "1 outage of" if count == 1 else f"{count} outages, the longest"
        text += f"{in_all} {describe.seconds(longest)}"
    elif datagrams.passed:
        text += "no outages"
    elif datagrams.of_service:
        text += f"no outages longer than {_unseen_seconds(observations):g} s"
    else:
        text += "no outages, as far as connections show"
    worked = connections.started - connections.failed
    return (
        f"{text}; {worked} of {connections.started} new connections succeeded in time"
    )


def _unseen_seconds(observations: Observations) -> float:
    """Return how long an outage can be that connections do not show.

    Fewer than ``MIN_FAILURES`` failures in a row are not reported.
    """
    connections = observations.new_connections
    all_worked = not (connections.failed or connections.void)
    return connections.period * (1 if all_worked else MIN_FAILURES)


def losses(observations: Observations) -> Iterator[str]:
    """Yield notes on datagrams that were lost, duplicated or late, or not measured."""
    address, datagrams = observations.address, observations.datagrams
    yield from _silence(observations)
    for where, counts in (
        (Location.TO_SERVER, datagrams.up),
        (Location.FROM_SERVER, datagrams.down),
    ):
        in_runs = sum(run.lost for run in observations.loss_runs if run.where == where)
        for count, what in (
            (counts.lost - in_runs, "were lost, singly or a few in a row,"),
            (counts.duplicated, "were duplicated"),
            (counts.late, "arrived out of order"),
        ):
            if datagrams.passed and count > 0:
                yield f"{address}: {count} of {counts.sent} datagrams {what} {where.phrase}"
    if datagrams.lateness > SLOW_SECONDS:
        yield (
            f"{address}: a datagram took {datagrams.lateness:.2f} s longer on the way "
            "back than the fastest: it was delayed, not lost"
        )
    connections, long_lived = observations.new_connections, observations.long_lived
    if connections.void:
        yield (
            f"{address}: {connections.void} of {connections.started + connections.void} "
            "new connections failed because of this client itself (it was suspended or starved of CPU, or had no file descriptor, port or memory for them), and are not counted"
        )
    if long_lived.connect_error:
        yield (
            f"{address}: the long-lived connection could not be made: "
            f"{long_lived.connect_error}"
        )


def _silence(observations: Observations) -> Iterator[str]:
    datagrams = observations.datagrams
    if datagrams.passed or datagrams.of_service:
        return
    if not datagrams.supported:
        reason = "the server's version does not support UDP streams"
    elif datagrams.refused:
        reason = f"the server refuses to stream datagrams: {datagrams.refused}"
    elif datagrams.answered:
        reason = "the server responded to datagrams at first, but no stream arrived"
    elif datagrams.error or datagrams.notice:
        reason = f"UDP does not get through ({datagrams.error or datagrams.notice})"
    else:
        reason = "UDP does not get through: no datagram got a response"
    period = observations.new_connections.period * 1000
    yield (
        f"{observations.address}: {reason}; so the direction of an outage is unknown, and "
        f"its length is measured only by the new connections, one every {period:.0f} ms"
    )


def figures(observations: Observations, outages: Sequence[Outage]) -> Figures:
    """Return the figures."""
    datagrams, connections = observations.datagrams, observations.new_connections
    numbers: Figures = {
        "seconds": round(observations.seconds, 1),
        "outages": len(outages),
        "longest_outage": round(
            max((outage.seconds for outage in outages), default=0.0), 3
        ),
        "new_connections": connections.started,
        "new_failed": connections.failed,
        "new_void": connections.void,
        "old_asked": observations.long_lived.asked,
        "old_answered": observations.long_lived.answered,
        "old_longest_pause": round(
            max((stall.seconds for stall in observations.stalls), default=0.0), 3
        ),
    }
    if datagrams.passed:
        for name, counts in (("up", datagrams.up), ("down", datagrams.down)):
            numbers |= _counts(name, counts)
        numbers |= {
            "unsent": datagrams.unsent,
            "dropped_here": datagrams.dropped,
            "latest_ms": round(datagrams.lateness * 1000, 1),
        }
    return numbers


def _counts(name: str, counts: LossCounts) -> Figures:
    return {
        f"{name}_sent": counts.sent,
        f"{name}_lost": counts.lost,
        f"{name}_duplicated": counts.duplicated,
        f"{name}_late": counts.late,
        f"{name}_untold": counts.unknown,
    }
