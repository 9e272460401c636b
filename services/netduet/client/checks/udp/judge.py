"""What datagrams to one address tell: whether anything answers, then the rest. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from netduet.client.checks.base import CheckOptions
from netduet.client.checks.udp.judge_loss import judge_burst
from netduet.client.checks.udp.judge_sizes import judge_sizes
from netduet.client.checks.udp.results import UdpResult, tcp_evidence
from netduet.client.net.dial import errno_meaning
from netduet.client.results.instance import instance_of
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import (
    Figures,
    Finding,
    Judgement,
)
from netduet.wire.untrusted import escape, log_safe

_MAX_SHOWN_BYTES: Final = 80
"""Bytes of a stranger's datagram that are shown."""


def judge(measured: UdpResult, options: CheckOptions) -> Judgement:
    """Judge reachability, then loss, then sizes, as far as each was measured."""
    if measured.socket_error:
        text = f"{measured.address}: no datagram could be sent: {measured.socket_error}"
        return Judgement("", skipped=text)
    if not measured.opening.reached:
        finding = _unreached(measured)
        return Judgement(f"no answer to datagrams at {measured.address}", (finding,))
    figures: Figures = {"round_trip_ms": round(measured.opening.round_trip * 1000, 3)}
    parts = [
        Judgement(
            "",
            tuple(_find_other_service(measured)),
            tuple(_opening_remarks(measured)),
            figures,
        ),
        judge_burst(measured, options.max_loss),
        judge_sizes(measured),
    ]
    for part in parts:
        figures |= part.figures
    summary = ", ".join(part.summary for part in parts if part.summary)
    return Judgement(
        summary or f"{measured.address} answers datagrams",
        tuple(finding for part in parts for finding in part.findings),
        tuple(remark for part in parts for remark in part.remarks),
        figures,
    )


def _unreached(measured: UdpResult) -> Finding:
    opening = measured.opening
    if opening.foreign:
        seen = (
            f"{measured.address}: another program answers datagrams, not netduet: "
            f'"{log_safe(opening.foreign, _MAX_SHOWN_BYTES)}"'
        )
        return Finding("udp.not_netduet", seen, (tcp_evidence(measured),))
    if opening.answered_from:
        seen = f"{measured.address}: datagrams are answered from {opening.answered_from} instead"
        text = "the answer carries this client's own nonce, so the server sent it"
        evidence = ((Side.CLIENT, text), tcp_evidence(measured))
        figures: Figures = {"answered_from": opening.answered_from}
        return Finding("udp.misaddressed", seen, evidence, figures)
    if opening.notices:
        return _rejected(measured)
    if opening.error:
        seen = f"{measured.address}: this host cannot send datagrams: {opening.error}"
        text = f"{opening.openings} openings; the last error was {opening.error}"
        return Finding(
            "udp.rejected", seen, ((Side.CLIENT, text),), where=Location.CLIENT
        )
    seconds = opening.seconds
    seen = (
        f"{measured.address}: {opening.openings} opening datagrams in {seconds:.1f} s, "
        "no answer"
    )
    text = "neither an answer nor an ICMP error came, for large or small datagrams"
    return Finding(
        "udp.silent",
        seen,
        ((Side.CLIENT, text), tcp_evidence(measured)),
        missed_deadline=opening.span,
    )


def _rejected(measured: UdpResult) -> Finding:
    """Say who refused: the ICMP error's sender is known where the kernel tells."""
    first = measured.opening.notices[0]
    kind = errno_meaning(first.error).icmp_text
    named = f"{first.error}, {kind}" if kind else first.error
    if not first.offender:
        where, by = Location.UNKNOWN, "the sender is unknown to this kernel"
    elif first.offender == measured.address.host.partition("%")[0]:
        where, by = Location.SERVER, "sent by the address itself"
    else:
        where, by = (
            Location.INTERMEDIARY,
            f"sent by {first.offender}, not by the target",
        )
    seen = f"{measured.address}: ICMP refuses datagrams ({named}), {by}"
    text = f"{len(measured.opening.notices)} ICMP errors for {measured.opening.openings} openings"
    figures: Figures = {"icmp_from": first.offender or None, "icmp": first.error}
    evidence = ((Side.CLIENT, text), tcp_evidence(measured))
    return Finding("udp.rejected", seen, evidence, figures, where)


def _find_other_service(measured: UdpResult) -> Iterator[Finding]:
    tcp, udp = measured.tcp, measured.opening.welcome
    if tcp is None or udp is None or tcp.service == udp.service:
        return
    seen = (
        f'{measured.address}: connections reach the service "{escape(tcp.service)}", '
        f'datagrams "{escape(udp.service)}"'
    )
    yield Finding("udp.not_netduet", seen, (tcp_evidence(measured),))


def _opening_remarks(measured: UdpResult) -> Iterator[str]:
    opening = measured.opening
    tcp, udp = measured.tcp, opening.welcome
    if udp is not None and tcp is not None and tcp.boot_id != udp.boot_id:
        yield (
            f"{measured.address}: connections reach instance {instance_of(tcp)}, "
            f"datagrams {instance_of(udp)}: several servers share the address"
        )
    if udp is not None and opening.openings > 1:
        yield (
            f"{measured.address}: the opening datagram had to be sent "
            f"{opening.openings} times"
        )
    if opening.refused is not None:
        yield f"{measured.address}: the server says: {escape(opening.refused.message)}"
    if measured.burst is None:
        yield (
            f"{measured.address}: the server version cannot count datagrams: "
            "loss and sizes were not tested"
        )
