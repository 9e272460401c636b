"""Does the name resolve, quickly and reliably?

``getaddrinfo`` decides, because every program uses it. A and AAAA are also queried
separately, several times, as evidence: of queries lost now and then, of a family that
answers late.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from dataclasses import dataclass, replace
from typing import Final

from netduet.client.checks.base import Check, CheckContext
from netduet.client.checks.containers import (
    ContainerFacts,
    note_on_unknown_name,
    read_facts,
)
from netduet.client.net.dial import Cause, Resolution, in_thread, resolve
from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location, Side
from netduet.client.results.target import Expect
from netduet.client.results.verdict import Figures, Finding, Judgement, Outcome

QUERIES_PER_RECORD: Final = 3
SLOW_SECONDS: Final = 1.0
"""Seconds from which a look-up is noted as slow: resolvers retry after 2.5 or 5 s."""

_UNKNOWN_CAUSES: Final = (Cause.NOT_FOUND, Cause.OTHER)
"""Docker's DNS answers SERVFAIL for an unknown name if it cannot ask another server."""

_UNPROVEN_REMARK: Final = (
    "a name that does not resolve proves nothing about blocking: it may be misspelt, "
    "or known only on other networks; expect its IP address to be blocked instead"
)


@dataclass(frozen=True, slots=True)
class Query:
    """One DNS query: its outcome and duration in seconds."""

    record: str
    answer: str
    seconds: float


@dataclass(frozen=True, slots=True)
class NameResult:
    """The measurement. ``queries`` is empty for an IP address, and without DNS.

    ``facts`` are read if the name does not resolve.
    """

    host: str
    literal: bool
    resolution: Resolution
    queries: tuple[Query, ...]
    expect: Expect = Expect.OPEN
    facts: ContainerFacts | None = None


async def measure(context: CheckContext) -> NameResult:
    """Resolve the name, and query each record type separately."""
    host, timeout = context.target.host, context.timeouts.resolve
    literal = _is_literal(host)
    evidence = asyncio.gather(
        *(
            _query_record(host, record, timeout)
            for record in (() if literal else ("A", "AAAA"))
        )
    )
    resolution = await resolve(host, context.target.port, context.family, timeout)
    queries = tuple(query for found in await evidence for query in found)
    facts = None if resolution.cause is None else read_facts()
    return NameResult(host, literal, resolution, queries, context.target.expect, facts)


async def _query_record(host: str, record: str, timeout: float) -> list[Query]:
    """Query several times, in a thread, within ``timeout`` seconds in total."""
    queries: list[Query] = []

    def ask() -> None:
        import dns.exception  # noqa: PLC0415 - 60 ms of import, for names alone
        import dns.resolver  # noqa: PLC0415

        until = time.monotonic() + timeout
        try:
            resolver = dns.resolver.Resolver()
        except dns.exception.DNSException as error:  # no resolv.conf is not a failure
            queries.append(Query(record, type(error).__name__, 0.0))
            return
        for _ in range(QUERIES_PER_RECORD):
            start = time.monotonic()
            if start >= until:
                return
            try:
                answer = resolver.resolve(
                    host,
                    record,
                    lifetime=until - start,
                    search=True,
                    raise_on_no_answer=False,
                )
                outcome = _count_records(len(answer.rrset or ()))
            except dns.resolver.NXDOMAIN:
                outcome = "NXDOMAIN"
            except dns.exception.Timeout:
                outcome = "no response"
            except dns.exception.DNSException as error:
                outcome = type(error).__name__
            queries.append(Query(record, outcome, time.monotonic() - start))

    try:
        async with asyncio.timeout(timeout + 0.1):
            await in_thread(ask)
    except TimeoutError:
        queries.append(Query(record, "no response", timeout))
    return queries


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def judge(name: NameResult) -> Judgement:
    """Judge by getaddrinfo; note what the single queries add."""
    resolution = name.resolution
    figures: Figures = {
        "resolve_seconds": round(resolution.seconds, 6),
        "addresses": len(resolution.addresses),
    }
    if resolution.cause is not None:
        finding = _finding(name, resolution)
        remarks: tuple[str, ...] = ()
        if name.facts and resolution.cause in _UNKNOWN_CAUSES:
            note = note_on_unknown_name(name.host, name.facts)
            remarks = (note,) if note else ()
        if name.expect is Expect.BLOCKED:
            finding = replace(finding, outcome=Outcome.INCONCLUSIVE)
            remarks = (_UNPROVEN_REMARK, *remarks)
        return Judgement(
            f"{name.host} could not be resolved",
            (finding,),
            remarks,
            figures,
            blocks=True,
        )
    addresses = ", ".join(address.host for address in resolution.addresses)
    if name.literal:
        return Judgement(f"{addresses} is an IP address; no lookup needed")
    duration = _format_milliseconds(resolution.seconds)
    summary = f"{name.host} resolved to {addresses} in {duration}"
    return Judgement(summary, remarks=tuple(_remarks(name)), figures=figures)


