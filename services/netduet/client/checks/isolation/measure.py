"""Probes a port by TCP and UDP, and records every answer and ICMP error.

In threads, with plain sockets, because uvloop takes a non-empty error queue for a
broken descriptor.
"""

from __future__ import annotations

import asyncio
import errno
import math
import select
import socket
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from netduet.client.checks.isolation.results import (
    IsolationResult,
    PortState,
    ProbeResult,
    Response,
    response_from_icmp,
)
from netduet.client.checks.name import NameResult
from netduet.client.net.dial import (
    Address,
    Cause,
    errno_meaning,
    errno_name,
    has_route,
    in_thread,
    lost_syns,
)
from netduet.client.net.framed_connection import open_connection
from netduet.client.net.handshake import Handshake
from netduet.client.net.udp_handshake import UdpOpening
from netduet.client.net.udp_socket import (
    IcmpNotice,
    UdpSocket,
    enable_error_queue,
    read_error_queue,
)
from netduet.client.results.instance import instance_of
from netduet.net.tcp_info import tcp_info

if TYPE_CHECKING:
    from netduet.client.checks.base import CheckContext
    from netduet.client.net.timeouts import Timeouts

MAX_ADDRESSES: Final = 16
"""Maximum addresses that are probed."""

_SEND_TIMES_SECONDS: Final = (0.0, 0.2, 0.6, 1.4, 2.4)
"""Seconds after the start at which a datagram is sent again."""

_IPV4_ROUTES: Final = Path("/proc/net/route")
_IPV6_ROUTES: Final = Path("/proc/net/ipv6_route")


async def measure(context: CheckContext) -> IsolationResult:
    """Probe all addresses concurrently."""
    addresses = context.earlier(NameResult).resolution.addresses
    ports = await asyncio.gather(
        *(
            _probe_port(address, context.timeouts)
            for address in addresses[:MAX_ADDRESSES]
        )
    )
    left_out = max(0, len(addresses) - MAX_ADDRESSES)
    return IsolationResult(tuple(ports), left_out, has_routes(), context.control)


async def _probe_port(address: Address, timeouts: Timeouts) -> PortState:
    # A router that finds no host reports it after 3 s, and only for some packets (RFC
    # 4861 §10, RFC 1812 §4.3.2.8): UDP waits for as long as TCP may.
    udp_timeout = max(timeouts.connect, timeouts.answer)
    tcp, udp = await asyncio.gather(
        in_thread(partial(probe_tcp, address, timeouts.connect)),
        in_thread(partial(probe_udp, address, udp_timeout)),
    )
    handshake: Handshake | None = None
    if tcp.response is Response.OPEN:
        async with open_connection(address, timeouts) as (handshake, connection):
            if connection is not None:
                await connection.end(min(1.0, timeouts.answer))
    return PortState(address, tcp, udp, own_address(address), handshake)


