"""Does each new connection pay the same price: more SYNs, a slow first answer? Pure.

A price that all pay is no outage and no random loss. Programs that open a connection
for each request pay it each time; those that keep connections do not notice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Final

from netduet.client.checks.churn.counts import ConnectionCounts
from netduet.client.checks.churn.ill_instance import slow_instance
from netduet.client.checks.churn.results import (
    Attempt,
    ChurnResult,
    RepeatedFlow,
)
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import Evidence, Finding
from netduet.client.stats.instances import (
    FailingInstance,
    InstanceTrial,
    name_instance,
)
from netduet.client.stats.percentiles import percentile
from netduet.client.stats.proportions import lower_bound
from netduet.net.time_span import TimeSpan

MIN_SHARE: Final = 0.6
"""Share of the connections that certainly (99.99 %) pay: 20 of 20 prove it.

Random loss that hits 60 % of first SYNs hits as many of the second ones; these all
pass."""

_SAME_SHARE: Final = 0.9
"""Share of these that lose the same number of SYNs."""

MIN_ANSWER_SECONDS: Final = 0.3
"""Seconds that a first answer must take to be called slow."""

MIN_ANSWER_FACTOR: Final = 10.0
"""Factor by which it exceeds the RTT and later answers on the same connection.

A starved server is late with all answers, a distant one has a long RTT."""

_MIN_ATTEMPTS: Final = 20
_FAST_SHARE: Final = 0.1
"""Share of first answers that may be fast: of other instances, or from a cache."""


def needed_syns(attempts: Sequence[Attempt]) -> int | None:
    """Return how many SYNs each connection needs, None if one is usually enough."""
    made = [attempt for attempt in attempts if attempt.passed]
    repeated = [attempt.lost_syns for attempt in made if attempt.lost_syns]
    if not made or lower_bound(len(repeated), len(attempts)) < MIN_SHARE:
        return None
    lost, count = Counter(repeated).most_common(1)[0]
    return lost + 1 if count >= _SAME_SHARE * len(repeated) else None


def repeated_syns(result: ChurnResult, counted: ConnectionCounts) -> Finding | None:
    """Return the finding that each connection needs more than one SYN, and its cause."""
    attempts = result.run.attempts
    needed = needed_syns(attempts)
    if needed is None or not counted.countable:
        return None
    made = [attempt for attempt in attempts if attempt.passed]
    times = [
        attempt.connect_seconds
        for attempt in made
        if attempt.connect_seconds is not None
    ]
    paying = sum(attempt.lost_syns > 0 for attempt in made)
    connect_seconds = median(times)
    rtt = _usual_rtt(made)
    against = "" if rtt is None else f", the RTT is {1000 * rtt:.3g} ms"
    word = {2: "second", 3: "third"}.get(needed, f"{needed}th")
    seen = (
        f"each new connection to {result.address} needs a {word} SYN: it takes "
        f"{connect_seconds:.2f} s{against}"
    )
    failure = "churn.repeated_syn"
    if _is_ecn(result):
        failure = "churn.ecn_dropped"
        seen = (
            f"{seen}; the first one asks for ECN and gets no answer, the {word} one "
            "passes without ECN"
        )
    evidence: list[tuple[Side, str]] = [
        (
            Side.CLIENT,
            (
                f"{paying} of {len(attempts)} connections lost their first SYN and were "
                f"made with the {word} one"
            ),
        ),
        *_repeat_evidence(result.repeated),
    ]
    if counted.connections_lost_up + counted.connections_lost_down:
        never = counted.connections_lost_up
        text = f"its kernel never received the first SYN of {never} connections"
        evidence.append((Side.SERVER, text))
    where = counted.where
    return Finding(
        failure,
        seen,
        tuple(evidence),
        {
            "needed_syns": needed,
            "connect_seconds": round(connect_seconds, 3),
            "syns": counted.syns,
            "lost_syns": counted.lost_syns,
        },
        where=Location.INTERMEDIARY if where is Location.UNKNOWN else where,
    )


def _is_ecn(result: ChurnResult) -> bool:
    """Whether the first SYNs are dropped for asking for ECN.

    The kernel does not ask for it in SYNs that it sends again (RFC 3168 §6.1.1.1). A
    device that loses the first packet of each flow does the same, but passes a second
    connection of the same flow.
    """
    repeated = result.repeated
    return (
        result.asks_for_ecn
        and bool(repeated)
        and all(flow.second_lost for flow in repeated)
    )


def _repeat_evidence(repeated: Sequence[RepeatedFlow]) -> Evidence:
    if not repeated:
        return ()
    at_once = sum(not flow.second_lost for flow in repeated)
    return (
        (
            Side.CLIENT,
            (
                f"{at_once} of {len(repeated)} second connections from the same port "
                "passed with their first SYN"
            ),
        ),
    )


def slow_first_answer(result: ChurnResult) -> Finding | None:
    """Return the finding that each connection waits for its first answer.

    Only for a netduet server, which answers at once: other services may take their time.
    """
    served = [
        attempt
        for attempt in result.run.attempts
        if attempt.boot_id and attempt.answer_seconds is not None
    ]
    if len(served) < _MIN_ATTEMPTS:
        return None
    ill = slow_instance(served, MIN_ANSWER_SECONDS, MIN_ANSWER_FACTOR)
    if ill is not None:
        return _slow_at_instance(result, served, ill)
    times = sorted(attempt.answer_seconds or 0.0 for attempt in served)
    least = percentile(times, _FAST_SHARE)
    later = result.witness.answer_seconds
    rtt = _usual_rtt(served)
    if least < MIN_ANSWER_SECONDS or not later or rtt is None:
        return None
    usual = max(median(later), rtt)
    if least < MIN_ANSWER_FACTOR * usual:
        return None
    seen = (
        f"each new connection to {result.address} waits {median(times):.2f} s for its "
        f"first answer; the RTT is {1000 * rtt:.3g} ms"
    )
    evidence = (
        (
            Side.CLIENT,
            (
                f"{len(served)} first answers took {times[0]:.2f} to {times[-1]:.2f} s; "
                f"later ones on an open connection {1000 * median(later):.3g} ms"
            ),
        ),
    )
    return Finding(
        "churn.slow_first_answer",
        seen,
        evidence,
        {"answer_seconds": round(median(times), 3)},
        missed_deadline=TimeSpan.covering(served),
    )


def _slow_at_instance(
    result: ChurnResult, served: Sequence[Attempt], ill: FailingInstance
) -> Finding | None:
    """Return the finding that one instance is late with its first answers."""
    if ill.rate < 1 - _FAST_SHARE:
        return None
    there = [attempt for attempt in served if str(attempt.instance) == ill.name]
    times, others = (
        [
            attempt.answer_seconds or 0.0
            for attempt in served
            if (attempt in there) is at_instance
        ]
        for at_instance in (True, False)
    )
    seen = (
        f"each new connection to {result.address} that reaches it waits "
        f"{median(times):.2f} s for its first answer; with the others, "
        f"{1000 * median(others):.3g} ms"
    )
    late = (MIN_ANSWER_SECONDS, MIN_ANSWER_FACTOR * median(others))
    finding = Finding(
        "churn.slow_first_answer",
        seen,
        (),
        {"answer_seconds": round(median(times), 3)},
        missed_deadline=TimeSpan.covering(there),
    )
    return name_instance(
        finding,
        (
            InstanceTrial(attempt.instance, (attempt.answer_seconds or 0) >= max(late))
            for attempt in served
        ),
    )


def _usual_rtt(attempts: Sequence[Attempt]) -> float | None:
    """Return the median RTT; None if the kernel has none."""
    rtts = [
        attempt.rtt_seconds for attempt in attempts if attempt.rtt_seconds is not None
    ]
    return median(rtts) if rtts else None
