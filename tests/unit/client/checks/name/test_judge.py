"""Judging how a name resolved, and resolving with a timeout."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from netduet.client.checks.base import CheckContext
from netduet.client.checks.containers import ContainerFacts
from netduet.client.checks.name import CHECK, judge, measure
from netduet.client.checks.name.results import SILENT, Lookup, NameResult, Query
from netduet.client.checks.name.search_domain import blame_search_domain
from netduet.client.net.dial import Address, Cause, Resolution
from netduet.client.net.resolver_config import ResolverConfig
from netduet.client.net.timeouts import Timeouts
from netduet.client.protocols.dns_lookup import RecordType
from netduet.client.results.location import Side
from netduet.client.results.target import Expect, Target
from netduet.client.results.verdict import Finding, Outcome
from netduet.net.time_span import TimeSpan

FOUND = (
    Address(socket.AF_INET, "192.0.2.1", 80),
    Address(socket.AF_INET6, "2001:db8::1", 80),
)


def name(
    cause: Cause | None = None,
    detail: str = "",
    seconds: float = 0.25,
    lookup: Lookup | None = None,
) -> NameResult:
    """Return the measurement of a look-up that began at 10 s."""
    addresses = FOUND if cause is None else ()
    resolution = Resolution(addresses, cause, detail, 10.0, 10.0 + seconds)
    return NameResult("server", False, resolution, lookup or Lookup())


def answers(
    a: str,
    aaaa: str = "",
    *,
    server: str = "192.0.2.53",
    name: str = "server",
    seconds: float = 0.003,
    waited: float = 4.9,
) -> tuple[Query, ...]:
    """Return the queries with these answers: a word for each, by record type.

    ``seconds`` is how long an answer took, ``waited`` how long one was awaited. An
    address, ``-`` for no addresses, ``?`` for no response, or the RCODE.
    """
    return tuple(
        query(server, name, record, word, waited if word == "?" else seconds)
        for record, words in ((RecordType.A, a), (RecordType.AAAA, aaaa))
        for word in words.split()
    )


def query(
    server: str, name: str, record: RecordType, word: str, seconds: float
) -> Query:
    """Return one query."""
    if word == "?":
        return Query(server, name, record, error=SILENT, seconds=seconds)
    if word.isupper():
        return Query(server, name, record, word, seconds=seconds)
    addresses = () if word == "-" else tuple(word.split(","))
    return Query(server, name, record, "NOERROR", addresses, seconds)


def lookup(
    *queries: tuple[Query, ...],
    names: tuple[str, ...] = ("server",),
    config: ResolverConfig | None = None,
    wildcard: bool = False,
) -> Lookup:
    """Return the answers of all servers; they are those of resolv.conf, in order."""
    every = tuple(each for group in queries for each in group)
    servers = tuple(dict.fromkeys(each.server for each in every))
    config = config or ResolverConfig()
    return Lookup(replace(config, servers=servers), "server", names, every, wildcard)


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
    """The answers of each server, for each type, are listed before getaddrinfo."""
    asked = lookup(answers("NXDOMAIN NXDOMAIN ?", "NXDOMAIN NXDOMAIN NXDOMAIN"))
    [finding] = judge(name(Cause.NOT_FOUND, "unknown", lookup=asked)).findings
    assert finding.failure == "name.not_found"
    assert [text for _, text in finding.evidence] == [
        "DNS server 192.0.2.53, A of server: 2 × NXDOMAIN, 1 × no response, within 3.0 ms",
        "DNS server 192.0.2.53, AAAA of server: 3 × NXDOMAIN, within 3.0 ms",
        "getaddrinfo: unknown",
    ]


HEALTHY = (
    "192.0.2.1 192.0.2.1 192.0.2.1 192.0.2.1 192.0.2.1 192.0.2.1 192.0.2.1 192.0.2.1"
)
NONE = "- - - - - - - -"
SECOND = "192.0.2.54"


@pytest.mark.parametrize(
    "found",
    [
        lookup(answers(HEALTHY, NONE)),
        # Round robin, in part and in whole.
        lookup(answers("192.0.2.1,10.0.0.1 10.0.0.1 10.0.0.2,192.0.2.1", NONE)),
        lookup(answers(HEALTHY, NONE), answers(HEALTHY, NONE, server=SECOND)),
        # The second server balances over other addresses, or is another network's.
        lookup(answers(HEALTHY), answers("10.0.0.1 10.0.0.2 10.0.0.1", server=SECOND)),
        lookup(answers("8.8.8.8 8.8.8.8"), answers("1.1.1.1 1.1.1.1", server=SECOND)),
        # The same network.
        lookup(answers(HEALTHY), answers("192.0.2.99 192.0.2.99", server=SECOND)),
        # A server that leaves out AAAA.
        lookup(
            answers(HEALTHY, "2001:db8::1 2001:db8::1"),
            answers(HEALTHY, "- -", server=SECOND),
        ),
        # An error of a later server, and a single one.
        lookup(answers(HEALTHY, NONE), answers("REFUSED", "REFUSED", server=SECOND)),
        lookup(answers(f"{HEALTHY} SERVFAIL", NONE)),
        # Queries that may still be answered.
        lookup(
            answers("192.0.2.1", "-", seconds=3.0),
            answers("? ? ? ? ?", "? ? ? ? ?", waited=2.0),
        ),
        # Queries lost by chance.
        lookup(answers(f"{HEALTHY} ? ?", f"{NONE} ?")),
        # Not in DNS, but in another source.
        lookup(answers("NXDOMAIN NXDOMAIN", "NXDOMAIN NXDOMAIN")),
        # A search list whose first names do not exist.
        lookup(
            answers("NXDOMAIN", "NXDOMAIN", name="server.a.example"),
            answers(HEALTHY, NONE, name="server.b.example"),
            answers("NXDOMAIN", "NXDOMAIN"),
            names=("server.a.example", "server.b.example", "server"),
        ),
    ],
)
def test_healthy_dns_has_no_finding(found: Lookup) -> None:
    """Whatever resolvers get along with is no fault."""
    assert judge(name(lookup=found)).findings == ()


@pytest.mark.parametrize(
    ("found", "failure", "words"),
    [
        (
            lookup(answers("192.0.2.1 NXDOMAIN 192.0.2.1", "NXDOMAIN - -")),
            "name.inconsistent",
            (
                "DNS server 192.0.2.53 does not always know server: of 6 answers, "
                "2 said NXDOMAIN, others gave 192.0.2.1"
            ),
        ),
        (
            lookup(answers("192.0.2.1 SERVFAIL 192.0.2.1 SERVFAIL")),
            "name.inconsistent",
            "of 4 answers, 2 said SERVFAIL",
        ),
        (
            lookup(answers("192.0.2.1 - 192.0.2.1")),
            "name.inconsistent",
            "of 3 answers, 1 had no addresses",
        ),
        (
            lookup(answers(HEALTHY), answers("NXDOMAIN NXDOMAIN", server=SECOND)),
            "name.inconsistent",
            (
                "the DNS servers differ about server: 192.0.2.53 gives 192.0.2.1, and "
                "192.0.2.54 said NXDOMAIN (2 of 2 answers)"
            ),
        ),
        (
            lookup(answers("REFUSED REFUSED"), answers(HEALTHY, server=SECOND)),
            "name.inconsistent",
            "192.0.2.53 said REFUSED",
        ),
        (
            lookup(answers(HEALTHY), answers("10.9.9.9 10.9.9.9", server=SECOND)),
            "name.inconsistent",
            "192.0.2.53 always gives 192.0.2.1, and 192.0.2.54 always gives 10.9.9.9",
        ),
        (
            lookup(answers(f"{HEALTHY} ? ? ? ? ? ? ?", NONE)),
            "name.queries_lost",
            "7 of 23 queries to DNS server 192.0.2.53 got no response",
        ),
    ],
)
def test_answers_that_contradict_each_other_fail(
    found: Lookup, failure: str, words: str
) -> None:
    """Also if getaddrinfo, this time, had a good one."""
    judgement = judge(name(lookup=found))
    [finding] = judgement.findings
    assert finding.failure == failure
    assert words in finding.seen
    assert not judgement.blocks


def test_unknown_name_that_dns_knows_is_no_misspelling() -> None:
    """Getaddrinfo met the answer that denies it."""
    found = lookup(answers("192.0.2.1 NXDOMAIN", "NXDOMAIN -"))
    [finding] = judge(name(Cause.NOT_FOUND, lookup=found)).findings
    assert finding.failure == "name.inconsistent"
    found = lookup(answers(HEALTHY, NONE))
    judgement = judge(name(Cause.NOT_FOUND, lookup=found))
    assert judgement.findings[0].failure == "name.inconsistent"
    assert "getaddrinfo finds no server" in judgement.findings[0].seen
    assert judgement.blocks


SILENT_AAAA = lookup(answers(HEALTHY, "? ? ? ? ? ? ? ?"))
FIRST_DEAD = lookup(answers("?", "?"), answers(HEALTHY, NONE, server=SECOND))


@pytest.mark.parametrize(
    ("found", "failure", "words"),
    [
        (
            SILENT_AAAA,
            "name.record_timeout",
            "answers A queries for server, but none of 8 AAAA queries within 4.9 s",
        ),
        (FIRST_DEAD, "name.server_timeout", "192.0.2.53, the first DNS server"),
    ],
)
def test_silence_that_delays_a_lookup_fails(
    found: Lookup, failure: str, words: str
) -> None:
    """It is a note where the look-up was quick; the checks go on either way."""
    slow = name(seconds=5.0, lookup=found)
    late = replace(
        slow,
        late=replace(slow.resolution, addresses=(), cause=Cause.TIMEOUT, detail="late"),
    )
    for measured in (slow, late):
        judgement = judge(measured)
        assert [finding.failure for finding in judgement.findings] == [failure]
        assert words in judgement.findings[0].seen
        assert not judgement.blocks
    assert judgement.summary == (
        "getaddrinfo had no result for server within 5.0 s; DNS, asked directly, gives "
        "192.0.2.1, 2001:db8::1"
    )
    assert judgement.findings[0].evidence[-1] == (
        Side.CLIENT,
        "getaddrinfo: late, after 5.0 s",
    )
    quick = judge(name(lookup=found))
    assert quick.findings == ()
    assert any(words in remark for remark in quick.remarks)


@pytest.mark.parametrize(
    ("seconds", "failures"), [(0.001, []), (3.1, ["name.server_timeout"])]
)
def test_refused_queries_delay_a_lookup_only_if_late(
    seconds: float, failures: list[str]
) -> None:
    """A port unreachable comes at once; a host unreachable, after 3 s."""
    refused = tuple(
        Query("192.0.2.53", "server", record, error="E: refused", seconds=seconds)
        for record in RecordType
    )
    found = lookup(refused, answers(HEALTHY, NONE, server=SECOND))
    judgement = judge(name(seconds=max(seconds, 1.0), lookup=found))
    assert [finding.failure for finding in judgement.findings] == failures
    noted = any("cannot be asked: E: refused" in each for each in judgement.remarks)
    assert noted == (not failures)


def test_type_that_is_answered_alone_is_named() -> None:
    """The fault is the second query from a port, not the type."""
    alone = Query("192.0.2.53", "server", RecordType.AAAA, "NOERROR", alone=True)
    found = lookup(answers(HEALTHY, "? ? ? ? ? ? ? ?"), (alone,))
    [finding] = judge(name(seconds=5.0, lookup=found)).findings
    assert "from a socket of its own, AAAA is answered" in finding.seen


def test_truncated_answer_without_tcp_fails() -> None:
    """The errno of the connection is part of it."""
    query = Query("192.0.2.53", "server", RecordType.A, "NOERROR", tcp_error="refused")
    [finding] = judge(name(Cause.OTHER, lookup=lookup((query,)))).findings
    assert finding.failure == "name.truncated"
    assert finding.seen.endswith("over TCP there is none: refused")


@pytest.mark.parametrize(
    ("measured", "remarks"),
    [
        (name(seconds=0.5, lookup=lookup(answers(HEALTHY, seconds=0.99))), ()),
        (
            name(seconds=2.5),
            (
                (
                    "the lookup took 2.5 s: a query was lost or the DNS server is slow; resolvers retry after 2.5 or 5 s"
                ),
            ),
        ),
        (
            name(lookup=lookup(answers(HEALTHY), answers("", "-", seconds=1.5))),
            ("1 of 9 individual DNS queries took 1 s or more, up to 1.5 s",),
        ),
        (
            name(lookup=lookup(answers("NXDOMAIN NXDOMAIN"))),
            ("the name is not in DNS; it comes from /etc/hosts or another source",),
        ),
        (
            name(lookup=lookup(answers(HEALTHY, "NXDOMAIN NXDOMAIN"))),
            (
                (
                    "192.0.2.53 answers NXDOMAIN to AAAA queries for server (2 of 2), "
                    "though it has addresses of the other type: glibc ignores that, "
                    "but musl (Alpine) fails the whole lookup"
                ),
            ),
        ),
    ],
)
def test_slow_or_unusual_answer_is_noted(
    measured: NameResult, remarks: tuple[str, ...]
) -> None:
    """A name that resolves passes, with notes on what may trouble others."""
    judgement = judge(measured)
    assert (judgement.remarks, judgement.findings) == (remarks, ())


RENAMED = lookup(
    answers(HEALTHY, name="server.corp.example"),
    answers("10.1.1.1"),
    names=("server.corp.example", "server"),
)


def test_search_domain_is_part_of_the_summary() -> None:
    """It is noted if the name itself has other addresses, or any name has them."""
    judgement = judge(name(lookup=RENAMED))
    assert "(as server.corp.example)" in judgement.summary
    assert judgement.remarks == (
        (
            "the search domain corp.example of /etc/resolv.conf made "
            "server.corp.example of server; server itself has 10.1.1.1"
        ),
    )
    plain = replace(RENAMED, queries=RENAMED.queries[:-1])
    assert judge(name(lookup=plain)).remarks == ()
    wildcard = replace(plain, wildcard=True)
    assert "has addresses for any name" in judge(name(lookup=wildcard)).remarks[0]


def test_search_domain_is_blamed_for_a_stranger_only_if_in_doubt() -> None:
    """The finding keeps its evidence, behind the addresses of both names."""
    stranger = Finding(
        "identity.not_netduet", "192.0.2.1:80 speaks HTTP", ((Side.SERVER, "x"),)
    )
    plain = replace(RENAMED, queries=RENAMED.queries[:-1])
    assert blame_search_domain(stranger, plain) == stranger
    assert blame_search_domain(stranger, Lookup()) == stranger
    blamed = blame_search_domain(stranger, RENAMED)
    assert blamed.failure == "name.search_domain"
    assert blamed.seen == (
        "server was looked up as server.corp.example, because of the search domain "
        "corp.example; there, 192.0.2.1:80 speaks HTTP"
    )
    assert [text for _, text in blamed.evidence] == [
        "server.corp.example has 192.0.2.1",
        "server itself has 10.1.1.1",
        "x",
    ]


def test_unresolved_name_has_no_notes() -> None:
    """The queries of a failed name are evidence and are not repeated as notes."""
    found = lookup(answers("NXDOMAIN", seconds=3.0))
    assert judge(name(Cause.NOT_FOUND, lookup=found)).remarks == ()


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
    assert measured.lookup == Lookup()
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


def test_odd_answers_about_a_blocked_target_are_notes() -> None:
    """They do not decide whether it is blocked."""
    found = lookup(answers("192.0.2.1 NXDOMAIN"))
    judgement = judge(replace(name(lookup=found), expect=Expect.BLOCKED))
    assert judgement.findings == ()
    assert "does not always know" in judgement.remarks[-1]