def _finding(name: NameResult, resolution: Resolution) -> Finding:
    evidence = tuple((Side.CLIENT, line) for line in _group_queries(name.queries))
    evidence += ((Side.CLIENT, f"getaddrinfo: {resolution.detail}"),)
    if resolution.cause is Cause.TIMEOUT:
        return Finding(
            "name.timeout",
            f"no response for {name.host} within {resolution.seconds:.1f} s",
            evidence,
            missed_deadline=resolution.span,
        )
    if resolution.cause is Cause.NOT_FOUND:
        seen = f"{name.host} is not known to this host's resolver"
        return Finding("name.not_found", seen, evidence)
    if resolution.cause is Cause.NO_FAMILY:
        seen = f"{name.host} has addresses, but none in the requested family"
        return Finding("name.family", seen, evidence)
    seen = f"resolving {name.host} failed: {resolution.detail}"
    return Finding("name.failed", seen, evidence)


def _remarks(name: NameResult) -> list[str]:
    remarks = []
    if name.resolution.seconds >= SLOW_SECONDS:
        remarks.append(
            f"the lookup took {name.resolution.seconds:.1f} s: a query was lost or "
            "the DNS server is slow; resolvers retry after 2.5 or 5 s"
        )
    late = [query for query in name.queries if query.seconds >= SLOW_SECONDS]
    if late:
        remarks.append(
            f"{len(late)} of {len(name.queries)} individual DNS queries took "
            f"{SLOW_SECONDS:g} s or more: " + "; ".join(_describe_queries(tuple(late)))
        )
    answers = {query.answer for query in name.queries}
    if answers == {"NXDOMAIN"}:
        remarks.append(
            "the name is not in DNS; it comes from /etc/hosts or another source"
        )
    return remarks


def _group_queries(queries: tuple[Query, ...]) -> list[str]:
    """Describe the queries, one line for those with equal answers."""
    alike: dict[tuple[str, str], list[Query]] = {}
    for query in queries:
        alike.setdefault((query.record, query.answer), []).append(query)
    lines = []
    for (record, answer), group in alike.items():
        longest = _format_milliseconds(max(query.seconds for query in group))
        if len(group) == 1:
            lines += _describe_queries((group[0],))
        else:
            lines.append(
                f"{len(group)} {record} queries: {answer} each time, within {longest}"
            )
    return lines


def _describe_queries(queries: tuple[Query, ...]) -> list[str]:
    return [
        f"{query.record} query: {query.answer} in {_format_milliseconds(query.seconds)}"
        for query in queries
    ]


def _count_records(records: int) -> str:
    return "1 record" if records == 1 else f"{records} records"


def _format_milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "name.not_found",
        "the name does not exist",
        "The resolver of this host responded that it knows no address for the name.",
        Location.CLIENT,
        (
            "the name is misspelt, or belongs to a service that is not running",
            "client and server do not share a network",
            "the name needs its domain or namespace (service.namespace in Kubernetes)",
        ),
        (
            (
                "check whether the server is running, and what its name is: docker ps, "
                "kubectl get svc"
            ),
            "check that both are on the same network: docker network inspect NETWORK",
            "try the server's address instead of its name",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "name.timeout",
        "the resolver does not respond",
        "No response for the name arrived in time: neither an address nor an error.",
        Location.UNKNOWN,
        (
            "the DNS server in /etc/resolv.conf is down or cannot be reached",
            "a firewall drops DNS (UDP and TCP port 53)",
        ),
        (
            (
                "look at /etc/resolv.conf, and query its server directly: nslookup "
                "NAME SERVER"
            ),
            "try the server's address instead of its name",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "name.family",
        "the name has no address in the requested family",
        "The name exists and has addresses, but none in the requested family.",
        Location.CLIENT,
        (
            (
                "the setting allows only IPv4 or only IPv6, and the server has only "
                "the other"
            ),
            "the network between the two has no IPv6 (or no IPv4)",
        ),
        ("omit --family, or give the server an address of that family",),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "name.failed",
        "the name could not be resolved",
        "The resolver reported an error other than an unknown name.",
        Location.UNKNOWN,
        (
            "the DNS server returns SERVFAIL or REFUSED: its own upstream is broken",
            "no DNS server is configured on this host",
        ),
        (
            "look at /etc/resolv.conf, and query its server directly: nslookup NAME SERVER",
        ),
        severity=Severity.UNREACHABLE,
    ),
)

CHECK: Final = Check(
    "name",
    "Does the name resolve, quickly and reliably?",
    (),
    measure,
    judge,
    FAILURES,
    judges=(Expect.OPEN, Expect.BLOCKED),
)
