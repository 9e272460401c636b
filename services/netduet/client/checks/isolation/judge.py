"""Judges whether a target is blocked, and how. Pure.

Silence passes only if this client was running (``Judgement.absence``) and sent more
than one packet: a lost packet is silent too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netduet.client.checks.isolation.results import IsolationResult, PortState
from netduet.client.net.dial import Cause
from netduet.client.net.port_probe import ProbeResult, Response
from netduet.client.results.instance import instance_of
from netduet.client.results.location import Side
from netduet.client.results.verdict import Figures, Finding, Judgement, Outcome
from netduet.net.time_span import TimeSpan
from netduet.wire.untrusted import escape, log_safe, recognise

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netduet.client.net.handshake import Handshake

MAX_FOREIGN_BYTES_SHOWN: Final = 80
"""Bytes of another program's answer that are shown."""

MIN_SYNS: Final = 2
"""Unanswered SYNs that rule out a single lost packet."""

_MAX_LISTED: Final = 3

_REJECTIONS: Final = frozenset(
    {Response.RESET, Response.PROHIBITED, Response.PORT_UNREACHABLE}
)


def judge(isolation: IsolationResult) -> Judgement:
    """Judge all addresses together: a single open one makes the target open."""
    ports = isolation.ports
    opened = [port for port in ports if port.is_open]
    unproven = _unproven_finding(isolation)
    figures: Figures = {
        "found": "open" if opened else "unknown" if unproven else "blocked",
        "how": _found_figure(opened or ports),
        "tried": len(ports),
        "open": len(opened),
        "syns": sum(port_state.tcp.sent for port_state in ports),
        "datagrams": sum(port.udp.sent for port in ports),
        "tcp_seconds": max((round(port.tcp.seconds, 6) for port in ports), default=0.0),
        "udp_seconds": max((round(port.udp.seconds, 6) for port in ports), default=0.0),
    }
    summary = _join_limited(_describe_port(port) for port in opened or ports)
    if unproven is not None and not opened:
        summary = "cannot determine whether it is blocked"
    if opened:
        remarks = tuple(_open_remarks(isolation))
        return Judgement(summary, (_open_finding(opened),), remarks, figures)
    if unproven is not None:
        return Judgement(
            summary, (unproven,), tuple(_blocked_remarks(isolation)), figures
        )
    return Judgement(
        summary,
        remarks=tuple(_blocked_remarks(isolation)),
        figures=figures,
        absence=_silence_finding(ports),
    )


# Findings


def _open_finding(opened: Sequence[PortState]) -> Finding:
    evidence: list[tuple[Side, str]] = []
    for port in opened[:_MAX_LISTED]:
        evidence.append(
            (Side.CLIENT, f"{port.address}: TCP {_describe_probe(port.tcp)}")
        )
        evidence.append(
            (Side.CLIENT, f"{port.address}: UDP {_describe_probe(port.udp)}")
        )
        if port.handshake is not None:
            evidence.append((Side.SERVER, _describe_peer(port.handshake)))
    return Finding(
        "isolation.open", _join_limited(map(_describe_port, opened)), tuple(evidence)
    )


def _unproven_finding(isolation: IsolationResult) -> Finding | None:
    """Return why nothing is proven, None if something is."""
    ports = isolation.ports
    if not isolation.has_routes and all(
        port.tcp.response is Response.NO_ROUTE for port in ports
    ):
        seen = (
            "this client has no route to any other host, so everything appears blocked"
        )
    elif undertested := [
        port_state
        for port_state in ports
        if port_state.tcp.response is Response.DROPPED
        and port_state.tcp.sent < MIN_SYNS
    ]:
        first = undertested[0]
        syns = f"{first.tcp.sent} SYN{'s' * (first.tcp.sent != 1)}"
        seen = (
            f"{first.address}: {syns} in "
            f"{first.tcp.seconds:.1f} s: a single lost packet would look the same"
        )
    elif failed := [port for port in ports if port.tcp.response is Response.OTHER]:
        first = failed[0]
        seen = f"{first.address}: this host could not connect: {first.tcp.detail}"
    else:
        return None
    evidence = tuple(
        (Side.CLIENT, f"{port.address}: TCP {_describe_probe(port.tcp)}")
        for port in ports[:_MAX_LISTED]
    )
    return Finding("isolation.unproven", seen, evidence, outcome=Outcome.INCONCLUSIVE)


