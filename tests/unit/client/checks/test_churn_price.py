"""Judging prices that each connection pays, and budgets: tables, no network."""

from __future__ import annotations

import dataclasses

import pytest

from netduet.client.checks.churn.constant_price import needed_syns
from netduet.client.checks.churn.results import (
    Attempt,
    AttemptOutcome,
    BudgetTrial,
    RepeatedFlow,
)
from netduet.client.results.location import Location
from tests.unit.client.checks.test_churn import (
    GAP,
    WITNESS,
    failed,
    found,
    judged,
    run,
    served,
)

RTT = 0.001


def paying(number: int, lost: int) -> Attempt:
    """Return a connection that was made after this number of lost SYNs."""
    attempt = served(number, lost, 0)
    return dataclasses.replace(attempt, rtt_seconds=RTT, answer_seconds=0.002)


def all_paying(lost: int = 1, count: int = 50) -> tuple[Attempt, ...]:
    """Return connections that each lose so many SYNs."""
    return tuple(paying(number, lost) for number in range(count))


@pytest.mark.parametrize(
    ("lost", "word"), [(1, "second"), (2, "third")], ids=["second", "third"]
)
def test_price_of_each_connection_is_named(lost: int, word: str) -> None:
    """Each connection needs the same SYN: no outage, no random loss."""
    judgement = judged(run(*all_paying(lost)))
    assert found(judgement) == [("churn.repeated_syn", Location.TO_SERVER)]
    [finding] = judgement.findings
    assert f"needs a {word} SYN: it takes {lost}.00 s, the RTT is 1 ms" in finding.seen
    assert finding.figures["lost_syns"] == 50 * lost


@pytest.mark.parametrize(
    ("asks", "second_lost", "failure"),
    [
        (True, 1, "churn.ecn_dropped"),
        (True, 0, "churn.repeated_syn"),
        (False, 1, "churn.repeated_syn"),
    ],
    ids=["ecn", "flow", "another cause"],
)
def test_ecn_is_told_from_the_first_packet_of_a_flow(
    *, asks: bool, second_lost: int, failure: str
) -> None:
    """A second connection from the same port passes at once if the flow is known."""
    flows = (RepeatedFlow(1, second_lost),) * 5
    judgement = judged(run(*all_paying()), repeated=flows, asks_for_ecn=asks)
    assert [finding.failure for finding in judgement.findings] == [failure]


def test_random_loss_is_no_price() -> None:
    """Loss of some first SYNs is not what each connection pays."""
    some_paying = [paying(number, number % 3 == 0) for number in range(50)]
    assert needed_syns(some_paying) is None
    differing = [paying(number, 1 + number % 3) for number in range(50)]
    assert needed_syns(differing) is None


def test_long_round_trips_are_no_lost_syns() -> None:
    """SYNs are sent again on a path whose RTT exceeds a second."""
    slow = [
        dataclasses.replace(paying(number, 1), answer_seconds=1.2, rtt_seconds=1.2)
        for number in range(50)
    ]
    assert judged(run(*slow), hold=None).findings == ()


def answering(seconds: float) -> tuple[Attempt, ...]:
    """Return connections whose first answers take this long."""
    return tuple(
        dataclasses.replace(paying(number, 0), answer_seconds=seconds)
        for number in range(50)
    )


@pytest.mark.parametrize(
    ("first", "later", "is_found"),
    [(2.0, 0.001, True), (2.0, 1.5, False), (0.05, 0.001, False), (2.0, None, False)],
    ids=["slow first", "all slow", "fast", "later ones unknown"],
)
def test_slow_first_answer_is_found(
    first: float, later: float | None, *, is_found: bool
) -> None:
    """A first answer that takes many times the later ones is a price."""
    times = () if later is None else (later,) * 5
    witness = dataclasses.replace(WITNESS, answer_seconds=times)
    judgement = judged(run(*answering(first)), witness=witness)
    classes = [finding.failure for finding in judgement.findings]
    assert classes == (["churn.slow_first_answer"] if is_found else [])


def blocked(passed: int, count: int = 60) -> tuple[Attempt, ...]:
    """Return attempts of which the first pass, and the others get no answer."""
    return tuple(
        served(number)
        if number < passed
        else failed(AttemptOutcome.NEVER_MADE, number, 2)
        for number in range(count)
    )


def refilled(passed: int, rate: float, count: int = 60) -> tuple[Attempt, ...]:
    """Return attempts of a burst, and then so many per second."""
    every = round(1 / (rate * GAP))
    return tuple(
        served(number)
        if number < passed or (number - passed) % every == every - 1
        else failed(AttemptOutcome.NEVER_MADE, number, 2)
        for number in range(count)
    )


@pytest.mark.parametrize(
    ("attempts", "trial", "failure"),
    [
        (blocked(15), BudgetTrial(2.0, 6, 0, 6, 6), "churn.table_full"),
        (blocked(15), BudgetTrial(2.0, 6, 0, 6, 5), "churn.table_full"),
        (blocked(15), BudgetTrial(2.0, 6, 0, 6, 0), "churn.rate_limited"),
        (blocked(0), BudgetTrial(2.0, 6, 0, 0, 0), "churn.table_full"),
        (refilled(15, 5.0), BudgetTrial(2.0, 6, 0, 0, 0), "churn.table_full"),
        (refilled(15, 5.0), BudgetTrial(2.0, 6, 6, 6, 6), "churn.rate_limited"),
    ],
    ids=[
        "known flows pass",
        "a known flow is lost",
        "nothing passes",
        "full before",
        "no refill",
        "refills",
    ],
)
def test_budget_that_does_not_refill_is_a_table(
    attempts: tuple[Attempt, ...], trial: BudgetTrial, failure: str
) -> None:
    """After a pause a limit by rate lets new connections pass, a full table does not."""
    judgement = judged(run(*attempts, planned=60), hold=None, budget=trial)
    assert [finding.failure for finding in judgement.findings] == [failure]
    if failure == "churn.table_full":
        assert "table" in judgement.findings[0].seen
