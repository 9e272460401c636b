"""Finds queries that a DNS server does not answer. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from netduet.client.checks.name.results import (
    SILENT,
    Lookup,
    NameResult,
    Query,
    addresses_of,
)
from netduet.client.protocols.dns_lookup import RecordType
from netduet.client.results.verdict import Finding
from netduet.client.stats.proportions import lower_bound

MIN_SILENT: Final = 4
"""Unanswered queries of a record type that random loss does not explain."""

MAX_LOSS: Final = 0.05
"""Share of lost queries that is tolerated; more must be certain (``lower_bound``)."""

WAIT_FACTOR: Final = 2
"""A query is lost after this multiple of the time that the slowest answer took."""

HARMFUL_SECONDS: Final = 1.0
"""Seconds from which a look-up was delayed by a query that was not answered."""


def silence_findings(name: NameResult) -> tuple[Finding, ...]:
    """Return what delays or fails look-ups because no answer comes."""
    lookup = name.lookup
    resolution = name.late or name.resolution
    is_harmed = resolution.cause is not None or resolution.seconds >= HARMFUL_SECONDS
    findings = [_truncation(query) for query in lookup.queries if query.tcp_error][:1]
    if is_harmed:
        findings += [
            Finding("name.record_timeout", text) for text in _silent_records(lookup)
        ]
        findings += [
            Finding("name.server_timeout", text)
            for server, text in _silent_servers(lookup)
            if lookup.config.rotate or server == lookup.config.servers[0]
        ]
    for server in _answering(lookup):
        lost, total = _lost(lookup, server)
        if lower_bound(lost, total) > MAX_LOSS:
            seen = f"{lost} of {total} queries to DNS server {server} got no response"
            figures = {"lost": lost, "queries": total}
            missed = name.resolution.span
            findings.append(
                Finding(
                    "name.queries_lost",
                    seen,
                    figures=dict(figures),
                    missed_deadline=missed,
                )
            )
    return tuple(findings)


def silence_notes(name: NameResult) -> list[str]:
    """Return what is unanswered and did not delay this look-up."""
    lookup = name.lookup
    found = {finding.seen for finding in silence_findings(name)}
    texts = [*_silent_records(lookup), *(text for _, text in _silent_servers(lookup))]
    notes = [text for text in texts if text not in found]
    for server in dict.fromkeys(query.server for query in lookup.queries):
        refused = {
            query.error
            for query in lookup.of(server=server)
            if query.error not in {"", SILENT}
        }
        is_quick = not any(map(_is_waited_for, lookup.of(server=server)))
        if refused and is_quick and server not in _answering(lookup):
            notes.append(
                f"DNS server {server} cannot be asked: {'; '.join(sorted(refused))}; "
                "resolvers go on to the next one"
            )
    return notes


def _truncation(query: Query) -> Finding:
    seen = (
        f"DNS server {query.server} cuts its answer to {query.record} of {query.name} "
        f"to fit a datagram, and over TCP there is none: {query.tcp_error}"
    )
    return Finding("name.truncated", seen)


def _answering(lookup: Lookup) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(query.server for query in lookup.queries if query.answered)
    )


def _silent_records(lookup: Lookup) -> Iterator[str]:
    """Yield a text for each record type that a server alone leaves unanswered."""
    name = lookup.decisive
    for server in _answering(lookup):
        for record in RecordType:
            queries = _awaited(lookup, server, record, name)
            paired = [query for query in queries if not query.alone]
            silent = len(paired) >= MIN_SILENT and not any(
                query.answered for query in paired
            )
            others = addresses_of(lookup.of(server=server, name=name))
            if not silent or not name or not others:
                continue
            other = next(each for each in RecordType if each is not record)
            waited = max(query.seconds for query in paired)
            text = (
                f"DNS server {server} answers {other} queries for {name}, but none of "
                f"{len(queries)} {record} queries within {waited:.1f} s"
            )
            if any(query.answered for query in queries):
                text = (
                    f"DNS server {server} answers {other} queries for {name}, but no "
                    f"{record} query from the same socket within {waited:.1f} s; from a "
                    f"socket of its own, {record} is answered"
                )
            yield text


def _silent_servers(lookup: Lookup) -> Iterator[tuple[str, str]]:
    """Yield each server that answers nothing while another does, with a text."""
    answering = _answering(lookup)
    if not answering:
        return
    for server in lookup.config.servers:
        queries = lookup.of(server=server)
        if server in answering or not all(map(_is_waited_for, queries)):
            continue
        place = "first" if server == lookup.config.servers[0] else "further"
        waited = max(query.seconds for query in queries)
        wait = f"{lookup.config.timeout:g} s"
        text = (
            f"{server}, the {place} DNS server of /etc/resolv.conf, answers nothing "
            f"within {waited:.1f} s, while {answering[0]} answers: each lookup that "
            f"asks it first waits {wait} for it"
        )
        yield server, text


def _awaited(
    lookup: Lookup, server: str, record: RecordType, name: str = ""
) -> tuple[Query, ...]:
    """Return the queries that were answered, or awaited for longer than any answer."""
    queries = lookup.of(server=server)
    slowest = max((query.seconds for query in queries if query.answered), default=0.0)
    return tuple(
        query
        for query in lookup.of(server=server, name=name, record=record)
        if query.answered or query.seconds >= WAIT_FACTOR * slowest
    )


def _is_waited_for(query: Query) -> bool:
    """Whether a resolver waits for it: for nothing, or for a late ICMP error."""
    return query.error == SILENT or query.seconds >= HARMFUL_SECONDS


def _lost(lookup: Lookup, server: str) -> tuple[int, int]:
    """Return the lost queries and all, without record types that are never answered."""
    lost = total = 0
    for record in RecordType:
        queries = _awaited(lookup, server, record)
        if any(query.answered for query in queries if not query.alone):
            total += len(queries)
            lost += sum(query.error == SILENT for query in queries)
    return lost, total
