"""What several addresses come to: the features that a check requires, and the merge."""

from __future__ import annotations

import socket

import pytest

from netduet.client.checks.addresses import AddressCheck, AddressResults
from netduet.client.checks.base import CheckContext, CheckOptions
from netduet.client.checks.identity.results import (
    Expectation,
    IdentityAnswer,
    IdentityResult,
)
from netduet.client.net.dial import Address
from netduet.client.net.handshake import Handshake
from netduet.client.net.timeouts import Timeouts
from netduet.client.results.target import Target
from netduet.client.results.verdict import Finding, Judgement
from tests.unit.client.fake_server import make_welcome

NEW, OLD = (
    IdentityAnswer(
        Address(socket.AF_INET, host, 12345),
        Handshake(welcome=make_welcome(features=features)),
    )
    for host, features in (("192.0.2.2", ["echo", "close"]), ("192.0.2.3", ["echo"]))
)
UNSUPPORTED = "192.0.2.3:12345: the server's version does not support this check"
GOOD = Judgement("good", figures={"n": 1})
UNABLE = Judgement("", skipped="cannot")
UNPROVEN = Judgement("", skipped="unproven", blocks=True)
BROKEN = Judgement("", (Finding("path.broken", "broken"),))


async def _measure(_: CheckContext, answer: IdentityAnswer) -> str:
    return answer.address.host


async def _measure_none(_: CheckContext, answer: IdentityAnswer) -> Judgement:
    return Judgement(answer.address.host)


def _judge(result: str, _: CheckOptions) -> Judgement:
    return Judgement(f"{result} works")


CHECK = AddressCheck(_measure, _judge, frozenset({"close"}))


@pytest.mark.parametrize("in_turn", [False, True])
@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ((NEW,), Judgement("192.0.2.2 works")),
        (
            (NEW, OLD),
            Judgement("192.0.2.2 works", remarks=(UNSUPPORTED,), partial=True),
        ),
        ((OLD,), Judgement("", skipped=UNSUPPORTED)),
        ((), Judgement("", skipped="no netduet server to connect to")),
    ],
)
async def test_address_without_a_required_feature_is_not_measured(
    answers: tuple[IdentityAnswer, ...], expected: Judgement, *, in_turn: bool
) -> None:
    """An older server is no fault: it is skipped alone, and a note beside another."""
    context = CheckContext(Target("x", 1), socket.AF_INET, "", Timeouts(1, 1, 1))
    context.measured[IdentityResult] = IdentityResult(answers, Expectation("*"))
    check = AddressCheck(_measure, _judge, CHECK.requires, in_turn=in_turn)
    assert check.judge(await check.measure(context)) == expected


def test_finish_replaces_the_merged_judgement_after_a_measurement() -> None:
    """A check may judge all addresses together."""
    check = AddressCheck(_measure, _judge, finish=lambda *_: GOOD)
    assert check.judge(AddressResults(("a", "b"), CheckOptions())) == GOOD
    unsupported = AddressResults((), CheckOptions(), (OLD.address,))
    assert check.judge(unsupported) == Judgement("", skipped=UNSUPPORTED)


@pytest.mark.parametrize(
    ("judgements", "skipped", "remarks", "summary"),
    [
        ((GOOD, UNABLE), None, ("cannot",), "good"),
        ((UNABLE, UNPROVEN), "cannot", (), ""),
        ((GOOD, UNPROVEN), "unproven", (), "good"),
        ((BROKEN, UNPROVEN), None, ("unproven",), "broken"),
        ((BROKEN, GOOD), None, (), "good"),
    ],
)
def test_skipped_address_is_a_note_beside_a_judged_one(
    judgements: tuple[Judgement, ...],
    skipped: str | None,
    remarks: tuple[str, ...],
    summary: str,
) -> None:
    """If nothing else is proven, the skip decides the result."""
    check = AddressCheck(_measure_none, lambda judgement, _: judgement)
    merged = check.judge(AddressResults(judgements, CheckOptions()))
    assert (merged.skipped, merged.remarks, merged.summary) == (
        skipped,
        remarks,
        summary,
    )
    assert merged.blocks == (UNPROVEN in judgements)
