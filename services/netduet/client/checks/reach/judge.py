"""Judges which addresses accept connections. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import Final

from netduet.client.checks.containers import (
    ContainerFacts,
    note_on_own_address,
    note_on_refused_name,
)
from netduet.client.checks.name.search_domain import blame_search_domain
from netduet.client.checks.reach.results import ACCEPTED_CAUSES, ReachResult
from netduet.client.net.dial import Address, Cause, ConnectResult
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import Figures, Finding, Judgement
from netduet.net.time_span import TimeSpan

_FAILURE_TEXTS: Final = {
    "reach.refused": "refuses connections",
    "reach.timeout": "does not respond to connection attempts",
    "reach.unreachable": "cannot be reached",
    "reach.no_response": "does not respond to datagrams",
    "reach.port_unreachable": "has no service on that UDP port",
}

_FAILURES_BY_CAUSE: Final = {
    Cause.REFUSED: ("reach.refused", "reach.port_unreachable"),
    Cause.TIMEOUT: ("reach.timeout", "reach.no_response"),
    Cause.UNREACHABLE: ("reach.unreachable", "reach.unreachable"),
}
"""Failure classes of TCP and of UDP."""


def judge(reach: ReachResult) -> Judgement:
    """Judge each address; a family without a route is not a failure."""
    accepted = reach.accepted
    routed = [attempt for attempt in reach.tried if attempt.cause is not Cause.NO_ROUTE]
    failed = [
        connect_result
        for connect_result in routed
        if connect_result.cause not in ACCEPTED_CAUSES
    ]
    remarks = _remarks(reach)
    figures: Figures = {
        "tried": len(reach.tried),
        "accepted": len(accepted),
        "lost_syns": sum(attempt.lost_syns for attempt in reach.tried),
    }
    if not routed:
        reason = f"this host has no route to {_join_addresses(list(reach.tried))}"
        return Judgement("", (), remarks, figures, skipped=reason, blocks=True)
    summary = _summary(list(accepted), failed)
    if not failed:
        return Judgement(summary, (), remarks, figures)
    if not accepted:
        finding = _unreachable_finding(failed)
        if finding.failure == "reach.refused" and reach.facts:
            finding, note = _explain_refusal(finding, failed, reach.host, reach.facts)
            remarks += (note,) if note else ()
        if reach.is_misled:
            finding = blame_search_domain(finding, reach.lookup)
        return Judgement(summary, (finding,), remarks, figures, blocks=True)
    verb = "does" if len(failed) == 1 else "do"
    what = "respond" if failed[0].is_datagram else "accept connections"
    seen = (
        f"{len(failed)} of {len(routed)} addresses {verb} not {what}: "
        f"{_join_addresses(failed)}"
    )
    evidence = tuple((Side.CLIENT, _describe_attempt(attempt)) for attempt in routed)
    # Another address works, so this client does: no stall explains this one, unless it
    # is only silent.
    missed = _missed_deadline(failed)
    partial = Finding("reach.partial", seen, evidence, missed_deadline=missed)
    return Judgement(summary, (partial,), remarks, figures)


def _unreachable_finding(failed: list[ConnectResult]) -> Finding:
    """Return the finding that no address accepts; its class is the first one's."""
    first = failed[0]
    names = _FAILURES_BY_CAUSE.get(first.cause or Cause.OTHER)
    name = names[first.is_datagram] if names else "reach.other"
    evidence = tuple((Side.CLIENT, _describe_attempt(attempt)) for attempt in failed)
    figures: Figures = {
        "lost_syns": sum(connect_result.lost_syns for connect_result in failed)
    }
    does = "responds" if first.is_datagram else "accepts connections"
    seen = f"no address {does}: {_join_addresses(failed)}"
    if len(failed) == 1:
        seen = f"{first.address} {_FAILURE_TEXTS.get(name, 'cannot be connected to')}"
    return Finding(
        name, seen, evidence, figures, missed_deadline=_missed_deadline(failed)
    )


def _explain_refusal(
    finding: Finding, failed: list[ConnectResult], host: str, facts: ContainerFacts
) -> tuple[Finding, str]:
    """Return the finding with its location, and what to try ("" if nothing is known)."""
    if not all(_is_own(attempt.address) for attempt in failed):
        return finding, note_on_refused_name(host, facts)
    seen = (
        f"{finding.seen}: that is {facts.place} itself, and nothing listens on port "
        f"{failed[0].address.port} there"
    )
    cause = (
        f"{host or 'the address'} is {facts.place} itself: the server runs elsewhere, "
        "or is not running here"
    )
    finding = replace(finding, seen=seen, where=Location.CLIENT, causes=(cause,))
    return finding, note_on_own_address(facts)


