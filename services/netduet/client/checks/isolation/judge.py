"""Judges whether a target is blocked, and says how. Pure.

Silence passes only when the probe ran (``Judgement.absence``) and asked more than
once: a lost packet is silence too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netduet.client.checks.isolation.results import (
    Isolation,
    PortState,
    ProbeResult,
    Response,
)
from netduet.client.net.dial import Cause
from netduet.client.results.instance import instance_of
from netduet.client.results.verdict import (
    Figures,
    Finding,
    Judgement,
    Outcome,
    Side,
    Window,
)
from netduet.wire.untrusted import escape, log_safe, recognise

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netduet.client.net.handshake import Handshake

SHOWN: Final = 80
"""Bytes of a stranger's talk that are shown."""

ENOUGH: Final = 2
"""SYNs without an answer from which on it is no single lost packet."""

_LISTED: Final = 3

_HOW: Final = {
    Response.OPEN: "open",
    Response.DROPPED: "dropped",
    Response.RESET: "rejected",
    Response.PROHIBITED: "rejected",
    Response.PORT: "rejected",
    Response.HOST: "unreachable",
    Response.NO_ROUTE: "no route",
    Response.OTHER: "failed",
}


def judge(isolation: Isolation) -> Judgement:
    """Judge all addresses together: one that is open makes the target open."""
    doors = isolation.doors
    opened = [one for one in doors if one.open]
    unproven = _unproven(isolation)
    figures: Figures = {
        "found": "open" if opened else "unknown" if unproven else "blocked",
        "how": _how(opened or doors),
        "tried": len(doors),
        "open": len(opened),
        "syns": sum(one.tcp.sent for one in doors),
        "datagrams": sum(one.udp.sent for one in doors),
        "tcp_seconds": max((round(one.tcp.seconds, 6) for one in doors), default=0.0),
        "udp_seconds": max((round(one.udp.seconds, 6) for one in doors), default=0.0),
    }
    summary = _listed(_told(one) for one in opened or doors)
    if unproven is not None and not opened:
        summary = "whether it is blocked cannot be told"
    if opened:
        remarks = tuple(_beside(isolation))
        return Judgement(summary, (_open(opened),), remarks, figures)
    if unproven is not None:
        return Judgement(summary, (unproven,), tuple(_remarks(isolation)), figures)
    return Judgement(
        summary,
        remarks=tuple(_remarks(isolation)),
        figures=figures,
        absence=_absence(doors),
    )


# Findings


def _open(opened: Sequence[PortState]) -> Finding:
    evidence: list[tuple[Side, str]] = []
    for one in opened[:_LISTED]:
        evidence.append((Side.CLIENT, f"{one.address}: TCP {_detailed(one.tcp)}"))
        evidence.append((Side.CLIENT, f"{one.address}: UDP {_detailed(one.udp)}"))
        if one.opening is not None:
            evidence.append((Side.SERVER, _who(one.opening)))
    return Finding("isolation.open", _listed(map(_told, opened)), tuple(evidence))


def _unproven(isolation: Isolation) -> Finding | None:
    """Return why nothing is proven, None when something is."""
    doors = isolation.doors
    if not isolation.routes and all(
        one.tcp.response is Response.NO_ROUTE for one in doors
    ):
        seen = "this client has no route to anywhere: to it, everything is blocked"
    elif meagre := [
        one
        for one in doors
        if one.tcp.response is Response.DROPPED and _meagre(one.tcp)
    ]:
        first = meagre[0]
        seen = (
            f"{first.address}: {_counted(first.tcp.sent, 'SYN')} in "
            f"{first.tcp.seconds:.1f} s: one lost packet would look the same"
        )
    elif failed := [one for one in doors if one.tcp.response is Response.OTHER]:
        first = failed[0]
        seen = f"{first.address}: this host could not ask: {first.tcp.detail}"
    else:
        return None
    evidence = tuple(
        (Side.CLIENT, f"{one.address}: TCP {_detailed(one.tcp)}")
        for one in doors[:_LISTED]
    )
    return Finding("isolation.unproven", seen, evidence, outcome=Outcome.INCONCLUSIVE)


def _meagre(tcp: ProbeResult) -> bool:
    return tcp.sent < ENOUGH


def _absence(doors: Sequence[PortState]) -> Finding | None:
    """Return what stands should this client not have run while it waited in vain."""
    silent = [
        knock
        for one in doors
        for knock in (one.tcp, one.udp)
        if knock.response is Response.DROPPED
    ]
    if not silent:
        return None
    window = Window(min(one.start for one in silent), max(one.end for one in silent))
    seen = "nothing was heard, by a client that was itself held up"
    return Finding("isolation.unproven", seen, missed_deadline=window)


# Words


def _told(one: PortState) -> str:
    """Return how a door stands, in a sentence."""
    tcp, udp = one.tcp, one.udp
    if one.open:
        said = [f"{one.address} is open"]
        if tcp.response is Response.OPEN:
            said.append(f"TCP connects in {tcp.seconds * 1000:.1f} ms")
        if one.opening is not None:
            said.append(_who(one.opening))
        if udp.response is Response.OPEN and tcp.response is Response.OPEN:
            said.append("UDP is answered too")
        elif udp.response is Response.OPEN:
            by = f", by {udp.detail}" if udp.detail else ""
            said[0] += " for UDP alone"
            said.append(f"datagrams are answered{by}; TCP is {_manner(tcp)}")
        else:
            said.append(f"UDP is {_manner(udp)}")
        return f"{said[0]}: {'; '.join(said[1:])}"
    if Response.NO_ROUTE is tcp.response:
        return f"{one.address} is blocked: this host has no route there"
    if (tcp.response, tcp.offender) == (udp.response, udp.offender):
        return f"{one.address} is blocked: TCP and UDP are {_manner(tcp)}"
    return f"{one.address} is blocked: TCP is {_manner(tcp)}, UDP is {_manner(udp)}"


