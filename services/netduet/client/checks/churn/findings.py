"""The findings about short connections, in words and with both ends' evidence. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Final

from netduet.client.checks.churn.counts import ConnectionCounts, told_share
from netduet.client.checks.churn.limit_detection import at_once, token_bucket
from netduet.client.checks.churn.results import (
    Attempt,
    AttemptOutcome,
    ChurnResult,
    Witness,
)
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import Figures, Finding, Outcome, Window

_EXPLAINED: Final = 0.5
"""Share of the trouble that the listening socket's drops must account for."""

_SAID: Final = {
    AttemptOutcome.NEVER_MADE: "had no answer",
    AttemptOutcome.REFUSED: "were refused",
    AttemptOutcome.ENDED: "were made and ended",
    AttemptOutcome.UNANSWERED: "were made and not answered",
    AttemptOutcome.BUSY: "were turned away by the server",
}


def ports(place: ChurnResult, counted: ConnectionCounts) -> Finding:
    """Return the finding that this host has no port left."""
    none, made = counted.of(AttemptOutcome.NO_PORT), counted.of(AttemptOutcome.SERVED)
    seen = (
        f"{len(none)} of {len(counted.tries)} connections to {place.address} could not "
        f"even be tried: {none[0].detail}"
    )
    evidence = [(Side.CLIENT, f"{len(made)} others were served")]
    if place.ports is not None:
        one = place.ports
        said = f"this host's ports are {one.low} to {one.high}: {one.count}"
        if one.time_wait is not None:
            said += f"; {one.time_wait} of its connections are in TIME_WAIT"
        if place.held is not None and place.held.kept:
            said += f"; this check itself held {place.held.kept} at once"
        evidence.append((Side.CLIENT, said))
    evidence.append(_witnessed(place.witness))
    return Finding("churn.ports_exhausted", seen, tuple(evidence))


def unstarted(place: ChurnResult, counted: ConnectionCounts, started: int) -> Finding:
    """Return the finding that this end did not do its part."""
    run = place.run
    seen = (
        f"of {run.planned} connections to {place.address}, due at {run.rate:.0f} a "
        f"second, {started} could be started in time"
    )
    failed = counted.of(AttemptOutcome.NOT_TRIED)
    why = failed[0].detail if failed else f"the latest began {run.late:.3f} s late"
    return Finding(
        "churn.unstarted",
        seen,
        ((Side.CLIENT, why),),
        outcome=Outcome.INCONCLUSIVE,
    )


def accept_queue(place: ChurnResult, counted: ConnectionCounts) -> Finding | None:
    """Return the finding that the server's own listener drops, where it explains most.

    Only for an instance whose listener was watched: behind a balancer the drops of one
    say nothing of the others.
    """
    drops = place.witness.drops
    if not drops:
        return None
    ended = counted.of(AttemptOutcome.ENDED, AttemptOutcome.UNANSWERED)
    trouble = counted.lost - counted.doubles + len(ended)
    # Beside many answers that were lost, a drop or two more explain nothing.
    if drops <= counted.doubles or drops < _EXPLAINED * trouble:
        return None
    seen = (
        f"the server's listening socket dropped {drops} openings while "
        f"{len(counted.tries)} connections to {place.address} were made"
    )
    here = f"{counted.lost} of {counted.syns} SYNs had to be sent again; {_outcomes(counted.tries)}"
    there = (
        f"instance {place.witness.who}: {drops} dropped (ListenDrops); at "
        f"most {place.witness.waiting} were seen to wait in its queue"
    )
    figures: Figures = {"listener_drops": drops, "lost_syns": counted.lost}
    evidence = ((Side.CLIENT, here), (Side.SERVER, there))
    return Finding("churn.accept_queue", seen, evidence, figures)


def rate_limited(place: ChurnResult) -> Finding | None:
    """Return the finding that a bucket of tokens lets connections pass, if one does.

    A large burst may last until connections are held; all before it then passed.
    """
    run, before = place.run, 0
    bucket = token_bucket(run, path_works=place.witness.lived)
    quiet = all(attempt.smooth for attempt in run.attempts)
    if quiet and place.held is not None and at_once(place.held) is None:
        before, run = len(run.attempts), place.held.run
        bucket = token_bucket(run, path_works=place.witness.lived)
    if bucket is None:
        return None
    burst = bucket.burst + before
    then = "hardly any"
    if bucket.rate:
        then = f"{bucket.rate:.3g} a second"
    seen = (
        f"of connections to {place.address}, due at {run.rate:.0f} a second, "
        f"{burst} passed at once, and then {then}"
    )
    here = (
        "other connections shortly before may have had a part of those that pass at "
        f"once; the first {sum(attempt.at < bucket.start for attempt in run.attempts)} passed; from "
        f"{bucket.start:.2f} s on, {_outcomes(run.attempts)}"
    )
    figures: Figures = {
        "limit_burst": burst,
        "limit_rate": round(bucket.rate, 3),
    }
    evidence = ((Side.CLIENT, here), _witnessed(place.witness))
    return Finding("churn.rate_limited", seen, evidence, figures)


