"""Judging what both ends report about the path between them."""

from __future__ import annotations

import socket

import pytest

from netduet.client.checks.addresses import AddressResults
from netduet.client.checks.base import CheckOptions
from netduet.client.checks.path import CHECK, PathResult
from netduet.client.net.dial import Address, Cause
from netduet.client.net.handshake import Handshake
from netduet.client.results.location import Side
from netduet.client.results.verdict import Judgement
from netduet.net.time_span import TimeSpan
from tests.unit.client.fake_server import (
    HOSTILE_TEXT,
    make_ledger_entry,
    make_server_report,
    make_welcome,
    tcp_info,
)

THERE = Address(socket.AF_INET, "192.0.2.2", 12345)
HERE = ("192.0.2.1", 40000)
OURS = tcp_info(rtt=250)


def way(**fields: object) -> PathResult:
    """Return a path about which both ends agree, with changed fields."""
    known: dict[str, object] = {
        "address": THERE,
        "handshake": Handshake(welcome=make_welcome()),
        "local": HERE,
        "client_tcp_info": OURS,
        "server_report": make_server_report(),
        "entry": make_ledger_entry(bytes_received=100, bytes_sent=200),
        "sent": 100,
        "received": 200,
    }
    return PathResult(**(known | fields))  # type: ignore[arg-type]


def seen_as(address: str, port: int) -> Handshake:
    """Return an opening whose server saw the client as this."""
    return Handshake(welcome=make_welcome(peer={"address": address, "port": port}))


def answered_from(address: str) -> Handshake:
    """Return an opening whose server has this identity."""
    return Handshake(welcome=make_welcome(local={"address": address, "port": 12345}))


def judged(**fields: object) -> Judgement:
    """Judge the only way."""
    return CHECK.judge(AddressResults((way(**fields),), CheckOptions()))


def test_agreeing_ends_pass_without_notes() -> None:
    """If both ends report the same, only the segment sizes are reported."""
    assert judged() == Judgement(
        "no NAT: the server sees this client's own address, 192.0.2.1; "
        "MSS 1448 in both directions, path MTU 1500",
        figures={
            "peer_address": "192.0.2.1",
            "translated": False,
            "client_rtt": 250,
            "client_snd_mss": 1448,
            "client_pmtu": 1500,
            "client_total_retrans": 0,
            "server_rtt": 0,
            "server_snd_mss": 1448,
            "server_pmtu": 1500,
            "server_total_retrans": 0,
        },
    )


@pytest.mark.parametrize(
    ("fields", "remark"),
    [
        (
            {"handshake": seen_as("203.0.113.9", 40000)},
            (
                "the server sees 203.0.113.9, not this client's 192.0.2.1: there is source NAT or a proxy in between; address allow-lists and per-address limits apply to that address"
            ),
        ),
        (
            {"handshake": seen_as("192.0.2.1", 50000)},
            (
                "the server sees port 50000, not this client's 40000: "
                "there is a NAT or proxy in between"
            ),
        ),
        (
            {"handshake": answered_from("10.0.0.9")},
            (
                "connected to 192.0.2.2:12345, but the server's own address is 10.0.0.9:12345: there is a published port, virtual address or proxy in between"
            ),
        ),
        (
            {"server_report": make_server_report(snd_mss=1380)},
            (
                "segments are at most 1448 bytes up and 1380 down: "
                "the two ends' MTUs differ, or something clamps the MSS in one direction"
            ),
        ),
        (
            {"sent": 99},
            (
                "this end sent 99 and received 200 bytes; the server received 100 "
                "and sent 200"
            ),
        ),
        (
            {"received": 201},
            (
                "this end sent 100 and received 201 bytes; the server received 100 "
                "and sent 200"
            ),
        ),
        (
            {"entry": None, "missing": "only other instances responded"},
            "the server's record is not available: only other instances responded",
        ),
        (
            {"server_report": None},
            "the server did not report its own view of the connection",
        ),
        (
            {"server_report": make_server_report(drops=3)},
            "the server's listening socket has dropped 3 connection attempts since it started",
        ),
        (
            {"server_report": make_server_report(throttled=1.25)},
            "the server was throttled by its CPU limit for 1.2 s since it started",
        ),
    ],
)
def test_difference_between_ends_is_a_note(
    fields: dict[str, object], remark: str
) -> None:
    """Each difference is described and fails nothing."""
    judgement = judged(**fields)
    assert judgement.remarks == (remark,)
    assert (judgement.findings, judgement.blocks) == ((), False)


