"""Judging after which silence UDP flows are forgotten."""

from __future__ import annotations

import socket

import pytest

from netduet.client.checks.idle.judge_udp import judge_udp
from netduet.client.checks.idle.results import UdpSilence, UdpSilences
from netduet.client.checks.idle.udp_silence import MAX_RUNGS, rungs_between
from netduet.client.net.dial import Address
from netduet.client.results.location import Location, Side
from netduet.net.time_span import TimeSpan

THERE = Address(socket.AF_INET, "192.0.2.2", 12345)
ALL_THE_TIME = tuple(second / 2 for second in range(400))


def lived(rung: int) -> UdpSilence:
    """Return a flow that the server's datagram woke."""
    return UdpSilence(rung, True, True, start=3.0, end=3.1 + rung)


def died(rung: int, **fields: object) -> UdpSilence:
    """Return a flow on which nothing arrived after the silence."""
    known: dict[str, object] = {"answers_again": True, "start": 3.0, "end": 5.0 + rung}
    return UdpSilence(rung, is_held=True, **(known | fields))  # type: ignore[arg-type]


def silences(*flows: UdpSilence, busy: tuple[float, ...] = ALL_THE_TIME) -> UdpSilences:
    """Return the flows of one address."""
    return UdpSilences(THERE, flows, busy)


def test_forgotten_flow_is_a_finding_with_its_bracket() -> None:
    """Between the longest silence that lived, and the shortest that did not."""
    judgement = judge_udp(
        silences(lived(2), lived(4), died(6, is_moved=True), died(8, is_moved=True))
    )
    [finding] = judgement.findings
    assert finding.failure == "idle.udp_forgotten"
    assert finding.seen == (
        "192.0.2.2:12345: a UDP flow that was silent for 6 s is forgotten: datagrams "
        "that the server sends then do not arrive, and the next ones of this client "
        "leave from another port or address; the timer is between 4 and 6 s: not a "
        "well-known timeout"
    )
    assert finding.figures == {"lived": 4, "died": 6}
    assert finding.missed_deadline == TimeSpan(3.0, 11.0)
    assert judgement.figures == {"udp_longest_lived": 4, "udp_shortest_died": 6}


def test_what_the_server_sent_is_evidence() -> None:
    """Both ends testify."""
    [finding] = judge_udp(silences(died(2, unheard=4))).findings
    assert "below 2 s" in finding.seen
    assert (Side.SERVER, "sent 4 datagrams after the silence") in finding.evidence
    assert finding.where is None


def test_well_known_timer_is_named() -> None:
    """By its owners."""
    [finding] = judge_udp(silences(lived(22), died(30))).findings
    assert "30 s is the idle timeout of Linux's conntrack" in finding.seen


def test_flow_that_stays_dead_has_no_location() -> None:
    """Whether it is the server or the path is open."""
    [finding] = judge_udp(silences(lived(2), died(8, answers_again=False))).findings
    assert finding.where is Location.UNKNOWN


@pytest.mark.parametrize(
    "measured",
    [
        None,
        silences(lived(2), lived(8)),
        # Not held: UDP does not pass, or the server refused.
        silences(UdpSilence(2), UdpSilence(8)),
        # A longer silence lived: chance.
        silences(died(2), lived(8)),
        # Nothing arrived on the busy flow, either.
        silences(lived(2), died(8), busy=(1.0, 2.0, 3.0, 10.9)),
    ],
)
def test_all_else_is_no_finding(measured: UdpSilences | None) -> None:
    """Loss and outages are judged by other checks."""
    judgement = judge_udp(measured)
    assert (judgement.findings, judgement.remarks) == ((), ())


def test_timer_of_two_minutes_is_noted() -> None:
    """RFC 4787 allows it."""
    judgement = judge_udp(silences(lived(110), died(125)))
    assert judgement.findings == ()
    assert "RFC 4787 asks for 2 minutes at least" in judgement.remarks[0]


def test_surviving_flows_are_in_the_summary() -> None:
    """With the longest silence."""
    assert judge_udp(silences(lived(8))).summary == (
        "UDP flows, silent for up to 8 s, too"
    )


@pytest.mark.parametrize(
    ("given", "tried"),
    [
        ((), ()),
        ((0.5,), ()),
        ((8.0,), (2, 4, 6, 8)),
        ((1.0,), (1,)),
        ((30.0, 65.0, 110.0), (8, 15, 22, 30, 47, 65, 87, 110)),
        ((2.0, 8.0, 3700.0), (1, 2, 5, 8)),
    ],
)
def test_rungs_narrow_the_timer_down(
    given: tuple[float, ...], tried: tuple[int, ...]
) -> None:
    """Between the given ones, and below the first."""
    assert rungs_between(given) == tried


def test_rungs_are_bounded() -> None:
    """A server has 16 streams for an address."""
    assert len(rungs_between([float(each) for each in range(10, 100)])) == MAX_RUNGS
