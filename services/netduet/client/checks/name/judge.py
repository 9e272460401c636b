"""Judges how a name resolves. Pure.

``getaddrinfo`` decides, because every program uses it. What each DNS server answers
when asked directly says why it fails, and why it may fail the next time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from netduet.client.checks.containers import note_on_unknown_name
from netduet.client.checks.name.contradictions import contradiction
from netduet.client.checks.name.describe import describe_queries, format_milliseconds
from netduet.client.checks.name.results import NameResult, addresses_of, says_unknown
from netduet.client.checks.name.silence import silence_findings, silence_notes
from netduet.client.net.dial import Cause
from netduet.client.protocols.dns_lookup import NOERROR, RecordType
from netduet.client.results.location import Side
from netduet.client.results.target import Expect
from netduet.client.results.verdict import Figures, Finding, Judgement, Outcome

SLOW_SECONDS: Final = 1.0
"""Seconds from which a look-up is noted as slow: resolvers retry after 2.5 or 5 s."""

_UNKNOWN_CAUSES: Final = (Cause.NOT_FOUND, Cause.OTHER)
"""Docker's DNS answers SERVFAIL for an unknown name if it cannot ask another server."""

_UNPROVEN_REMARK: Final = (
    "a name that does not resolve proves nothing about blocking: it may be misspelt, "
    "or known only on other networks; expect its IP address to be blocked instead"
)


def judge(name: NameResult) -> Judgement:
    """Judge by getaddrinfo, and by what the DNS servers answer."""
    resolution = name.resolution
    figures: Figures = {
        "resolve_seconds": round(resolution.seconds, 6),
        "addresses": len(resolution.addresses),
    }
    if resolution.cause is not None:
        return _judge_unresolved(name, figures)
    addresses = ", ".join(address.host for address in resolution.addresses)
    if name.literal:
        return Judgement(f"{addresses} is an IP address; no lookup needed")
    findings = _dns_findings(name)
    remarks = _remarks(name)
    if name.expect is Expect.BLOCKED:
        remarks += [finding.seen for finding in findings]
        findings = ()
    return Judgement(_summary(name, addresses), findings, tuple(remarks), figures)


def _summary(name: NameResult, addresses: str) -> str:
    lookup = name.lookup
    full_name = f" (as {lookup.decisive})" if lookup.search_domain else ""
    if name.late is not None:
        return (
            f"getaddrinfo had no result for {name.host} within "
            f"{name.late.seconds:.1f} s; DNS, asked directly, gives {addresses}"
        )
    duration = format_milliseconds(name.resolution.seconds)
    return f"{name.host} resolved to {addresses}{full_name} in {duration}"


def _judge_unresolved(name: NameResult, figures: Figures) -> Judgement:
    findings = _dns_findings(name) or (_finding(name),)
    remarks: tuple[str, ...] = ()
    is_unknown = findings[0].failure in {"name.not_found", "name.failed"}
    if name.facts and is_unknown and name.resolution.cause in _UNKNOWN_CAUSES:
        note = note_on_unknown_name(name.host, name.facts)
        remarks = (note,) if note else ()
    if name.expect is Expect.BLOCKED:
        findings = tuple(
            replace(finding, outcome=Outcome.INCONCLUSIVE) for finding in findings
        )
        remarks = (_UNPROVEN_REMARK, *remarks)
    summary = f"{name.host} could not be resolved"
    return Judgement(summary, findings, remarks, figures, blocks=True)


def _dns_findings(name: NameResult) -> tuple[Finding, ...]:
    """Return what is wrong with the answers of the DNS servers, the worst first."""
    found = contradiction(name)
    findings = (*(() if found is None else (found,)), *silence_findings(name))
    evidence = tuple((Side.CLIENT, line) for line in describe_queries(name.lookup))
    failed = name.late or name.resolution
    if failed.cause is not None:
        detail = f"getaddrinfo: {failed.detail}, after {failed.seconds:.1f} s"
        evidence += ((Side.CLIENT, detail),)
    return tuple(replace(finding, evidence=evidence) for finding in findings)


def _finding(name: NameResult) -> Finding:
    """Return the finding that getaddrinfo has no addresses."""
    resolution = name.resolution
    evidence = tuple((Side.CLIENT, line) for line in describe_queries(name.lookup))
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
    if name.late is None and name.resolution.seconds >= SLOW_SECONDS:
        remarks.append(
            f"the lookup took {name.resolution.seconds:.1f} s: a query was lost or "
            "the DNS server is slow; resolvers retry after 2.5 or 5 s"
        )
    late = [
        query
        for query in name.lookup.queries
        if query.answered and query.seconds >= SLOW_SECONDS
    ]
    if late:
        longest = max(query.seconds for query in late)
        remarks.append(
            f"{len(late)} of {len(name.lookup.queries)} individual DNS queries took "
            f"{SLOW_SECONDS:g} s or more, up to {longest:.1f} s"
        )
    if says_unknown(name.lookup.queries):
        remarks.append(
            "the name is not in DNS; it comes from /etc/hosts or another source"
        )
    return [
        *remarks,
        *_renamed_notes(name),
        *_strict_resolver_notes(name),
        *silence_notes(name),
    ]


def _renamed_notes(name: NameResult) -> list[str]:
    """Note that a search domain made another name of it, if that may be unintended."""
    lookup = name.lookup
    if not lookup.is_ambiguous:
        return []
    text = (
        f"the search domain {lookup.search_domain} of /etc/resolv.conf made "
        f"{lookup.decisive} of {name.host}"
    )
    own = addresses_of(lookup.of(name=lookup.host))
    if own:
        text += f"; {lookup.host} itself has {', '.join(sorted(own))}"
    if lookup.wildcard:
        text += "; that domain has addresses for any name"
    return [text]


def _strict_resolver_notes(name: NameResult) -> list[str]:
    """Note errors for one record type, while the other has addresses.

    glibc returns the addresses. musl fails the look-up: for it, the error of either
    answer is that of the name (name_from_dns in its src/network/lookup_name.c).
    """
    lookup = name.lookup
    notes = []
    for server in lookup.config.servers:
        for record in RecordType:
            queries = lookup.of(server=server, name=lookup.decisive, record=record)
            codes = {query.code for query in queries if query.answered}
            others = lookup.of(server=server, name=lookup.decisive)
            if codes and NOERROR not in codes and addresses_of(others):
                answers = [query for query in queries if query.answered]
                notes.append(
                    f"{server} answers {'/'.join(sorted(codes))} to {record} queries for "
                    f"{lookup.decisive} ({len(answers)} of {len(answers)}), though it "
                    "has addresses of the other type: glibc ignores that, but musl "
                    "(Alpine) fails the whole lookup"
                )
    return notes
