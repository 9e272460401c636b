"""The findings about short connections, in words and with both ends' evidence. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Final

from netduet.client.checks.churn.counts import ConnectionCounts, format_share
from netduet.client.checks.churn.limit_detection import (
    detect_count_limit,
    detect_token_bucket,
)
from netduet.client.checks.churn.results import (
    Attempt,
    AttemptOutcome,
    ChurnResult,
    Witness,
)
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import Figures, Finding, Outcome, Window

_MIN_EXPLAINED_SHARE: Final = 0.5
"""Share of the trouble that the listening socket's drops must account for."""

_OUTCOME_TEXTS: Final = {
    AttemptOutcome.NEVER_MADE: "had no answer",
    AttemptOutcome.REFUSED: "were refused",
    AttemptOutcome.ENDED: "were made and ended",
    AttemptOutcome.UNANSWERED: "were made and not answered",
    AttemptOutcome.BUSY: "were turned away by the server",
}


def ports_exhausted(result: ChurnResult, counted: ConnectionCounts) -> Finding:
    """Return the finding that this host has no port left."""
    none, made = (
        counted.with_outcome(AttemptOutcome.NO_PORT),
        counted.with_outcome(AttemptOutcome.SERVED),
    )
    seen = (
        f"{len(none)} of {len(counted.attempts)} connections to {result.address} could not "
        f"even be tried: {none[0].detail}"
    )
    evidence = [(Side.CLIENT, f"{len(made)} others were served")]
    if result.ports is not None:
        ports = result.ports
        said = f"this host's ports are {ports.low} to {ports.high}: {ports.count}"
        if ports.time_wait is not None:
            said += f"; {ports.time_wait} of its connections are in TIME_WAIT"
        if result.hold is not None and result.hold.held_count:
            said += f"; this check itself held {result.hold.held_count} at once"
        evidence.append((Side.CLIENT, said))
    evidence.append(_witness_evidence(result.witness))
    return Finding("churn.ports_exhausted", seen, tuple(evidence))


def unstarted(result: ChurnResult, counted: ConnectionCounts, started: int) -> Finding:
    """Return the finding that this end did not do its part."""
    run = result.run
    seen = (
        f"of {run.planned} connections to {result.address}, due at {run.rate:.0f} a "
        f"second, {started} could be started in time"
    )
    failed = counted.with_outcome(AttemptOutcome.NOT_TRIED)
    why = (
        failed[0].detail
        if failed
        else f"the latest began {run.max_start_delay:.3f} s late"
    )
    return Finding(
        "churn.unstarted",
        seen,
        ((Side.CLIENT, why),),
        outcome=Outcome.INCONCLUSIVE,
    )


def accept_queue(result: ChurnResult, counted: ConnectionCounts) -> Finding | None:
    """Return the finding that the server's own listener drops, where it explains most.

    Only for an instance whose listener was watched: behind a balancer the drops of one
    say nothing of the others.
    """
    drops = result.witness.drops
    if not drops:
        return None
    ended = counted.with_outcome(AttemptOutcome.ENDED, AttemptOutcome.UNANSWERED)
    trouble = counted.lost_syns - counted.syns_lost_down + len(ended)
    # Beside many answers that were lost, a drop or two more explain nothing.
    if drops <= counted.syns_lost_down or drops < _MIN_EXPLAINED_SHARE * trouble:
        return None
    seen = (
        f"the server's listening socket dropped {drops} openings while "
        f"{len(counted.attempts)} connections to {result.address} were made"
    )
    client_text = f"{counted.lost_syns} of {counted.syns} SYNs had to be sent again; {_describe_outcomes(counted.attempts)}"
    server_text = (
        f"instance {result.witness.instance}: {drops} dropped (ListenDrops); at "
        f"most {result.witness.max_backlog} were seen to wait in its queue"
    )
    figures: Figures = {"listener_drops": drops, "lost_syns": counted.lost_syns}
    evidence = ((Side.CLIENT, client_text), (Side.SERVER, server_text))
    return Finding("churn.accept_queue", seen, evidence, figures)


def rate_limited(result: ChurnResult) -> Finding | None:
    """Return the finding that a bucket of tokens lets connections pass, if one does.

    A large burst may last until connections are held; all before it then passed.
    """
    run, before = result.run, 0
    bucket = detect_token_bucket(run, path_works=result.witness.survived)
    quiet = all(attempt.smooth for attempt in run.attempts)
    if quiet and result.hold is not None and detect_count_limit(result.hold) is None:
        before, run = len(run.attempts), result.hold.run
        bucket = detect_token_bucket(run, path_works=result.witness.survived)
    if bucket is None:
        return None
    burst = bucket.burst + before
    then = "hardly any"
    if bucket.rate:
        then = f"{bucket.rate:.3g} a second"
    seen = (
        f"of connections to {result.address}, due at {run.rate:.0f} a second, "
        f"{burst} passed at once, and then {then}"
    )
    client_text = (
        "other connections shortly before may have had a part of those that pass at "
        f"once; the first {sum(attempt.offset < bucket.start for attempt in run.attempts)} passed; from "
        f"{bucket.start:.2f} s on, {_describe_outcomes(run.attempts)}"
    )
    figures: Figures = {
        "limit_burst": burst,
        "limit_rate": round(bucket.rate, 3),
    }
    evidence = ((Side.CLIENT, client_text), _witness_evidence(result.witness))
    return Finding("churn.rate_limited", seen, evidence, figures)


