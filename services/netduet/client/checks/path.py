"""What is between client and server: address translation, segment sizes, path MTU."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from netduet.client.checks.addresses import AddressCheck
from netduet.client.checks.base import CheckContext, CheckOptions
from netduet.client.checks.identity.results import IdentityAnswer
from netduet.client.checks.small_writes import FAILURES as SMALL_WRITE_FAILURES
from netduet.client.checks.small_writes import (
    HELD_BACK,
    SmallWrites,
    held_back_finding,
    measure_small_writes,
    small_write_notes,
)
from netduet.client.checks.tcp_options import FAILURES as OPTION_FAILURES
from netduet.client.checks.tcp_options import (
    HandshakeViews,
    option_findings,
    option_notes,
)
from netduet.client.net.dial import Address
from netduet.client.net.framed_connection import open_connection
from netduet.client.net.handshake import Handshake
from netduet.client.net.server_evidence import server_view
from netduet.client.net.timeouts import Timeouts
from netduet.client.results.failure import Failure
from netduet.client.results.instance import instance_of
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import (
    Figures,
    Finding,
    Judgement,
)
from netduet.client.stats.instances import (
    REPEAT_COUNT,
    InstanceTrial,
    name_instance,
)
from netduet.net.tcp_info import tcp_settings
from netduet.wire.messages import LedgerEntry, ServerReport, TcpInfo, TcpSettings
from netduet.wire.untrusted import escape


@dataclass(frozen=True, slots=True)
class PathResult:
    """The path to one address, as both ends see it.

    ``missing`` is why the server's record of the connection is not available. Of a
    service other than netduet-server, only this end's view is known. ``local`` is None
    if there was no connection. ``repeated`` are further tries after a finding, if
    several instances may answer.
    """

    address: Address
    handshake: Handshake
    local: tuple[str, int] | None = None
    client_tcp_info: TcpInfo | None = None
    server_report: ServerReport | None = None
    entry: LedgerEntry | None = None
    missing: str = ""
    sent: int = 0
    received: int = 0
    is_service: bool = False
    client_settings: TcpSettings | None = None
    small_writes: SmallWrites = field(default_factory=SmallWrites)
    repeated: tuple[PathResult, ...] = ()


async def measure(context: CheckContext, answer: IdentityAnswer) -> PathResult:
    """Open a further connection, and ask both ends about it where both can be asked."""
    timeouts = context.timeouts
    if answer.is_service:
        return await _measure_service(answer, timeouts)
    path = await _try_netduet(answer, timeouts)
    if path.local is None or not _findings(path):
        return path
    repeated = await asyncio.gather(
        *(_try_netduet(answer, timeouts) for _ in range(REPEAT_COUNT))
    )
    return replace(path, repeated=tuple(repeated))


async def _try_netduet(answer: IdentityAnswer, timeouts: Timeouts) -> PathResult:
    address = answer.address
    path = await _measure_netduet(address, timeouts)
    if path.local is None or "sink" not in answer.features:
        return path
    return replace(path, small_writes=await measure_small_writes(address, timeouts))


async def _measure_netduet(address: Address, timeouts: Timeouts) -> PathResult:
    async with open_connection(address, timeouts) as (handshake, connection):
        if connection is None:
            return PathResult(address, handshake)
        host, port = connection.local()
        local = host.partition("%")[0], port
        server_counts = await connection.report(timeouts.answer)
        client_counts = connection.info()
        await connection.end(timeouts.answer)
        sent = connection.wire.bytes_sent
        received = connection.wire.bytes_received
        welcome = connection.welcome
    server = await server_view(address, welcome, timeouts, inspect=False)
    return PathResult(
        address,
        handshake,
        local,
        client_counts,
        server_counts,
        server.entry,
        server.missing,
        sent,
        received,
        client_settings=tcp_settings(),
    )


async def _measure_service(answer: IdentityAnswer, timeouts: Timeouts) -> PathResult:
    async with answer.dialer.open(timeouts) as (handshake, connection):
        if connection is None:
            return PathResult(answer.address, handshake, is_service=True)
        host, port = connection.local()
        info = connection.info()
        await connection.end(timeouts.answer)
    local = host.partition("%")[0], port
    return PathResult(answer.address, handshake, local, info, is_service=True)


def judge(path: PathResult, _: CheckOptions) -> Judgement:
    """Compare both ends' views; most differences are notes, not failures."""
    if path.local is None:
        return Judgement("", (_broken_finding(path),))
    if path.is_service:
        return Judgement(_describe_local_view(path), figures=_figures(path))
    views = _handshake_views(path)
    findings = tuple(
        name_instance(finding, _instance_trials(path, finding.failure))
        for finding in _findings(path)
    )
    remarks = [*_remarks(path), *([] if views is None else option_notes(views))]
    remarks += small_write_notes(path.address, path.small_writes, _server_rtt(views))
    return Judgement(_describe_path(path), findings, tuple(remarks), _figures(path))


def _findings(path: PathResult) -> list[Finding]:
    views = _handshake_views(path)
    findings = [] if views is None else option_findings(path.address, views)
    held_back = held_back_finding(path.address, path.small_writes, _server_rtt(views))
    return [*findings, *([] if held_back is None else [held_back])]


def _server_rtt(views: HandshakeViews | None) -> float:
    """Return the RTT of the server's kernel in seconds, 0 if unknown."""
    return 0.0 if views is None else views.server.rtt / 1e6


def _instance_trials(path: PathResult, failure: str) -> Iterator[InstanceTrial]:
    for each in (path, *path.repeated):
        is_held_back = failure == HELD_BACK
        by = each.small_writes.welcome if is_held_back else each.handshake.welcome
        if by is not None:
            failures = {finding.failure for finding in _findings(each)}
            yield InstanceTrial(instance_of(by), failure in failures)


