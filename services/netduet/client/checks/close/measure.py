"""Ends connections in each way there is: what the check ``close`` measures."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from netduet.client.checks.base import CheckContext
from netduet.client.checks.close.results import (
    CloseMethod,
    CloseResult,
    CloseTrial,
)
from netduet.client.checks.identity.results import IdentityAnswer
from netduet.client.net.dial import Address
from netduet.client.net.framed_connection import FramedConnection, open_connection
from netduet.client.net.handshake import Handshake
from netduet.client.net.server_evidence import ServerView, server_view
from netduet.client.net.timeouts import Timeouts
from netduet.config.units import KIB
from netduet.net.time_span import TimeSpan
from netduet.wire import payload_pattern
from netduet.wire.frames import HEADER_SIZE, Kind
from netduet.wire.messages import CloseQuestion, SinkAnswer, SourceQuestion

if TYPE_CHECKING:
    from pydantic import BaseModel

    from netduet.wire.messages import LedgerEntry, Welcome

ANSWER_BYTES: Final = 48 * KIB
"""Bytes of an answer: many segments, and less than what buffers on the way hold."""

PUSHED_BYTES: Final = 8 * KIB
"""Bytes that are sent after the server has ended its sending."""

PAUSE_SECONDS: Final = {"quick": 1.0, "full": 2.0, "soak": 65.0}
"""Seconds between our end of sending and the answer, by profile.

