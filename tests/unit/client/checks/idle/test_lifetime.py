"""Telling a lifetime of connections from a timer of idle ones, and from an outage."""

from __future__ import annotations

import socket

import pytest

from netduet.client.checks.addresses import AddressResults
from netduet.client.checks.base import CheckOptions
from netduet.client.checks.idle import CHECK
from netduet.client.checks.idle.results import (
    BusyConnection,
    HeldConnection,
    HoldPlan,
    IdleResult,
)
from netduet.client.net.dial import Address
from netduet.client.net.handshake import ConnectionEnd, Handshake
from netduet.client.net.server_evidence import ServerView
from netduet.client.results.location import Side
from netduet.client.results.verdict import Judgement
from tests.unit.client.fake_server import make_ledger_entry, make_welcome

THERE = Address(socket.AF_INET, "192.0.2.2", 12345)
EOF = ConnectionEnd("eof", "the server closed its sending side")
CLOSED = ServerView(make_ledger_entry(ended="eof", ended_by="client", duration=8.0))


def ended(start: float, end: float, **fields: object) -> BusyConnection:
    """Return a busy connection that ended."""
    known: dict[str, object] = {"ending": EOF, "server": CLOSED}
    return BusyConnection(start, end, **(known | fields))  # type: ignore[arg-type]


def alive(start: float, end: float) -> BusyConnection:
    """Return one that was alive in the end."""
    return BusyConnection(start, end, is_alive=True)


def held(rung: float, ended_after: float | None = None) -> HeldConnection:
    """Return a silent connection; without an end, it lived."""
    known = Handshake(welcome=make_welcome())
    plan = HoldPlan(rung, Side.CLIENT)
    if ended_after is None:
        return HeldConnection(plan, known, answered=True)
    return HeldConnection(
        plan, known, ending=EOF, ended_after=ended_after, server=CLOSED
    )


def judged(silent: list[HeldConnection], *busy: BusyConnection) -> Judgement:
    """Judge the connections of one address."""
    result = IdleResult(THERE, 7200.0, held=tuple(silent), busy=busy)
    return CHECK.judge(AddressResults((result,), CheckOptions()))


def test_same_age_at_different_times_is_a_lifetime() -> None:
    """It takes the place of the timer that silent connections seem to have."""
    judgement = judged(
        [held(2), held(30, 8.0)], ended(0, 8.0), ended(3, 11.1), alive(8.1, 11.2)
    )
    [finding] = judgement.findings
    assert finding.failure == "idle.lifetime"
    assert finding.seen == (
        "192.0.2.2:12345: connections end 8.1 s after they began, however busy they "
        "are: 2 that were used all the time ended after 8.0 s, 8.1 s; the last one was "
        "3.1 s old when the check ended"
    )
    assert finding.figures["died"] == pytest.approx(8.05)
    assert [side for side, _ in finding.evidence] == 2 * [Side.CLIENT, Side.SERVER]


@pytest.mark.parametrize(
    ("silent", "busy"),
    [
        # An outage: at one time, at different ages.
        ([held(30, 8.0)], (ended(0, 8.0), ended(3, 8.0))),
        # One alone could be chance.
        ([held(30, 8.0)], (ended(0, 8.0), alive(3, 31))),
        # Each at an age of its own.
        ([held(30, 8.0)], (ended(0, 8.0), ended(3, 25))),
        # The server itself ends them.
        (
            [held(30, 8.0)],
            (
                ended(0, 8.0, server=ServerView(make_ledger_entry(ended_by="server"))),
                ended(3, 11, ending=ConnectionEnd("error", "too many questions")),
            ),
        ),
    ],
)
def test_other_ends_are_none(
    silent: list[HeldConnection], busy: tuple[BusyConnection, ...]
) -> None:
    """The timer of silent connections is then reported as without busy ones."""
    [finding] = judged(silent, *busy).findings
    assert finding.failure == "idle.closed"


def test_silent_connection_that_lived_longer_disproves_it() -> None:
    """What ends the busy ones is then what they carried."""
    assert judged([held(30)], ended(0, 8.0), ended(3, 11.0)).findings == ()


def test_shorter_idle_timer_is_found_beside_it() -> None:
    """A lifetime does not explain what ended before."""
    judgement = judged([held(30, 5.0)], ended(0, 20.0), ended(3, 23.0))
    failures = [finding.failure for finding in judgement.findings]
    assert failures == ["idle.lifetime", "idle.closed"]


def test_busy_connection_that_lives_is_evidence_of_an_idle_timer() -> None:
    """It is the control."""
    [finding] = judged([held(30, 8.0)], alive(0, 30.0), alive(3, 30.0)).findings
    assert finding.failure == "idle.closed"
    assert finding.evidence[-1] == (
        Side.CLIENT,
        "a connection that was used all the time stayed alive for 30.0 s",
    )