@pytest.mark.parametrize(
    ("fields", "summary"),
    [
        (
            {"handshake": seen_as("203.0.113.9", 50000)},
            (
                "the server sees this client as 203.0.113.9:50000; "
                "MSS 1448 in both directions, path MTU 1500"
            ),
        ),
        (
            {"server_report": make_server_report(snd_mss=1380)},
            (
                "no NAT: the server sees this client's own address, 192.0.2.1; "
                "MSS 1448 up, 1380 down, path MTU 1500"
            ),
        ),
        (
            {"client_tcp_info": None},
            "no NAT: the server sees this client's own address, 192.0.2.1",
        ),
        (
            {"server_report": None},
            "no NAT: the server sees this client's own address, 192.0.2.1",
        ),
    ],
)
def test_summary_has_addresses_and_segment_sizes(
    fields: dict[str, object], summary: str
) -> None:
    """Segment sizes are given only if both kernels report theirs."""
    assert judged(**fields).summary == summary


def test_unknown_throttling_is_not_reported() -> None:
    """A server that cannot read its CPU throttling is not accused."""
    assert judged(server_report=make_server_report(throttled=None)).remarks == ()


def test_unknown_figures_are_none() -> None:
    """What a kernel did not report is None, never zero."""
    figures = judged(client_tcp_info=None, server_report=None).figures
    known = {key: value for key, value in figures.items() if value is not None}
    assert known == {"peer_address": "192.0.2.1", "translated": False}
    assert len(figures) == 10


@pytest.mark.parametrize(
    ("opening", "what", "missed"),
    [
        (
            Handshake(
                cause=Cause.TIMEOUT, detail="no response in time", start=1, end=4
            ),
            "no response in time",
            TimeSpan(1, 4),
        ),
        (
            Handshake(cause=Cause.REFUSED, detail="ECONNREFUSED: x", start=1, end=4),
            "ECONNREFUSED: x",
            None,
        ),
        (Handshake(closed=True, start=1, end=4), "closed without a response", None),
        (Handshake(foreign=b"?", start=1, end=4), "another program responds", None),
    ],
)
def test_failed_further_connection_is_a_finding(
    opening: Handshake, what: str, missed: TimeSpan | None
) -> None:
    """Only a timeout carries a missed deadline."""
    judgement = CHECK.judge(
        AddressResults((PathResult(THERE, opening),), CheckOptions())
    )
    [finding] = judgement.findings
    assert (finding.failure, finding.missed_deadline) == ("path.broken", missed)
    assert finding.seen == f"{THERE}: a later connection failed: {what}"
    assert finding.evidence == ((Side.CLIENT, f"after 3.0 s: {what}"),)
    assert judgement.summary == finding.seen


def test_same_note_of_several_addresses_is_given_once() -> None:
    """A server behind several addresses has its drops noted once."""
    judgement = CHECK.judge(
        AddressResults(
            (way(server_report=make_server_report(drops=3)),) * 4, CheckOptions()
        )
    )
    assert len(judgement.remarks) == 1
    assert judgement.summary.count("the server sees") == 1


def test_working_address_beside_a_failed_one_is_reported() -> None:
    """A failed further connection does not hide the results of the others."""
    judgement = CHECK.judge(
        AddressResults(
            (PathResult(THERE, Handshake(closed=True)), way()), CheckOptions()
        )
    )
    assert [finding.failure for finding in judgement.findings] == ["path.broken"]
    assert judgement.summary.startswith(
        "no NAT: the server sees this client's own address"
    )


def test_remote_text_is_escaped() -> None:
    """Addresses that the server reports cannot move a terminal's cursor."""
    address = {"address": HOSTILE_TEXT, "port": 1}
    judgement = judged(
        handshake=Handshake(welcome=make_welcome(peer=address, local=address))
    )
    figures = [str(value) for value in judgement.figures.values()]
    texts = [judgement.summary, *judgement.remarks, *figures]
    assert all(text.isprintable() for text in texts)
    assert sum(r"\x1b[31mred\n\u202egnp" in text for text in texts) == 4


@pytest.mark.parametrize(
    ("address", "port", "expected"),
    [
        ("192.0.2.1", 40000, False),
        ("192.0.2.1", 40001, True),
        ("192.0.2.9", 40000, True),
    ],
)
def test_another_peer_at_the_server_is_translation(
    address: str, port: int, *, expected: bool
) -> None:
    """The server sees another socket than this client's own."""
    figures = judged(handshake=seen_as(address, port)).figures
    assert figures["translated"] is expected
