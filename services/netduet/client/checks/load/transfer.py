"""Fills the path one way: frames on a few connections, always a bounded part under way.

Rates are counted where the data arrives: up by the server's answers to SINK, down by
what came. A frame takes about 20 ms at the rate that was reached so far, and about a
second's worth is under way at most, so that a deep queue can show itself (RFC 6349
§3.3: the window must exceed the product of bandwidth and delay; RFC 9097 on time).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netduet.client.checks.load.results import (
    SenderTcpInfo,
    TransferFlow,
    TransferStall,
)
from netduet.client.net.server_evidence import present_view
from netduet.client.results.location import Direction
from netduet.client.results.verdict import Window
from netduet.wire import payload_pattern
from netduet.wire.frames import Kind
from netduet.wire.messages import (
    ReportQuestion,
    ServerReport,
    SinkAnswer,
    SourceQuestion,
)
from netduet.wire.state_machine import Limits

if TYPE_CHECKING:
    from pydantic import BaseModel

    from netduet.client.checks.base import Timeouts
    from netduet.client.net.dial import Address
    from netduet.client.net.framed_connection import FramedConnection

LEAST: Final = 16 * 1024
LARGEST: Final = 256 * 1024
"""Sizes of frames: a server parses one at once, and others wait for that long."""

MOST_QUESTIONS: Final = Limits().max_questions - 50
"""Questions of one connection: the server ends one that asks more."""

HALTED: Final = 2.5
"""Seconds without progress on any connection after which a transfer has stalled.

A kernel sends again after 0.2, 0.4, 0.8 and 1.6 s (RFC 6298 §5.5): so many must have
been lost in a row, on each connection, for random loss to look like it.
"""

_FRAME_TIME: Final = 0.02
_UNDER_WAY: Final = (256 * 1024, 8 * 1024 * 1024)
_WARM: Final = 0.3
"""Share of the time that is not counted: TCP's slow start (RFC 5681 §3.1)."""

_LOOK: Final = 0.02
_ROUND_TRIPS: Final = 8
_LONGEST_WARM: Final = 1.0
_WATCHED: Final = 0.5
"""Share of the looks that must have been taken before the time is up."""

_STARVED: Final = 3.0
"""How many times longer a starved end may take."""

_REPORTS: Final = 0.05
_LAST_WORDS: Final = 0.8
_SEEDS: Final = 4
_EVIDENCE: Final = 2.0


@dataclass(frozen=True, slots=True)
class TransferExtent:
    """For how many seconds a transfer lasts, and how many bytes, at most."""

    seconds: float
    size: int


