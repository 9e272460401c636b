"""Which of the measured events belong together, and which chance explains. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from netduet.client.outages.events import (
    ConnectFailureRun,
    ConnectionStall,
    LossRun,
    ServerRestart,
    covered_seconds,
)
from netduet.client.outages.observations import Observations
from netduet.client.results.location import Location
from netduet.client.stats.proportions import ERROR_PROBABILITY, upper_bound

NEAR_SECONDS: Final = 0.3
"""Seconds from one event to another that belong together."""

HALF: Final = 0.5
"""Share of an outage in which an end did not run that excuses the network."""

PACKETS_PER_CONNECTION: Final = 4
"""Packets on which a connection hangs: SYN, its answer, the question, its answer."""

JOINT_ERROR_RATE: Final = 0.01
"""How often the bound of the loss may be wrong where two kinds must fail at one time:
both the time before would have to be lucky, and then the row unlucky.
"""

FIRST_RETRANSMIT_SECONDS: Final = 0.2
"""Seconds until TCP sends a lost segment again, at first; then twice that, and so on."""

Span = TypeVar("Span", LossRun, ConnectFailureRun, ConnectionStall, ServerRestart)


@dataclass(frozen=True, slots=True)
class Incident:
    """One outage, of one direction or of both, and what it did to connections.

    ``where`` is the direction; something in between when it is both at once; unknown
    when only connections show it. ``outages`` are those of the datagrams.
    """

    where: Location
    start: float
    end: float
    outages: tuple[LossRun, ...] = ()
    closure: ConnectFailureRun | None = None
    pause: ConnectionStall | None = None
    restart: ServerRestart | None = None
    ended: bool = True

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.end - self.start

    @property
    def starved(self) -> float:
        """For how many seconds of it an end did not run."""
        return max(
            (
                loss_run.sender_stalled + loss_run.receiver_stalled
                for loss_run in self.outages
            ),
            default=0.0,
        )

    @property
    def overflows(self) -> tuple[LossRun, ...]:
        """Those whose losses the receiver's own full buffer may be all of."""
        return tuple(loss_run for loss_run in self.outages if overflowed(loss_run))


@dataclass(frozen=True, slots=True)
class Correlation:
    """All that happened at a place: incidents, and what belongs to none of them.

    ``chance`` are those that as much loss as there is otherwise would explain too.
    """

    incidents: tuple[Incident, ...] = ()
    closures: tuple[ConnectFailureRun, ...] = ()
    pauses: tuple[ConnectionStall, ...] = ()
    restarts: tuple[ServerRestart, ...] = ()
    chance: tuple[LossRun | ConnectFailureRun | ConnectionStall, ...] = ()


def correlate(place: Observations) -> Correlation:
    """Say which events belong together."""
    outages, lucky = _partition(
        place.loss_runs, lambda loss_run: is_loss_run_by_chance(place, loss_run)
    )
    incidents = [
        _with_effects(place, incident) for incident in _join_directions(outages)
    ]
    others = [restart for restart in place.restarts if is_new_process(restart)]
    known: list[Incident | ServerRestart] = [*incidents, *others]
    closures = _not_near(place.failure_runs, known)
    pauses = _not_near(place.stalls, known)
    if not place.datagrams.passed:
        # Both kinds at once: together they may prove what neither does alone.
        told = [
            incident
            for incident in _by_connections(closures, pauses)
            if not are_both_by_chance(place, incident)
        ]
        incidents += told
        closures, pauses = _not_near(closures, told), _not_near(pauses, told)
    closures, lucky_closures = _partition(
        closures, lambda failure_run: is_failure_run_by_chance(place, failure_run)
    )
    pauses, lucky_pauses = _partition(
        pauses, lambda stall: is_stall_by_chance(place, stall)
    )
    return Correlation(
        tuple(sorted(incidents, key=lambda incident: incident.start)),
        tuple(closures),
        tuple(pauses),
        tuple(_not_near(place.restarts, incidents)),
        (*lucky, *lucky_closures, *lucky_pauses),
    )


