"""What datagrams to one address tell: whether anything answers, then the rest. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from netduet.client.checks.udp.judge_loss import judge_burst
from netduet.client.checks.udp.judge_sizes import judge_sizes
from netduet.client.checks.udp.results import Udp, UdpResult, tcp_evidence
from netduet.client.net.dial import errno_meaning
from netduet.client.results.instance import instance_of
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import (
    Figures,
    Finding,
    Judgement,
    Window,
    merge_judgements,
)
from netduet.wire.untrusted import escape, log_safe

_MAX_SHOWN_BYTES: Final = 80
"""Bytes of a stranger's datagram that are shown."""


def judge(udp: Udp) -> Judgement:
    """Judge each address by itself."""
    told = [judge_exchange(measured, udp.max_loss) for measured in udp.exchanges]
    judgement = merge_judgements(told)
    if not judgement.summary:
        return judgement
    skipped = tuple(place.skipped for place in told if place.skipped)
    return replace(judgement, remarks=judgement.remarks + skipped, skipped=None)


def judge_exchange(measured: UdpResult, max_loss: float) -> Judgement:
    """Judge reachability, then loss, then sizes, as far as each was measured."""
    if measured.socket_error:
        said = f"{measured.address}: no datagram could be sent: {measured.socket_error}"
        return Judgement("", skipped=said)
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
        judge_burst(measured, max_loss),
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
    knock = measured.opening
    if knock.foreign:
        seen = (
            f"{measured.address}: what answers datagrams is no netduet: "
            f'"{log_safe(knock.foreign, _MAX_SHOWN_BYTES)}"'
        )
        return Finding("udp.stranger", seen, (tcp_evidence(measured),))
    if knock.answered_from:
        seen = f"{measured.address}: datagrams are answered from {knock.answered_from} instead"
        said = "the answer carries what this end had asked, so it is no stranger's"
        evidence = ((Side.CLIENT, said), tcp_evidence(measured))
        figures: Figures = {"answered_from": knock.answered_from}
        return Finding("udp.misaddressed", seen, evidence, figures)
    if knock.notices:
        return _rejected(measured)
    if knock.error:
        seen = (
            f"{measured.address}: this host itself lets no datagram out: {knock.error}"
        )
        said = f"{knock.openings} openings; the last error was {knock.error}"
        return Finding(
            "udp.rejected", seen, ((Side.CLIENT, said),), where=Location.CLIENT
        )
    seconds = knock.end - knock.start
    seen = (
        f"{measured.address}: {knock.openings} openings by datagram in {seconds:.1f} s, "
        "and no answer"
    )
    said = "neither an answer nor an ICMP error came, to large datagrams or small ones"
    return Finding(
        "udp.silent",
        seen,
        ((Side.CLIENT, said), tcp_evidence(measured)),
        missed_deadline=Window(knock.start, knock.end),
    )


def _rejected(measured: UdpResult) -> Finding:
    """Say who refused: the ICMP error's sender is known where the kernel tells."""
    first = measured.opening.notices[0]
    kind = errno_meaning(first.error).icmp_text
    named = f"{first.error}, {kind}" if kind else first.error
    if not first.offender:
        where, by = Location.UNKNOWN, "this kernel does not say by whom"
    elif first.offender == measured.address.host.partition("%")[0]:
        where, by = Location.SERVER, "by the address itself"
    else:
        where, by = (
            Location.INTERMEDIARY,
            f"by {first.offender}, which is not the address asked",
        )
    seen = f"{measured.address}: datagrams are refused by ICMP ({named}), {by}"
    said = f"{len(measured.opening.notices)} ICMP errors to {measured.opening.openings} openings"
    figures: Figures = {"icmp_from": first.offender or None, "icmp": first.error}
    evidence = ((Side.CLIENT, said), tcp_evidence(measured))
    return Finding("udp.rejected", seen, evidence, figures, where)


def _find_other_service(measured: UdpResult) -> Iterator[Finding]:
    tcp, udp = measured.tcp, measured.opening.welcome
    if tcp is None or udp is None or tcp.service == udp.service:
        return
    seen = (
        f'{measured.address}: connections reach the service "{escape(tcp.service)}", '
        f'datagrams "{escape(udp.service)}"'
    )
    yield Finding("udp.stranger", seen, (tcp_evidence(measured),))


def _opening_remarks(measured: UdpResult) -> Iterator[str]:
    knock = measured.opening
    tcp, udp = measured.tcp, knock.welcome
    if udp is not None and tcp is not None and tcp.boot_id != udp.boot_id:
        yield (
            f"{measured.address}: connections reach instance {instance_of(tcp)}, "
            f"datagrams {instance_of(udp)}: several servers share the address"
        )
    if udp is not None and knock.openings > 1:
        yield (
            f"{measured.address}: the opening by datagram had to be sent "
            f"{knock.openings} times"
        )
    if knock.refused is not None:
        yield f"{measured.address}: the server says: {escape(knock.refused.message)}"
    if measured.burst is None:
        yield (
            f"{measured.address}: the server is of a version that counts no datagrams: "
            "neither loss nor sizes were looked at"
        )
