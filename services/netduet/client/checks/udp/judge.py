"""Judges the datagrams of one address: reachability first, then the rest. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from netduet.client.checks.base import CheckOptions
from netduet.client.checks.udp.judge_loss import judge_burst
from netduet.client.checks.udp.judge_sizes import judge_sizes
from netduet.client.checks.udp.results import (
    UdpResult,
    leads_elsewhere,
    tcp_evidence,
)
from netduet.client.net.dial import errno_meaning
from netduet.client.results.instance import instance_of
from netduet.client.results.location import Location, Side
from netduet.client.results.target import join
from netduet.client.results.verdict import (
    Figures,
    Finding,
    Judgement,
)
from netduet.wire.untrusted import escape, log_safe

_MAX_SHOWN_BYTES: Final = 80
"""Bytes of another program's datagram that are shown."""


def judge(result: UdpResult, options: CheckOptions) -> Judgement:
    """Judge reachability, then loss, then sizes, as far as each was measured."""
    if result.socket_error:
        text = f"{result.address}: no datagram could be sent: {result.socket_error}"
        doubt = Finding(
            "udp.rejected",
            text,
            ((Side.CLIENT, result.socket_error),),
            where=Location.CLIENT,
        )
        return Judgement("", skipped=text, doubt=doubt)
    if not result.opening.reached:
        finding = _unreached(result)
        return Judgement(f"no response to datagrams at {result.address}", (finding,))
    figures: Figures = {"round_trip_ms": round(result.opening.round_trip * 1000, 3)}
    parts = [
        Judgement(
            "",
            tuple(_find_other_service(result)),
            tuple(_opening_remarks(result)),
            figures,
        ),
        judge_burst(result, options.max_loss),
        judge_sizes(result),
    ]
    for part in parts:
        figures |= part.figures
    summary = "; ".join(part.summary for part in parts if part.summary)
    return Judgement(
        summary or f"{result.address} responds to datagrams",
        tuple(
            replace(finding, culprit=_instance(result))
            for part in parts
            for finding in part.findings
        ),
        tuple(remark for part in parts for remark in part.remarks),
        figures,
    )


def _instance(result: UdpResult) -> str:
    """Return the instance that answers datagrams, "" if unknown."""
    welcome = result.opening.welcome
    return "" if welcome is None else str(instance_of(welcome))


def _unreached(result: UdpResult) -> Finding:
    opening = result.opening
    if opening.foreign:
        seen = (
            f"{result.address}: another program responds to datagrams, not netduet: "
            f'"{log_safe(opening.foreign, _MAX_SHOWN_BYTES)}"'
        )
        return Finding("udp.not_netduet", seen, (tcp_evidence(result),))
    if opening.answered_from:
        seen = f"{result.address}: datagrams are answered from {opening.answered_from} instead"
        text = "the response carries this client's own nonce, so the server sent it"
        evidence = ((Side.CLIENT, text), tcp_evidence(result))
        figures: Figures = {"answered_from": opening.answered_from}
        return Finding("udp.misaddressed", seen, evidence, figures)
    if opening.notices:
        return _rejected(result)
    if opening.error:
        seen = f"{result.address}: this host cannot send datagrams: {opening.error}"
        text = f"{opening.openings} openings; the last error was {opening.error}"
        return Finding(
            "udp.rejected", seen, ((Side.CLIENT, text),), where=Location.CLIENT
        )
    seconds = opening.seconds
    seen = (
        f"{result.address}: {opening.openings} opening datagrams in {seconds:.1f} s, "
        "no response"
    )
    text = "neither a response nor an ICMP error arrived, for large or small datagrams"
    evidence = ((Side.CLIENT, text), tcp_evidence(result))
    return Finding(
        "udp.silent",
        seen,
        evidence,
        missed_deadline=opening.span,
        causes=_tcp_alone(result),
    )


def _tcp_alone(result: UdpResult) -> tuple[str, ...]:
    """Return the cause that a port leads elsewhere for TCP alone, if it does."""
    if not leads_elsewhere(result) or result.tcp is None:
        return ()
    local = result.tcp.local
    port = result.address.port
    return (
        (
            f"the port is published or forwarded for TCP alone: connections to it reach "
            f"{join(escape(local.address), local.port)}, datagrams do not (docker run -p "
            f"{port}:{local.port}/udp publishes UDP too)"
        ),
    )


def _rejected(result: UdpResult) -> Finding:
    """Report a rejection; the kernel may know the ICMP error's sender."""
    first = result.opening.notices[0]
    kind = errno_meaning(first.error).icmp_text
    named = f"{first.error}, {kind}" if kind else first.error
    if not first.offender:
        where, by = Location.UNKNOWN, "the sender is unknown to this kernel"
    elif first.offender == result.address.host.partition("%")[0]:
        where, by = Location.SERVER, "sent by the address itself"
    else:
        where = Location.INTERMEDIARY
        by = f"sent by {first.offender}, not by the target"
    causes = _tcp_alone(result)
    name = "udp.rejected"
    if causes and where is Location.SERVER:  # the address is that of what leads on
        where = Location.INTERMEDIARY
        if result.is_published_here:
            name, where = "udp.tcp_alone", Location.CLIENT
    seen = f"{result.address}: datagrams are rejected by ICMP ({named}), {by}"
    errors, openings = len(result.opening.notices), result.opening.openings
    text = f"{errors} ICMP error{'s' * (errors != 1)} for {openings} openings"
    figures: Figures = {"icmp_from": first.offender or None, "icmp": first.error}
    evidence = ((Side.CLIENT, text), tcp_evidence(result))
    return Finding(name, seen, evidence, figures, where, causes=causes)


def _find_other_service(result: UdpResult) -> Iterator[Finding]:
    tcp, udp = result.tcp, result.opening.welcome
    if tcp is None or udp is None or tcp.service == udp.service:
        return
    seen = (
        f'{result.address}: connections reach the service "{escape(tcp.service)}", '
        f'datagrams "{escape(udp.service)}"'
    )
    yield Finding("udp.not_netduet", seen, (tcp_evidence(result),))


def _opening_remarks(result: UdpResult) -> Iterator[str]:
    opening = result.opening
    tcp, udp = result.tcp, opening.welcome
    if udp is not None and tcp is not None and tcp.boot_id != udp.boot_id:
        yield (
            f"{result.address}: connections reach instance {instance_of(tcp)}, "
            f"datagrams {instance_of(udp)}: several servers share the address"
        )
    if udp is not None and opening.openings > 1:
        yield (
            f"{result.address}: the opening datagram had to be sent "
            f"{opening.openings} times"
        )
    if opening.refused is not None:
        yield f"{result.address}: the server says: {escape(opening.refused.message)}"
    if result.burst is None:
        yield (
            f"{result.address}: the server's version cannot count datagrams: loss and "
            "sizes were not tested"
        )