def overflowed(loss_run: LossRun) -> bool:
    """Tell whether the receiver's own socket had no room for as many as were lost, or half."""
    return loss_run.dropped >= HALF * loss_run.lost > 0


def starved_seconds(
    place: Observations, one: ConnectionStall | ConnectFailureRun
) -> float:
    """Return for how many seconds of it, at most, one end or the other did not run."""
    ours = one.client_stalled if isinstance(one, ConnectionStall) else 0.0
    theirs = covered_seconds(place.datagrams.server_stalls, one.start, one.end)
    return min(one.seconds, ours + theirs)


def is_new_process(restart: ServerRestart) -> bool:
    """Tell whether another start of a server answers than before."""
    return restart.boot_ids[0] != restart.boot_ids[1]


# Chance


def is_loss_run_by_chance(place: Observations, loss_run: LossRun) -> bool:
    """Tell whether a row of losses may come by chance, as the others do.

    The share that may be lost is bounded by what is lost besides (99.99 %), and a row
    may begin at any datagram.
    """
    counted = (
        place.datagrams.down
        if loss_run.where == Location.FROM_SERVER
        else place.datagrams.up
    )
    sent, lost = counted.sent - loss_run.lost, counted.lost - loss_run.lost
    if loss_run.where == Location.UNKNOWN:
        sent, lost = counted.sent, counted.lost
    return _likely(max(0, lost), max(1, sent), loss_run.lost)


def is_failure_run_by_chance(
    place: Observations, failure_run: ConnectFailureRun
) -> bool:
    """Tell whether so many connections may fail by chance, as the others do.

    Loss turns nobody away. And where datagrams pass, as much as they lose bounds what
    connections lose by chance, too: four packets must not be lost for one to work at once.
    """
    if failure_run.rejected:
        return False
    fresh = place.new_connections
    started = max(1, fresh.started - failure_run.failed)
    share = upper_bound(
        min(max(0, fresh.failed - failure_run.failed), started), started
    )
    if place.datagrams.passed:
        share = min(
            share, 1.0 - (1.0 - _share_by_datagrams(place)) ** PACKETS_PER_CONNECTION
        )
    return (
        started + failure_run.failed
    ) * share**failure_run.failed > ERROR_PROBABILITY


def are_both_by_chance(place: Observations, incident: Incident) -> bool:
    """Tell whether chance may have new connections and the old one fail at one time."""
    closure, pause = incident.closure, incident.pause
    if closure is None or pause is None:
        return False
    if closure.rejected or pause.broken:
        return False
    share = _share_by_connections(place, JOINT_ERROR_RATE)
    connection = 1.0 - (1.0 - share) ** 2
    beginnings = max(1, place.new_connections.started)
    row = connection**closure.failed * share ** _lost_packets(place, pause)
    return beginnings * row > ERROR_PROBABILITY


def is_stall_by_chance(place: Observations, stall: ConnectionStall) -> bool:
    """Tell whether a connection may stand still for so long because of single losses.

    A segment that is lost is sent again after about 0.2 s, 0.4 s more, 0.8 s more and
    so on (RFC 6298 §5): for a long pause, each of these must be lost too.
    """
    if stall.broken:
        return False
    if place.datagrams.passed:
        share = _share_by_datagrams(place)
    else:
        share = _share_by_connections(place)
    return (
        2 * max(1, place.long_lived.asked) * share ** _lost_packets(place, stall)
        > ERROR_PROBABILITY
    )


def _lost_packets(place: Observations, stall: ConnectionStall) -> int:
    """Return how many packets behind one another must be lost for so long a pause."""
    left = stall.seconds - starved_seconds(place, stall)
    return 1 + int(math.log2(left / FIRST_RETRANSMIT_SECONDS + 1))


def _share_by_datagrams(place: Observations) -> float:
    """Return how many packets may be lost, by the datagrams that no outage took."""
    up, down = place.datagrams.up, place.datagrams.down
    out = sum(outage.lost for outage in place.loss_runs)
    lost, sent = up.lost + down.lost - out, up.sent + down.sent - out
    return upper_bound(min(max(0, lost), max(1, sent)), max(1, sent))