def count_limited(place: ChurnResult) -> Finding | None:
    """Return the finding that so many connections are the most, where they are."""
    held = place.held
    most = None if held is None else at_once(held)
    if held is None or most is None:
        return None
    most += place.witness.lived
    seen = (
        f"{most} connections to {place.address} could be held at once, and no further "
        "one; when they were released, new ones passed"
    )
    how = held.beside[0]
    here = (
        f"with {held.kept} held (and {int(place.witness.lived)} to ask on), {len(held.beside)} further ones "
        f"{_SAID.get(how.outcome, how.outcome.value)}{f' ({how.detail})' if how.detail else ''}; "
        f"{held.alive} of the held ones lived on, and one that was asked answered; "
        f"afterwards {len(held.after)} of {len(held.after)} passed; what other checks and "
        "programs hold towards it meanwhile may count too"
    )
    there = _witnessed(place.witness)
    figures: Figures = {"limit_count": most}
    evidence = ((Side.CLIENT, here), there)
    missed = None
    if all(attempt.outcome is AttemptOutcome.UNANSWERED for attempt in held.beside):
        ends = [attempt.end for attempt in held.beside]
        missed = Window(held.beside[0].start, max(ends))
    return Finding(
        "churn.count_limited", seen, evidence, figures, missed_deadline=missed
    )


def syn_lost(place: ChurnResult, counted: ConnectionCounts) -> Finding:
    """Return the finding that SYNs, or their answers, are lost."""
    seen = (
        f"{counted.lost} of {counted.syns} attempts to connect to {place.address} (SYN "
        f"packets), or their answers, were lost: {told_share(counted.lost, counted.syns)}"
    )
    late = max((attempt.connect or 0.0 for attempt in counted.tries), default=0.0)
    here = f"{_outcomes(counted.tries)}; the longest took {late:.1f} s to be made"
    evidence = [(Side.CLIENT, here)]
    if counted.forth + counted.back:
        evidence.append(
            (
                Side.SERVER,
                (
                    f"of {counted.forth + counted.back} connections whose SYN was sent "
                    f"again, the server never had the first one of {counted.forth}, and "
                    f"sent its answer to {counted.back} again"
                ),
            )
        )
    evidence.append(_witnessed(place.witness))
    figures: Figures = {
        "syns": counted.syns,
        "lost_syns": counted.lost,
        "lost_forth": counted.forth,
        "lost_back": counted.back,
    }
    where = counted.where
    if where == Location.TO_SERVER and not _watched(place):
        where = Location.UNKNOWN  # a listening socket may have dropped them, unseen
    return Finding("churn.syn_lost", seen, tuple(evidence), figures, where=where)


def _watched(place: ChurnResult) -> bool:
    """Tell whether the drops of every instance that served are known."""
    met = {attempt.boot_id for attempt in place.tries if attempt.boot_id}
    return place.witness.drops is not None and met <= {place.witness.boot_id}


def refused(place: ChurnResult, found: tuple[Attempt, ...]) -> Finding:
    """Return the finding that the address refuses some."""
    return _some("churn.refused", "were refused", place, found, None)


def unserved(place: ChurnResult, found: tuple[Attempt, ...]) -> Finding:
    """Return the finding that some came about in vain."""
    missed = None
    if all(attempt.outcome is AttemptOutcome.UNANSWERED for attempt in found):
        missed = Window(
            min(attempt.start for attempt in found),
            max(attempt.end for attempt in found),
        )
    return _some("churn.unserved", "were made and not served", place, found, missed)


def busy(place: ChurnResult, found: tuple[Attempt, ...]) -> Finding:
    """Return the finding that the server itself is at its limit, few as ours are."""
    seen = (
        f"the server turned {len(found)} of {len(place.tries)} connections to "
        f"{place.address} away: {found[0].detail}"
    )
    evidence = ((Side.SERVER, found[0].detail),)
    return Finding("churn.count_limited", seen, evidence, where=Location.SERVER)


def _some(
    failure: str,
    said: str,
    place: ChurnResult,
    found: tuple[Attempt, ...],
    missed: Window | None,
) -> Finding:
    tries = place.tries
    share = told_share(len(found), len(tries))
    seen = (
        f"{len(found)} of {len(tries)} connections to {place.address} {said}: {share}"
    )
    details = Counter(attempt.detail for attempt in found)
    why = "; ".join(f"{count} times: {text}" for text, count in details.most_common(3))
    evidence = (
        (Side.CLIENT, f"{_outcomes(tries)}; {why}"),
        _witnessed(place.witness),
    )
    return Finding(failure, seen, evidence, missed_deadline=missed)


def _outcomes(tries: tuple[Attempt, ...]) -> str:
    counts = Counter(attempt.outcome for attempt in tries)
    parts = [f"{counts[AttemptOutcome.SERVED]} of {len(tries)} were served"]
    parts += [f"{counts[fate]} {said}" for fate, said in _SAID.items() if counts[fate]]
    again = sum(
        attempt.outcome is AttemptOutcome.SERVED and attempt.lost > 0
        for attempt in tries
    )
    if again:
        parts[0] += f" ({again} of them late)"
    return ", ".join(parts)


def _witnessed(witness: Witness) -> tuple[Side, str]:
    """Return what an old connection says of the server meanwhile."""
    if witness.missing:
        return (
            Side.SERVER,
            f"the far end's evidence could not be had: {witness.missing}",
        )
    return (
        Side.SERVER,
        (
            f"on an old connection, instance {witness.who} answered all the while: its "
            f"listening socket dropped {witness.drops}"
        ),
    )