def _silence_finding(ports: Sequence[PortState]) -> Finding | None:
    """Return the finding that applies if this client was not running meanwhile."""
    silent = [
        probe
        for port in ports
        for probe in (port.tcp, port.udp)
        if probe.response is Response.DROPPED
    ]
    window = TimeSpan.covering(silent)
    if window is None:
        return None
    seen = "nothing was received, but this client was suspended or starved of CPU for part of that time"
    return Finding("isolation.unproven", seen, missed_deadline=window)


# Descriptions


def _describe_port(port: PortState) -> str:
    tcp, udp = port.tcp, port.udp
    if port.is_open:
        parts = [f"{port.address} is open"]
        if tcp.response is Response.OPEN:
            parts.append(f"TCP connects in {tcp.seconds * 1000:.1f} ms")
        if port.handshake is not None:
            parts.append(_describe_peer(port.handshake))
        if udp.response is Response.OPEN and tcp.response is Response.OPEN:
            parts.append("UDP responds too")
        elif udp.response is Response.OPEN:
            sender = f" from {udp.detail}" if udp.detail else ""
            parts[0] += " for UDP only"
            parts.append(
                f"datagrams get a response{sender}; TCP is {_describe_block(tcp)}"
            )
        else:
            parts.append(f"UDP is {_describe_block(udp)}")
        return f"{parts[0]}: {'; '.join(parts[1:])}"
    if Response.NO_ROUTE is tcp.response:
        return f"{port.address} is blocked: this host has no route there"
    if (tcp.response, tcp.offender) == (udp.response, udp.offender):
        return f"{port.address} is blocked: TCP and UDP are {_describe_block(tcp)}"
    return f"{port.address} is blocked: TCP is {_describe_block(tcp)}, UDP is {_describe_block(udp)}"


def _describe_block(probe: ProbeResult) -> str:
    sender = f" from {probe.offender}" if probe.offender else ""
    match probe.response:
        case Response.RESET:
            return "rejected (reset)"
        case Response.PROHIBITED:
            return f"rejected (ICMP prohibited{sender})"
        case Response.PORT_UNREACHABLE:
            return f"rejected (ICMP port unreachable{sender})"
        case Response.HOST_UNREACHABLE:
            return f"rejected (ICMP host unreachable{sender})"
        case Response.NO_ROUTE:
            return "not routable from this host"
        case Response.OTHER:
            return f"blocked by this host itself ({probe.detail})"
    return probe.response.value


def _describe_probe(probe: ProbeResult) -> str:
    match probe.response:
        case Response.OPEN:
            return f"got a response after {probe.seconds * 1000:.1f} ms"
        case Response.DROPPED:
            return f"got no response in {probe.seconds:.1f} s ({probe.sent} sent)"
        case Response.NO_ROUTE:
            return "was not tried: this host has no route there"
    return f"is {_describe_block(probe)}, after {probe.seconds * 1000:.1f} ms"


def _found_figure(ports: Sequence[PortState]) -> str:
    """Return in two or three words how it is blocked, or what of it is open."""
    labels = {(_label(port.tcp), _label(port.udp)) for port in ports}
    if len(labels) > 1:
        return "differs by address"
    [(tcp, udp)] = labels or {("", "")}
    return tcp if tcp == udp else f"TCP {tcp}, UDP {udp}"


def _label(probe: ProbeResult) -> str:
    return "rejected" if probe.response in _REJECTIONS else probe.response.value


