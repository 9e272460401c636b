"""Judging connection attempts, and making them in parallel."""

from __future__ import annotations

import socket

import pytest

from netduet.client.checks.base import CheckContext
from netduet.client.checks.containers import ContainerFacts
from netduet.client.checks.name.results import NameResult
from netduet.client.checks.reach.judge import judge
from netduet.client.checks.reach.measure import MAX_ADDRESSES, measure
from netduet.client.checks.reach.results import ReachResult
from netduet.client.net.dial import Address, Cause, ConnectResult, Resolution
from netduet.client.net.timeouts import Timeouts
from netduet.client.results.location import Location, Side
from netduet.client.results.target import Target
from netduet.client.results.verdict import Finding, Judgement
from netduet.net.time_span import TimeSpan
from tests.unit.client.fake_server import FakeServer

FIRST = Address(socket.AF_INET, "192.0.2.1", 80)
SECOND = Address(socket.AF_INET, "192.0.2.2", 80)
SIX = Address(socket.AF_INET6, "2001:db8::1", 80)


def connect_result(
    address: Address = FIRST,
    cause: Cause | None = None,
    detail: str = "",
    *,
    lost: int = 0,
    start: float = 10.0,
    end: float = 10.5,
) -> ConnectResult:
    """Return what came of an attempt; without a cause it was accepted."""
    return ConnectResult(address, None, cause, detail, lost, start, end)


def judged(*tried: ConnectResult) -> Judgement:
    """Judge these attempts, all that the name had."""
    return judge(ReachResult(tried, 0))


def found(*tried: ConnectResult) -> Finding:
    """Return the one finding about these attempts."""
    [finding] = judged(*tried).findings
    return finding


def test_accepting_address_passes() -> None:
    """The connect time is reported, and nothing is found."""
    assert judged(connect_result()) == Judgement(
        "192.0.2.1:80 accepted in 500.0 ms",
        figures={"tried": 1, "accepted": 1, "lost_syns": 0},
    )


@pytest.mark.parametrize(
    ("cause", "failure"),
    [
        (Cause.REFUSED, "reach.refused"),
        (Cause.TIMEOUT, "reach.timeout"),
        (Cause.UNREACHABLE, "reach.unreachable"),
        (Cause.OTHER, "reach.other"),
    ],
)
def test_failing_address_fails_and_blocks(cause: Cause, failure: str) -> None:
    """Each way to fail has its class, and the other checks are skipped."""
    judgement = judged(connect_result(cause=cause, detail="EX: said so"))
    [finding] = judgement.findings
    assert (finding.failure, judgement.blocks) == (failure, True)
    assert judgement.summary == "no connection to 192.0.2.1:80"
    assert len(finding.evidence) == 1
    assert finding.seen not in finding.evidence[0][1]


@pytest.mark.parametrize(
    ("attempt", "seen"),
    [
        (
            connect_result(SIX, Cause.REFUSED, "ECONNREFUSED: Connection refused"),
            "[2001:db8::1]:80: ECONNREFUSED: Connection refused, after 500.0 ms",
        ),
        (
            connect_result(FIRST, Cause.TIMEOUT, lost=2, end=15.0),
            "192.0.2.1:80: 3 SYNs in 5.0 s, no response",
        ),
    ],
)
def test_single_address_is_described_in_full(attempt: ConnectResult, seen: str) -> None:
    """The summary has the name of the error, or the number of SYNs sent."""
    assert found(attempt).evidence == ((Side.CLIENT, seen),)


def test_class_is_that_of_the_first_failing_address() -> None:
    """Programs try the first address first; all are in the evidence."""
    finding = found(
        connect_result(FIRST, Cause.REFUSED, "no"),
        connect_result(SECOND, Cause.TIMEOUT, lost=4),
    )
    assert finding.failure == "reach.refused"
    assert finding.seen == "no address accepts connections: 192.0.2.1:80, 192.0.2.2:80"
    assert len(finding.evidence) == 2
    assert finding.figures == {"lost_syns": 4}


@pytest.mark.parametrize(
    ("tried", "missed"),
    [
        ([connect_result(cause=Cause.TIMEOUT)], TimeSpan(10.0, 10.5)),
        (
            [
                connect_result(FIRST, Cause.TIMEOUT, start=9.0),
                connect_result(SECOND, Cause.TIMEOUT, end=16.0),
            ],
            TimeSpan(9.0, 16.0),
        ),
        (
            [
                connect_result(FIRST, Cause.TIMEOUT),
                connect_result(SECOND, Cause.REFUSED),
            ],
            None,
        ),
        ([connect_result(cause=Cause.REFUSED)], None),
        (
            [connect_result(FIRST), connect_result(SECOND, Cause.TIMEOUT)],
            TimeSpan(10.0, 10.5),
        ),
        ([connect_result(FIRST), connect_result(SECOND, Cause.REFUSED)], None),
    ],
)
def test_only_silence_carries_missed_deadline(
    tried: list[ConnectResult], missed: TimeSpan | None
) -> None:
    """The deadline counts as missed if all failed addresses were silent."""
    assert found(*tried).missed_deadline == missed