def _is_own(address: Address) -> bool:
    """Return whether a packet to the address never leaves this host.

    Linux connects to itself at the unspecified address (ip(7)).
    """
    ip = ipaddress.ip_address(address.host.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return ip.is_loopback or ip.is_unspecified


def _missed_deadline(failed: list[ConnectResult]) -> TimeSpan | None:
    """Return the missed deadline if all attempts timed out, else None."""
    if any(attempt.cause is not Cause.TIMEOUT for attempt in failed):
        return None
    return TimeSpan.covering(failed)


def _describe_attempt(attempt: ConnectResult) -> str:
    duration = f"{attempt.seconds * 1000:.1f} ms"
    if attempt.cause is None:
        verb = "responded" if attempt.is_datagram else "accepted"
        return f"{attempt.address} {verb} in {duration}"
    if attempt.cause is Cause.RESET:
        return f"{attempt.address} accepted, then reset immediately, after {duration}"
    if attempt.cause is Cause.TIMEOUT:
        sent = _count_packets(attempt, attempt.lost_syns + 1)
        return f"{attempt.address}: {sent} in {attempt.seconds:.1f} s, no response"
    return f"{attempt.address}: {attempt.detail}, after {duration}"


def _count_packets(attempt: ConnectResult, count: int) -> str:
    word = "datagram" if attempt.is_datagram else "SYN"
    return f"{count} {word}{'s' if count > 1 else ''}"


def _summary(accepted: list[ConnectResult], failed: list[ConnectResult]) -> str:
    parts = [_describe_attempt(attempt) for attempt in accepted[:3]]
    if len(accepted) > len(parts):
        parts.append(f"and {len(accepted) - len(parts)} more")
    if failed:
        what = "response from" if failed[0].is_datagram else "connection to"
        parts.append(f"no {what} {_join_addresses(failed)}")
    return "; ".join(parts)


def _join_addresses(results: list[ConnectResult]) -> str:
    return ", ".join(str(attempt.address) for attempt in results)


def _remarks(reach: ReachResult) -> tuple[str, ...]:
    remarks = []
    no_route = [attempt for attempt in reach.tried if attempt.cause is Cause.NO_ROUTE]
    if no_route and len(no_route) < len(reach.tried):
        families = ", ".join(
            sorted({connect_result.address.version for connect_result in no_route})
        )
        remarks.append(
            f"{families} not tried: this host has no route to {_join_addresses(no_route)}"
        )
    remarks += [
        f"{attempt.address} accepted only after "
        f"{_count_packets(attempt, attempt.lost_syns)} had been retransmitted, in "
        f"{attempt.seconds:.1f} s: packets are lost, or the server or the path is slow "
        "(a kernel retransmits after 1 s)"
        for attempt in reach.accepted
        if attempt.lost_syns and not attempt.is_datagram
    ]
    remarks += [
        f"{attempt.address} responded only after "
        f"{_count_packets(attempt, attempt.lost_syns)} had got no response: packets are "
        "lost, or the service is slow"
        for attempt in reach.accepted
        if attempt.lost_syns and attempt.is_datagram
    ]
    remarks += _failed_port_remarks(reach)
    remarks += [
        f"{address}: the MAC address changed meanwhile ({', '.join(found)}): two hosts may "
        "have this address"
        for address, found in reach.link_addresses.items()
        if len(found) > 1
    ]
    if reach.left_out:
        remarks.append(f"{reach.left_out} further addresses were not tried")
    return tuple(remarks)


def _failed_port_remarks(reach: ReachResult) -> list[str]:
    """Return a note for each address at which other source ports failed."""
    remarks = []
    for address in dict.fromkeys(attempt.address for attempt in reach.failed_ports):
        failed = [each for each in reach.failed_ports if each.address == address]
        ports = ", ".join(str(each.port) for each in failed if each.port)
        how = "no response" if failed[0].cause is Cause.TIMEOUT else failed[0].detail
        remarks.append(
            f"{address}: accepted only from another source port; before, from port "
            f"{ports}: {how} (the check flows tries again)"
        )
    return remarks
