"""Which source ports are tried again, and how long an answer may take. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Final

from netduet.client.checks.flows.results import FlowPlan, SourcePort
from netduet.client.net.path_rate import FULL_PACKET_BYTES

PLANS: Final = {
    "quick": FlowPlan(128, 60, 0.006, 2.4),
    "full": FlowPlan(128, 100, 0.01, 8.0),
    "soak": FlowPlan(128, 400, 0.01, 20.0),
}
"""By profile. Of 128 ports, chance leaves a path that one in 16 takes without any in 1 of
3,900 runs."""

SERVICE_PORTS: Final = 64
"""Source ports for a service other than netduet-server, if it allows so many."""

PORT_BYTES: Final = 3000
"""Bytes each way for a port: a connection with a full-size packet, which is more than
its datagrams."""

PATH_SHARE: Final = 0.5
"""Share of a slow path's rate that the ports take."""

AGAIN_SHARE: Final = 0.8
"""The same in the second stage, where many of the ports are dead and send next to
nothing."""

ROUNDS: Final = 6
"""Trials of the second stage: all of them must fail for a port to be dead."""

MIN_CONTROLS: Final = 24
"""Ports without loss that are tried again with the suspicious ones, at least."""

MAX_SUSPICIOUS: Final = 80
"""Suspicious ports that are tried again."""

MAX_LOSSY: Final = 24
"""Ports that exchange many packets, on either side of the comparison."""

_BASE_SECONDS: Final = 0.25
_ROUND_TRIPS: Final = 4
_MAX_PATIENCE_SECONDS: Final = 4.0

_MAX_FIRST_SECONDS: Final = 6.0
_MAX_STRETCH: Final = 1.5
"""Factor by which the ports of a slow path may take longer than planned."""

MAX_NEIGHBOURS: Final = 4
"""Ports in a row of which the first free one is used."""

MIN_TRIED: Final = 24
"""Ports without any answer after which the others are left out: it is no single flow."""

STOPPED_RUN: Final = 20
"""Ports in a row without an answer, behind some with one, after which the same holds."""


_QUEUED_BYTES: Final = 6 * FULL_PACKET_BYTES
"""Bytes of other ports that may be ahead of a packet: on a slow path, they take time."""


def patience(round_trip: float, plan: FlowPlan) -> float:
    """Return the seconds after which a packet counts as lost, given the round trip."""
    seconds = _BASE_SECONDS + _ROUND_TRIPS * round_trip
    seconds += plan.transit_seconds(_QUEUED_BYTES, 1.0)
    return min(_MAX_PATIENCE_SECONDS, seconds)


def max_first_seconds(plan: FlowPlan) -> float:
    """Return the seconds after which no further ports are tried for the first time."""
    return max(_MAX_FIRST_SECONDS, _MAX_STRETCH * plan.ports * plan.interval)


def has_stopped(passed: Mapping[int, bool]) -> bool:
    """Whether nothing passes any more, from whichever port, so that no more is tried.

    ``passed`` says of each port that is done, by its number from 1 on, whether anything
    has passed. Those that fail are done last: only those before the first one that is
    not done count.
    """
    done = list(
        takewhile(
            lambda each: each is not None,
            (passed.get(n + 1) for n in range(len(passed))),
        )
    )
    if not any(passed.values()):
        return len(done) >= MIN_TRIED
    return len(done) >= STOPPED_RUN and not any(done[-STOPPED_RUN:])


def chosen_again(
    ports: Sequence[SourcePort], generator: random.Random
) -> tuple[list[int], list[int]]:
    """Return the indexes of the suspicious ports, and of the controls.

    Controls are ports without loss, at least as many as suspicious ones if there are.
    """
    suspicious: list[int] = []
    clean: list[int] = []
    any_full = any(each.full_passed for each in ports)
    for index, each in enumerate(ports):
        doubtful = each.is_suspicious if any_full else not each.first.is_clean
        (suspicious if doubtful else clean).append(index)
    if not suspicious:
        return [], []
    if len(suspicious) > MAX_SUSPICIOUS:
        suspicious = sorted(generator.sample(suspicious, MAX_SUSPICIOUS))
    count = max(MIN_CONTROLS, min(len(suspicious), MAX_LOSSY))
    return suspicious, generator.sample(clean, min(count, len(clean)))


def chosen_for_packets(
    ports: Sequence[SourcePort], chosen: Sequence[int], generator: random.Random
) -> list[int]:
    """Return those of these indexes that pass at all, not too many."""
    passing = [index for index in chosen if ports[index].passed]
    return generator.sample(passing, min(MAX_LOSSY, len(passing)))


def still_open(ports: Sequence[SourcePort], suspicious: Sequence[int]) -> list[int]:
    """Return those that may still be dead, or lose all packets of full size."""
    any_full = any(each.full_passed for each in ports)
    return [
        index
        for index in suspicious
        if not ports[index].passed
        or (
            (any_full and ports[index].first.full is False)
            and not ports[index].full_passed
        )
    ]
