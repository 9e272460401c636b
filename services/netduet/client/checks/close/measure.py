"""Ends connections in each way there is: what the check ``close`` measures."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Final

from netduet.client.checks.base import CheckContext, Timeouts
from netduet.client.checks.identity.results import IdentityResult
from netduet.client.net.dial import Address
from netduet.client.net.framed_connection import FramedConnection, open_connection
from netduet.client.net.handshake import ConnectionEnd, Handshake
from netduet.client.net.server_evidence import ServerView, server_view
from netduet.client.results.verdict import Window
from netduet.config.units import KIB
from netduet.wire import payload_pattern
from netduet.wire.frames import HEADER_SIZE, Kind
from netduet.wire.messages import CloseQuestion, SinkAnswer, SourceQuestion

if TYPE_CHECKING:
    from pydantic import BaseModel

    from netduet.wire.messages import LedgerEntry, Welcome

MOST: Final = 4
"""Addresses at which connections are ended."""

SIZE: Final = 48 * KIB
"""Bytes of an answer: many segments, and less than what buffers on the way hold."""

PUSHED: Final = 8 * KIB
"""Bytes that are sent after the server has ended its sending."""

PAUSES: Final = {"quick": 1.0, "full": 2.0, "soak": 65.0}
"""Seconds between our end of sending and the answer, by profile.