def probe_tcp(address: Address, timeout: float) -> ProbeResult:
    """Connect, and close at once if that works; never raises."""
    start = time.monotonic()
    if not has_route(address):
        return ProbeResult(Response.NO_ROUTE, start=start, end=start)
    try:
        with socket.socket(address.family, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            enable_error_queue(sock, address.family)
            error = sock.connect_ex(address.sockaddr)
            notices: list[IcmpNotice] = []
            if error == errno.EINPROGRESS:
                error = _await_connect(sock, address, start + timeout, notices)
            sent = lost_syns(sock) + 1
    except OSError as failed:
        error, notices, sent = failed.errno or 0, [], 0
    end = time.monotonic()
    name = errno_name(error)
    if error == 0:
        return ProbeResult(Response.OPEN, "", sent, "", start, end)
    if notices:
        last = notices[-1]
        response = response_from_icmp(address.family, last)
        return ProbeResult(response, last.offender, sent, last.error, start, end)
    known = {
        Cause.TIMEOUT: Response.DROPPED,
        Cause.REFUSED: Response.RESET,
        Cause.RESET: Response.OPEN,  # it was accepted first (RFC 9293 §3.10.7.3)
    }
    cause = errno_meaning(error).cause
    response = known.get(cause) or response_from_icmp(address.family, IcmpNotice(name))
    return ProbeResult(response, "", sent, name, start, end)


def _await_connect(
    sock: socket.socket, address: Address, until: float, notices: list[IcmpNotice]
) -> int:
    """Wait for a connection; return 0 or the errno.

    An ICMP error that does not end the attempt (tcp(7)) is recorded, and the wait
    continues.
    """
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    while True:
        left = until - time.monotonic()
        events = poll.poll(math.ceil(max(0.0, left) * 1000))
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        remote = [
            queued
            for queued in read_error_queue(sock, address.family)
            if not queued.local
        ]
        notices += [
            IcmpNotice(
                queued.error, queued.offender, queued.mtu, queued.kind, queued.code
            )
            for queued in remote
        ]
        # Emptying the queue clears the error (net/core/skbuff.c, sock_dequeue_err_skb);
        # the state still shows that the attempt ended.
        if remote and not error and _state(sock) == "CLOSE":
            error = errno.EHOSTUNREACH
        if error:
            return error
        if any(event & select.POLLOUT for _, event in events) and _is_connected(sock):
            return 0
        if left <= 0:
            return errno.ETIMEDOUT
        if events and not remote:  # nothing new; it would wake us again at once
            time.sleep(min(0.01, left))


def _state(sock: socket.socket) -> int | str | None:
    info = tcp_info(sock.fileno())
    return None if info is None else info.state


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def probe_udp(address: Address, timeout: float) -> ProbeResult:
    """Send netduet openings until something arrives; never raises."""
    start = time.monotonic()
    try:
        with UdpSocket(address) as sock:
            return _probe_by_datagrams(sock, address, start, timeout)
    except OSError as error:
        name = errno_name(error.errno)
        no_route = errno_meaning(error.errno).no_route
        response = Response.NO_ROUTE if no_route else Response.OTHER
        return ProbeResult(response, "", 0, name, start, time.monotonic())


def _probe_by_datagrams(
    sock: UdpSocket, address: Address, start: float, timeout: float
) -> ProbeResult:
    udp_opening = UdpOpening(sock)
    for number, after in enumerate(_SEND_TIMES_SECONDS):
        if after >= timeout:
            break
        udp_opening.send(small=True)
        until = start + min(timeout, (*_SEND_TIMES_SECONDS, timeout)[number + 1])
        while (left := until - time.monotonic()) > 0:
            arrived = sock.wait(left)
            udp_opening.receive(arrived)
            if arrived or sock.notices:
                break
        if arrived or sock.notices:
            break
    end = time.monotonic()
    opening_result = udp_opening.result(start, end)
    if opening_result.reached or opening_result.foreign:
        welcome = opening_result.welcome
        detail = "" if welcome is None else f"instance {instance_of(welcome)}"
        return ProbeResult(Response.OPEN, "", udp_opening.left, detail, start, end)
    if opening_result.notices:
        first = opening_result.notices[0]
        response = response_from_icmp(address.family, first)
        return ProbeResult(
            response, first.offender, udp_opening.left, first.error, start, end
        )
    if not udp_opening.left:
        return ProbeResult(Response.OTHER, "", 0, opening_result.error, start, end)
    return ProbeResult(Response.DROPPED, "", udp_opening.left, "", start, end)


def own_address(address: Address) -> str:
    """Return this host's address on that route, "" without a route."""
    try:
        with socket.socket(address.family, socket.SOCK_DGRAM) as sock:
            sock.connect(address.sockaddr)
            address_text: str = sock.getsockname()[0]
    except OSError:
        return ""
    return address_text


def has_routes() -> bool:
    """Whether this host has a route to any other host; True if unknown."""
    try:
        ipv4 = _IPV4_ROUTES.read_text().splitlines()[1:]
    except OSError:
        return True
    try:
        ipv6 = _IPV6_ROUTES.read_text().splitlines()
    except OSError:  # a kernel without IPv6
        ipv6 = []
    # The destination is the first field, 32 digits; the interface the last
    # (proc_net(5)).
    ipv6 = [line for line in ipv6 if not line.startswith(("fe80", "ff"))]
    return any(line.split()[0] != "lo" for line in ipv4 if line.strip()) or any(
        line.split()[-1] != "lo" for line in ipv6 if line.strip()
    )
