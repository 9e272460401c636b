"""Which events belong to one outage, and which to none. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from netduet.client.outages.chance import (
    are_both_by_chance,
    is_failure_run_by_chance,
    is_loss_run_by_chance,
    is_stall_by_chance,
)
from netduet.client.outages.events import (
    ConnectFailureRun,
    ConnectionStall,
    LossRun,
    ServerRestart,
)
from netduet.client.outages.observations import Observations
from netduet.client.outages.outage import OUTAGE, Outage
from netduet.client.results.location import Location
from netduet.net.time_span import Timed

NEAR_SECONDS: Final = 0.3
"""Maximum seconds between two events of one outage."""

COMMON_SHARE: Final = 0.5
"""Share of the longer of two loss runs that they must share to be one outage."""

Event = TypeVar("Event", LossRun, ConnectFailureRun, ConnectionStall, ServerRestart)


@dataclass(frozen=True, slots=True)
class Correlation:
    """All that happened at an address: outages, and the events outside of them.

    The outages have their events, their direction and the class ``stream.outage``,
    which ``classify`` refines. ``by_chance`` are the events that scattered losses
    explain.
    """

    outages: tuple[Outage, ...] = ()
    failure_runs: tuple[ConnectFailureRun, ...] = ()
    stalls: tuple[ConnectionStall, ...] = ()
    restarts: tuple[ServerRestart, ...] = ()
    by_chance: tuple[LossRun | ConnectFailureRun | ConnectionStall, ...] = ()


def correlate(observations: Observations) -> Correlation:
    """Group the events of an address into outages."""
    loss_runs, chance_loss_runs = _partition(
        observations.loss_runs, lambda run: is_loss_run_by_chance(observations, run)
    )
    outages = [
        _with_effects(observations, outage) for outage in _join_directions(loss_runs)
    ]
    restarts = [run for run in observations.restarts if run.is_new_process]
    explained: list[Outage | ServerRestart] = [*outages, *restarts]
    failure_runs = _outside(observations.failure_runs, explained)
    stalls = _outside(observations.stalls, explained)
    if not observations.datagrams.passed:
        # Both kinds at once may prove together what neither proves alone.
        joint = _join_connections(observations, failure_runs, stalls)
        outages += joint
        failure_runs, stalls = _outside(failure_runs, joint), _outside(stalls, joint)
    failure_runs, chance_failure_runs = _partition(
        failure_runs, lambda run: is_failure_run_by_chance(observations, run)
    )
    stalls, chance_stalls = _partition(
        stalls, lambda stall: is_stall_by_chance(observations, stall)
    )
    return Correlation(
        tuple(sorted(outages, key=lambda outage: outage.start)),
        tuple(failure_runs),
        tuple(stalls),
        tuple(_outside(observations.restarts, outages)),
        (*chance_loss_runs, *chance_failure_runs, *chance_stalls),
    )


def _join_directions(loss_runs: Iterable[LossRun]) -> list[Outage]:
    up_runs = [run for run in loss_runs if run.where == Location.TO_SERVER]
    others = [run for run in loss_runs if run.where != Location.TO_SERVER]
    outages = []
    for up_run in up_runs:
        other = next((run for run in others if _coincide(up_run, run)), None)
        if other is None:
            outages.append(_outage(up_run.where, up_run))
        else:
            others.remove(other)
            where = (
                Location.UNKNOWN
                if other.where == Location.UNKNOWN
                else Location.INTERMEDIARY
            )
            outages.append(_outage(where, up_run, other))
    return [*outages, *(_outage(run.where, run) for run in others)]


def _coincide(run: LossRun, other: LossRun) -> bool:
    common = min(run.end, other.end) - max(run.start, other.start)
    return common >= COMMON_SHARE * max(run.seconds, other.seconds)


def _outage(where: Location, *loss_runs: LossRun) -> Outage:
    return Outage(
        OUTAGE,
        where,
        min(run.start for run in loss_runs),
        max(run.end for run in loss_runs),
        ended=all(run.ended for run in loss_runs),
        loss_runs=loss_runs,
    )


def _with_effects(observations: Observations, outage: Outage) -> Outage:
    """Add the longest of each kind of event during the outage."""
    return replace(
        outage,
        failure_run=_longest(_near(outage, observations.failure_runs)),
        stall=_longest(_near(outage, observations.stalls)),
        restart=_longest(_near(outage, observations.restarts)),
    )


def _join_connections(
    observations: Observations,
    failure_runs: Iterable[ConnectFailureRun],
    stalls: Iterable[ConnectionStall],
) -> list[Outage]:
    """Return the outages that only connections show: both kinds failed together."""
    outages = []
    stalls = list(stalls)
    for run in failure_runs:
        stall = _longest(_near(run, stalls))
        if stall is None or are_both_by_chance(observations, run, stall):
            continue
        outages.append(
            Outage(
                OUTAGE,
                Location.UNKNOWN,
                run.start,
                run.end,
                ended=run.ended,
                failure_run=run,
                stall=stall,
            )
        )
    return outages


def _near(span: Timed, events: Sequence[Event]) -> list[Event]:
    return [event for event in events if event.is_near(span, NEAR_SECONDS)]


def _outside(events: Sequence[Event], spans: Iterable[Timed]) -> list[Event]:
    near = [event for span in spans for event in _near(span, events)]
    return [event for event in events if event not in near]


def _longest(events: Iterable[Event]) -> Event | None:
    return max(events, key=lambda event: event.seconds, default=None)


def _partition(
    events: Iterable[Event], is_by_chance: Callable[[Event], bool]
) -> tuple[list[Event], list[Event]]:
    """Return the events that chance does not explain, and those that it does."""
    proven: list[Event] = []
    by_chance: list[Event] = []
    for event in events:
        (by_chance if is_by_chance(event) else proven).append(event)
    return proven, by_chance
