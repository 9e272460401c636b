"""Judging what answered at each address."""

from __future__ import annotations

import dataclasses
import socket
from typing import Any

import pytest

from netduet.client.checks.identity.judge import MAX_BYTES_SHOWN, judge
from netduet.client.checks.identity.results import (
    Expectation,
    IdentityAnswer,
    IdentityResult,
)
from netduet.client.net.dial import Address, Cause
from netduet.client.net.handshake import Handshake
from netduet.client.results.location import Side
from netduet.client.results.verdict import Finding
from netduet.net.time_span import TimeSpan
from netduet.wire.errors import Code, RemoteError
from netduet.wire.frames import MAGIC
from netduet.wire.messages import ErrorMessage
from tests.unit.client.fake_server import HOSTILE_TEXT, make_welcome

FIRST = Address(socket.AF_INET, "192.0.2.1", 80)
SECOND = Address(socket.AF_INET6, "2001:db8::1", 80)


def opening(**fields: object) -> Handshake:
    """Return what came of an opening of 80 bytes that took from 10 s to 13 s."""
    known = {"sent": 80, "acked": 80, "start": 10.0, "end": 13.0}
    return Handshake(**(known | fields))  # type: ignore[arg-type]


def found(**fields: object) -> Finding:
    """Return the one finding about the only address."""
    answers = (IdentityAnswer(FIRST, opening(**fields)),)
    [finding] = judge(IdentityResult(answers, Expectation("*"))).findings
    return finding


def refused(code: str, message: str = "says why") -> ErrorMessage:
    """Return what an ERROR frame of the server says."""
    return ErrorMessage(code=code, message=message)


ECHOED = RemoteError(Code.OUT_OF_ORDER, "OPEN", {"kind": 1, "state": "OPENING"})
EARLY = RemoteError(Code.OUT_OF_ORDER, "END answer", {"kind": 3, "state": "OPENING"})
BROKEN = RemoteError(Code.TOO_LARGE, "a payload of 9 bytes: at most 8 here")
MANGLED = RemoteError(Code.MAGIC_BROKEN, "the magic was changed on the way: by a clerk")


@pytest.mark.parametrize(
    ("fields", "failure", "where", "seen"),
    [
        (
            {"self_connected": True, "broken": ECHOED},
            "identity.self",
            None,
            ": both ends of the connection are the same socket",
        ),
        (
            {"foreign": b"Hello, client!"},
            "identity.plain",
            None,
            " responds with the plain-text greeting only",
        ),
        (
            {"foreign": b"HTTP/1.1 400 Bad Request\r\n"},
            "identity.not_netduet",
            None,
            " speaks HTTP, not netduet",
        ),
        (
            {"foreign": b"SSH-2.0-x"},
            "identity.not_netduet",
            None,
            " speaks SSH, not netduet",
        ),
        (
            {"foreign": b"\x15\x03\x01\x00\x02\x02\x46"},
            "identity.not_netduet",
            None,
            " speaks TLS, not netduet",
        ),
        (
            {"foreign": b"220 mail"},
            "identity.not_netduet",
            None,
            " speaks an unknown protocol, not netduet",
        ),
        (
            {"foreign": b"220 hi\r\n" + MAGIC + b"\0\0"},
            "identity.mangled",
            "path ←",
            ": a netduet server's response arrives altered: 8 foreign bytes precede it",
        ),
        (
            {"foreign": MAGIC[1:] + b"\0\0"},
            "identity.mangled",
            "path ←",
            ": a netduet server's response arrives altered: its first byte is missing or changed",
        ),
        (
            {"broken": ECHOED},
            "identity.not_netduet",
            None,
            " sends our own request back: it is an echo service",
        ),
        (
            {"broken": EARLY},
            "identity.protocol",
            None,
            ": its response violates the protocol: END answer",
        ),
        (
            {"broken": BROKEN},
            "identity.protocol",
            None,
            ": its response violates the protocol: a payload of 9 bytes: at most 8 here",
        ),
        (
            {"broken": MANGLED},
            "identity.mangled",
            "path ←",
            ": its response violates the protocol: the magic was changed on the way: by a clerk",
        ),
        (
            {"refused": refused("magic_broken")},
            "identity.mangled",
            "path →",
            ": the server says: says why",
        ),
        (
            {"refused": refused("too_many_connections")},
            "identity.busy",
            None,
            ": the server says: says why",
        ),
        (
            {"refused": refused("draining")},
            "identity.draining",
            None,
            ": the server says: says why",
        ),
        (
            {"refused": refused("unknown_version")},
            "identity.protocol",
            None,
            ": the server says: says why",
        ),
        (
            {"refused": refused("a code of tomorrow")},
            "identity.protocol",
            None,
            ": the server says: says why",
        ),
        (
            {"closed": True},
            "identity.closed",
            None,
            " accepted the connection, then closed it without a response",
        ),
        (
            {"cause": Cause.RESET},
            "identity.reset",
            None,
            " accepted the connection, then reset it without a response",
        ),
        (
            {"cause": Cause.TIMEOUT},
            "identity.silent",
            None,
            " accepted the connection but did not respond within 3.0 s",
        ),
        (
            {"cause": Cause.TIMEOUT, "acked": 0},
            "identity.unacknowledged",
            None,
            (
                " accepted the connection but acknowledged no byte of the request "
                "within 3.0 s: the request does not arrive, or nothing comes back"
            ),
        ),
        (
            {"cause": Cause.UNREACHABLE, "detail": "EHOSTUNREACH: No route to host"},
            "path.broken",
            None,
            ": EHOSTUNREACH: No route to host",
        ),
    ],
)
def test_failed_handshake_has_a_class_and_a_location(
    fields: dict[str, object], failure: str, where: str | None, seen: str
) -> None:
    """Each way to fail has its class, and a direction where one is proven."""
    finding = found(**fields)
    assert (finding.failure, finding.where) == (failure, where)
    assert finding.seen == f"{FIRST}{seen}"


