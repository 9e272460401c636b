"""Judging how a name resolved, and resolving with a timeout."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from netduet.client.checks.base import CheckContext
from netduet.client.checks.containers import ContainerFacts
from netduet.client.checks.name import CHECK, NameResult, Query, judge, measure
from netduet.client.net.dial import Address, Cause, Resolution
from netduet.client.net.timeouts import Timeouts
from netduet.client.results.location import Side
from netduet.client.results.target import Expect, Target
from netduet.client.results.verdict import Outcome
from netduet.net.time_span import TimeSpan

FOUND = (
    Address(socket.AF_INET, "192.0.2.1", 80),
    Address(socket.AF_INET6, "2001:db8::1", 80),
)


def name(
    cause: Cause | None = None,
    detail: str = "",
    seconds: float = 0.25,
    queries: tuple[Query, ...] = (),
) -> NameResult:
    """Return the measurement of a look-up that began at 10 s."""
    addresses = FOUND if cause is None else ()
    resolution = Resolution(addresses, cause, detail, 10.0, 10.0 + seconds)
    return NameResult("server", literal=False, resolution=resolution, queries=queries)


def test_resolved_name_passes() -> None:
    """Addresses and time are reported; there is no finding and nothing is blocked."""
    judgement = judge(name())
    assert judgement.summary == (
        "server resolved to 192.0.2.1, 2001:db8::1 in 250.0 ms"
    )
    assert (judgement.findings, judgement.remarks, judgement.blocks) == ((), (), False)
    assert judgement.figures == {"resolve_seconds": 0.25, "addresses": 2}


@pytest.mark.parametrize(
    ("cause", "failure", "seen"),
    [
        (
            Cause.NOT_FOUND,
            "name.not_found",
            "server is not known to this host's resolver",
        ),
        (Cause.TIMEOUT, "name.timeout", "no response for server within 0.2 s"),
        (Cause.OTHER, "name.failed", "resolving server failed: the detail"),
    ],
)
def test_unresolved_name_fails_and_blocks(
    cause: Cause, failure: str, seen: str
) -> None:
    """Each way to fail has its class, and the other checks are skipped."""
    judgement = judge(name(cause, "the detail"))
    [finding] = judgement.findings
    assert (finding.failure, finding.seen, judgement.blocks) == (
        failure,
        seen,
        True,
    )
    assert finding.evidence[-1] == (Side.CLIENT, "getaddrinfo: the detail")
    assert judgement.summary == "server could not be resolved"


@pytest.mark.parametrize(
    ("cause", "missed"),
    [
        (Cause.TIMEOUT, TimeSpan(10.0, 10.25)),
        (Cause.NOT_FOUND, None),
        (Cause.OTHER, None),
    ],
)
def test_only_silence_carries_missed_deadline(
    cause: Cause, missed: TimeSpan | None
) -> None:
    """An answer, even a refusal, was received; starvation cannot invent it."""
    [finding] = judge(name(cause)).findings
    assert finding.missed_deadline == missed


@pytest.mark.parametrize(
    ("cause", "noted"),
    [(Cause.NOT_FOUND, True), (Cause.OTHER, True), (Cause.TIMEOUT, False)],
)
def test_unknown_name_notes_the_usual_mistake(cause: Cause, *, noted: bool) -> None:
    """Docker's DNS answers NXDOMAIN or SERVFAIL; silence says nothing about a name."""
    facts = ContainerFacts("docker", ("127.0.0.11",))
    remarks = judge(replace(name(cause), facts=facts)).remarks
    assert any("knows no running container" in remark for remark in remarks) == noted


def test_unknown_name_of_a_blocked_target_notes_the_usual_mistake_too() -> None:
    """It comes after the reason why nothing is proven."""
    facts = ContainerFacts("docker", ("127.0.0.11",))
    blocked = replace(name(Cause.NOT_FOUND), expect=Expect.BLOCKED, facts=facts)
    first, second = judge(blocked).remarks
    assert "proves nothing about blocking" in first
    assert "knows no running container" in second


