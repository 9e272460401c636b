"""One short connection: made, welcomed, ended; and what both kernels say of it.

Each is a whole exchange (opening and END): a proxy accepts for servers that are
dead, so an acceptance alone proves nothing. The server ends its sending first, so the
TIME_WAIT (RFC 9293 §3.6.1) is at its end, where it takes no port; here most ports are
free at once (not where both ends cross), and the check does not exhaust what it
measures.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from dataclasses import replace
from typing import Final

from netduet.client.checks.churn.results import STEP, Attempt, AttemptOutcome
from netduet.client.net.dial import Address, Cause, classify
from netduet.client.net.framed_connection import (
    FramedConnection,
    start_framed_connection,
)
from netduet.client.net.handshake import Handshake
from netduet.net import kernel
from netduet.wire.errors import Code
from netduet.wire.untrusted import escape

_ENDING: Final = 1.0
"""Seconds a server has to end its sending; nothing depends on it."""

_HERE: Final = frozenset({Cause.OTHER, Cause.NO_ROUTE})


async def attempt(
    address: Address, at: float, connecting: float, answering: float
) -> tuple[Attempt, FramedConnection | None]:
    """Make a connection; return what came of it, and it, where it was welcomed.

    Args:
        address: where to.
        at: when it begins, in seconds of its run, for the record.
        connecting: seconds for the handshake.
        answering: seconds for the welcome.

    """
    start = time.monotonic()
    try:
        sock = socket.socket(address.family, socket.SOCK_STREAM)
    except OSError as error:
        _, detail = classify(error)
        return Attempt(AttemptOutcome.NOT_TRIED, at, start, start, detail=detail), None
    conversation = None
    welcomed = False
    try:
        one = await _connect(sock, address, at, start, connecting)
        if one.connect is None:
            return one, None
        try:
            conversation = await start_framed_connection(sock)
        except OSError as error:
            _, detail = classify(error)
            return replace(one, outcome=AttemptOutcome.ENDED, detail=detail), None
        opening = await conversation.open(answering)
        one = _opened(one, opening, conversation)
        if opening.welcome is None:
            return one, None
        if one.lost and one.direct:
            report = await conversation.report(answering)
            if report is not None and report.connection is not None:
                one = replace(one, theirs=report.connection.total_retrans)
        welcomed = True
    finally:
        if conversation is None:
            sock.close()
        elif not welcomed:
            conversation.close()
    return one, conversation


async def part(conversation: FramedConnection) -> None:
    """End a connection properly."""
    try:
        await conversation.end(_ENDING)
    finally:
        conversation.close()


async def _connect(
    sock: socket.socket, address: Address, at: float, start: float, patience: float
) -> Attempt:
    """Connect; the kernel's word counts, not how soon this process could look."""
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    waiting = asyncio.ensure_future(loop.sock_connect(sock, address.sockaddr))
    try:
        await asyncio.wait({waiting}, timeout=patience)
    finally:
        if not waiting.done():
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
    end = time.monotonic()
    info = kernel.tcp_info(sock.fileno())
    lost, counted = _lost(info, end - start)
    error = None if waiting.cancelled() else waiting.exception()
    made = error is None and not waiting.cancelled()
    made = made or (info is not None and info["state"] == "ESTABLISHED")
    if made:
        took = end - start
        return Attempt(AttemptOutcome.SERVED, at, start, end, took, lost, counted)
    if error is None:
        return Attempt(AttemptOutcome.NEVER_MADE, at, start, end, None, lost, counted)
    cause, detail = classify(error)
    fate = _fate(error, cause)
    return Attempt(fate, at, start, end, None, lost, counted, detail)


def _fate(error: BaseException, cause: Cause) -> AttemptOutcome:
    if isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL:
        return AttemptOutcome.NO_PORT
    if cause is Cause.TIMEOUT:
        return AttemptOutcome.NEVER_MADE
    return AttemptOutcome.NOT_TRIED if cause in _HERE else AttemptOutcome.REFUSED


def _lost(info: dict[str, int | str] | None, took: float) -> tuple[int, bool]:
    """Return how many SYNs were sent again, and whether the kernel counted them."""
    again = None if info is None else info["total_retrans"]
    if isinstance(again, int):
        return again, True
    return int(took >= STEP), False


def _opened(
    one: Attempt, opening: Handshake, conversation: FramedConnection
) -> Attempt:
    welcome = opening.welcome
    if welcome is not None:
        seen = (welcome.peer.address.partition("%")[0], welcome.peer.port)
        host, port = conversation.local()
        direct = seen == (host.partition("%")[0], port)
        return replace(one, boot_id=welcome.boot_id, direct=direct)
    end = opening.end
    if opening.refused is not None:
        busy = opening.refused.code == Code.TOO_MANY_CONNECTIONS
        fate = AttemptOutcome.BUSY if busy else AttemptOutcome.ENDED
        said = f"the server says: {escape(opening.refused.message)}"
        return replace(one, outcome=fate, end=end, detail=said)
    if opening.cause is Cause.TIMEOUT:
        return replace(
            one, outcome=AttemptOutcome.UNANSWERED, end=end, detail="no answer in time"
        )
    if opening.closed:
        said = "closed without an answer"
    elif opening.foreign:
        said = "another program answers"
    else:
        said = opening.detail or "the answer breaks a rule"
    return replace(one, outcome=AttemptOutcome.ENDED, end=end, detail=said)