def _share_by_connections(
    place: Observations, doubt: float = ERROR_PROBABILITY
) -> float:
    """Return how many packets may be lost, by the fresh connections that worked.

    Each of them needs two packets at the least, its SYN and the answer to it.
    """
    out = sum(failure_run.failed for failure_run in place.failure_runs)
    started = max(1, place.new_connections.started - out)
    failed = min(max(0, place.new_connections.failed - out), started)
    return 1.0 - math.sqrt(1.0 - upper_bound(failed, started, doubt))


def _likely(lost: int, sent: int, row: int) -> bool:
    share = upper_bound(min(lost, sent), sent)
    return (sent + row) * share**row > ERROR_PROBABILITY


# What belongs together


def _join_directions(outages: Iterable[LossRun]) -> list[Incident]:
    """Join an outage of one direction with that of the other at about the same time."""
    ups = [loss_run for loss_run in outages if loss_run.where == Location.TO_SERVER]
    others = [run for run in outages if run.where != Location.TO_SERVER]
    incidents = []
    for up in ups:
        both = next((loss_run for loss_run in others if _coincide(up, loss_run)), None)
        if both is None:
            incidents.append(_incident(up.where, up))
        else:
            others.remove(both)
            where = (
                Location.UNKNOWN
                if both.where == Location.UNKNOWN
                else Location.INTERMEDIARY
            )
            incidents.append(_incident(where, up, both))
    return [*incidents, *(_incident(loss_run.where, loss_run) for loss_run in others)]


def _coincide(loss_run: LossRun, other: LossRun) -> bool:
    common = min(loss_run.end, other.end) - max(loss_run.start, other.start)
    return common >= HALF * max(loss_run.seconds, other.seconds)


def _incident(where: Location, *outages: LossRun) -> Incident:
    return Incident(
        where,
        min(loss_run.start for loss_run in outages),
        max(run.end for run in outages),
        outages,
        ended=all(loss_run.ended for loss_run in outages),
    )


def _with_effects(place: Observations, incident: Incident) -> Incident:
    """Add the longest of what happened to connections meanwhile."""
    return replace(
        incident,
        closure=_longest(
            failure_run
            for failure_run in place.failure_runs
            if _near(incident, failure_run)
        ),
        pause=_longest(stall for stall in place.stalls if _near(incident, stall)),
        restart=_longest(
            restart for restart in place.restarts if _near(incident, restart)
        ),
    )


def _by_connections(
    closures: Iterable[ConnectFailureRun], pauses: Iterable[ConnectionStall]
) -> list[Incident]:
    """Return the outages that only connections can tell of: both kinds were out."""
    incidents = []
    pauses = list(pauses)
    for closure in closures:
        pause = _longest(stall for stall in pauses if _near(closure, stall))
        if pause is not None:
            incidents.append(
                Incident(
                    Location.UNKNOWN,
                    closure.start,
                    closure.end,
                    closure=closure,
                    pause=pause,
                    ended=closure.ended,
                )
            )
    return incidents


def _near(
    one: Incident | ConnectFailureRun | ServerRestart,
    other: LossRun | ConnectFailureRun | ConnectionStall | ServerRestart,
) -> bool:
    return other.start < one.end + NEAR_SECONDS and other.end > one.start - NEAR_SECONDS


def _not_near(
    some: Iterable[Span], incidents: Iterable[Incident | ServerRestart]
) -> list[Span]:
    known = list(incidents)
    return [one for one in some if not any(_near(two, one) for two in known)]


def _longest(some: Iterable[Span]) -> Span | None:
    return max(some, key=lambda one: one.end - one.start, default=None)


def _partition(
    some: Iterable[Span], belongs: Callable[[Span], bool]
) -> tuple[list[Span], list[Span]]:
    """Return those for which it is not so, and those for which it is."""
    told = [(one, belongs(one)) for one in some]
    return [one for one, so in told if not so], [one for one, so in told if so]
