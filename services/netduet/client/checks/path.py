"""What lies between: whom does the server see, and what fits through?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from netduet.client.checks.addresses import AddressCheck
from netduet.client.checks.base import Check, CheckContext, CheckOptions
from netduet.client.checks.identity.results import IdentityAnswer
from netduet.client.net.dial import Address, Cause
from netduet.client.net.framed_connection import open_connection
from netduet.client.net.handshake import Handshake
from netduet.client.net.server_evidence import ledger_entry
from netduet.client.results.failure import Failure
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import (
    Figures,
    Finding,
    Judgement,
)
from netduet.wire.messages import LedgerEntry, ServerReport, TcpInfo
from netduet.wire.untrusted import escape


@dataclass(frozen=True, slots=True)
class PathResult:
    """The way to one address, as both ends see it.

    ``missing`` says why the far end's record of the connection could not be had.
    """

    address: Address
    opening: Handshake
    local: tuple[str, int] | None = None
    client_tcp_info: TcpInfo | None = None
    server_report: ServerReport | None = None
    entry: LedgerEntry | None = None
    missing: str = ""
    sent: int = 0
    received: int = 0


async def measure(context: CheckContext, answer: IdentityAnswer) -> PathResult:
    """Open a further connection to a netduet, and ask both ends about it."""
    address, patience = answer.address, context.timeouts
    async with open_connection(address, patience) as (opening, conversation):
        if conversation is None:
            return PathResult(address, opening)
        host, port = conversation.local()
        local = host.partition("%")[0], port
        theirs = await conversation.report(patience.answer)
        ours = conversation.info()
        await conversation.end(patience.answer)
        sent = conversation.connection.bytes_sent
        received = conversation.connection.bytes_received
        welcome = conversation.welcome
    entry, missing = await ledger_entry(address, welcome, patience)
    return PathResult(
        address, opening, local, ours, theirs, entry, missing, sent, received
    )


def judge(way: PathResult, _: CheckOptions) -> Judgement:
    """Compare what both ends say; what differs is a remark, no fault by itself."""
    if way.opening.welcome is None:
        return Judgement("", (_broken_finding(way),))
    return Judgement(_describe_path(way), (), tuple(_remarks(way)), _figures(way))


def _broken_finding(way: PathResult) -> Finding:
    opening = way.opening
    what = opening.detail or ("closed at once" if opening.closed else "another answer")
    if opening.refused is not None:
        what = f"the server says: {escape(opening.refused.message)}"
    elif opening.broken is not None:
        what = f"its answer breaks a rule: {escape(opening.broken.message)}"
    missed = None
    if opening.cause is Cause.TIMEOUT:
        missed = opening.span
    seen = f"{way.address}: a further connection failed: {what}"
    evidence_text = f"after {opening.seconds:.1f} s: {what}"
    return Finding(
        "path.broken", seen, ((Side.CLIENT, evidence_text),), missed_deadline=missed
    )


def _peer_endpoint(way: PathResult) -> tuple[str, int]:
    welcome = way.opening.welcome
    if welcome is None:
        return "", 0
    return welcome.peer.address.partition("%")[0], welcome.peer.port


def _format_endpoint(host: str, port: int) -> str:
    """Return an address that a peer named, with its port, as a person types it."""
    shown = escape(host)
    return f"[{shown}]:{port}" if ":" in shown else f"{shown}:{port}"


def _describe_path(way: PathResult) -> str:
    seen = _peer_endpoint(way)
    if way.local is not None and seen == way.local:
        who = f"the server sees this client as itself, {way.local[0]}"
    else:
        who = f"the server sees this client as {_format_endpoint(*seen)}"
    mss = _segment_sizes(way)
    if mss is None:
        return who
    up, down, pmtu = mss
    same = f"{up} both ways" if up == down else f"{up} up, {down} down"
    return f"{who}; MSS {same}, path MTU {pmtu}"


def _segment_sizes(way: PathResult) -> tuple[int, int, int] | None:
    """Return the segment sizes up and down, and the path MTU our kernel assumes."""
    if (
        way.client_tcp_info is None
        or way.server_report is None
        or way.server_report.connection is None
    ):
        return None
    up, pmtu = way.client_tcp_info.snd_mss, way.client_tcp_info.pmtu
    return up, way.server_report.connection.snd_mss, pmtu


def _remarks(way: PathResult) -> list[str]:
    remarks = []
    seen, local = _peer_endpoint(way), way.local
    if local is not None and seen[0] != local[0]:
        remarks.append(
            f"the server sees {escape(seen[0])}, not this client's {local[0]}: "
            "source NAT or a proxy lies between; lists of allowed addresses and "
            "limits per address act on that address"
        )
    elif local is not None and seen[1] != local[1]:
        remarks.append(
            f"the server sees port {seen[1]}, not this client's {local[1]}: "
            "a NAT or proxy lies between"
        )
    there = way.opening.welcome.local if way.opening.welcome is not None else None
    if (
        there is not None
        and there.address.partition("%")[0] != way.address.host.partition("%")[0]
    ):
        remarks.append(
            f"the server was asked at {way.address} and answers from "
            f"{_format_endpoint(there.address, there.port)}: a published port, virtual "
            "address or proxy lies between"
        )
    mss = _segment_sizes(way)
    if mss is not None and mss[0] != mss[1]:
        remarks.append(
            f"segments are at most {mss[0]} bytes up and {mss[1]} down: "
            "the two ends' MTUs differ, or something clamps one direction"
        )
    remarks += _ledger_remarks(way)
    remarks += _host_remarks(way)
    return remarks


def _ledger_remarks(way: PathResult) -> list[str]:
    entry = way.entry
    if entry is None:
        return [f"the far end's record could not be had: {way.missing}"]
    if (entry.bytes_received, entry.bytes_sent) == (way.sent, way.received):
        return []
    differs = (
        f"this end sent {way.sent} and received {way.received} bytes, the server "
        f"received {entry.bytes_received} and sent {entry.bytes_sent}"
    )
    return [differs]


def _host_remarks(way: PathResult) -> list[str]:
    remarks = []
    if way.server_report is None:
        return ["the server did not report its own view of the connection"]
    drops = way.server_report.listener.drops
    if drops:
        remarks.append(
            f"the server's listening socket has dropped {drops} "
            f"opening{'s' if drops > 1 else ''} of connections since it started"
        )
    throttled = way.server_report.host.throttled
    if throttled:
        remarks.append(
            "the server was held back by its CPU limit for "
            f"{throttled:.1f} s since it started"
        )
    return remarks


def _figures(way: PathResult) -> Figures:
    figures: Figures = {"peer_address": escape(_peer_endpoint(way)[0])}
    report = way.server_report
    server_tcp_info = None if report is None else report.connection
    for side, info in (("client", way.client_tcp_info), ("server", server_tcp_info)):
        for key in ("rtt", "snd_mss", "pmtu", "total_retrans"):
            figures[f"{side}_{key}"] = None if info is None else getattr(info, key)
    return figures


FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "path.broken",
        "a further connection fails",
        "One connection worked, and the next one to the same address did not.",
        Location.UNKNOWN,
        (
            "several servers stand behind the address, and one of them is broken",
            (
                "a firewall or balancer limits the connections of a client, or how fast it may "
                "open them"
            ),
            "the network loses many packets, or one of several links is dead",
            "the server was stopped or restarted meanwhile",
        ),
        (
            "run the check again, several times: is it every second or third time?",
            "check each server behind the address by its own address",
            (
                "look for limits on the way: iptables -vnL (connlimit, hashlimit), nf_conntrack: "
                "table full"
            ),
        ),
    ),
)


_ADDRESSES: Final = AddressCheck(measure, judge, max_addresses=8)

CHECK: Final = Check(
    "path",
    "Whom does the server see, and what fits through?",
    ("identity",),
    _ADDRESSES.measure,
    _ADDRESSES.judge,
    FAILURES,
    after=("balance",),
)
