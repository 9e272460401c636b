"""What clues add to a finding: who, and where."""

from __future__ import annotations

import socket
from collections.abc import Mapping

import pytest

from netduet.client.checks.catalogue import CATALOGUE
from netduet.client.checks.investigation.judge import explain, is_about_losses
from netduet.client.checks.investigation.results import Clues
from netduet.client.net.dial import Address
from netduet.client.net.hops import Hop, Trace
from netduet.client.net.own_host import OwnHostTrial
from netduet.client.net.port_probe import ProbeResult, Response
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import Finding

TARGET = Address(socket.AF_INET, "192.0.2.9", 80)
OWN, ROUTER, FAR = "198.51.100.7", "198.51.100.1", "203.0.113.1"
HOPS = (Hop(1, ROUTER), Hop(3, FAR))
TIMEOUT = Finding("reach.timeout", "silence")
REFUSED = Finding("reach.refused", "refused")
SILENT = Finding("udp.silent", "no datagram came back")


def explained(finding: Finding, **clues: object) -> Finding:
    """Return the finding with these clues about the target."""
    return explain(finding, Clues(TARGET, OWN, **clues))  # type: ignore[arg-type]


def first_cause(finding: Finding) -> str:
    """Return the likeliest cause that was found out, "" for none."""
    return next(iter(finding.causes), "")


# Who refuses


@pytest.mark.parametrize(
    ("offender", "where", "words", "place"),
    [
        (ROUTER, Location.INTERMEDIARY, f"a firewall or router, {ROUTER},", "at hop 1"),
        (TARGET.host, Location.SERVER, f"a firewall on {TARGET.host} itself", ""),
        (OWN, Location.CLIENT, "this host's own firewall rejects", ""),
    ],
)
def test_icmp_error_names_who_rejects(
    offender: str, where: Location, words: str, place: str
) -> None:
    """A host whose port is closed sends a reset: an ICMP error is a firewall's."""
    refusal = ProbeResult(Response.PORT_UNREACHABLE, offender, 1, "ECONNREFUSED")
    found = explained(REFUSED, refusal=refusal, datagrams=Trace("udp", HOPS, 5))
    assert (found.failure, found.where) == ("reach.rejected", where)
    assert first_cause(found).startswith(words)
    assert found.place.startswith(place)
    assert bool(found.place) is bool(place)
    assert offender in found.evidence[-1][1]


@pytest.mark.parametrize(
    ("failure", "refusal"),
    [
        ("reach.refused", ProbeResult(Response.PORT_UNREACHABLE, ROUTER, 1, "E")),
        ("reach.unreachable", ProbeResult(Response.PROHIBITED, ROUTER, 1, "E")),
        ("reach.unreachable", ProbeResult(Response.TTL_EXCEEDED, ROUTER, 1, "E")),
        ("reach.port_unreachable", ProbeResult(Response.PROHIBITED, ROUTER, 1, "E")),
        ("reach.other", ProbeResult(Response.OTHER, "", 0, "EPERM")),
        ("udp.rejected", ProbeResult(Response.PROHIBITED, ROUTER, 1, "E")),
    ],
)
def test_proven_culprit_leaves_no_other_cause(
    failure: str, refusal: ProbeResult
) -> None:
    """What the class says in general would say it again, or something else."""
    found = explained(Finding(failure, "s"), refusal=refusal)
    assert found.likely_causes(CATALOGUE[found.failure]) == found.causes
    assert len(found.causes) == 1


def test_closed_port_of_the_target_is_no_firewall() -> None:
    """A host answers datagrams to a closed port by "port unreachable" itself."""
    rejected = Finding("udp.rejected", "rejected")
    refusal = ProbeResult(Response.PORT_UNREACHABLE, TARGET.host, 1, "ECONNREFUSED")
    assert explained(rejected, refusal=refusal) == rejected
    refusal = ProbeResult(Response.PORT_UNREACHABLE, ROUTER, 1, "ECONNREFUSED")
    found = explained(rejected, refusal=refusal)
    assert first_cause(found).startswith(f"a firewall or router, {ROUTER}, rejects the")
    assert (found.failure, found.place) == ("udp.rejected", f"at {ROUTER}")


