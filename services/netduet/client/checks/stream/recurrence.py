"""Do outages come again and again? Pure.

One that is short enough to pass is harmless once. A link that flaps, a radio or a
looping route is out for as long each time, and often with a rhythm: applications stall
again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

from netduet.client.outages.observations import Observations
from netduet.client.outages.outage import OUTAGE, Outage
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import Finding
from netduet.net.time_span import TimeSpan

FLAPPING: Final = "stream.flapping"

MIN_OUTAGES: Final = 3
"""Outages from which they come again and again: two intervals can be compared.

Each is proven by itself: scattered losses explain it with a probability below 1 in
10,000 (``outages.chance``)."""

MAX_DEVIATION_SHARE: Final = 0.2
"""Deviation of each interval from the median, as a share of it, that is a rhythm."""


@dataclass(frozen=True, slots=True)
class Flapping:
    """Outages that recur: seconds of each, and from one start to the next.

    ``is_regular``: all intervals are alike.
    """

    outages: tuple[Outage, ...]
    seconds: float
    interval: float
    is_regular: bool


def recurring(outages: Sequence[Outage]) -> Flapping | None:
    """Return the outages that come again and again; None if they do not."""
    proven = sorted(
        (
            outage
            for outage in outages
            if outage.failure == OUTAGE and outage.proven and outage.loss_runs
        ),
        key=lambda outage: outage.start,
    )
    if len(proven) < MIN_OUTAGES:
        return None
    intervals = [after.start - before.start for before, after in pairwise(proven)]
    interval = median(intervals)
    regular = all(
        abs(each - interval) <= MAX_DEVIATION_SHARE * interval for each in intervals
    )
    seconds = median(outage.seconds for outage in proven)
    return Flapping(tuple(proven), seconds, interval, regular)


def flapping_finding(observations: Observations, flapping: Flapping) -> Finding:
    """Return the finding that outages come again and again."""
    outages = flapping.outages
    total = sum(outage.seconds for outage in outages)
    longest = max(outage.seconds for outage in outages)
    rhythm = f"for up to {longest:.2f} s"
    if flapping.is_regular:
        rhythm = f"for {flapping.seconds:.2f} s every {flapping.interval:.1f} s"
    seen = (
        f"{observations.address}: the path is out again and again, {rhythm}: "
        f"{len(outages)} times in {observations.seconds:.0f} s, "
        f"{100 * total / observations.seconds:.0f} % of the time"
    )
    offsets = ", ".join(
        f"{outage.start - observations.start:.1f}" for outage in outages
    )
    lost = sum(run.lost for outage in outages for run in outage.loss_runs)
    evidence = (
        (Side.CLIENT, f"outages began {offsets} s into the check"),
        (Side.CLIENT, f"{lost} datagrams were lost in them"),
    )
    places = {outage.where for outage in outages}
    where = places.pop() if len(places) == 1 else Location.INTERMEDIARY
    return Finding(
        FLAPPING,
        seen,
        evidence,
        {
            "outages": len(outages),
            "seconds": round(flapping.seconds, 3),
            "interval": round(flapping.interval, 3),
            "is_regular": flapping.is_regular,
        },
        where=where,
        missed_deadline=TimeSpan.covering(outages),
        explains=("stream.outage", "churn.syn_lost", "churn.rate_limited", "udp.loss"),
    )