def _handshake_views(path: PathResult) -> HandshakeViews | None:
    report, client = path.server_report, path.client_tcp_info
    if client is None or report is None or report.connection is None:
        return None
    welcome = path.handshake.welcome
    own_address = "" if welcome is None else welcome.local.address.partition("%")[0]
    direct = (
        _peer_endpoint(path) == path.local
        and own_address == path.address.host.partition("%")[0]
    )
    return HandshakeViews(
        client, report.connection, path.client_settings, report.tcp_settings, direct
    )


def _broken_finding(path: PathResult) -> Finding:
    handshake = path.handshake
    seen = f"{path.address}: a later connection failed: {handshake.failure}"
    evidence = ((Side.CLIENT, f"after {handshake.seconds:.1f} s: {handshake.failure}"),)
    missed = handshake.missed_deadline
    return Finding("path.broken", seen, evidence, missed_deadline=missed)


def _peer_endpoint(path: PathResult) -> tuple[str, int]:
    welcome = path.handshake.welcome
    if welcome is None:
        return "", 0
    return welcome.peer.address.partition("%")[0], welcome.peer.port


def _format_endpoint(host: str, port: int) -> str:
    """Return an address and port from a peer as a person types them."""
    shown = escape(host)
    return f"[{shown}]:{port}" if ":" in shown else f"{shown}:{port}"


def _describe_path(path: PathResult) -> str:
    seen = _peer_endpoint(path)
    if path.local is not None and seen == path.local:
        client_text = (
            f"no NAT: the server sees this client's own address, {path.local[0]}"
        )
    else:
        client_text = f"the server sees this client as {_format_endpoint(*seen)}"
    mss = _segment_sizes(path)
    if mss is None:
        return client_text
    up, down, pmtu = mss
    sizes = f"{up} in both directions" if up == down else f"{up} up, {down} down"
    return f"{client_text}; MSS {sizes}, path MTU {pmtu}"


def _describe_local_view(path: PathResult) -> str:
    info = path.client_tcp_info
    text = f"from {_format_endpoint(*path.local)}" if path.local is not None else ""
    if info is None:
        return text
    rtt = f"RTT {info.rtt / 1000:.1f} ms"
    return f"{text}: {rtt}, MSS {info.snd_mss} up, path MTU {info.pmtu}"


def _segment_sizes(path: PathResult) -> tuple[int, int, int] | None:
    """Return the segment sizes up and down, and this kernel's path MTU."""
    if (
        path.client_tcp_info is None
        or path.server_report is None
        or path.server_report.connection is None
    ):
        return None
    up, pmtu = path.client_tcp_info.snd_mss, path.client_tcp_info.pmtu
    return up, path.server_report.connection.snd_mss, pmtu


def _remarks(path: PathResult) -> list[str]:
    remarks = []
    seen, local = _peer_endpoint(path), path.local
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
    endpoint = (
        path.handshake.welcome.local if path.handshake.welcome is not None else None
    )
    if (
        endpoint is not None
        and endpoint.address.partition("%")[0] != path.address.host.partition("%")[0]
    ):
        remarks.append(
            f"connected to {path.address}, but the server's own address is "
            f"{_format_endpoint(endpoint.address, endpoint.port)}: there is a published "
            "port, virtual address or proxy in between"
        )
    mss = _segment_sizes(path)
    if mss is not None and mss[0] != mss[1]:
        remarks.append(
            f"segments are at most {mss[0]} bytes up and {mss[1]} down: the two ends' "
            "MTUs differ, or something clamps the MSS in one direction"
        )
    remarks += _ledger_remarks(path)
    remarks += _host_remarks(path)
    return remarks


def _ledger_remarks(path: PathResult) -> list[str]:
    entry = path.entry
    if entry is None:
        return [f"the server's record is not available: {path.missing}"]
    if (entry.bytes_received, entry.bytes_sent) == (path.sent, path.received):
        return []
    differs = (
        f"this end sent {path.sent} and received {path.received} bytes; the server "
        f"received {entry.bytes_received} and sent {entry.bytes_sent}"
    )
    return [differs]


def _host_remarks(path: PathResult) -> list[str]:
    remarks = []
    if path.server_report is None:
        return ["the server did not report its own view of the connection"]
    drops = path.server_report.listener.drops
    if drops:
        remarks.append(
            f"the server's listening socket has dropped {drops} connection "
            f"attempt{'s' if drops > 1 else ''} since it started"
        )
    throttled = path.server_report.host.throttled
    if throttled:
        remarks.append(
            f"the server was throttled by its CPU limit for {throttled:.1f} s since "
            "it started"
        )
    return remarks


def _figures(path: PathResult) -> Figures:
    peer = _peer_endpoint(path)
    figures: Figures = {"peer_address": escape(peer[0])}
    if not path.is_service:
        figures["translated"] = peer != path.local
    report = path.server_report
    server_tcp_info = None if report is None else report.connection
    for side, info in (("client", path.client_tcp_info), ("server", server_tcp_info)):
        for key in ("rtt", "snd_mss", "pmtu", "total_retrans"):
            figures[f"{side}_{key}"] = None if info is None else getattr(info, key)
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
                "a firewall or load balancer limits the number or the rate of a client's "
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
    *OPTION_FAILURES,
    *SMALL_WRITE_FAILURES,
)


CHECK: Final = AddressCheck(
    measure, judge, any_service=True, datagrams=True, max_addresses=8
).as_check(
    "path",
    "Which client address does the server see, and what are the MSS and path MTU?",
    FAILURES,
)