@pytest.mark.parametrize("failure", ["udp.rejected", "reach.other"])
def test_forbidden_sending_is_the_own_firewall(failure: str) -> None:
    """No ICMP error came: this host's kernel did not send."""
    refusal = ProbeResult(Response.OTHER, "", 0, "EPERM")
    found = explained(Finding(failure, "not sent"), refusal=refusal)
    assert found.where is Location.CLIENT
    assert first_cause(found).startswith("this host's own firewall forbids the")


def test_prohibition_keeps_its_class_and_names_the_sender() -> None:
    """The class was right; who sent the error was not known."""
    refusal = ProbeResult(Response.PROHIBITED, FAR, 1, "EHOSTUNREACH")
    found = explained(Finding("reach.unreachable", "gone"), refusal=refusal)
    assert (found.failure, found.place) == ("reach.unreachable", f"at {FAR}")


def test_reset_keeps_the_class() -> None:
    """Without an ICMP error it was a reset, whoever sent it."""
    refusal = ProbeResult(Response.RESET, "", 1, "ECONNREFUSED")
    found = explained(REFUSED, refusal=refusal)
    assert (found.failure, found.where, found.causes) == ("reach.refused", None, ())


@pytest.mark.parametrize(
    ("ttl", "answer_ttl", "is_nearer"),
    [
        (64, 63, True),
        (63, 60, True),
        (61, 61, False),
        (60, 61, False),
        (61, 252, False),
    ],
)
def test_reset_from_nearer_than_the_target_is_a_firewalls(
    ttl: int, answer_ttl: int, *, is_nearer: bool
) -> None:
    """Only a reset that has passed fewer routers is told apart, whatever the TTLs were."""
    refusal = ProbeResult(Response.RESET, "", 1, "ECONNREFUSED")
    trace = Trace("udp", HOPS, 4, answer_ttl=answer_ttl)
    found = explained(REFUSED, refusal=refusal, reset_ttl=ttl, datagrams=trace)
    assert found.where is (Location.INTERMEDIARY if is_nearer else None)
    assert bool(found.causes) is is_nearer
    causes = found.likely_causes(CATALOGUE["reach.refused"])
    assert sum("tcp-reset" in cause for cause in causes) == 1
    assert "not running" in causes[int(is_nearer)]
    assert found.figures["reset_ttl"] == ttl


def test_router_that_sends_resets_is_the_one_behind_those_they_pass() -> None:
    """No router passed: it is the first hop."""
    refusal = ProbeResult(Response.RESET, "", 1, "ECONNREFUSED")
    trace = Trace("udp", HOPS, 4, answer_ttl=61)
    found = explained(REFUSED, refusal=refusal, reset_ttl=64, datagrams=trace)
    assert found.place == (
        f"about hop 1 ({ROUTER}), behind 0 routers, and the server is behind 3"
    )


# This host's own kernel


def trial(
    grown: Mapping[str, int],
    quiet: Mapping[str, int] | None = None,
    *,
    answered: int = 0,
    errors: tuple[str, ...] = (),
) -> OwnHostTrial:
    """Return what was counted while 12 packets were sent, in as long as before."""
    return OwnHostTrial(12, answered, quiet or {}, grown, 0.6, 0.6, errors)


ARRIVED = {"IpInReceives": 12, "IpInDelivers": 0}
KEPT = {"IpOutRequests": 12, "IpOutTransmits": 0}


@pytest.mark.parametrize(
    ("grown", "quiet", "words"),
    [
        (ARRIVED, {}, "own firewall drops the answers"),
        ({"IpInReceives": 40, "IpInDelivers": 28}, {}, "drops the answers"),
        (KEPT, {}, "own firewall drops the packets before they leave"),
        # Other traffic of the namespace is dropped all the time.
        ({"IpInReceives": 60}, {"IpInReceives": 50}, ""),
        ({"IpInReceives": 112}, {"IpInReceives": 100}, ""),
        # Too few, or their fate is known.
        ({"IpInReceives": 8}, {}, ""),
        ({"IpInReceives": 12, "IpInAddrErrors": 12}, {}, ""),
        ({"IpInReceives": 24, "IpReasmReqds": 24, "IpInDelivers": 12}, {}, ""),
        # A kernel without the second counter.
        ({"IpOutRequests": 12}, {}, ""),
        ({}, {}, ""),
    ],
)
def test_own_firewall_is_found_by_what_the_kernel_counts(
    grown: Mapping[str, int], quiet: Mapping[str, int], words: str
) -> None:
    """Nearly as many as were sent, and more than chance and the quiet time explain."""
    found = explained(TIMEOUT, own_host=trial(grown, quiet))
    assert words in first_cause(found)
    assert (found.where is Location.CLIENT) is bool(words)