def _manner(one: ProbeResult) -> str:
    by = f" from {one.offender}" if one.offender else ""
    match one.response:
        case Response.RESET:
            return "rejected (reset)"
        case Response.PROHIBITED:
            return f"rejected (ICMP prohibited{by})"
        case Response.PORT:
            return f"rejected (ICMP port unreachable{by})"
        case Response.HOST:
            return f"rejected (ICMP host unreachable{by})"
        case Response.NO_ROUTE:
            return "without a route from here"
        case Response.OTHER:
            return f"kept back by this host ({one.detail})"
    return one.response.value


def _detailed(one: ProbeResult) -> str:
    match one.response:
        case Response.OPEN:
            return f"was answered after {one.seconds * 1000:.1f} ms"
        case Response.DROPPED:
            return f"got no answer in {one.seconds:.1f} s ({one.sent} were sent)"
        case Response.NO_ROUTE:
            return "was not tried: this host has no route there"
    return f"is {_manner(one)}, after {one.seconds * 1000:.1f} ms"


def _how(doors: Sequence[PortState]) -> str:
    """Return in two or three words how it is blocked, or what of it is open."""
    ways = {(_HOW[one.tcp.response], _HOW[one.udp.response]) for one in doors}
    if len(ways) > 1:
        return "its addresses differ"
    [(tcp, udp)] = ways or {("", "")}
    return tcp if tcp == udp else f"TCP {tcp}, UDP {udp}"


def _who(opening: Handshake) -> str:
    """Return who answers an opening, as far as can be told."""
    if opening.welcome is not None:
        welcome = opening.welcome
        return (
            f'netduet "{escape(welcome.service)}", instance '
            f"{instance_of(welcome)}, answers"
        )
    if opening.foreign:
        protocol = recognise(opening.foreign)
        what = f"speaks {protocol.upper()}" if protocol else "is no netduet"
        return f'who answers {what}: "{log_safe(opening.foreign, SHOWN)}"'
    if opening.refused is not None:
        return f"a netduet answers: {escape(opening.refused.message)}"
    if opening.closed or opening.cause is Cause.RESET:
        return "whoever accepts says nothing, and ends the connection"
    if opening.cause is Cause.TIMEOUT:
        return "whoever accepts says nothing"
    return "who answers is not known"


# Remarks


def _remarks(isolation: Isolation) -> Iterable[str]:
    for one in isolation.doors:
        said = _ambiguous(one)
        if said:
            yield f"{one.address}: {said}"
    # A refusal proves that the client is connected; silence does not.
    if isolation.doors and not any(one.answered for one in isolation.doors):
        if isolation.control:
            yield f"{isolation.control} was reached from here: this client is connected"
        else:
            yield (
                "nothing else was reached from here: is this client connected at all? "
                "check a target beside it that is open"
            )
    yield from _left_out(isolation)


def _beside(isolation: Isolation) -> Iterable[str]:
    """Yield what is to be said beside addresses that are open."""
    shut = [one for one in isolation.doors if not one.open]
    if shut:
        yield f"further addresses are not open: {_listed(map(_told, shut))}"
    ended = [
        one
        for one in isolation.doors
        if one.opening is not None
        and (one.opening.closed or one.opening.cause is Cause.RESET)
    ]
    for one in ended:
        yield (
            f"{one.address}: who accepts may be a proxy on the way that blocks only "
            "then: nothing was heard from the target itself"
        )
    yield from _left_out(isolation)


def _ambiguous(one: PortState) -> str:
    """Return what else than a block it may be, "" when nothing else is likely."""
    tcp, udp = one.tcp, one.udp
    knocks = (tcp, udp)
    told = next((k for k in knocks if k.response is Response.PORT and k.offender), None)
    if told is not None and told.offender == one.address.host:
        return (
            "the ICMP error comes from the host itself: it is reached, and nothing "
            "listens there; no firewall on the way is proven"
        )
    if any(k.response is Response.HOST for k in knocks):
        by = next((k.offender for k in knocks if k.response is Response.HOST), "")
        who = "this host" if by and by == one.own else by or "a router"
        return (
            f"{who} says that the host cannot be reached: nothing may have the "
            "address at all, and then no firewall is proven"
        )
    if tcp.response is Response.RESET:
        return (
            "a reset comes from a firewall that rejects, or from the host itself, "
            "where nothing listens: from here the two look the same"
        )
    if udp.response is Response.DROPPED:
        return (
            "silence says less of UDP than of TCP: a service that is no netduet "
            "would not have answered these datagrams either"
        )
    return ""


def _left_out(isolation: Isolation) -> Iterable[str]:
    if isolation.left_out:
        yield f"{isolation.left_out} further addresses were not tried"


def _listed(some: Iterable[str]) -> str:
    parts = list(some)
    shown = parts[:_LISTED]
    if len(parts) > len(shown):
        shown.append(f"and {len(parts) - len(shown)} more")
    return "; ".join(shown)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