Of soak beyond 60 s, for which IPVS remembers a half-closed connection (moby#29655).
"""

FEATURES: Final = frozenset({"close", "sink", "source", "ledger"})

_LOOK: Final = 0.1
_SETTLE: Final = 1.5
_FIRST: Final = 1.0
_IN_VAIN: Final = 3
"""Packets sent again that random loss does not explain."""

_LONGEST: Final = 15.0
"""Seconds after which an answer that still moves is waited for no more."""


class CloseMethod(StrEnum):
    """How a connection is ended."""

    AT_ONCE = "at_once"
    """This end ends its sending; the answer follows at once."""
    PAUSED = "paused"
    """The same, and the answer follows after a pause."""
    FINISH = "finish"
    """The server answers and ends its sending; this end goes on sending."""
    RESET = "reset"
    """The server resets."""
    OWN_RESET = "own_reset"
    """This end resets."""


@dataclass(frozen=True, slots=True)
class CloseTrial:
    """What was seen of an end.

    ``unready`` says why data did not pass even while both ends were open.
    ``late``: what was pushed was still on its way when the server may have been done
    waiting. ``answered`` is how many of the ``size`` bytes of the answer came, ``changed``
    whether they were others; ``pushed`` how many bytes were sent after the server's
    end, ``sent`` all bytes that this end has sent.
    """

    way: CloseMethod
    opening: Handshake
    pause: float = 0.0
    unready: str = ""
    size: int = 0
    answered: int = 0
    changed: bool = False
    ending: ConnectionEnd | None = None
    waited: Window | None = None
    pushed: int = 0
    late: bool = False
    sent: int = 0
    ours: dict[str, int | str] | None = None
    far: ServerView = field(default_factory=ServerView)

    @property
    def whole(self) -> bool:
        """Whether the answer came, every byte of it."""
        return self.answered == self.size and not self.changed


@dataclass(frozen=True, slots=True)
class CloseResult:
    """The ends at one address; none when the server cannot be asked for them."""

    address: Address
    able: bool
    ends: tuple[CloseTrial, ...] = ()


@dataclass(frozen=True, slots=True)
class Close:
    """What was measured, by address."""

    places: tuple[CloseResult, ...]


async def measure(context: CheckContext) -> Close:
    """End connections side by side, each in another way."""
    known = context.earlier(IdentityResult).known[:MOST]
    places = await asyncio.gather(
        *(
            _end_all(context, answer.address, answer.opening.welcome)
            for answer in known
            if answer.opening.welcome is not None
        )
    )
    return Close(tuple(places))


async def _end_all(
    context: CheckContext, address: Address, welcome: Welcome
) -> CloseResult:
    if FEATURES - set(welcome.features):
        return CloseResult(address, able=False)
    limit = welcome.limits.hold
    pause = PAUSES[context.profile]
    pause = pause if limit is None else min(pause, limit)
    patience = context.timeouts
    ends = await asyncio.gather(
        _end(patience, address, CloseTrial(CloseMethod.AT_ONCE, Handshake())),
        _end(patience, address, CloseTrial(CloseMethod.PAUSED, Handshake(), pause)),
        _end(patience, address, CloseTrial(CloseMethod.FINISH, Handshake())),
        _end(patience, address, CloseTrial(CloseMethod.RESET, Handshake())),
        _end(patience, address, CloseTrial(CloseMethod.OWN_RESET, Handshake())),
    )
    return CloseResult(address, able=True, ends=ends)


async def _end(patience: Timeouts, address: Address, end: CloseTrial) -> CloseTrial:
    async with open_connection(address, patience) as (opening, conversation):
        end = replace(end, opening=opening)
        if conversation is None:
            return end
        done: Callable[[LedgerEntry], bool] = _said
        if end.way is CloseMethod.OWN_RESET:
            conversation.reset()
            done = _over
        elif end.way is CloseMethod.RESET:
            end = await _be_reset(patience, conversation, end)
        else:
            end = await _be_answered(patience, conversation, end)
        if end.unready:
            return end
        if (
            end.way is CloseMethod.FINISH
            and end.ending is not None
            and end.ending.how == "eof"
        ):
            end = await _push(conversation, end)
            done = partial(_arrived, end.sent)
        # While our end still stands: a close would be told to the server.
        far = await _settled(patience, address, conversation.welcome, done)
        if end.pushed and end.waited is not None:
            end = replace(end, waited=Window(end.waited.end, time.monotonic()))
        return replace(end, ours=conversation.info(), far=far)


async def _push(conversation: FramedConnection, end: CloseTrial) -> CloseTrial:
    """Send on, though the server has ended its sending, and it is soon gone for good.

    A server that has said all listens for two more seconds (its ``linger``): what is
    neither acknowledged by then nor sent again in vain was slow, and proves nothing.
    """
    before = conversation.info()
    conversation.push(bytes(PUSHED))
    until = time.monotonic() + _SETTLE
    # What took longer may have used up the server's patience before its end came here.
    late = end.waited is not None and end.waited.end - end.waited.start > _FIRST
    while not late and (info := conversation.info()) is not None:
        again = int(info["total_retrans"])
        again -= 0 if before is None else int(before["total_retrans"])
        if not int(info["unacked"]) + int(info["notsent_bytes"]) or again >= _IN_VAIN:
            break
        late = time.monotonic() >= until
        await asyncio.sleep(_LOOK)
    sent = conversation.connection.bytes_sent + PUSHED
    return replace(end, pushed=PUSHED, sent=sent, late=late)


async def _be_answered(
    patience: Timeouts, conversation: FramedConnection, end: CloseTrial
) -> CloseTrial:
    """Have a pattern sent as the connection ends; wait for it, and for the end."""
    limit = conversation.welcome.limits.max_frame
    size, seed = min(SIZE, limit), secrets.randbits(63)
    unready = await _readied(patience, conversation, size)
    if unready:
        return replace(end, unready=unready, ending=conversation.ending)
    before = conversation.connection.bytes_received
    finish = end.way is CloseMethod.FINISH
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
    answer = await _coming(conversation, number, end.pause + patience.answer)
    if answer is not None:
        await conversation.answer(number, patience.answer)
    came = conversation.connection.bytes_received - before
    changed = isinstance(answer, bytes) and answer != payload_pattern.make(size, seed)
    return replace(
        end,
        size=size,
        answered=min(size, max(0, came - HEADER_SIZE)),
        changed=changed,
        ending=conversation.ending,
        waited=Window(start, time.monotonic()),
        sent=conversation.connection.bytes_sent,
    )


async def _readied(
    patience: Timeouts, conversation: FramedConnection, size: int
) -> str:
    """Return why as much data does not even pass while both ends are open, or ""."""
    pushed = min(PUSHED, size)
    pattern = payload_pattern.make(pushed, secrets.randbits(63))
    up = conversation.send(Kind.SINK, pattern)
    seed = secrets.randbits(63)
    down = conversation.send(Kind.SOURCE, SourceQuestion(size=size, seed=seed))
    sunk = await _coming(conversation, up, patience.answer)
    if not isinstance(sunk, SinkAnswer):
        return f"{pushed} bytes to the server {_why(conversation)}"
    came = await _coming(conversation, down, patience.answer)
    if came is None:
        return f"{size} bytes from the server {_why(conversation)}"
    if sunk.changed_at is not None or came != payload_pattern.make(size, seed):
        return "bytes are changed on the way"
    return ""


def _why(conversation: FramedConnection) -> str:
    ending = conversation.ending
    return "do not arrive" if ending is None else f"fail ({ending.detail})"


async def _coming(
    conversation: FramedConnection, number: int, patience: float
) -> BaseModel | bytes | None:
    """Return an answer, None when for so long nothing of it has moved, or it ended."""
    until = time.monotonic() + _LONGEST
    moved = -1
    while (now := _moved(conversation)) != moved and time.monotonic() < until:
        moved = now
        answer = await conversation.answer(number, patience)
        if answer is not None or conversation.ending is not None:
            return answer
    return None


def _moved(conversation: FramedConnection) -> int:
    """Return a number that grows with what is acknowledged and what comes."""
    info = conversation.info()
    acked = 0 if info is None else int(info["bytes_acked"])
    return acked + conversation.connection.bytes_received


async def _be_reset(
    patience: Timeouts, conversation: FramedConnection, end: CloseTrial
) -> CloseTrial:
    """Have the server reset the connection.

    Nobody sends a lost reset again; but a byte to where no connection is any more
    makes the server's kernel send another one.
    """
    question = CloseQuestion(how="reset", delay=0.0, size=0, seed=0)
    start = time.monotonic()
    number = conversation.send(Kind.CLOSE, question)
    await conversation.answer(number, min(_FIRST, patience.answer))
    if conversation.ending is None:
        conversation.push(b"\0")
        await conversation.answer(number, patience.answer)
    waited = Window(start, time.monotonic())
    return replace(end, ending=conversation.ending, waited=waited)


async def _settled(
    patience: Timeouts,
    address: Address,
    welcome: Welcome,
    done: Callable[[LedgerEntry], bool],
) -> ServerView:
    """Ask for the server's record, again for a while until it says that it is done."""
    until = time.monotonic() + _SETTLE
    while True:
        far = await server_view(address, welcome, patience)
        if far.entry is None or done(far.entry) or time.monotonic() >= until:
            return far
        await asyncio.sleep(_LOOK)


def _said(_: LedgerEntry) -> bool:
    return True


def _over(entry: LedgerEntry) -> bool:
    return entry.ended is not None


def _arrived(sent: int, entry: LedgerEntry) -> bool:
    return entry.ended is not None or entry.bytes_received >= sent
