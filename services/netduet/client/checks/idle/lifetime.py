"""Distinguishes a lifetime of connections from a timer of idle ones. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from netduet.client.checks.idle.results import (
    BusyConnection,
    HeldConnection,
    HoldOutcome,
    IdleResult,
)
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import Evidence, Finding

TOLERANCE_SHARE: Final = 0.1
"""Share by which the ages of connections that reach the same lifetime may differ."""
TOLERANCE_SECONDS: Final = 1.0
"""The same in seconds, whichever is more."""

MIN_DEATHS: Final = 2


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The age in seconds at which ``ended`` busy connections ended."""

    seconds: float
    ended: tuple[BusyConnection, ...]

    @property
    def tolerance(self) -> float:
        """Seconds by which an age may differ from it."""
        return max(TOLERANCE_SECONDS, TOLERANCE_SHARE * self.seconds)


def find_lifetime(result: IdleResult) -> Lifetime | None:
    """Return the lifetime of connections, None if none is proven.

    Busy ones ended at the same age and at different times; an outage ends them at the
    same time and at different ages. A silent one that lived longer disproves it: then
    the number of bytes or questions is what ends them.
    """
    ended = tuple(busy for busy in result.busy if busy.is_dead)
    if len(ended) < MIN_DEATHS:
        return None
    ages = [busy.seconds for busy in ended]
    lifetime = Lifetime(sum(ages) / len(ages), ended)
    apart = max(busy.end for busy in ended) - min(busy.end for busy in ended)
    spread = max(ages) - min(ages)
    if spread > lifetime.tolerance or spread >= apart:
        return None
    longest = max(
        (
            held.plan.rung
            for held in result.held
            if held.outcome is HoldOutcome.ALIVE and held.plan.keepalive is None
        ),
        default=0.0,
    )
    return None if longest > lifetime.seconds + lifetime.tolerance else lifetime


def lifetime_finding(result: IdleResult, lifetime: Lifetime) -> Finding:
    """Return the finding that connections end at an age."""
    ages = ", ".join(f"{busy.seconds:.1f} s" for busy in lifetime.ended)
    seen = (
        f"{result.address}: connections end {lifetime.seconds:.1f} s after they began, "
        f"however busy they are: {len(lifetime.ended)} that were used all the time "
        f"ended after {ages}"
    )
    survivors = [busy for busy in result.busy if busy.is_alive]
    if survivors:
        longest = max(busy.seconds for busy in survivors)
        seen += f"; the last one was {longest:.1f} s old when the check ended"
    known = any(busy.server.entry is not None for busy in lifetime.ended)
    figures = {"died": round(lifetime.seconds, 3), "busy_ended": len(lifetime.ended)}
    return Finding(
        "idle.lifetime",
        seen,
        tuple(_evidence(lifetime.ended)),
        dict(figures),
        None if known else Location.UNKNOWN,
    )


def _evidence(ended: Iterable[BusyConnection]) -> Iterable[tuple[Side, str]]:
    for busy in ended:
        how = "nothing came back any more"
        if busy.ending is not None:
            words = {"eof": "the stream ended", "broken": "the stream ended"}
            how = words.get(busy.ending.how, busy.ending.detail)
        yield (
            Side.CLIENT,
            f"a busy connection: {how}, {busy.seconds:.1f} s after it began",
        )
        entry = busy.server.entry
        if entry is None:
            text = f"the server's record is unavailable: {busy.server.missing}"
        elif entry.ended is None:
            text = "still open"
        else:
            words = {"reset": "reset", "eof": "closed"}
            text = (
                f"{words.get(entry.ended, 'ended')} by this end, according to its "
                "record; this end did not do that"
            )
        yield Side.SERVER, f"same connection: {text}"


def busy_evidence(result: IdleResult) -> Evidence:
    """Return that a busy connection outlived idle ones, if one did."""
    alive = [busy.seconds for busy in result.busy if busy.is_alive]
    if not alive or any(busy.is_dead for busy in result.busy):
        return ()
    text = (
        f"a connection that was used all the time stayed alive for {max(alive):.1f} s"
    )
    return ((Side.CLIENT, text),)


def is_explained(lifetime: Lifetime | None, died: Iterable[HeldConnection]) -> bool:
    """Whether a lifetime explains the end of connections that were idle."""
    if lifetime is None:
        return False
    return all(
        (held.plan.rung if held.ended_after is None else held.ended_after)
        >= lifetime.seconds - lifetime.tolerance
        for held in died
    )
