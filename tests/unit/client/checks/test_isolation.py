"""Judging targets that should be blocked: how, and what it proves."""

from __future__ import annotations

import errno
import socket

import pytest

from netduet.client.checks.isolation.judge import judge
from netduet.client.checks.isolation.results import IsolationResult, PortState
from netduet.client.net.dial import Address, Cause
from netduet.client.net.handshake import Handshake
from netduet.client.net.port_probe import ProbeResult, Response, response_from_icmp
from netduet.client.net.udp_socket import IcmpNotice
from netduet.client.results.verdict import CheckResult, Judgement, Outcome, result
from tests.unit.client.fake_server import make_welcome

FIRST = Address(socket.AF_INET, "192.0.2.1", 80)
SECOND = Address(socket.AF_INET, "192.0.2.2", 80)
SIX = Address(socket.AF_INET6, "2001:db8::1", 80)
OWN = "198.51.100.7"
ROUTER = "198.51.100.1"

DROPPED = ProbeResult(Response.DROPPED, sent=3, start=10.0, end=15.0)
RESET = ProbeResult(Response.RESET, sent=1, detail="ECONNREFUSED", start=10.0, end=10.1)
ACCEPTED = ProbeResult(Response.OPEN, sent=1, start=10.0, end=10.01)
PROHIBITED = ProbeResult(Response.PROHIBITED, ROUTER, 1, "EHOSTUNREACH", 10.0, 10.1)
PORT = ProbeResult(Response.PORT_UNREACHABLE, ROUTER, 1, "ECONNREFUSED", 10.0, 10.1)
NO_ROUTE = ProbeResult(Response.NO_ROUTE)
NETDUET = Handshake(welcome=make_welcome(service="orders", instance="a"))


def door(
    tcp: ProbeResult,
    udp: ProbeResult,
    address: Address = FIRST,
    opening: Handshake | None = None,
) -> PortState:
    """Return what came of knocking at an address."""
    return PortState(address, tcp, udp, OWN, opening)


def judged(
    *doors: PortState, control: str = "app:80", routes: bool = True
) -> Judgement:
    """Judge these addresses."""
    return judge(IsolationResult(doors, 0, routes, control))


def weighed(judgement: Judgement, stalled: float) -> CheckResult:
    """Return the result for a client that did not run for these seconds."""
    return result("isolation", "?", judgement, 5.0, lambda *_: stalled)


@pytest.mark.parametrize(
    ("family", "kind", "code", "expected"),
    [
        (socket.AF_INET, 3, 0, Response.HOST_UNREACHABLE),
        (socket.AF_INET, 3, 1, Response.HOST_UNREACHABLE),
        (socket.AF_INET, 3, 3, Response.PORT_UNREACHABLE),
        (socket.AF_INET, 3, 9, Response.PROHIBITED),
        (socket.AF_INET, 3, 10, Response.PROHIBITED),
        (socket.AF_INET, 3, 13, Response.PROHIBITED),
        (socket.AF_INET, 11, 0, Response.TTL_EXCEEDED),
        (socket.AF_INET6, 1, 0, Response.HOST_UNREACHABLE),
        (socket.AF_INET6, 1, 1, Response.PROHIBITED),
        (socket.AF_INET6, 1, 3, Response.HOST_UNREACHABLE),
        (socket.AF_INET6, 1, 4, Response.PORT_UNREACHABLE),
        (socket.AF_INET6, 3, 0, Response.TTL_EXCEEDED),
    ],
)
def test_icmp_type_and_code_give_the_response(
    family: socket.AddressFamily, kind: int, code: int, expected: Response
) -> None:
    """IPv4 and IPv6 number the same errors differently."""
    assert (
        response_from_icmp(family, IcmpNotice("EHOSTUNREACH", ROUTER, 0, kind, code))
        is expected
    )


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ECONNREFUSED, Response.PORT_UNREACHABLE),
        (errno.EHOSTUNREACH, Response.HOST_UNREACHABLE),
        (errno.EACCES, Response.PROHIBITED),
        (errno.EINVAL, Response.OTHER),
    ],
)
def test_errno_without_icmp_is_less_precise(number: int, expected: Response) -> None:
    """If the kernel does not pass on the ICMP message, its errno is used instead."""
    assert (
        response_from_icmp(socket.AF_INET, IcmpNotice(errno.errorcode[number]))
        is expected
    )