def test_only_silence_carries_missed_deadline() -> None:
    """A starved client may miss an answer, but cannot invent a reset or a FIN."""
    assert found(cause=Cause.TIMEOUT).missed_deadline == TimeSpan(10.0, 13.0)
    assert found(cause=Cause.RESET).missed_deadline is None
    assert found(closed=True).missed_deadline is None


@pytest.mark.parametrize(
    ("acked", "expected"),
    [
        (80, "; the kernel at the other end acknowledged 80 bytes"),
        (0, "; the kernel at the other end acknowledged 0 bytes"),
        # Our FIN counts as one.
        (81, "; the kernel at the other end acknowledged 80 bytes"),
        (None, ""),
    ],
)
def test_silence_says_whether_the_request_arrived(
    acked: int | None, expected: str
) -> None:
    """Whether the remote kernel acknowledged the request is part of the evidence."""
    assert found(cause=Cause.TIMEOUT, acked=acked).evidence == (
        (Side.CLIENT, f"sent the request (80 bytes); received nothing{expected}"),
        (Side.SERVER, "no information: no netduet server responded"),
    )


def test_unacknowledged_request_is_not_said_to_have_arrived() -> None:
    """An accepted connection proves only that SYNs pass."""
    assert "acknowledged no byte" in found(cause=Cause.TIMEOUT, acked=0).seen
    assert "did not respond" in found(cause=Cause.TIMEOUT, acked=80).seen


def test_silence_of_a_service_that_speaks_first_is_no_lost_request() -> None:
    """Nothing was sent that a kernel could acknowledge: the service is frozen."""
    finding = found(cause=Cause.TIMEOUT, acked=0, sent=0)
    assert finding.failure == "identity.silent"
    assert "did not respond" in finding.seen


def test_retransmitted_request_carries_no_missed_deadline() -> None:
    """Kernels retransmit and acknowledge for starved programs too."""
    assert found(cause=Cause.TIMEOUT, acked=0, resent=3).missed_deadline is None
    assert found(cause=Cause.TIMEOUT, acked=0, resent=2).missed_deadline is not None
    assert found(cause=Cause.TIMEOUT, acked=80, resent=3).missed_deadline is not None


def test_acknowledged_bytes_are_ignored_after_a_reset() -> None:
    """A reset may overtake an acknowledgement, so the count proves nothing."""
    texts = [text for _, text in found(closed=True, acked=8).evidence]
    assert not any("acknowledged" in text for text in texts)


@pytest.mark.parametrize(
    ("cause", "missed"),
    [(Cause.TIMEOUT, TimeSpan(10.0, 13.0)), (Cause.REFUSED, None)],
)
def test_failed_second_connection_is_not_a_silent_server(
    cause: Cause, missed: TimeSpan | None
) -> None:
    """A server that accepted once and now does not points at a broken path."""
    made = opening(cause=cause, detail="EX: said so", sent=0, acked=None)
    answer = IdentityAnswer(FIRST, dataclasses.replace(made, accepted=False))
    [finding] = judge(IdentityResult((answer,), Expectation("*"))).findings
    assert (finding.failure, finding.missed_deadline) == ("path.broken", missed)
    assert (
        finding.seen
        == f"{FIRST} had accepted a connection, but now does not: EX: said so"
    )