def test_queries_are_evidence() -> None:
    """The answer for each record type is listed before that of getaddrinfo."""
    queries = (Query("A", "no response", 2.0), Query("AAAA", "0 records", 0.01))
    [finding] = judge(name(Cause.TIMEOUT, "late", queries=queries)).findings
    assert [text for _, text in finding.evidence] == [
        "A query: no response in 2000.0 ms",
        "AAAA query: 0 records in 10.0 ms",
        "getaddrinfo: late",
    ]


@pytest.mark.parametrize(
    ("measured", "remarks"),
    [
        (name(seconds=0.5, queries=(Query("A", "1 record", 0.99),)), ()),
        (
            name(seconds=2.5),
            (
                (
                    "the lookup took 2.5 s: a query was lost or the DNS server is slow; resolvers retry after 2.5 or 5 s"
                ),
            ),
        ),
        (
            name(queries=(Query("A", "1 record", 0.1), Query("AAAA", "late", 1.5))),
            (
                (
                    "1 of 2 individual DNS queries took 1 s or more: "
                    "AAAA query: late in 1500.0 ms"
                ),
            ),
        ),
        (
            name(queries=(Query("A", "NXDOMAIN", 0.1),) * 2),
            ("the name is not in DNS; it comes from /etc/hosts or another source",),
        ),
        (
            name(queries=(Query("A", "NXDOMAIN", 0.1), Query("A", "1 record", 0.1))),
            (),
        ),
    ],
)
def test_slow_or_unusual_answer_is_noted(
    measured: NameResult, remarks: tuple[str, ...]
) -> None:
    """A name that resolves passes, with notes on what may trouble others."""
    judgement = judge(measured)
    assert (judgement.remarks, judgement.findings) == (remarks, ())


def test_unresolved_name_has_no_notes() -> None:
    """The queries of a failed name are evidence and are not repeated as notes."""
    queries = (Query("A", "NXDOMAIN", 3.0),)
    assert judge(name(Cause.NOT_FOUND, queries=queries)).remarks == ()


@pytest.mark.parametrize(
    ("host", "family"),
    [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)],
)
async def test_address_is_not_resolved(host: str, family: socket.AddressFamily) -> None:
    """An IP address is used as given, without a DNS query."""
    timeouts = Timeouts(5.0, 5.0, 5.0)
    context = CheckContext(Target(host, 80), socket.AF_UNSPEC, "", timeouts)
    measured = await measure(context)
    assert measured.resolution.addresses == (Address(family, host, 80),)
    assert measured.queries == ()
    assert judge(measured).summary == f"{host} is an IP address; no lookup needed"


async def test_slow_lookup_is_a_missed_deadline() -> None:
    """A lookup is abandoned at its timeout."""
    timeouts = Timeouts(0.0, 5.0, 5.0)
    context = CheckContext(Target("name.invalid", 80), socket.AF_UNSPEC, "", timeouts)
    [finding] = judge(await measure(context)).findings
    assert finding.failure == "name.timeout"
    assert finding.missed_deadline is not None


def test_name_requires_no_other_check() -> None:
    """It is the first check."""
    assert (CHECK.name, CHECK.needs) == ("name", ())


@pytest.mark.parametrize("cause", [Cause.NOT_FOUND, Cause.TIMEOUT, Cause.OTHER])
def test_unresolved_blocked_target_is_no_proof(cause: Cause) -> None:
    """An unknown name does not prove that a target is blocked."""
    judgement = judge(replace(name(cause), expect=Expect.BLOCKED))
    assert [finding.outcome for finding in judgement.findings] == [Outcome.INCONCLUSIVE]
    assert judgement.blocks
    assert "expect its IP address to be blocked" in judgement.remarks[0]