def _describe_peer(handshake: Handshake) -> str:
    if handshake.welcome is not None:
        welcome = handshake.welcome
        return (
            f'netduet-server, service "{escape(welcome.service)}", instance '
            f"{instance_of(welcome)}, responds"
        )
    if handshake.foreign:
        protocol = recognise(handshake.foreign)
        what = f"speaks {protocol.upper()}" if protocol else "is not netduet"
        return (
            f'the peer {what}: "{log_safe(handshake.foreign, MAX_FOREIGN_BYTES_SHOWN)}"'
        )
    if handshake.refused is not None:
        return f"a netduet server responds: {escape(handshake.refused.message)}"
    if handshake.closed or handshake.cause is Cause.RESET:
        return "the peer accepts, sends nothing and closes the connection"
    if handshake.cause is Cause.TIMEOUT:
        return "the peer accepts but sends nothing"
    return "the peer is unknown"


# Notes


def _blocked_remarks(isolation: IsolationResult) -> Iterable[str]:
    for port in isolation.ports:
        explanation = _other_explanation(port)
        if explanation:
            yield f"{port.address}: {explanation}"
    # A refusal proves that the client is connected; silence does not.
    if isolation.ports and not any(
        port_state.answered for port_state in isolation.ports
    ):
        if isolation.control:
            yield (
                f"{isolation.control} was reached from here, so this client has a "
                "working network"
            )
        else:
            yield (
                "nothing else was reached from here, so this client may have no "
                "network at all; also check a target that is known to be open"
            )
    yield from _untried_remark(isolation)


def _open_remarks(isolation: IsolationResult) -> Iterable[str]:
    closed = [port for port in isolation.ports if not port.is_open]
    if closed:
        yield (
            f"other addresses are not open: {_join_limited(map(_describe_port, closed))}"
        )
    ended = [
        port_state
        for port_state in isolation.ports
        if port_state.handshake is not None
        and (port_state.handshake.closed or port_state.handshake.cause is Cause.RESET)
    ]
    for result in ended:
        yield (
            f"{result.address}: the connection may have been accepted by a proxy that "
            "blocks only afterwards: nothing was received from the target itself"
        )
    yield from _untried_remark(isolation)


def _other_explanation(port: PortState) -> str:
    """Return an explanation other than a block, "" if none is likely."""
    tcp, udp = port.tcp, port.udp
    probes = (tcp, udp)
    refusals = [
        probe.offender
        for probe in probes
        if probe.response is Response.PORT_UNREACHABLE and probe.offender
    ]
    if refusals and refusals[0] == port.address.host:
        return (
            "the ICMP error comes from the host itself: it is reachable, but nothing "
            "is listening there; this does not prove that a firewall blocks it"
        )
    loops = [
        probe.offender for probe in probes if probe.response is Response.TTL_EXCEEDED
    ]
    if loops:
        sender = loops[0] or "a router"
        return (
            f"{sender} reports that a packet's TTL ended there: packets loop on the "
            "way, so this does not prove that a firewall blocks it"
        )
    offenders = [
        probe.offender
        for probe in probes
        if probe.response is Response.HOST_UNREACHABLE
    ]
    if offenders:
        sender = offenders[0] or "a router"
        if sender == port.own_address:
            sender = "this host"
        return (
            f"{sender} reports that the host is unreachable: possibly no host has the "
            "address, so this does not prove that a firewall blocks it"
        )
    if tcp.response is Response.RESET:
        return (
            "a reset comes from a firewall that rejects, or from the host itself when "
            "nothing listens there: from here the two look the same"
        )
    if udp.response is Response.DROPPED:
        return (
            "silence proves less about UDP than about TCP: a service other than "
            "netduet would not have responded to these datagrams either"
        )
    return ""


def _untried_remark(isolation: IsolationResult) -> Iterable[str]:
    if isolation.left_out:
        yield f"{isolation.left_out} further addresses were not tried"


def _join_limited(items: Iterable[str]) -> str:
    parts = list(items)
    shown = parts[:_MAX_LISTED]
    if len(parts) > len(shown):
        shown.append(f"and {len(parts) - len(shown)} more")
    return "; ".join(shown)