Of soak beyond 60 s, for which IPVS remembers a half-closed connection (moby#29655).
"""

_POLL_SECONDS: Final = 0.1
_SETTLE_SECONDS: Final = 1.5
_FIRST_WAIT_SECONDS: Final = 1.0
_MIN_RETRANSMISSIONS: Final = 3
"""Packets sent again that random loss does not explain."""

_MAX_ANSWER_SECONDS: Final = 15.0
"""Seconds after which an answer that still moves is waited for no more."""


async def measure(context: CheckContext, answer: IdentityAnswer) -> CloseResult:
    """End connections to one address side by side, each in another way."""
    pause, limit = PAUSE_SECONDS[context.profile], answer.hold_limit
    pauses = {CloseMethod.PAUSED: pause if limit is None else min(pause, limit)}
    trials = await asyncio.gather(
        *(
            _run_trial(
                context.timeouts,
                answer.address,
                CloseTrial(method, Handshake(), pauses.get(method, 0.0)),
            )
            for method in CloseMethod
        )
    )
    return CloseResult(answer.address, tuple(trials))


async def _run_trial(
    timeouts: Timeouts, address: Address, end: CloseTrial
) -> CloseTrial:
    async with open_connection(address, timeouts) as (opening, conversation):
        end = replace(end, opening=opening)
        if conversation is None:
            return end
        done: Callable[[LedgerEntry], bool] = _is_recorded
        if end.method is CloseMethod.OWN_RESET:
            conversation.reset()
            done = _has_ended
        elif end.method is CloseMethod.RESET:
            end = await _await_reset(timeouts, conversation, end)
        else:
            end = await _await_answer(timeouts, conversation, end)
        if end.open_failure:
            return end
        if (
            end.method is CloseMethod.FINISH
            and end.ending is not None
            and end.ending.how == "eof"
        ):
            end = await _push_after_fin(conversation, end)
            done = partial(_has_received, end.sent)
        # While our end still stands: a close would be told to the server.
        server = await _await_server_record(
            timeouts, address, conversation.welcome, done
        )
        if end.pushed and end.wait is not None:
            end = replace(end, wait=TimeSpan(end.wait.end, time.monotonic()))
        return replace(end, tcp_info=conversation.info(), server=server)


async def _push_after_fin(
    conversation: FramedConnection, end: CloseTrial
) -> CloseTrial:
    """Send on, though the server has ended its sending, and it is soon gone for good.

    A server that has said all listens for two more seconds (its ``linger``): what is
    neither acknowledged by then nor sent again in vain was slow, and proves nothing.
    """
    before = conversation.info()
    conversation.send_raw(bytes(PUSHED_BYTES))
    until = time.monotonic() + _SETTLE_SECONDS
    # What took longer may have used up the server's patience before its end came here.
    late = end.wait is not None and end.wait.seconds > _FIRST_WAIT_SECONDS
    while not late and (info := conversation.info()) is not None:
        again = info.total_retrans
        again -= 0 if before is None else before.total_retrans
        if not info.unacked + info.notsent_bytes or again >= _MIN_RETRANSMISSIONS:
            break
        late = time.monotonic() >= until
        await asyncio.sleep(_POLL_SECONDS)
    sent = conversation.wire.bytes_sent + PUSHED_BYTES
    return replace(end, pushed=PUSHED_BYTES, sent=sent, late=late)


async def _await_answer(
    timeouts: Timeouts, conversation: FramedConnection, end: CloseTrial
) -> CloseTrial:
    """Have a pattern sent as the connection ends; wait for it, and for the end."""
    limit = conversation.welcome.limits.max_frame
    size, seed = min(ANSWER_BYTES, limit), secrets.randbits(63)
    unready = await _open_failure(timeouts, conversation, size)
    if unready:
        return replace(end, open_failure=unready, ending=conversation.ending)
    before = conversation.wire.bytes_received
    finish = end.method is CloseMethod.FINISH
    number = conversation.send(
        Kind.CLOSE,
        CloseQuestion(
            how="finish" if finish else "after_eof",
            delay=end.pause,
            size=size,
            seed=seed,
        ),
    )
    if not finish:
        conversation.end_sending()
    start = time.monotonic()
    answer = await _receive_answer(conversation, number, end.pause + timeouts.answer)
    if answer is not None:
        await conversation.answer(number, timeouts.answer)
    came = conversation.wire.bytes_received - before
    changed = isinstance(answer, bytes) and answer != payload_pattern.make(size, seed)
    return replace(
        end,
        size=size,
        answered=min(size, max(0, came - HEADER_SIZE)),
        changed=changed,
        ending=conversation.ending,
        wait=TimeSpan(start, time.monotonic()),
        sent=conversation.wire.bytes_sent,
    )


async def _open_failure(
    timeouts: Timeouts, conversation: FramedConnection, size: int
) -> str:
    """Return why as much data does not even pass while both ends are open, or ""."""
    pushed = min(PUSHED_BYTES, size)
    pattern = payload_pattern.make(pushed, secrets.randbits(63))
    up = conversation.send(Kind.SINK, pattern)
    seed = secrets.randbits(63)
    down = conversation.send(Kind.SOURCE, SourceQuestion(size=size, seed=seed))
    sunk = await _receive_answer(conversation, up, timeouts.answer)
    if not isinstance(sunk, SinkAnswer):
        return f"{pushed} bytes to the server {_describe_failure(conversation)}"
    came = await _receive_answer(conversation, down, timeouts.answer)
    if came is None:
        return f"{size} bytes from the server {_describe_failure(conversation)}"
    if sunk.changed_at is not None or came != payload_pattern.make(size, seed):
        return "bytes are changed on the way"
    return ""


def _describe_failure(conversation: FramedConnection) -> str:
    ending = conversation.ending
    return "do not arrive" if ending is None else f"fail ({ending.detail})"


async def _receive_answer(
    conversation: FramedConnection, number: int, seconds: float
) -> BaseModel | bytes | None:
    """Return an answer, None when no byte moved for ``seconds``, or it ended."""
    until = time.monotonic() + _MAX_ANSWER_SECONDS
    moved = -1
    while (now := _bytes_moved(conversation)) != moved and time.monotonic() < until:
        moved = now
        answer = await conversation.answer(number, seconds)
        if answer is not None or conversation.ending is not None:
            return answer
    return None


def _bytes_moved(conversation: FramedConnection) -> int:
    """Return a number that grows with what is acknowledged and what comes."""
    info = conversation.info()
    acked = 0 if info is None else info.bytes_acked
    return acked + conversation.wire.bytes_received


async def _await_reset(
    timeouts: Timeouts, conversation: FramedConnection, end: CloseTrial
) -> CloseTrial:
    """Have the server reset the connection.

    Nobody sends a lost reset again; but a byte to where no connection is any more
    makes the server's kernel send another one.
    """
    question = CloseQuestion(how="reset", delay=0.0, size=0, seed=0)
    start = time.monotonic()
    number = conversation.send(Kind.CLOSE, question)
    await conversation.answer(number, min(_FIRST_WAIT_SECONDS, timeouts.answer))
    if conversation.ending is None:
        conversation.send_raw(b"\0")
        await conversation.answer(number, timeouts.answer)
    waited = TimeSpan(start, time.monotonic())
    return replace(end, ending=conversation.ending, wait=waited)


async def _await_server_record(
    timeouts: Timeouts,
    address: Address,
    welcome: Welcome,
    done: Callable[[LedgerEntry], bool],
) -> ServerView:
    """Ask for the server's record, again for a while until it says that it is done."""
    until = time.monotonic() + _SETTLE_SECONDS
    while True:
        server = await server_view(address, welcome, timeouts)
        if server.entry is None or done(server.entry) or time.monotonic() >= until:
            return server
        await asyncio.sleep(_POLL_SECONDS)


def _is_recorded(_: LedgerEntry) -> bool:
    return True


def _has_ended(entry: LedgerEntry) -> bool:
    return entry.ended is not None


def _has_received(sent: int, entry: LedgerEntry) -> bool:
    return entry.ended is not None or entry.bytes_received >= sent