def test_own_firewall_of_ipv6_is_counted_by_ipv6() -> None:
    """Each family has counters of its own."""
    six = Address(socket.AF_INET6, "2001:db8::9", 80)
    grown = {"Ip6InReceives": 12, "Ip6InDelivers": 0, "IpInReceives": 0}
    found = explain(TIMEOUT, Clues(six, own_host=trial(grown)))
    assert "own firewall drops the answers" in first_cause(found)


def test_refused_sending_is_the_own_firewall() -> None:
    """The kernel says EPERM for each datagram that a rule of OUTPUT drops."""
    found = explained(SILENT, own_host=trial({}, errors=("EPERM",) * 12))
    assert "before they leave" in first_cause(found)
    assert "EPERM" in found.evidence[-1][1]


def test_answers_clear_the_own_firewall() -> None:
    """What gets an answer is not dropped, whatever is counted."""
    found = explained(TIMEOUT, own_host=trial(ARRIVED, answered=1))
    assert (found.where, found.causes) == (None, ())


# Counters of both ends


@pytest.mark.parametrize(
    ("finding", "clues", "words", "where"),
    [
        (
            SILENT,
            {"client": {"UdpInCsumErrors": 8}},
            "arrive at this host with a wrong checksum",
            Location.FROM_SERVER,
        ),
        (
            Finding("churn.syn_lost", "s", figures={"lost_syns": 160}),
            {"server": {"TcpInCsumErrors": 170}},
            "arrive at the server's host with a wrong checksum",
            Location.TO_SERVER,
        ),
        (
            TIMEOUT,
            {"client": {"TcpExtIPReversePathFilter": 5}},
            "reverse-path filter",
            Location.CLIENT,
        ),
        (
            Finding("udp.loss", "s", figures={"lost": 10}),
            {"server": {"conntrack.drop": 10}},
            "connection tracking table at the server's host is full",
            Location.SERVER,
        ),
        # It does not fit: too few, of the other transport, or of a class that knows.
        (SILENT, {"client": {"UdpInCsumErrors": 2}}, "", None),
        (SILENT, {"client": {"TcpInCsumErrors": 90}}, "", None),
        (
            Finding("churn.syn_lost", "s", figures={"lost_syns": 160}),
            {"server": {"TcpInCsumErrors": 70}},
            "",
            None,
        ),
        (
            Finding("churn.accept_queue", "s"),
            {"server": {"TcpExtListenOverflows": 70}},
            "",
            None,
        ),
    ],
)
def test_counter_explains_a_loss_that_it_fits(
    finding: Finding,
    clues: Mapping[str, object],
    words: str,
    where: Location | None,
) -> None:
    """At least three packets, and at least half of those that were lost."""
    found = explained(finding, **clues)
    assert words in first_cause(found)
    assert bool(found.causes) is bool(words)
    assert found.where is where


def test_counter_is_evidence_of_the_end_that_counts() -> None:
    """With its name, so that nstat shows it."""
    found = explained(SILENT, server={"UdpInCsumErrors": 8})
    [(side, text)] = found.evidence
    assert side is Side.SERVER
    assert "8 more than before (UdpInCsumErrors)" in text
    assert found.figures == {"server.UdpInCsumErrors": 8}


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        ("reach.timeout", True),
        ("churn.syn_lost", True),
        ("identity.not_netduet", False),
        ("udp.not_netduet", False),
        ("name.not_found", False),
        ("check.defect", False),
    ],
)
def test_only_losses_are_explained_by_counters(failure: str, *, expected: bool) -> None:
    """A wrong program is not a checksum error."""
    assert is_about_losses(failure) is expected


# The other transport


@pytest.mark.parametrize(
    ("other", "alive"),
    [
        (ProbeResult(Response.OPEN), True),
        (ProbeResult(Response.PORT_UNREACHABLE, TARGET.host), True),
        (ProbeResult(Response.PORT_UNREACHABLE, ROUTER), False),
        (ProbeResult(Response.DROPPED, sent=4), False),
    ],
)
def test_host_that_answers_datagrams_is_alive(
    other: ProbeResult, *, alive: bool
) -> None:
    """Then TCP is filtered: neither a dead host nor a stale address."""
    found = explained(TIMEOUT, other=other)
    assert (found.figures.get("alive") is True) is alive
    assert ("the host itself is alive" in first_cause(found)) is alive


