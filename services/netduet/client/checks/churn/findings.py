"""The findings about short connections, with both ends' evidence. Pure."""

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
from netduet.client.results.verdict import Figures, Finding, Outcome
from netduet.net.time_span import TimeSpan

_MIN_EXPLAINED_SHARE: Final = 0.5
"""Share of the failures that the listening socket's drops must explain."""

_OUTCOME_TEXTS: Final = {
    AttemptOutcome.NEVER_MADE: "timed out",
    AttemptOutcome.REFUSED: "were refused",
    AttemptOutcome.ENDED: "were closed before a response",
    AttemptOutcome.UNANSWERED: "connected but got no response",
    AttemptOutcome.BUSY: "were rejected by the server (busy)",
}


def ports_exhausted(result: ChurnResult, counted: ConnectionCounts) -> Finding:
    """Return the finding that this host has no port left."""
    unsent = counted.with_outcome(AttemptOutcome.NO_PORT)
    served = counted.with_outcome(AttemptOutcome.SERVED)
    seen = (
        f"{len(unsent)} of {len(counted.attempts)} connections to {result.address} had no "
        f"local port: {unsent[0].detail}"
    )
    evidence = [(Side.CLIENT, f"{len(served)} others were served")]
    if result.ports is not None:
        ports = result.ports
        text = (
            f"this host's local ports are {ports.low} to {ports.high} ({ports.count})"
        )
        if ports.time_wait is not None:
            text += f"; {ports.time_wait} connections of this host are in TIME_WAIT"
        if result.hold is not None and result.hold.held_count:
            text += f"; this check held {result.hold.held_count} open"
        evidence.append((Side.CLIENT, text))
    evidence.append(_witness_evidence(result.witness))
    return Finding("churn.ports_exhausted", seen, tuple(evidence))


def unstarted(result: ChurnResult, counted: ConnectionCounts, started: int) -> Finding:
    """Return the finding that this client could not start enough connections."""
    run = result.run
    seen = (
        f"only {started} of {run.planned} connections to {result.address}, at "
        f"{run.rate:.0f} per second, could be started in time"
    )
    failed = counted.with_outcome(AttemptOutcome.NOT_TRIED)
    reason = (
        failed[0].detail
        if failed
        else f"the latest started {run.max_start_delay:.3f} s late"
    )
    return Finding(
        "churn.client_too_slow",
        seen,
        ((Side.CLIENT, reason),),
        outcome=Outcome.INCONCLUSIVE,
    )


def accept_queue(result: ChurnResult, counted: ConnectionCounts) -> Finding | None:
    """Return the finding that the server's listener drops SYNs, if that explains most.

    Only for an instance whose listener was watched: behind a load balancer, the drops of one
    say nothing about the others.
    """
    drops = result.witness.drops
    if not drops:
        return None
    ended = counted.with_outcome(AttemptOutcome.ENDED, AttemptOutcome.UNANSWERED)
    problem = counted.lost_syns - counted.syns_lost_down + len(ended)
    # With many lost answers, one or two drops explain nothing.
    if drops <= counted.syns_lost_down or drops < _MIN_EXPLAINED_SHARE * problem:
        return None
    seen = (
        f"the server's listening socket dropped {drops} SYNs while "
        f"{len(counted.attempts)} connections to {result.address} were made"
    )
    client_text = f"{counted.lost_syns} of {counted.syns} SYNs had to be retransmitted; {_describe_outcomes(counted.attempts)}"
    server_text = (
        f"instance {result.witness.instance}: {drops} dropped (ListenDrops); its "
        f"accept queue held up to {result.witness.max_backlog}"
    )
    figures: Figures = {"listener_drops": drops, "lost_syns": counted.lost_syns}
    evidence = ((Side.CLIENT, client_text), (Side.SERVER, server_text))
    return Finding("churn.accept_queue", seen, evidence, figures)


def rate_limited(result: ChurnResult) -> Finding | None:
    """Return the finding of a rate limit (a token bucket), if there is one.

    A large burst may last until connections are held; then all before it passed.
    """
    run, before = result.run, 0
    bucket = detect_token_bucket(run, path_works=result.witness.survived)
    all_passed = all(attempt.passed_cleanly for attempt in run.attempts)
    if (
        all_passed
        and result.hold is not None
        and detect_count_limit(result.hold) is None
    ):
        before, run = len(run.attempts), result.hold.run
        bucket = detect_token_bucket(run, path_works=result.witness.survived)
    if bucket is None:
        return None
    burst = bucket.burst + before
    then = "hardly any pass"
    if bucket.rate:
        then = f"{bucket.rate:.3g} per second pass"
    seen = (
        f"of the connections to {result.address}, made at {run.rate:.0f} per second, "
        f"a burst of {burst} passes, then {then}"
    )
    client_text = (
        "connections made just before may have used part of the burst allowance; "
        f"the first {sum(attempt.offset < bucket.start for attempt in run.attempts)} passed; from "
        f"{bucket.start:.2f} s on, {_describe_outcomes(run.attempts)}"
    )
    figures: Figures = {
        "limit_burst": burst,
        "limit_rate": round(bucket.rate, 3),
    }
    evidence = ((Side.CLIENT, client_text), _witness_evidence(result.witness))
    return Finding("churn.rate_limited", seen, evidence, figures)


