"""What lies between: whom does the server see, and what fits through?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from netduet.client.checks.addresses import AddressCheck
from netduet.client.checks.base import Check, CheckContext, CheckOptions, Scope
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
    Window,
)
from netduet.wire.messages import LedgerEntry, ServerReport
from netduet.wire.untrusted import escape

MAX_ADDRESSES: Final = 8
"""Addresses whose path is looked at."""


@dataclass(frozen=True, slots=True)
class PathResult:
    """The way to one address, as both ends see it.

    ``missing`` says why the far end's record of the connection could not be had.
    """

    address: Address
    opening: Handshake
    local: tuple[str, int] | None = None
    client_tcp_info: dict[str, int | str] | None = None
    server_report: ServerReport | None = None
    entry: LedgerEntry | None = None
    missing: str = ""
    sent: int = 0
    received: int = 0


async def measure(
    context: CheckContext, answer: IdentityAnswer, _addresses: int
) -> PathResult:
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
    what = opening.detail or (
        "closed immediately" if opening.closed else "unexpected response"
    )
    if opening.refused is not None:
        what = f"the server says: {escape(opening.refused.message)}"
    elif opening.broken is not None:
        what = f"its response violates the protocol: {escape(opening.broken.message)}"
    missed = None
    if opening.cause is Cause.TIMEOUT:
        missed = Window(opening.start, opening.end)
    seen = f"{way.address}: a later connection failed: {what}"
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
        who = f"no NAT: the server sees this client's own address, {way.local[0]}"
    else:
        who = f"the server sees this client as {_format_endpoint(*seen)}"
    mss = _segment_sizes(way)
    if mss is None:
        return who
    up, down, pmtu = mss
    same = f"{up} in both directions" if up == down else f"{up} up, {down} down"
    return f"{who}; MSS {same}, path MTU {pmtu}"


def _segment_sizes(way: PathResult) -> tuple[int, int, int] | None:
    """Return the segment sizes up and down, and the path MTU our kernel assumes."""
    if (
        way.client_tcp_info is None
        or way.server_report is None
        or way.server_report.connection is None
    ):
        return None
    up, pmtu = way.client_tcp_info["snd_mss"], way.client_tcp_info["pmtu"]
    if not isinstance(up, int) or not isinstance(pmtu, int):
        return None
    return up, way.server_report.connection.snd_mss, pmtu


def _remarks(way: PathResult) -> list[str]:
    remarks = []
    seen, local = _peer_endpoint(way), way.local
    if local is not None and seen[0] != local[0]:
        remarks.append(
            f"the server sees {escape(seen[0])}, not this client's {local[0]}: there "
            "is source NAT or a proxy in between; address allow-lists and per-address "
            "limits apply to that address"
        )
    elif local is not None and seen[1] != local[1]:
        remarks.append(
            f"the server sees port {seen[1]}, not this client's {local[1]}: there is "
            "a NAT or proxy in between"
        )
    there = way.opening.welcome.local if way.opening.welcome is not None else None
    if (
        there is not None
        and there.address.partition("%")[0] != way.address.host.partition("%")[0]
    ):
        remarks.append(
            f"connected to {way.address}, but the server's own address is "
            f"{_format_endpoint(there.address, there.port)}: there is a published "
            "port, virtual address or proxy in between"
        )
    mss = _segment_sizes(way)
    if mss is not None and mss[0] != mss[1]:
        remarks.append(
            f"segments are at most {mss[0]} bytes up and {mss[1]} down: the two ends' "
            "MTUs differ, or something clamps the MSS in one direction"
        )
    remarks += _ledger_remarks(way)
    remarks += _host_remarks(way)
    return remarks


def _ledger_remarks(way: PathResult) -> list[str]:
    entry = way.entry
    if entry is None:
        return [f"the server's record is not available: {way.missing}"]
    if (entry.bytes_received, entry.bytes_sent) == (way.sent, way.received):
        return []
    differs = (
        f"this end sent {way.sent} and received {way.received} bytes; the server "
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
            f"the server's listening socket has dropped {drops} connection "
            f"attempt{'s' if drops > 1 else ''} since it started"
        )
    throttled = way.server_report.host.throttled
    if throttled:
        remarks.append(
            f"the server was throttled by its CPU limit for {throttled:.1f} s since "
            "it started"
        )
    return remarks


def _figures(way: PathResult) -> Figures:
    figures: Figures = {"peer_address": escape(_peer_endpoint(way)[0])}
    for side, info in (
        ("client", way.client_tcp_info),
        (
            "server",
            way.server_report.connection.model_dump()
            if way.server_report is not None
            and way.server_report.connection is not None
            else None,
        ),
    ):
        for key in ("rtt", "snd_mss", "pmtu", "total_retrans"):
            figures[f"{side}_{key}"] = None if info is None else info[key]
    return figures


FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "path.broken",
        "a later connection fails",
        "One connection succeeded; the next one to the same address failed.",
        Location.UNKNOWN,
        (
            "there are several servers behind the address, and one of them is broken",
            (
                "a firewall or balancer limits the number or the rate of a client's "
                "connections"
            ),
            "the network loses many packets, or one of several links is down",
            "the server was stopped or restarted during the check",
        ),
        (
            "run the check several times: does every second or third run fail?",
            "check each server behind the address directly",
            (
                "look for limits on the path: iptables -vnL (connlimit, hashlimit), "
                "nf_conntrack: table full"
            ),
        ),
    ),
)


def _finish(merged: Judgement, _: Sequence[Judgement]) -> Judgement:
    return replace(merged, summary=merged.summary or "no path could be examined")


_ADDRESSES: Final = AddressCheck(measure, judge, MAX_ADDRESSES, finish=_finish)

CHECK: Final = Check(
    "path",
    "Which client address does the server see, and what are the MSS and path MTU?",
    ("identity",),
    _ADDRESSES.measure,
    _ADDRESSES.judge,
    FAILURES,
    Scope.ADDRESS,
    after=("balance",),
)
