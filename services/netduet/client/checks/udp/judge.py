"""What datagrams to one address tell: whether anything answers, then the rest. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from netduet.client.checks.udp.judge_loss import judge_burst
from netduet.client.checks.udp.judge_sizes import judge_sizes
from netduet.client.checks.udp.results import Udp, UdpResult, over_tcp
from netduet.client.results.failure import (
    CLIENT,
    INTERMEDIARY,
    SERVER,
    UNKNOWN,
)
from netduet.client.results.instance import instance_of
from netduet.client.results.verdict import (
    Figures,
    Finding,
    Judgement,
    Side,
    Window,
    merge_judgements,
)
from netduet.wire.untrusted import escape, log_safe

_SHOWN: Final = 80
"""Bytes of a stranger's datagram that are shown."""

_KINDS: Final = {
    "ECONNREFUSED": "port unreachable",
    "EHOSTUNREACH": "host unreachable, or prohibited",
    "ENETUNREACH": "network unreachable",
    "EACCES": "prohibited",
}


def judge(udp: Udp) -> Judgement:
    """Judge each address by itself."""
    told = [judge_exchange(one, udp.max_loss) for one in udp.exchanges]
    one = merge_judgements(told)
    if not one.summary:
        return one
    skipped = tuple(place.skipped for place in told if place.skipped)
    return replace(one, remarks=one.remarks + skipped, skipped=None)


def judge_exchange(one: UdpResult, max_loss: float) -> Judgement:
    """Judge reachability, then loss, then sizes, as far as each was measured."""
    if one.detail:
        said = f"{one.address}: no datagram could be sent: {one.detail}"
        return Judgement("", skipped=said)
    if not one.knock.reached:
        finding = _unreached(one)
        return Judgement(f"no answer to datagrams at {one.address}", (finding,))
    figures: Figures = {"round_trip_ms": round(one.knock.round_trip * 1000, 3)}
    parts = [
        Judgement("", tuple(_strange(one)), tuple(_about_opening(one)), figures),
        judge_burst(one, max_loss),
        judge_sizes(one),
    ]
    for part in parts:
        figures |= part.figures
    summary = ", ".join(part.summary for part in parts if part.summary)
    return Judgement(
        summary or f"{one.address} answers datagrams",
        tuple(finding for part in parts for finding in part.findings),
        tuple(remark for part in parts for remark in part.remarks),
        figures,
    )


def _unreached(one: UdpResult) -> Finding:
    knock = one.knock
    if knock.foreign:
        seen = (
            f"{one.address}: what answers datagrams is no netduet: "
            f'"{log_safe(knock.foreign, _SHOWN)}"'
        )
        return Finding("udp.stranger", seen, (over_tcp(one),))
    if knock.elsewhere:
        seen = f"{one.address}: datagrams are answered from {knock.elsewhere} instead"
        said = "the answer carries what this end had asked, so it is no stranger's"
        evidence = ((Side.CLIENT, said), over_tcp(one))
        figures: Figures = {"answered_from": knock.elsewhere}
        return Finding("udp.misaddressed", seen, evidence, figures)
    if knock.notices:
        return _rejected(one)
    if knock.error:
        seen = f"{one.address}: this host itself lets no datagram out: {knock.error}"
        said = f"{knock.openings} openings; the last error was {knock.error}"
        return Finding("udp.rejected", seen, ((Side.CLIENT, said),), where=CLIENT)
    seconds = knock.end - knock.start
    seen = (
        f"{one.address}: {knock.openings} openings by datagram in {seconds:.1f} s, "
        "and no answer"
    )
    said = "neither an answer nor an ICMP error came, to large datagrams or small ones"
    return Finding(
        "udp.silent",
        seen,
        ((Side.CLIENT, said), over_tcp(one)),
        missed_deadline=Window(knock.start, knock.end),
    )


def _rejected(one: UdpResult) -> Finding:
    """Say who refused: the ICMP error's sender is known where the kernel tells."""
    first = one.knock.notices[0]
    kind = _KINDS.get(first.error, "")
    named = f"{first.error}, {kind}" if kind else first.error
    if not first.offender:
        where, by = UNKNOWN, "this kernel does not say by whom"
    elif first.offender == one.address.host.partition("%")[0]:
        where, by = SERVER, "by the address itself"
    else:
        where, by = INTERMEDIARY, f"by {first.offender}, which is not the address asked"
    seen = f"{one.address}: datagrams are refused by ICMP ({named}), {by}"
    said = f"{len(one.knock.notices)} ICMP errors to {one.knock.openings} openings"
    figures: Figures = {"icmp_from": first.offender or None, "icmp": first.error}
    evidence = ((Side.CLIENT, said), over_tcp(one))
    return Finding("udp.rejected", seen, evidence, figures, where)


def _strange(one: UdpResult) -> Iterator[Finding]:
    tcp, udp = one.tcp, one.knock.welcome
    if tcp is None or udp is None or tcp.service == udp.service:
        return
    seen = (
        f'{one.address}: connections reach the service "{escape(tcp.service)}", '
        f'datagrams "{escape(udp.service)}"'
    )
    yield Finding("udp.stranger", seen, (over_tcp(one),))


def _about_opening(one: UdpResult) -> Iterator[str]:
    knock = one.knock
    tcp, udp = one.tcp, knock.welcome
    if udp is not None and tcp is not None and tcp.boot_id != udp.boot_id:
        yield (
            f"{one.address}: connections reach instance {instance_of(tcp)}, "
            f"datagrams {instance_of(udp)}: several servers share the address"
        )
    if udp is not None and knock.openings > 1:
        yield (
            f"{one.address}: the opening by datagram had to be sent "
            f"{knock.openings} times"
        )
    if knock.refused is not None:
        yield f"{one.address}: the server says: {escape(knock.refused.message)}"
    if one.burst is None:
        yield (
            f"{one.address}: the server is of a version that counts no datagrams: "
            "neither loss nor sizes were looked at"
        )
