"""Judging connections through a load balancer: tables of counts."""

from __future__ import annotations

import random
import socket
from dataclasses import replace

import pytest

from netduet.client.checks.balance.judge import judge
from netduet.client.checks.balance.results import (
    AddressTrials,
    BalanceResult,
    BalanceTrial,
    ConnectionOutcome,
)
from netduet.client.net.dial import Address
from netduet.net.time_span import TimeSpan

VIP = Address(socket.AF_INET, "192.0.2.1", 12345)


def answers(
    count: int, name: str, service: str = "netduet"
) -> tuple[BalanceTrial, ...]:
    """Return this number of connections answered by one instance."""
    return count * (
        BalanceTrial(
            ConnectionOutcome.ANSWERED, f"id of {name}", name, service, "netduet 1"
        ),
    )


def failed(count: int, came: ConnectionOutcome) -> tuple[BalanceTrial, ...]:
    """Return this number of connections that failed in one way."""
    return count * (BalanceTrial(came, start=1.0, end=6.0),)


def classes(
    *trials: tuple[BalanceTrial, ...], instances: int = 0, uneven: float = 2.0
) -> list[str]:
    """Return the classes found in these connections to one address, well mixed."""
    mixed = [trial for group in trials for trial in group]
    random.Random(3).shuffle(mixed)
    asked = AddressTrials(VIP, tuple(mixed))
    options = {
        "expected_service": "netduet",
        "expected_instances": instances,
        "max_uneven": uneven,
    }
    judgement = judge(BalanceResult((asked,), **options))  # type: ignore[arg-type]
    return [finding.failure for finding in judgement.findings]


@pytest.mark.parametrize(
    "came",
    [
        ConnectionOutcome.CONNECT_TIMEOUT,
        ConnectionOutcome.ANSWER_TIMEOUT,
        ConnectionOutcome.REFUSED,
        ConnectionOutcome.UNREACHABLE,
        ConnectionOutcome.CLOSED,
    ],
)
def test_dead_backend_of_three_is_found(came: ConnectionOutcome) -> None:
    """One dead backend of three is found, however it fails."""
    found = classes(answers(20, "a"), answers(20, "b"), failed(20, came))
    assert found == ["balance.unhealthy_backend"]


def test_doubt_if_no_connection_is_answered() -> None:
    """An earlier check got an answer: a PASS would hide what stopped since."""
    silent = failed(60, ConnectionOutcome.CONNECT_TIMEOUT)
    doubt = judge(BalanceResult((AddressTrials(VIP, silent),))).doubt
    assert doubt is not None
    assert (doubt.failure, doubt.missed_deadline) == ("path.broken", TimeSpan(1, 6))
    some_answered = AddressTrials(VIP, (*silent, *answers(1, "a")))
    assert judge(BalanceResult((some_answered,))).doubt is None


def test_two_delayed_connections_are_no_dead_backend() -> None:
    """A connection or two that packet loss delays prove no dead backend."""
    assert classes(answers(58, "a"), failed(2, ConnectionOutcome.CONNECT_TIMEOUT)) == []


def test_silence_carries_missed_deadline() -> None:
    """What a starved client would see as well carries the deadline that was missed."""
    asked = AddressTrials(
        VIP, answers(40, "a") + failed(20, ConnectionOutcome.CONNECT_TIMEOUT)
    )
    [finding] = judge(BalanceResult((asked,))).findings
    assert finding.missed_deadline is not None


def test_overloaded_backend_is_uneven() -> None:
    """52 of 60 connections to one of three backends is not chance."""
    assert classes(answers(52, "a"), answers(4, "b"), answers(4, "c")) == [
        "balance.uneven"
    ]


def test_instances_are_named_with_their_nodes() -> None:
    """A dominant and an only instance are named with their node, if known."""
    hot = replace(answers(1, "a")[0], node="n1", zone="z")
    cold = replace(answers(1, "b")[0], node="n2")
    trials = 52 * (hot,) + 4 * (cold,) + answers(4, "c")
    [finding] = judge(BalanceResult((AddressTrials(VIP, trials),))).findings
    assert "a (n1, z) answered 52 of 60, b (n2) 4, c 4: a (n1, z) gets" in finding.seen
    alone = judge(BalanceResult((AddressTrials(VIP, 60 * (hot,)),)))
    assert "one instance, a (n1, z), answered all" in alone.summary


def test_allowed_share_is_not_uneven() -> None:
    """A canary with few connections passes up to the imbalance that is allowed."""
    canary = answers(270, "a"), answers(30, "b")
    assert classes(*canary) == ["balance.uneven"]
    assert classes(*canary, uneven=9) == []
    assert classes(answers(299, "a"), answers(1, "b"), uneven=9) == ["balance.uneven"]


def test_random_balancing_is_never_uneven() -> None:
    """2,000 runs of a fair random load balancer are never called uneven."""
    chance = random.Random(5)
    for _ in range(2000):
        names = chance.choices("abc", k=60)
        assert classes(*(answers(names.count(name), name) for name in "abc")) == []


def test_foreign_servers_among_netduet_servers_are_found() -> None:
    """Another program and another service beside the right one are both found."""
    other = classes(answers(40, "a"), answers(20, "b", "shop"))
    foreign = classes(answers(40, "a"), failed(20, ConnectionOutcome.FOREIGN))
    assert other == foreign == ["balance.wrong_service"]


def test_fewer_instances_than_expected_are_missing() -> None:
    """The number of instances is judged only if one is expected."""
    assert classes(answers(60, "a")) == []
    assert classes(answers(60, "a"), instances=3) == ["balance.missing"]


@pytest.mark.parametrize(
    "came", [ConnectionOutcome.CONNECT_TIMEOUT, ConnectionOutcome.REFUSED]
)
def test_failures_after_successes_are_no_dead_backend(
    came: ConnectionOutcome,
) -> None:
    """A limit on new connections lets the first ones pass; a dead backend does not."""
    trials = answers(13, "a") + failed(20, came) + answers(4, "a") + failed(23, came)
    judgement = judge(BalanceResult((AddressTrials(VIP, trials),)))
    assert [finding.failure for finding in judgement.findings] == [
        "balance.stopped_responding"
    ]
    assert "the first 13 of 60 connections were answered" in judgement.findings[0].seen
    assert judgement.blocks


def test_limited_rate_of_new_connections_is_no_dead_backend() -> None:
    """Made slowly, all pass; other checks would share the limit, and measure chance."""
    trials = answers(13, "a") + failed(20, ConnectionOutcome.CONNECT_TIMEOUT)
    limited = AddressTrials(VIP, trials, later=answers(4, "a"))
    judgement = judge(BalanceResult((limited,)))
    [finding] = judgement.findings
    assert finding.failure == "churn.rate_limited"
    assert "all of 4 that were made slowly" in finding.seen
    assert judgement.blocks


def test_dead_backend_is_no_sudden_outage() -> None:
    """Holds for random and strict load balancers with one dead backend of 2, 3 or 10."""
    chance = random.Random(11)
    for dead in (2, 3, 10):
        strict = [number % dead == dead - 1 for number in range(60)]
        draws = [[chance.random() < 1 / dead for _ in strict] for _ in range(300)]
        for fails in (strict, *draws):
            turn = failed(1, ConnectionOutcome.REFUSED), answers(1, "a")
            trials = tuple(turn[0][0] if bad else turn[1][0] for bad in fails)
            judgement = judge(BalanceResult((AddressTrials(VIP, trials),)))
            assert "balance.stopped_responding" not in {
                f.failure for f in judgement.findings
            }
