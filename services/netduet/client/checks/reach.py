"""Does each address accept connections?"""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from netduet.client.checks.base import Check, CheckContext
from netduet.client.checks.containers import (
    ContainerFacts,
    note_on_own_address,
    note_on_refused_name,
    read_facts,
)
from netduet.client.checks.name import NameResult
from netduet.client.net.dial import Address, Cause, ConnectResult, connect
from netduet.client.net.dialer import ServiceDialer
from netduet.client.net.timeouts import Timeouts
from netduet.client.protocols import protocols_of_port
from netduet.client.protocols.base import Protocol
from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import Figures, Finding, Judgement
from netduet.net.time_span import TimeSpan

MAX_ADDRESSES: Final = 64
"""Maximum addresses to try; a note says if there are more."""


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

_ACCEPTED_CAUSES: Final = (None, Cause.RESET)


@dataclass(frozen=True, slots=True)
class ReachResult:
    """A connection attempt per address; the sockets are closed.

    ``host`` is the target's. ``facts`` are read if no address accepts.
    """

    tried: tuple[ConnectResult, ...]
    left_out: int
    host: str = ""
    facts: ContainerFacts | None = None

    @property
    def accepted(self) -> tuple[ConnectResult, ...]:
        """The attempts that were accepted, including those that were then reset at once.

        A reset instead of an acceptance is ECONNREFUSED (RFC 9293 §3.10.7.3).
        """
        return tuple(
            attempt for attempt in self.tried if attempt.cause in _ACCEPTED_CAUSES
        )


async def measure(context: CheckContext) -> ReachResult:
    """Connect to all addresses concurrently, and close again; over UDP, ask them."""
    addresses = context.earlier(NameResult).resolution.addresses
    protocol = context.demanded_protocol or _usual_protocol(context.target.port)
    if protocol is not None and (protocol.datagrams or protocol.counts_silence):
        dialer = partial(ServiceDialer, protocol=protocol, host=context.target.host)
        attempts = [
            _ask(dialer(address), context.timeouts)
            for address in addresses[:MAX_ADDRESSES]
        ]
    else:
        attempts = [
            _try_address(address, context.timeouts.connect)
            for address in addresses[:MAX_ADDRESSES]
        ]
    tried = await asyncio.gather(*attempts)
    accepted = any(attempt.cause in _ACCEPTED_CAUSES for attempt in tried)
    return ReachResult(
        tuple(tried),
        max(0, len(addresses) - MAX_ADDRESSES),
        context.target.host,
        None if accepted else read_facts(),
    )


def _usual_protocol(port: int) -> Protocol | None:
    """Return the protocol that usually listens there and must be greeted, if any."""
    return next((each for each in protocols_of_port(port) if each.counts_silence), None)


async def _try_address(address: Address, timeout: float) -> ConnectResult:
    connect_result = await connect(address, timeout)
    if connect_result.sock is not None:
        connect_result.sock.close()
    return connect_result


async def _ask(dialer: ServiceDialer, timeouts: Timeouts) -> ConnectResult:
    is_datagram = dialer.protocol is not None and dialer.protocol.datagrams
    async with dialer.open(timeouts) as (handshake, connection):
        if connection is not None:
            await connection.end(timeouts.answer)
    is_refused = is_datagram or not handshake.accepted
    return ConnectResult(
        dialer.address,
        None,
        handshake.cause if is_refused else None,
        handshake.detail,
        handshake.resent if is_datagram else 0,
        handshake.start,
        handshake.end,
        is_datagram=is_datagram,
    )