def count_limited(result: ChurnResult) -> Finding | None:
    """Return the finding of a limit on concurrent connections, if there is one."""
    hold = result.hold
    limit = None if hold is None else detect_count_limit(hold)
    if hold is None or limit is None:
        return None
    limit += result.witness.survived
    seen = (
        f"no more than {limit} connections to {result.address} can be open at once; "
        "when they were closed, new ones passed"
    )
    how = hold.while_held[0]
    queries = " (and 1 for queries)" if result.witness.survived else ""
    client_text = (
        f"with {hold.held_count} open{queries}, {len(hold.while_held)} more "
        f"{_OUTCOME_TEXTS.get(how.outcome, how.outcome.value)}{f' ({how.detail})' if how.detail else ''}; "
        f"{hold.alive} of the open ones stayed alive, and a queried one responded; "
        f"afterwards {len(hold.after_release)} of {len(hold.after_release)} passed; "
        "connections of other checks and programs to the same address may count too"
    )
    server_text = _witness_evidence(result.witness)
    figures: Figures = {"limit_count": limit}
    evidence = ((Side.CLIENT, client_text), server_text)
    missed = _missed_deadline(hold.while_held)
    # Many services limit the connections themselves; netduet-server would say so.
    is_service = not any(attempt.boot_id for attempt in result.attempts)
    return Finding(
        "churn.count_limited",
        seen,
        evidence,
        figures,
        where=Location.UNKNOWN if is_service else None,
        missed_deadline=missed,
    )


def syn_lost(result: ChurnResult, counted: ConnectionCounts) -> Finding:
    """Return the finding that SYNs or their answers are lost."""
    seen = (
        f"{counted.lost_syns} of {counted.syns} connection attempts (SYNs) to "
        f"{result.address}, or the responses to them, were lost: "
        f"{format_share(counted.lost_syns, counted.syns)}"
    )
    slowest = max(
        (attempt.connect_seconds or 0.0 for attempt in counted.attempts), default=0.0
    )
    client_text = f"{_describe_outcomes(counted.attempts)}; the slowest took {slowest:.1f} s to connect"
    evidence = [(Side.CLIENT, client_text)]
    if counted.connections_lost_up + counted.connections_lost_down:
        evidence.append(
            (
                Side.SERVER,
                (
                    "of "
                    f"{counted.connections_lost_up + counted.connections_lost_down} "
                    "connections whose SYN was retransmitted, the server never "
                    f"received the first SYN of {counted.connections_lost_up}, and "
                    f"retransmitted its SYN-ACK to {counted.connections_lost_down}"
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
        where = Location.UNKNOWN  # a listening socket may have dropped them
    return Finding("churn.syn_lost", seen, tuple(evidence), figures, where=where)


def _all_listeners_watched(result: ChurnResult) -> bool:
    """Whether the drops of all instances that answered are known."""
    instances = {attempt.boot_id for attempt in result.attempts if attempt.boot_id}
    return result.witness.drops is not None and instances <= {result.witness.boot_id}


def refused(result: ChurnResult, attempts: tuple[Attempt, ...]) -> Finding:
    """Return the finding that the address refuses some connections."""
    return _failed_connections("churn.refused", "were refused", result, attempts, None)


def unserved(result: ChurnResult, attempts: tuple[Attempt, ...]) -> Finding:
    """Return the finding that some connections were made but not served."""
    missed, text = _missed_deadline(attempts), "connected but were not served"
    return _failed_connections("churn.not_served", text, result, attempts, missed)


def _missed_deadline(attempts: tuple[Attempt, ...]) -> TimeSpan | None:
    """Return the time of the attempts if silence is all there was, else None."""
    silent = all(attempt.outcome is AttemptOutcome.UNANSWERED for attempt in attempts)
    return TimeSpan.covering(attempts) if silent else None


def server_busy(result: ChurnResult, attempts: tuple[Attempt, ...]) -> Finding:
    """Return the finding that the server is at its limit, although ours are few."""
    seen = (
        f"the server rejected {len(attempts)} of {len(result.attempts)} connections to "
        f"{result.address}: {attempts[0].detail}"
    )
    evidence = ((Side.SERVER, attempts[0].detail),)
    return Finding(
        "churn.count_limited",
        seen,
        evidence,
        where=Location.SERVER,
        causes=(attempts[0].detail,),
    )


def _failed_connections(
    failure: str,
    text: str,
    result: ChurnResult,
    attempts: tuple[Attempt, ...],
    missed: TimeSpan | None,
) -> Finding:
    all_attempts = result.attempts
    share = format_share(len(attempts), len(all_attempts))
    seen = f"{len(attempts)} of {len(all_attempts)} connections to {result.address} {text}: {share}"
    details = Counter(attempt.detail for attempt in attempts)
    reasons = "; ".join(f"{count}×: {text}" for text, count in details.most_common(3))
    evidence = (
        (Side.CLIENT, f"{_describe_outcomes(all_attempts)}; {reasons}"),
        _witness_evidence(result.witness),
    )
    return Finding(failure, seen, evidence, missed_deadline=missed)


def _describe_outcomes(all_attempts: tuple[Attempt, ...]) -> str:
    counts = Counter(attempt.outcome for attempt in all_attempts)
    parts = [f"{counts[AttemptOutcome.SERVED]} of {len(all_attempts)} were served"]
    parts += [
        f"{counts[outcome]} {text}"
        for outcome, text in _OUTCOME_TEXTS.items()
        if counts[outcome]
    ]
    retransmitted = sum(
        attempt.outcome is AttemptOutcome.SERVED and attempt.lost_syns > 0
        for attempt in all_attempts
    )
    if retransmitted:
        parts[0] += f" ({retransmitted} of them after a retransmission)"
    return ", ".join(parts)


def _witness_evidence(witness: Witness) -> tuple[Side, str]:
    if witness.missing:
        return (
            Side.SERVER,
            f"the server's evidence is not available: {witness.missing}",
        )
    return (
        Side.SERVER,
        (
            f"on an existing connection, instance {witness.instance} responded "
            f"throughout; its listening socket dropped {witness.drops}"
        ),
    )