# Where


def test_packets_end_beyond_the_last_hop_that_answers() -> None:
    """Hop 2 does not answer, and is not spoken of."""
    found = explained(TIMEOUT, syns=Trace("tcp", HOPS))
    assert found.place == f"beyond hop 3 ({FAR}) nothing comes back"
    assert found.evidence[-1][1] == (
        f"SYNs with growing TTL are answered by hop 1 ({ROUTER}), hop 3 ({FAR}), and "
        "by nothing beyond"
    )
    assert found.figures == {"last_hop": 3, "last_hop_address": FAR}


def test_other_transport_that_gets_farther_is_evidence() -> None:
    """It shows that the routers beyond work."""
    found = explained(
        TIMEOUT, syns=Trace("tcp", HOPS[:1]), datagrams=Trace("udp", HOPS, 4)
    )
    assert "datagrams reach the target" in found.evidence[-1][1]
    assert "beyond hop 1" in found.place


def test_silent_routers_place_nothing() -> None:
    """Where no router answers, nothing is said."""
    found = explained(TIMEOUT, syns=Trace("tcp"), datagrams=Trace("udp"))
    assert (found.place, found.evidence) == ("", ())


def test_loop_is_named_by_its_routers() -> None:
    """The same addresses again and again, and the target is never reached."""
    hops = tuple(Hop(ttl, (ROUTER, FAR)[ttl % 2]) for ttl in range(2, 9))
    found = explained(TIMEOUT, syns=Trace("tcp", hops))
    assert found.place == f"in a loop between {ROUTER} and {FAR}"
    assert "packets loop" in first_cause(found)
    refusal = ProbeResult(Response.TTL_EXCEEDED, FAR, 1, "EHOSTUNREACH")
    gone = Finding("reach.unreachable", "gone")
    found = explained(gone, refusal=refusal, syns=Trace("tcp", hops))
    assert found.place == f"in a loop between {ROUTER} and {FAR}"
    assert explained(gone, refusal=refusal).place == f"at {FAR}"


def test_place_is_left_out_when_an_end_is_at_fault() -> None:
    """Answers that this host itself drops end nowhere on the path."""
    found = explained(TIMEOUT, own_host=trial(ARRIVED), syns=Trace("tcp", HOPS))
    assert (found.where, found.place) == (Location.CLIENT, "")
    found = explained(
        SILENT, client={"UdpInCsumErrors": 9}, datagrams=Trace("udp", HOPS)
    )
    assert found.place == ""


def test_data_is_placed_where_it_vanishes_behind_the_handshake() -> None:
    """SYNs pass all routers; data on the same connection passes one."""
    lost = Finding("identity.unacknowledged", "0 bytes acknowledged")
    syns, data = Trace("tcp", HOPS, 4), Trace("data", HOPS[:1])
    found = explained(lost, syns=syns, data=data)
    assert found.place == f"beyond hop 1 ({ROUTER}) nothing comes back for data"
    assert "SYNs reach the target" in found.evidence[0][1]
    assert explained(lost, syns=syns, data=Trace("data")).place == ""


def test_large_packets_are_placed_by_their_own_trace() -> None:
    """They vanish on the way there, if they do not arrive."""
    hole = Finding("size.black_hole", "large ones are lost")
    found = explained(hole, large=Trace("udp", HOPS, size=1500))
    assert found.place == f"packets of 1500 bytes vanish beyond hop 3 ({FAR})"
    reached = Trace("udp", HOPS, 4, size=1500)
    assert explained(hole, large=reached).place == ""


def test_large_packets_that_vanish_on_the_way_back_are_said_to() -> None:
    """They arrive, and their answers are small; silence would say nothing."""
    hole = Finding("size.black_hole", "lost", where=Location.FROM_SERVER)
    found = explained(hole, large=Trace("udp", HOPS, 4, size=1500))
    assert found.place == "packets of 1500 bytes vanish on the way back"
    assert explained(hole, large=Trace("udp", HOPS, size=1500)).place == ""