def count_limited(result: ChurnResult) -> Finding | None:
    """Return the finding that so many connections are the most, where they are."""
    held = result.hold
    most = None if held is None else detect_count_limit(held)
    if held is None or most is None:
        return None
    most += result.witness.survived
    seen = (
        f"{most} connections to {result.address} could be held at once, and no further "
        "one; when they were released, new ones passed"
    )
    how = held.while_held[0]
    client_text = (
        f"with {held.held_count} held (and {int(result.witness.survived)} to ask on), {len(held.while_held)} further ones "
        f"{_OUTCOME_TEXTS.get(how.outcome, how.outcome.value)}{f' ({how.detail})' if how.detail else ''}; "
        f"{held.alive} of the held ones lived on, and one that was asked answered; "
        f"afterwards {len(held.after_release)} of {len(held.after_release)} passed; what other checks and "
        "programs hold towards it meanwhile may count too"
    )
    server_text = _witness_evidence(result.witness)
    figures: Figures = {"limit_count": most}
    evidence = ((Side.CLIENT, client_text), server_text)
    missed = None
    if all(attempt.outcome is AttemptOutcome.UNANSWERED for attempt in held.while_held):
        ends = [attempt.end for attempt in held.while_held]
        missed = Window(held.while_held[0].start, max(ends))
    return Finding(
        "churn.count_limited", seen, evidence, figures, missed_deadline=missed
    )


def syn_lost(result: ChurnResult, counted: ConnectionCounts) -> Finding:
    """Return the finding that SYNs, or their answers, are lost."""
    seen = (
        f"{counted.lost_syns} of {counted.syns} attempts to connect to {result.address} (SYN "
        f"packets), or their answers, were lost: {format_share(counted.lost_syns, counted.syns)}"
    )
    late = max(
        (attempt.connect_seconds or 0.0 for attempt in counted.attempts), default=0.0
    )
    client_text = f"{_describe_outcomes(counted.attempts)}; the longest took {late:.1f} s to be made"
    evidence = [(Side.CLIENT, client_text)]
    if counted.connections_lost_up + counted.connections_lost_down:
        evidence.append(
            (
                Side.SERVER,
                (
                    f"of {counted.connections_lost_up + counted.connections_lost_down} connections whose SYN was sent "
                    f"again, the server never had the first one of {counted.connections_lost_up}, and "
                    f"sent its answer to {counted.connections_lost_down} again"
                ),
            )
        )
    evidence.append(_witness_evidence(result.witness))
    figures: Figures = {
        "syns": counted.syns,
        "lost_syns": counted.lost_syns,
        "lost_forth": counted.connections_lost_up,
        "lost_back": counted.connections_lost_down,
    }
    where = counted.where
    if where == Location.TO_SERVER and not _all_listeners_watched(result):
        where = Location.UNKNOWN  # a listening socket may have dropped them, unseen
    return Finding("churn.syn_lost", seen, tuple(evidence), figures, where=where)


def _all_listeners_watched(result: ChurnResult) -> bool:
    """Tell whether the drops of every instance that served are known."""
    met = {attempt.boot_id for attempt in result.attempts if attempt.boot_id}
    return result.witness.drops is not None and met <= {result.witness.boot_id}


def refused(result: ChurnResult, found: tuple[Attempt, ...]) -> Finding:
    """Return the finding that the address refuses some."""
    return _failed_connections("churn.refused", "were refused", result, found, None)


def unserved(result: ChurnResult, found: tuple[Attempt, ...]) -> Finding:
    """Return the finding that some came about in vain."""
    missed = None
    if all(attempt.outcome is AttemptOutcome.UNANSWERED for attempt in found):
        missed = Window(
            min(attempt.start for attempt in found),
            max(attempt.end for attempt in found),
        )
    return _failed_connections(
        "churn.unserved", "were made and not served", result, found, missed
    )


def server_busy(result: ChurnResult, found: tuple[Attempt, ...]) -> Finding:
    """Return the finding that the server itself is at its limit, few as ours are."""
    seen = (
        f"the server turned {len(found)} of {len(result.attempts)} connections to "
        f"{result.address} away: {found[0].detail}"
    )
    evidence = ((Side.SERVER, found[0].detail),)
    return Finding("churn.count_limited", seen, evidence, where=Location.SERVER)


def _failed_connections(
    failure: str,
    said: str,
    result: ChurnResult,
    found: tuple[Attempt, ...],
    missed: Window | None,
) -> Finding:
    tries = result.attempts
    share = format_share(len(found), len(tries))
    seen = (
        f"{len(found)} of {len(tries)} connections to {result.address} {said}: {share}"
    )
    details = Counter(attempt.detail for attempt in found)
    why = "; ".join(f"{count} times: {text}" for text, count in details.most_common(3))
    evidence = (
        (Side.CLIENT, f"{_describe_outcomes(tries)}; {why}"),
        _witness_evidence(result.witness),
    )
    return Finding(failure, seen, evidence, missed_deadline=missed)


def _describe_outcomes(tries: tuple[Attempt, ...]) -> str:
    counts = Counter(attempt.outcome for attempt in tries)
    parts = [f"{counts[AttemptOutcome.SERVED]} of {len(tries)} were served"]
    parts += [
        f"{counts[fate]} {said}"
        for fate, said in _OUTCOME_TEXTS.items()
        if counts[fate]
    ]
    again = sum(
        attempt.outcome is AttemptOutcome.SERVED and attempt.lost_syns > 0
        for attempt in tries
    )
    if again:
        parts[0] += f" ({again} of them late)"
    return ", ".join(parts)


def _witness_evidence(witness: Witness) -> tuple[Side, str]:
    """Return what an old connection says of the server meanwhile."""
    if witness.missing:
        return (
            Side.SERVER,
            f"the far end's evidence could not be had: {witness.missing}",
        )
    return (
        Side.SERVER,
        (
            f"on an old connection, instance {witness.instance} answered all the while: its "
            f"listening socket dropped {witness.drops}"
        ),
    )
