"""One short connection: connect, handshake, end; with the TCP_INFO of both kernels.

Each attempt is a whole exchange (opening and END): a proxy accepts on behalf of dead
servers, so a completed TCP handshake alone proves nothing. The server sends its FIN
first, so TIME_WAIT (RFC 9293 §3.6.1) is on its side, where it uses up no port. Most
local ports are free again at once (except on a simultaneous close), so the check does
not exhaust what it measures.
"""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import replace
from typing import Final

from netduet.client.checks.churn.results import (
    SYN_RETRANSMIT_SECONDS,
    Attempt,
    AttemptOutcome,
)
from netduet.client.net.dial import Address, Cause, classify, errno_meaning
from netduet.client.net.dialer import Dialer
from netduet.client.net.framed_connection import FramedConnection
from netduet.client.net.handshake import Handshake
from netduet.client.net.service_connection import ServiceConnection
from netduet.client.protocols.base import Refusal
from netduet.client.results.instance import instance_of
from netduet.net.tcp_info import tcp_info
from netduet.wire.errors import Code
from netduet.wire.messages import TcpInfo

ChurnConnection = FramedConnection | ServiceConnection

_END_SECONDS: Final = 1.0
"""Seconds the server has to send its FIN; no result depends on it."""

_LOCAL_CAUSES: Final = frozenset({Cause.OTHER, Cause.NO_ROUTE})


async def make_attempt(
    dialer: Dialer, offset: float, connect_timeout: float, answer_timeout: float
) -> tuple[Attempt, ChurnConnection | None]:
    """Make a connection; return the attempt, and the connection if it was served.

    ``offset`` is the attempt's start in seconds since its run started.
    """
    address = dialer.address
    start = time.monotonic()
    try:
        sock = socket.socket(address.family, socket.SOCK_STREAM)
    except OSError as error:
        _, detail = classify(error)
        return Attempt(
            AttemptOutcome.NOT_TRIED, offset, start, start, detail=detail
        ), None
    connection = None
    welcomed = False
    try:
        attempt = await _connect(sock, address, offset, start, connect_timeout)
        if attempt.connect_seconds is None:
            return attempt, None
        try:
            connection = await dialer.start(sock)
        except OSError as error:
            _, detail = classify(error)
            return replace(attempt, outcome=AttemptOutcome.ENDED, detail=detail), None
        handshake = await connection.open(answer_timeout)
        attempt = _with_handshake(attempt, handshake, connection)
        if attempt.outcome is not AttemptOutcome.SERVED:
            return attempt, None
        if (
            isinstance(connection, FramedConnection)
            and attempt.lost_syns
            and attempt.direct
        ):
            report = await connection.report(answer_timeout)
            if report is not None and report.connection is not None:
                attempt = replace(
                    attempt, server_retransmits=report.connection.total_retrans
                )
        welcomed = True
    finally:
        if connection is None:
            sock.close()
        elif not welcomed:
            connection.close()
    return attempt, connection


async def end_connection(connection: ChurnConnection) -> None:
    """End a connection with END and FIN."""
    try:
        await connection.end(_END_SECONDS)
    finally:
        connection.close()


async def _connect(
    sock: socket.socket,
    address: Address,
    offset: float,
    start: float,
    connect_timeout: float,
) -> Attempt:
    """Connect; the kernel's state decides, not when this process looked."""
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    connecting_task = asyncio.ensure_future(loop.sock_connect(sock, address.sockaddr))
    try:
        await asyncio.wait({connecting_task}, timeout=connect_timeout)
    finally:
        if not connecting_task.done():
            connecting_task.cancel()
            await asyncio.gather(connecting_task, return_exceptions=True)
    end = time.monotonic()
    info = tcp_info(sock.fileno())
    lost, counted = _lost_syns(info, end - start)
    error = None if connecting_task.cancelled() else connecting_task.exception()
    made = error is None and not connecting_task.cancelled()
    made = made or (info is not None and info.state == "ESTABLISHED")
    if made:
        duration = end - start
        rtt = None if info is None or not info.rtt else info.rtt / 1e6
        return Attempt(
            AttemptOutcome.SERVED,
            offset,
            start,
            end,
            duration,
            lost,
            counted,
            rtt_seconds=rtt,
            local=_local_endpoint(sock),
        )
    if error is None:
        return Attempt(
            AttemptOutcome.NEVER_MADE, offset, start, end, None, lost, counted
        )
    cause, detail = classify(error)
    outcome = _outcome_of(error, cause)
    return Attempt(outcome, offset, start, end, None, lost, counted, detail)


def _local_endpoint(sock: socket.socket) -> tuple[str, int] | None:
    try:
        host, port = sock.getsockname()[:2]
    except OSError:  # it has ended already
        return None
    return host, port


def _outcome_of(error: BaseException, cause: Cause) -> AttemptOutcome:
    if isinstance(error, OSError) and errno_meaning(error.errno).no_port:
        return AttemptOutcome.NO_PORT
    if cause is Cause.TIMEOUT:
        return AttemptOutcome.NEVER_MADE
    return (
        AttemptOutcome.NOT_TRIED if cause in _LOCAL_CAUSES else AttemptOutcome.REFUSED
    )


def _lost_syns(info: TcpInfo | None, duration: float) -> tuple[int, bool]:
    """Return how many SYNs were retransmitted, and whether the kernel counted them."""
    if info is not None:
        return info.total_retrans, True
    return int(duration >= SYN_RETRANSMIT_SECONDS), False


def _with_handshake(
    attempt: Attempt, handshake: Handshake, connection: ChurnConnection
) -> Attempt:
    welcome = handshake.welcome
    attempt = replace(attempt, answer_seconds=handshake.seconds)
    if isinstance(connection, ServiceConnection) and connection.is_served(handshake):
        return attempt
    if welcome is not None:
        seen_from = (welcome.peer.address.partition("%")[0], welcome.peer.port)
        host, port = connection.local()
        direct = seen_from == (host.partition("%")[0], port)
        return replace(
            attempt,
            boot_id=welcome.boot_id,
            direct=direct,
            instance=instance_of(welcome),
        )
    outcome = AttemptOutcome.ENDED
    if _is_busy(handshake):
        outcome = AttemptOutcome.BUSY
    elif handshake.cause is Cause.TIMEOUT:
        outcome = AttemptOutcome.UNANSWERED
    return replace(
        attempt, outcome=outcome, end=handshake.end, detail=handshake.failure
    )


def _is_busy(handshake: Handshake) -> bool:
    refused, recognition = handshake.refused, handshake.recognition
    if recognition is not None:
        return recognition.refusal is Refusal.BUSY
    busy = (Code.TOO_MANY_CONNECTIONS, Code.OVERLOADED)
    return refused is not None and refused.code in busy