def judge(reach: ReachResult) -> Judgement:
    """Judge each address; a family without a route is not a failure."""
    accepted = reach.accepted
    routed = [attempt for attempt in reach.tried if attempt.cause is not Cause.NO_ROUTE]
    failed = [
        connect_result
        for connect_result in routed
        if connect_result.cause not in _ACCEPTED_CAUSES
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
    finding = replace(finding, seen=seen, where=Location.CLIENT)
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
    if reach.left_out:
        remarks.append(f"{reach.left_out} further addresses were not tried")
    return tuple(remarks)


FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "reach.refused",
        "the connection was refused",
        (
            "The host rejected each connection attempt with a reset: nothing listens "
            "there."
        ),
        Location.SERVER,
        (
            "the server is not running, or has not started listening yet",
            "it listens on another port, or only on 127.0.0.1",
            "a firewall rejects the connection with a reset (REJECT --reject-with tcp-reset)",
        ),
        (
            (
                "check whether the server is running and what it listens on: docker "
                "logs, ss -tln"
            ),
            "compare the requested port with the listening port",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "reach.timeout",
        "connection attempts get no response",
        "Connection attempts were retransmitted, and nothing came back at all.",
        Location.UNKNOWN,
        (
            "a firewall, security group or network policy drops them",
            "the address is stale: a container or host that is gone",
            "the responses are lost on the way back (asymmetric routing)",
        ),
        (
            "check the firewalls and network policies between the two",
            "check that the address is the server's current one",
            "capture on the server (tcpdump tcp port PORT): do SYNs arrive?",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "reach.port_unreachable",
        "nothing listens on the UDP port",
        "The host, or a firewall, responded to the datagram with ICMP port unreachable.",
        Location.SERVER,
        (
            "the service is not running, or listens on another port or address",
            "a firewall rejects the datagrams (REJECT)",
            "only the TCP port is published (docker: -p 53:53/udp publishes UDP)",
        ),
        (
            "check what listens there: ss -uln",
            "compare the requested port with the listening port",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "reach.no_response",
        "datagrams get no response",
        "Datagrams were sent several times, and nothing came back at all.",
        Location.UNKNOWN,
        (
            "a firewall, security group or network policy drops UDP",
            "the service is frozen, or does not respond to this client",
            "the address is stale: a container or host that is gone",
        ),
        (
            "check whether the service is running and what it listens on: ss -uln",
            "check the firewalls and network policies between the two, for UDP",
            "capture traffic at the server (tcpdump udp port PORT): do datagrams arrive?",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "reach.unreachable",
        "the host cannot be reached",
        "A router, or this host itself, reports that the address is unreachable.",
        Location.INTERMEDIARY,
        (
            (
                "no host has the address (no response to ARP): the container or host "
                "is gone"
            ),
            "there is no route to it, or a firewall rejects the connection with an ICMP error",
            "packets loop between routers",
            (
                "the address is the virtual IP of a Swarm service, and this kernel "
                "lacks IPVS, which implements it"
            ),
        ),
        (
            "check that the address is the server's current one",
            (
                "in a Swarm: check tasks.SERVICE, the tasks' own addresses; if they "
                "respond, deploy the service with endpoint_mode: dnsrr"
            ),
            (
                "check the routes: ip route get ADDRESS, here and on the routers; tracepath -n "
                "ADDRESS"
            ),
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "reach.other",
        "no connection can be made",
        "The kernel of this host reported an error that has no class of its own.",
        Location.CLIENT,
        ("see the error's name in the evidence",),
        ("look up the error's name: errno(3), connect(2)",),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "reach.partial",
        "some of the name's addresses do not accept connections",
        "The name has several addresses; some accept connections and some do not.",
        Location.UNKNOWN,
        (
            "the name still lists a server that is gone",
            "one replica is down, or does not listen on this family of addresses",
            "AAAA records exist, but the server listens only on IPv4 (or the reverse)",
            "one of several links on the path is down: then the failing address varies",
        ),
        (
            "compare the addresses of the name with the running servers",
            "restart or remove the failing one; clients that pick it wait or fail",
        ),
    ),
)

CHECK: Final = Check(
    "reach",
    "Does each address accept connections?",
    ("name",),
    measure,
    judge,
    FAILURES,
)