def test_expected_service_passes() -> None:
    """Service, instance and time are reported, and no check is blocked."""
    answer = IdentityAnswer(FIRST, opening(welcome=make_welcome()))
    judgement = judge(IdentityResult((answer,), Expectation("netduet")))
    assert judgement.summary == (
        'netduet-server, service "netduet", instance here, responded at 192.0.2.1:80 in 3000.0 ms'
    )
    assert (judgement.findings, judgement.blocks) == ((), False)
    assert judgement.figures == {
        "asked": 1,
        "answered": 1,
        "instances": 1,
        "instance": "here",
        "node": None,
        "zone": None,
    }


def test_other_service_fails_and_blocks_nothing() -> None:
    """Both services are named; the path can still be checked."""
    answer = IdentityAnswer(FIRST, opening(welcome=make_welcome(service="other")))
    judgement = judge(IdentityResult((answer,), Expectation("mine")))
    [finding] = judgement.findings
    assert (finding.failure, judgement.blocks) == ("identity.other_service", False)
    assert finding.seen == (
        '192.0.2.1:80 is a netduet server for the service "other"; expected "mine"'
    )
    assert finding.evidence == ((Side.SERVER, "instance here, netduet/1"),)
    assert judge(IdentityResult((answer,), Expectation("*"))).findings == ()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "instance here, "),
        ({"node": "n1"}, "instance here on n1, "),
        ({"node": "n1", "zone": "z1"}, "instance here on n1 in z1, "),
        ({"zone": "z1"}, "instance here in z1, "),
    ],
)
def test_instance_is_named_with_node_and_zone(
    fields: dict[str, str], expected: str
) -> None:
    """Node and zone are shown if the server sends them."""
    answer = IdentityAnswer(FIRST, opening(welcome=make_welcome(**fields)))
    assert expected in judge(IdentityResult((answer,), Expectation("*"))).summary


def test_no_netduet_server_blocks_other_checks() -> None:
    """Without a netduet server there is nothing further to check."""
    judgement = judge(
        IdentityResult((IdentityAnswer(FIRST, opening(closed=True)),), Expectation("*"))
    )
    assert (judgement.summary, judgement.blocks) == (
        "no response from the expected server",
        True,
    )


def test_each_address_is_judged_and_instances_are_counted() -> None:
    """One bad address fails beside good ones; an instance is counted once."""
    answers = (
        IdentityAnswer(FIRST, opening(welcome=make_welcome(boot_id="1" * 32))),
        IdentityAnswer(SECOND, opening(welcome=make_welcome(boot_id="1" * 32))),
        IdentityAnswer(
            SECOND, opening(welcome=make_welcome(boot_id="2" * 32, node="n", zone="z"))
        ),
        IdentityAnswer(SECOND, opening(closed=True)),
    )
    judgement = judge(IdentityResult(answers, Expectation("*")))
    assert [finding.failure for finding in judgement.findings] == ["identity.closed"]
    assert judgement.figures == {
        "asked": 4,
        "answered": 3,
        "instances": 2,
        "instance": "here",
        "node": None,
        "zone": None,
        "2.instance": "here",
        "2.node": None,
        "2.zone": None,
        "3.instance": "here",
        "3.node": "n",
        "3.zone": "z",
    }
    assert not judgement.blocks


@pytest.mark.parametrize(
    "fields",
    [
        {
            "welcome": make_welcome(
                service=HOSTILE_TEXT, instance=HOSTILE_TEXT, software=HOSTILE_TEXT
            )
        },
        {"welcome": make_welcome(node=HOSTILE_TEXT, zone=HOSTILE_TEXT)},
        {"foreign": HOSTILE_TEXT.encode()},
        {"foreign": b"HTTP/1.1 " + HOSTILE_TEXT.encode()},
        {"foreign": b"\xff\xfe" + HOSTILE_TEXT.encode()},
        {"refused": ErrorMessage(code=HOSTILE_TEXT, message=HOSTILE_TEXT)},
        {"broken": RemoteError(Code.BAD_MESSAGE, HOSTILE_TEXT)},
    ],
)
def test_remote_text_is_escaped(fields: dict[str, Any]) -> None:
    """No peer can move the cursor, break a line or change the text direction."""
    judgement = judge(
        IdentityResult((IdentityAnswer(FIRST, opening(**fields)),), Expectation("mine"))
    )
    [finding] = judgement.findings
    texts = [
        judgement.summary,
        finding.seen,
        *(text for _, text in finding.evidence),
    ]
    assert all(text.isprintable() for text in texts)
    assert any(r"\x1b[31mred\n\u202egnp" in text for text in texts)


def test_long_banner_of_a_foreign_server_is_truncated() -> None:
    """Endless output of a foreign server is cut, visibly."""
    [(_, text)] = found(foreign=b"x" * 256).evidence
    assert text.endswith(f'"{"x" * MAX_BYTES_SHOWN}…"')