class Transfer:
    """One way, over connections that are open; they can carry no second one."""

    def __init__(
        self,
        direction: Direction,
        conversations: Sequence[FramedConnection],
        extent: TransferExtent,
    ) -> None:
        """Prepare."""
        self._direction = direction
        self._conversations = conversations
        self._extent = extent
        self._up = direction is Direction.UP
        seeds = [secrets.randbits(8 * payload_pattern.SEED_SIZE) for _ in range(_SEEDS)]
        self._patterns = [(seed, payload_pattern.make(LARGEST, seed)) for seed in seeds]
        self._largest = min(
            LARGEST,
            *(
                framed_connection.welcome.limits.max_frame
                for framed_connection in conversations
            ),
        )
        self._arrived = 0
        self._asked = 0
        self._under_way = 0
        self._events: list[tuple[float, int]] = []
        self._senders: list[SenderTcpInfo] = []
        self._over = False
        self._spent = False
        self._changed = False
        self._cut = ""
        self._refused = ""
        self._base = sum(
            framed_connection.connection.bytes_received
            for framed_connection in conversations
        )
        self._progress = (-1, 0.0)
        self._idle = 0
        self._looks = 0

    async def run(self, address: Address, patience: Timeouts) -> TransferFlow:
        """Carry data for so long, or until it stalls; return what came of it."""
        self._start = time.monotonic()
        pumps = [
            asyncio.create_task(self._pump(number, framed_connection))
            for number, framed_connection in enumerate(self._conversations)
        ]
        try:
            window = await self._watch(pumps)
            end = time.monotonic()
            self._over = True
            if window is None and not self._up:
                await self._hear(pumps, (self._start + end) / 2)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        halt = None
        if window is not None:
            halt = await self._explain(window, address, patience)
        for one in self._conversations:
            one.reset()  # what waits in our buffers must not disturb what comes next
        return TransferFlow(
            self._direction,
            len(self._conversations),
            self._start,
            end,
            tuple(self._counted(end)),
            tuple(self._senders),
            self._arrived,
            self._spent,
            self._changed,
            self._cut,
            self._refused,
            halt,
        )

    # Under way

    async def _watch(self, pumps: list[asyncio.Task[None]]) -> Window | None:
        """Wait for the end; return the time in which nothing moved, if it came to that.

        Looks are counted, not seconds: whoever is starved looks less often.
        """
        while True:
            await asyncio.wait(pumps, timeout=_LOOK)
            now = time.monotonic()
            self._look(now)
            if self._cut or self._refused or all(one.done() for one in pumps):
                return None
            if self._idle * _LOOK >= HALTED:
                return Window(self._progress[1], now)
            if self._spent and not self._under_way:
                return None
            if self._idle == 0 and self._long_enough(now):
                return None

    async def _hear(self, pumps: list[asyncio.Task[None]], since: float) -> None:
        """Have the server's last words read: they stand behind the data it owes."""
        until = time.monotonic() + _LAST_WORDS
        while time.monotonic() < until and not all(one.done() for one in pumps):
            if (
                any(sender_tcp_info.at >= since for sender_tcp_info in self._senders)
                and not self._spent
            ):
                return
            await asyncio.wait(pumps, timeout=_LOOK)

    def _long_enough(self, now: float) -> bool:
        """Tell whether the time is up, and enough of it was watched."""
        length, passed = self._length(), now - self._start
        watched = self._looks * _LOOK >= length * _WATCHED
        return passed >= length and (watched or passed >= _STARVED * length)

    def _length(self) -> float:
        """Long enough for TCP to find the path's rate, within reason."""
        rtt = max(
            (sender_tcp_info.min_rtt for sender_tcp_info in self._senders), default=0.0
        )
        warm = min(_ROUND_TRIPS * rtt, _LONGEST_WARM)
        return max(self._extent.seconds, warm)

    def _look(self, now: float) -> None:
        acked = 0
        self._looks += 1
        for number, framed_connection in enumerate(self._conversations):
            info = framed_connection.info()
            if info is None:
                continue
            if self._up:
                sender = SenderTcpInfo.of(now, number, info)
                self._senders += [] if sender is None else [sender]
                acked += int(info["bytes_acked"])
        received = sum(
            framed_connection.connection.bytes_received
            for framed_connection in self._conversations
        )
        if not self._up:
            self._arrived = received - self._base
            self._events.append((now, self._arrived))
        moved = acked + received
        if moved == self._progress[0]:
            self._idle += 1
        else:
            self._progress, self._idle = (moved, now), 0

    async def _pump(self, number: int, conversation: FramedConnection) -> None:
        """Ask on one connection, several questions at once, until told to stop."""
        pending: deque[tuple[int, int, bytes, float]] = deque()
        questions = 0
        reported = 0.0
        share = len(self._conversations)
        own, last = 0, False
        while True:
            while (
                not self._over
                and questions < MOST_QUESTIONS
                and own < self._allowed() / share
                and not self._take_up()
            ):
                size = self._frame()
                now = time.monotonic()
                if not self._up and now - reported > _REPORTS:
                    asked = conversation.send(Kind.REPORT, ReportQuestion())
                    pending.append((asked, 0, b"", now))
                    reported, questions = now, questions + 1
                seed, whole = self._patterns[questions % _SEEDS]
                if self._up:
                    asked = conversation.send(Kind.SINK, whole[:size])
                else:
                    question = SourceQuestion(size=size, seed=seed)
                    asked = conversation.send(Kind.SOURCE, question)
                pending.append((asked, size, whole, now))
                questions += 1
                own += size
                self._asked += size
                self._under_way += size
            ended = self._over or self._spent or questions >= MOST_QUESTIONS
            if ended and not self._up and not last:
                last = True
                asked = conversation.send(Kind.REPORT, ReportQuestion())
                pending.append((asked, 0, b"", time.monotonic()))
            if not pending:
                self._spent = self._spent or not self._over
                return
            asked, size, whole, since = pending[0]
            answer = await conversation.answer(asked, _LOOK)
            if answer is not None:
                pending.popleft()
                own -= size
                self._under_way -= size
                self._take(answer, size, whole)
                if isinstance(answer, ServerReport):
                    self._hear_of(number, answer, since)
            elif conversation.ending is not None:
                self._end(conversation)
                return

    def _take_up(self) -> bool:
        """Tell whether all bytes that may be asked for have been."""
        self._spent = self._spent or self._asked >= self._extent.size
        return self._spent

    def _hear_of(self, number: int, report: ServerReport, asked: float) -> None:
        """Keep what the server's kernel said; it was read soon after it was asked for.

        The answer then stood behind the data owed: its arrival tells no time.
        """
        if report.connection is not None:
            info = report.connection.model_dump()
            sender = SenderTcpInfo.of(asked, number, info)
            self._senders += [] if sender is None else [sender]

    def _take(self, answer: BaseModel | bytes, size: int, whole: bytes) -> None:
        now = time.monotonic()
        match answer:
            case SinkAnswer(received=received, changed_at=changed_at):
                self._arrived += received
                self._events.append((now, self._arrived))
                self._changed |= changed_at is not None or received != size
            case bytes():
                self._changed |= len(answer) != size or not whole.startswith(answer)
            case _:
                pass

    def _end(self, conversation: FramedConnection) -> None:
        ending = conversation.ending
        if ending is None or self._over:
            return
        if ending.how == "error":
            self._refused = ending.detail
        else:
            self._cut = ending.detail

    def _rate(self) -> float:
        """Bytes a second, of late."""
        if len(self._events) < 2:  # noqa: PLR2004 - a rate has a begin and an end
            return 0.0
        start, before = self._events[max(0, len(self._events) - 20)]
        end, after = self._events[-1]
        return (after - before) / max(_LOOK, end - start)

    def _frame(self) -> int:
        """Return a power of two: few patterns are then made, and often used."""
        wanted = int(self._rate() * _FRAME_TIME)
        size = 1 << max(LEAST, wanted).bit_length() - 1
        return min(size, self._largest)

    def _allowed(self) -> float:
        least, most = _UNDER_WAY
        return min(max(least, self._rate()), most)

    def _counted(self, end: float) -> Iterator[tuple[float, int]]:
        """Give what arrived after the warm-up."""
        warm = self._start + _WARM * (end - self._start)
        late = [event for event in self._events if event[0] >= warm]
        yield from late

    # Stalled

    async def _explain(
        self, window: Window, address: Address, patience: Timeouts
    ) -> TransferStall:
        """Ask both kernels what became of a transfer in which nothing moves."""
        first = self._conversations[0]
        view, missing = None, "no answer in time"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_EVIDENCE):
                view, missing = await present_view(address, first.welcome, patience)
        ours = first.info()
        if view is None or ours is None:
            unacked = None if ours is None else int(ours["unacked"])
            return TransferStall(window, unacked if self._up else None, missing=missing)
        mine = {key: int(value) for key, value in ours.items() if key != "state"}
        if self._up:
            # The SYN counts as one byte (RFC 9293 §3.4).
            acked, arrived = mine["bytes_acked"] - 1, view.bytes_received
            unacked, unsent = mine["unacked"], mine["notsent_bytes"]
            sent = first.connection.bytes_sent - unsent
        else:
            acked, arrived = view.bytes_acked - 1, mine["bytes_received"]
            unacked, unsent = view.unacked, view.notsent_bytes
            sent = acked + unacked * view.snd_mss
        lacking = max(0, sent - arrived) if unacked else 0
        if arrived > acked:
            lacking = 0  # it did arrive: its acknowledgements did not
        return TransferStall(window, unacked, unsent, lacking)
