"""Probes a port by TCP or UDP, and records the answer or the ICMP error and its sender.

In threads, with plain sockets, because uvloop takes a non-empty error queue for a
broken descriptor. Linux queues ICMP errors about a SYN since 5.9 (ip(7), IP_RECVERR;
net/ipv4/tcp_ipv4.c, tcp_v4_err); an older kernel reports only the errno.
"""

from __future__ import annotations

import errno
import math
import select
import socket
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from netduet.client.net.dial import (
    Address,
    Cause,
    errno_meaning,
    errno_name,
    has_route,
    lost_syns,
)
from netduet.client.net.error_queue import enable_error_queue, read_error_queue
from netduet.client.net.icmp_errors import IcmpMeaning, icmp_meaning
from netduet.client.net.udp_handshake import UdpOpening
from netduet.client.net.udp_socket import IcmpNotice, UdpSocket
from netduet.client.results.instance import instance_of
from netduet.net.tcp_info import tcp_info
from netduet.net.time_span import Timed

_SEND_TIMES_SECONDS: Final = (0.0, 0.2, 0.6, 1.4, 2.4)
"""Seconds after the start at which a datagram is sent again."""


class Response(StrEnum):
    """How a probe was answered, or that it was not."""

    OPEN = "open"
    DROPPED = "dropped"
    RESET = "reset"
    PROHIBITED = "prohibited"
    PORT_UNREACHABLE = "port unreachable"
    HOST_UNREACHABLE = "unreachable"
    TTL_EXCEEDED = "TTL exceeded"
    NO_ROUTE = "no route"
    OTHER = "failed"


_BY_ICMP: Final = {
    IcmpMeaning.PORT: Response.PORT_UNREACHABLE,
    IcmpMeaning.HOST: Response.HOST_UNREACHABLE,
    IcmpMeaning.PROHIBITED: Response.PROHIBITED,
    IcmpMeaning.TTL: Response.TTL_EXCEEDED,
    IcmpMeaning.OTHER: Response.OTHER,
}


def response_from_icmp(family: socket.AddressFamily, notice: IcmpNotice) -> Response:
    """Return the meaning of an ICMP error.

    A kernel that does not report the message itself reports the errno it maps it to.
    """
    if notice.kind:
        return _BY_ICMP[icmp_meaning(family, notice.kind, notice.code)]
    return _BY_ICMP[errno_meaning(notice.error).icmp]


@dataclass(frozen=True, slots=True)
class ProbeResult(Timed):
    """The result of one protocol. Times are monotonic seconds.

    ``sent`` is the number of SYNs or datagrams; ``offender`` is the sender of an ICMP
    error, "" if there was none or it is unknown; ``detail`` is the error's name, or who
    answered.
    """

    response: Response
    offender: str = ""
    sent: int = 0
    detail: str = ""
    start: float = 0.0
    end: float = 0.0


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
