"""Who refuses a connection: the sender of an ICMP error, or of a reset. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from netduet.client.checks.investigation.explanation import Explanation
from netduet.client.checks.investigation.place import looping_routers
from netduet.client.checks.reach.failures import (
    FAILURES as REACH_FAILURES,
)
from netduet.client.checks.reach.failures import (
    RESET_BY_FIREWALL,
)
from netduet.client.checks.udp.failures import FAILURES as UDP_FAILURES
from netduet.client.net.port_probe import Response
from netduet.client.net.reset_ttl import distance
from netduet.client.results.location import Location, Side

if TYPE_CHECKING:
    from netduet.client.checks.investigation.results import Clues
    from netduet.client.net.port_probe import ProbeResult
    from netduet.client.results.verdict import Finding

_REJECTIONS: Final = frozenset({Response.PORT_UNREACHABLE, Response.PROHIBITED})
"""ICMP errors that a connection attempt gets from a firewall alone: a host whose port is
closed answers with a reset (RFC 9293 §3.10.7.1). To datagrams, "port unreachable" is what
that host itself answers (RFC 1122 §4.1.3.1)."""

_FORBIDDEN: Final = frozenset({"EPERM", "EACCES"})
"""What sending and connecting fail with if a rule of this host forbids it (ip(7), connect(2))."""

_CLASS_CAUSES: Final = {
    failure.name: failure.causes for failure in (*REACH_FAILURES, *UDP_FAILURES)
}
"""The causes of each class that refuses. Who sends an ICMP error leaves none of them."""

_OF_DATAGRAMS: Final = frozenset({"reach.port_unreachable", "udp.rejected"})


def explain_refusal(finding: Finding, clues: Clues) -> Iterator[Explanation]:
    """Yield who sent the ICMP error, or how far away the sender of the reset is."""
    probe = clues.refusal
    if probe is None:
        return
    if probe.offender and probe.response is Response.TTL_EXCEEDED:
        yield _loop(finding, probe, clues)
    elif probe.offender and probe.response in _REJECTIONS:
        yield from _rejection(finding, probe, clues)
    elif probe.detail in _FORBIDDEN:
        yield _forbidden(finding, probe)
    elif probe.response is Response.RESET and clues.reset_ttl:
        yield from _reset(clues)


def _rejection(
    finding: Finding, probe: ProbeResult, clues: Clues
) -> Iterator[Explanation]:
    offender = probe.offender
    is_udp = finding.failure in _OF_DATAGRAMS
    is_closed_port = is_udp and probe.response is Response.PORT_UNREACHABLE
    if is_closed_port and offender == clues.target:
        return
    what = "the datagrams" if is_udp else "the connection"
    if offender == clues.own_address:
        where = Location.CLIENT
        cause = (
            f"this host's own firewall rejects {what} (REJECT): iptables -L -v -n, nft "
            "list ruleset"
        )
    elif offender == clues.target:
        where = Location.SERVER
        cause = (
            f"a firewall on {offender} itself rejects {what} with an ICMP error "
            "(REJECT)"
        )
    else:
        where = Location.INTERMEDIARY
        cause = (
            f"a firewall or router, {offender}, rejects {what} with an ICMP error "
            "(iptables -j REJECT)"
        )
    failure = "reach.rejected" if finding.failure == "reach.refused" else ""
    text = f"ICMP {probe.response.value} ({probe.detail}) from {offender}"
    text += "" if is_udp else "; no reset came"
    yield Explanation(
        ((Side.CLIENT, text),),
        cause,
        where,
        place=f"at {_hop(offender, clues)}" if where is Location.INTERMEDIARY else "",
        failure=failure,
        figures={"icmp_from": offender, "icmp": probe.response.value},
        superseded=_CLASS_CAUSES.get(failure or finding.failure, ()),
    )


def _forbidden(finding: Finding, probe: ProbeResult) -> Explanation:
    what = "the datagrams" if finding.failure in _OF_DATAGRAMS else "the connection"
    return Explanation(
        ((Side.CLIENT, f"this host's kernel does not send: {probe.detail}"),),
        f"this host's own firewall forbids {what} (OUTPUT, or an eBPF or security "
        "policy): iptables -L -v -n, nft list ruleset",
        Location.CLIENT,
        superseded=_CLASS_CAUSES.get(finding.failure, ()),
    )


def _hop(address: str, clues: Clues) -> str:
    """Return a router with its distance, if the trace of datagrams met it."""
    hops = () if clues.datagrams is None else clues.datagrams.hops
    return next((str(hop) for hop in hops if hop.address == address), address)


def _loop(finding: Finding, probe: ProbeResult, clues: Clues) -> Explanation:
    # A packet with the full TTL ended on the way: there is a loop, so two visits do.
    routers = () if clues.syns is None else looping_routers(clues.syns, 2)
    between = " and ".join(routers) or f"routers: their TTL ends at {probe.offender}"
    text = (
        f"{probe.offender} reports that the TTL of the SYN ended there (ICMP time "
        "exceeded)"
    )
    return Explanation(
        ((Side.CLIENT, text),),
        f"packets loop between {between}",
        Location.INTERMEDIARY,
        place=f"in a loop between {between}" if routers else f"at {probe.offender}",
        figures={"icmp_from": probe.offender, "icmp": probe.response.value},
        superseded=_CLASS_CAUSES.get(finding.failure, ()),
    )


def _reset(clues: Clues) -> Iterator[Explanation]:
    """Yield how far away the resets come from, compared with the target's answers."""
    ttl = clues.reset_ttl
    routers = distance(ttl)
    figures = {"reset_ttl": ttl}
    text = f"resets arrive with TTL {ttl}: they have passed {_count(routers)}"
    answer = 0 if clues.datagrams is None else clues.datagrams.answer_ttl
    if not answer:
        yield Explanation(((Side.CLIENT, text),), figures={**figures})
        return
    target = distance(answer)
    text += f"; answers of {clues.target} to datagrams have passed {_count(target)}"
    evidence = ((Side.CLIENT, f"{text} (TTL {answer})"),)
    if routers >= target:
        yield Explanation(evidence, figures={**figures})
        return
    yield Explanation(
        evidence,
        "a firewall on the way sends the resets in the server's name (REJECT "
        "--reject-with tcp-reset): they come from nearer than the server",
        Location.INTERMEDIARY,
        place=_sender_of_resets(routers, target, clues),
        figures={**figures},
        superseded=(RESET_BY_FIREWALL,),
    )


def _sender_of_resets(routers: int, target: int, clues: Clues) -> str:
    """Return which router sends the resets: the one behind those that they pass.

    That holds if packets come back as they went.
    """
    hops = () if clues.datagrams is None else clues.datagrams.hops
    hop = next((hop for hop in hops if hop.ttl == routers + 1), None)
    behind = f"behind {_count(routers)}, and the server is behind {target}"
    return f"about {hop}, {behind}" if hop is not None else behind


def _count(routers: int) -> str:
    return f"{routers} router{'s' * (routers != 1)}"