@pytest.mark.parametrize(
    ("tcp", "udp", "expected", "how"),
    [
        (DROPPED, DROPPED, "TCP and UDP are dropped", "dropped"),
        (
            DROPPED,
            PORT,
            f"TCP is dropped, UDP is rejected (ICMP port unreachable from {ROUTER})",
            "TCP dropped, UDP rejected",
        ),
        (
            RESET,
            DROPPED,
            "TCP is rejected (reset), UDP is dropped",
            "TCP rejected, UDP dropped",
        ),
        (
            PROHIBITED,
            PROHIBITED,
            f"TCP and UDP are rejected (ICMP prohibited from {ROUTER})",
            "rejected",
        ),
        (NO_ROUTE, NO_ROUTE, "this host has no route there", "no route"),
    ],
)
def test_blocked_target_passes_and_names_the_response(
    tcp: ProbeResult, udp: ProbeResult, expected: str, how: str
) -> None:
    """Each way of blocking has its words, for both protocols."""
    found = judged(door(tcp, udp))
    assert found.summary == f"192.0.2.1:80 is blocked: {expected}"
    assert found.findings == ()
    assert (found.figures["found"], found.figures["how"]) == ("blocked", how)
    assert weighed(found, 0.0).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        (
            door(ACCEPTED, ACCEPTED, opening=NETDUET),
            'netduet-server, service "orders", instance a, responds; UDP responds too',
        ),
        (
            door(ACCEPTED, DROPPED, opening=Handshake(foreign=b"SSH-2.0-x\r\n")),
            'the peer speaks SSH: "SSH-2.0-x\\r\\n"; UDP is dropped',
        ),
        (
            door(ACCEPTED, DROPPED, opening=Handshake(cause=Cause.TIMEOUT)),
            "the peer accepts but sends nothing; UDP is dropped",
        ),
        (
            door(DROPPED, ProbeResult(Response.OPEN, sent=2, detail="instance a")),
            "datagrams get a response from instance a; TCP is dropped",
        ),
    ],
)
def test_open_target_fails_and_names_the_server(port: PortState, expected: str) -> None:
    """TCP or UDP, either is enough; a blocked address does not excuse an open one."""
    found = judged(port, door(DROPPED, DROPPED, SECOND))
    [finding] = found.findings
    assert finding.failure == "isolation.open"
    alone = "" if port.handshake else " for UDP only"
    connects = "TCP connects in 10.0 ms; " if port.handshake else ""
    assert finding.seen == f"192.0.2.1:80 is open{alone}: {connects}{expected}"
    assert found.figures["found"] == "open"
    assert "192.0.2.2:80 is blocked: TCP and UDP are dropped" in found.remarks[0]
    # No stall explains an answer away.
    assert weighed(found, 5.0).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    "opening",
    [Handshake(closed=True), Handshake(cause=Cause.RESET)],
    ids=["end", "reset"],
)
def test_silent_accept_may_be_a_proxy(opening: Handshake) -> None:
    """A proxy that accepts and then blocks is named as a possible cause."""
    found = judged(door(ACCEPTED, DROPPED, opening=opening))
    assert [finding.failure for finding in found.findings] == ["isolation.open"]
    assert "accepted by a proxy that blocks only afterwards" in found.remarks[0]


@pytest.mark.parametrize(
    ("port", "words"),
    [
        (door(RESET, DROPPED), "the two look the same"),
        (
            door(RESET, ProbeResult(Response.PORT_UNREACHABLE, "192.0.2.1", 1)),
            "nothing is listening there",
        ),
        (
            door(ProbeResult(Response.HOST_UNREACHABLE, ROUTER, 1), DROPPED),
            f"{ROUTER} reports that the host is unreachable",
        ),
        (
            door(ProbeResult(Response.HOST_UNREACHABLE, OWN, 1), DROPPED),
            "this host reports that the host is unreachable",
        ),
        (door(DROPPED, DROPPED), "silence proves less about UDP than about TCP"),
    ],
)
def test_other_explanation_is_noted(port: PortState, words: str) -> None:
    """A block that may have another cause passes, with a note."""
    found = judged(port)
    assert found.findings == ()
    assert words in found.remarks[0]


def test_administrative_prohibition_needs_no_note() -> None:
    """An explicit prohibition by a router needs no control either."""
    assert judged(door(PROHIBITED, PROHIBITED), control="").remarks == ()


@pytest.mark.parametrize(
    ("port", "needed"),
    [
        (door(DROPPED, DROPPED), True),
        (door(NO_ROUTE, NO_ROUTE), True),
        (door(ProbeResult(Response.HOST_UNREACHABLE, OWN, 1), DROPPED), True),
        (door(RESET, DROPPED), False),
        (door(DROPPED, PORT), False),
    ],
)
def test_silence_needs_a_control(port: PortState, needed: bool) -> None:
    """A refusal proves that the client is connected; silence does not."""
    alone = " ".join(judged(port, control="").remarks)
    beside = " ".join(judged(port, control="app:80").remarks)
    assert ("this client may have no network at all" in alone) is needed
    assert ("app:80 was reached from here" in beside) is needed


def test_client_without_a_route_is_inconclusive() -> None:
    """Everything is blocked for a client without a network."""
    found = judged(
        door(NO_ROUTE, NO_ROUTE), door(NO_ROUTE, NO_ROUTE, SIX), routes=False
    )
    done = weighed(found, 0.0)
    assert (done.outcome, done.findings[0].failure) == (
        Outcome.INCONCLUSIVE,
        "isolation.unproven",
    )
    assert found.figures["found"] == "unknown"
    assert found.summary == "cannot determine whether it is blocked"


def test_single_syn_is_inconclusive() -> None:
    """One lost packet looks like a block."""
    once = ProbeResult(Response.DROPPED, sent=1, start=10.0, end=10.5)
    done = weighed(judged(door(once, DROPPED)), 0.0)
    assert done.outcome is Outcome.INCONCLUSIVE
    assert "1 SYN in 0.5 s" in done.findings[0].seen


def test_local_error_is_inconclusive() -> None:
    """An error of this host is no block."""
    failed = ProbeResult(Response.OTHER, detail="EMFILE")
    done = weighed(judged(door(failed, failed)), 0.0)
    assert done.outcome is Outcome.INCONCLUSIVE
    assert "EMFILE" in done.findings[0].seen


@pytest.mark.parametrize(
    ("stalled", "outcome"), [(2.4, Outcome.PASS), (2.5, Outcome.INCONCLUSIVE)]
)
def test_silence_at_a_starved_client_is_inconclusive(
    stalled: float, outcome: Outcome
) -> None:
    """A client that did not run for half of the time may have missed an answer."""
    done = weighed(judged(door(DROPPED, DROPPED)), stalled)
    assert done.outcome is outcome
    assert weighed(judged(door(RESET, PORT)), stalled).outcome is Outcome.PASS