def test_partial_failure_blocks_nothing() -> None:
    """Failed addresses are found; the others can still be checked."""
    judgement = judged(
        connect_result(FIRST), connect_result(SECOND, Cause.REFUSED, "ECONNREFUSED")
    )
    [finding] = judgement.findings
    assert (finding.failure, judgement.blocks) == ("reach.partial", False)
    assert finding.seen == "1 of 2 addresses does not accept connections: 192.0.2.2:80"
    assert len(finding.evidence) == 2
    assert judgement.summary == (
        "192.0.2.1:80 accepted in 500.0 ms; no connection to 192.0.2.2:80"
    )


def test_family_without_a_route_is_a_note() -> None:
    """An address family that this host lacks is noted and not judged."""
    judgement = judged(connect_result(FIRST), connect_result(SIX, Cause.NO_ROUTE))
    assert judgement.findings == ()
    assert judgement.remarks == (
        "IPv6 not tried: this host has no route to [2001:db8::1]:80",
    )


def test_no_route_at_all_is_skipped_and_blocks() -> None:
    """If nothing could be tried, nothing is judged and later checks are skipped."""
    judgement = judged(connect_result(SIX, Cause.NO_ROUTE))
    assert (judgement.findings, judgement.blocks) == ((), True)
    assert judgement.skipped == "this host has no route to [2001:db8::1]:80"
    assert judgement.remarks == ()


def test_failure_beside_an_untried_family_is_total() -> None:
    """A family that could not be tried does not make the failure partial."""
    tried = (
        connect_result(FIRST, Cause.REFUSED, "no"),
        connect_result(SIX, Cause.NO_ROUTE),
    )
    assert found(*tried).failure == "reach.refused"


def test_lost_syns_before_success_are_noted() -> None:
    """A second SYN points to loss or slowness, and is no fault alone."""
    judgement = judged(connect_result(lost=1, end=11.0))
    assert judgement.remarks == (
        (
            "192.0.2.1:80 accepted only after 1 SYN had been retransmitted, in 1.0 s: packets are lost, or the server or the path is slow (a kernel retransmits after 1 s)"
        ),
    )
    assert judgement.figures["lost_syns"] == 1


def test_many_addresses_are_summarized() -> None:
    """Three are named, the others counted; those beyond the limit are noted."""
    judgement = judge(ReachResult((connect_result(),) * 5, 7))
    assert judgement.summary.endswith("accepted in 500.0 ms; and 2 more")
    assert judgement.remarks == ("7 further addresses were not tried",)


async def test_addresses_are_tried_up_to_a_limit() -> None:
    """All addresses up to the limit are tried, and every socket is closed."""
    async with FakeServer(
        *[lambda accepted: accepted.wait_for_close()] * MAX_ADDRESSES
    ) as server:
        found_ = (server.address,) * (MAX_ADDRESSES + 3)
        resolution = Resolution(found_, None, "", 0.0, 0.0)
        context = CheckContext(
            Target("server", 80), socket.AF_UNSPEC, "", Timeouts(5.0, 5.0, 5.0)
        )
        context.measured[NameResult] = NameResult("server", False, resolution)
        reach = await measure(context)
    assert (len(reach.accepted), reach.left_out) == (MAX_ADDRESSES, 3)
    assert all(
        attempt.sock is None or attempt.sock.fileno() == -1 for attempt in reach.tried
    )


# Mistakes with containers

OWN = (
    Address(socket.AF_INET, "127.0.0.1", 80),
    Address(socket.AF_INET, "0.0.0.0", 80),
    Address(socket.AF_INET6, "::1", 80),
    Address(socket.AF_INET6, "::ffff:127.0.0.1", 80),
)
DOCKER = ContainerFacts("docker", ("127.0.0.11",))


@pytest.mark.parametrize("address", OWN, ids=str)
@pytest.mark.parametrize(
    ("facts", "place"), [(DOCKER, "this container"), (ContainerFacts(), "this host")]
)
def test_refusal_of_the_own_host_is_at_this_end(
    address: Address, facts: ContainerFacts, place: str
) -> None:
    """Localhost in a container is not the server's container: the target is wrong."""
    refused = connect_result(address, Cause.REFUSED, "ECONNREFUSED")
    judgement = judge(ReachResult((refused,), 0, "localhost", facts))
    [finding] = judgement.findings
    assert (finding.failure, finding.where) == ("reach.refused", Location.CLIENT)
    assert finding.seen == (
        f"{address} refuses connections: that is {place} itself, and nothing listens "
        "on port 80 there"
    )
    assert finding.causes[0].startswith(f"localhost is {place} itself")
    assert f"localhost is {place} itself" in judgement.remarks[-1]


@pytest.mark.parametrize(
    "tried",
    [
        (connect_result(FIRST, Cause.REFUSED),),
        (connect_result(OWN[0], Cause.REFUSED), connect_result(FIRST, Cause.REFUSED)),
    ],
)
def test_refusal_of_another_host_is_at_the_servers_end(
    tried: tuple[ConnectResult, ...],
) -> None:
    """The usual location of the class holds; the note is about the port."""
    judgement = judge(ReachResult(tried, 0, "web", DOCKER))
    [finding] = judgement.findings
    assert finding.where is None
    assert "use the container's port" in judgement.remarks[-1]


def test_silence_of_the_own_host_is_not_explained() -> None:
    """A full accept queue of a local server is silent too."""
    silent = connect_result(OWN[0], Cause.TIMEOUT)
    judgement = judge(ReachResult((silent,), 0, "localhost", DOCKER))
    assert (judgement.findings[0].where, judgement.remarks) == (None, ())
