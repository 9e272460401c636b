"""One trial of a size: a connection of its own, so many bytes, what became of them.

A size is that of a frame, header included: what goes to TCP in one write.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self

from netduet.client.net.dial import Address, Cause
from netduet.client.net.framed_connection import FramedConnection, open_connection
from netduet.client.net.handshake import Handshake
from netduet.client.net.server_evidence import ServerView, server_view
from netduet.client.results.location import Direction
from netduet.client.results.verdict import Window
from netduet.wire import payload_pattern
from netduet.wire.frames import HEADER_SIZE, Kind
from netduet.wire.messages import SinkAnswer, SourceQuestion
from netduet.wire.state_machine import Limits
from netduet.wire.untrusted import escape

if TYPE_CHECKING:
    from pydantic import BaseModel

    from netduet.client.checks.base import Timeouts
    from netduet.wire.messages import LedgerEntry, TcpInfo

PATIENCE: Final = 1.8
"""Seconds without progress after which a trial has stalled.

A kernel sends again after 200 ms at the earliest, then after 400, then 800 more: a
packet must have been lost four times for random loss to look like a stall.
"""

BRIEF: Final = 1.0
"""The same where the stall is known and its limit is searched: lost three times."""

LONGEST: Final = 5.0
"""Seconds a trial may take that does make progress."""

_AFTERWARDS: Final = 1.0
"""Seconds for what is asked of a connection when its bytes have arrived."""

_LOOK: Final = 0.1
_ROUND_TRIPS: Final = 4
"""Round trips of patience besides: the kernel's own times grow with them."""

_MOST_ROUND_TRIPS: Final = 2.0
_FRAME_SHARE: Final = 0.8
"""Share of the server's limit on a frame's time that a trial may use up."""

_FORERUNNER: Final = HEADER_SIZE
"""Bytes of the empty answer that comes before the one that is asked for."""

_ORDINARY: Final = 1448
"""What a full packet carries where no kernel says it."""


class TrialOutcome(StrEnum):
    """What became of a trial."""

    PASSED = "passed"
    CHANGED = "changed"
    STALLED = "stalled"
    SLOW = "slow"
    ENDED = "ended"
    UNOPENED = "unopened"


@dataclass(frozen=True, slots=True)
class SegmentCounters:
    """What the sender's kernel says of a connection (TCP_INFO)."""

    snd_mss: int
    pmtu: int
    unacked: int = 0
    notsent: int = 0
    retransmits: int = 0
    acked: int = 0

    @classmethod
    def of(cls, info: Mapping[str, int | str] | None) -> Self | None:
        """Return it from what a kernel said, if that said anything."""
        if info is None:
            return None
        names = ("snd_mss", "pmtu", "unacked", "notsent_bytes", "total_retrans")
        return cls(*(int(info[name]) for name in (*names, "bytes_acked")))


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """What to try: a direction, and a size, None for exactly one full packet.

    ``one_packet``: a size that would need a second one is cut to a full one.
    """

    direction: Direction
    size: int | None = None
    one_packet: bool = False
    brief: bool = False


@dataclass(frozen=True, slots=True)
class SizeTrial:
    """One trial.

    ``before`` and ``after`` are the sender's kernel's view; ``arrived`` is how many
    of the bytes the receiver's kernel has, None when it could not be asked;
    ``unheard`` how many it has acknowledged in vain, for the sender has not heard it;
    ``missing`` says why the server's kernel could not be asked; ``refused`` is the code
    with which the server refused; ``unasked``: not even the request for the bytes has been
    acknowledged; ``record`` is how the connection went, as the server saw it. ``window`` is the time in
    which nothing moved, or all of it. ``changed_at`` counts from the payload's begin.
    """

    plan: TrialPlan
    size: int
    outcome: TrialOutcome
    window: Window
    before: SegmentCounters | None = None
    after: SegmentCounters | None = None
    arrived: int | None = None
    changed_at: int | None = None
    detail: str = ""
    missing: str = ""
    cause: Cause | None = None
    unheard: int = 0
    refused: str = ""
    unasked: bool = False
    record: LedgerEntry | None = None

    @property
    def seconds(self) -> float:
        """How long it was waited for in vain, or in all."""
        return self.window.end - self.window.start

    @property
    def through(self) -> bool:
        """Whether all of it arrived, whatever it looked like."""
        return self.outcome in (TrialOutcome.PASSED, TrialOutcome.CHANGED)

    @property
    def whole(self) -> bool:
        """Whether it was one packet, as long as the sender's kernel makes them."""
        return self.plan.size is None

    @property
    def single(self) -> bool:
        """Whether it fitted into one packet."""
        return self.before is not None and self.size <= self.before.snd_mss

    @property
    def retransmits(self) -> int:
        """How many packets the sender sent again during it."""
        if self.before is None or self.after is None:
            return 0
        return max(0, self.after.retransmits - self.before.retransmits)


async def carry(address: Address, patience: Timeouts, plan: TrialPlan) -> SizeTrial:
    """Try a size on a new connection; never raises by itself."""
    async with open_connection(address, patience) as (opening, conversation):
        if conversation is None:
            window = Window(opening.start, opening.end)
            return SizeTrial(
                plan,
                plan.size or 0,
                TrialOutcome.UNOPENED,
                window,
                detail=_unwelcome(opening),
                cause=opening.cause,
                refused="" if opening.refused is None else opening.refused.code,
            )
        trial = await _TrialRunner(address, patience, plan, conversation).run()
        if trial.through:
            await conversation.end(min(_AFTERWARDS, patience.answer))
    return trial


class _TrialRunner:
    """A trial under way, on the connection that was opened for it."""

    def __init__(
        self,
        address: Address,
        patience: Timeouts,
        plan: TrialPlan,
        conversation: FramedConnection,
    ) -> None:
        """Bind what it is made of."""
        self._address = address
        self._patience = patience
        self._plan = plan
        self._conversation = conversation
        self._up = plan.direction is Direction.UP
        self._own = SegmentCounters.of(conversation.info())

    async def run(self) -> SizeTrial:
        """Send or have sent, and wait as long as there is progress."""
        conversation = self._conversation
        answer_in = self._patience.answer
        before = self._own if self._up else await self._reported(answer_in)
        size = self._size(before)
        seed = secrets.randbits(8 * payload_pattern.SEED_SIZE)
        payload = payload_pattern.make(size - HEADER_SIZE, seed)
        sent = conversation.connection.bytes_sent
        received = conversation.connection.bytes_received
        number = self._ask(payload, seed)
        answer, fate, window = await self._wait(number)
        changed_at = _changed_at(answer, payload)
        if changed_at is not None:
            fate = TrialOutcome.CHANGED
        unasked = not self._up and self._own is not None and self._own.unacked > 0
        after, far = await self._afterwards(fate)
        view = far.view
        if self._up:
            arrived = None if view is None else max(0, view.bytes_received - sent)
        else:
            received += _FORERUNNER
            arrived = max(0, conversation.connection.bytes_received - received)
        unheard = self._unheard(after, view)
        ending = conversation.ending
        return SizeTrial(
            self._plan,
            size,
            fate,
            window,
            before,
            after,
            arrived,
            changed_at,
            "" if ending is None else ending.detail,
            "" if view or far.entry else far.missing,
            unheard=unheard,
            unasked=unasked,
            record=far.entry,
        )

    def _ask(self, payload: bytes, seed: int) -> int:
        """Send the bytes or ask for them, so that no acknowledgement travels in them.

        If one did, and was lost with them, its own sender would send again; who gets
        that twice says so in an option, by which the next packet is too long, is cut
        in two, and passes a virtual link as one that is not looked at.
        """
        conversation = self._conversation
        if self._up:
            with contextlib.suppress(OSError):  # gone already: the answer will tell
                conversation.set_option(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            return conversation.send(Kind.SINK, payload)
        # Both leave in one packet, and the first answer acknowledges both.
        conversation.send(Kind.SOURCE, SourceQuestion(size=0, seed=0), more=True)
        question = SourceQuestion(size=len(payload), seed=seed)
        return conversation.send(Kind.SOURCE, question)

    def _size(self, before: SegmentCounters | None) -> int:
        known = before or self._own
        full = _ORDINARY if known is None else known.snd_mss
        size = self._plan.size or full
        if self._plan.one_packet:
            size = min(size, full)
        # Where a server takes less than a full packet, so much is tried.
        most = min(self._conversation.welcome.limits.max_frame, Limits().max_frame)
        return min(size, HEADER_SIZE + most)

    async def _wait(
        self, number: int
    ) -> tuple[BaseModel | bytes | None, TrialOutcome, Window]:
        """Wait for the answer; give up when nothing has moved in so many looks.

        Looks are counted, not seconds: whoever is starved looks less often, and has
        longer.
        """
        conversation = self._conversation
        start = moved = time.monotonic()
        patience = BRIEF if self._plan.brief else PATIENCE
        patience += min(_ROUND_TRIPS * self._round_trip(), _MOST_ROUND_TRIPS)
        longest = min(LONGEST, _FRAME_SHARE * conversation.welcome.limits.frame)
        last, idle = self._progress(), 0
        while True:
            answer = await conversation.answer(number, _LOOK)
            now = time.monotonic()
            if answer is not None:
                return answer, TrialOutcome.PASSED, Window(start, now)
            if conversation.ending is not None:
                return None, TrialOutcome.ENDED, Window(start, now)
            progress = self._progress()
            if progress != last:
                last, moved, idle = progress, now, 0
            else:
                idle += 1
            if idle * _LOOK >= patience:
                return None, TrialOutcome.STALLED, Window(moved, now)
            if now - start >= longest:
                return None, TrialOutcome.SLOW, Window(start, now)

    def _round_trip(self) -> float:
        info = self._conversation.info()
        return 0.0 if info is None else int(info["rtt"]) / 1e6

    def _progress(self) -> int:
        """Return a number that changes when something moves, and keep our own view."""
        self._own = SegmentCounters.of(self._conversation.info()) or self._own
        acked = self._own.acked if self._up and self._own is not None else 0
        return acked + self._conversation.connection.bytes_received

    async def _afterwards(
        self, fate: TrialOutcome
    ) -> tuple[SegmentCounters | None, ServerView]:
        """Return the sender's view, and what the server knows when it was asked."""
        self._progress()
        own = self._own if self._up else None
        if fate in (TrialOutcome.PASSED, TrialOutcome.CHANGED):
            if self._up or self._plan.brief:
                return own, ServerView()
            short = min(_AFTERWARDS, self._patience.answer)
            return await self._reported(short), ServerView()
        if self._plan.brief:
            return own, ServerView()
        far = ServerView(missing="no answer in time")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience.answer):
                welcome = self._conversation.welcome
                far = await server_view(self._address, welcome, self._patience)
        if not self._up and far.view is not None:
            own = SegmentCounters.of(far.view.model_dump())
        elif self._up:
            self._progress()  # anew: an acknowledgement had the time of a question
            own = self._own
        return own, far

    def _unheard(self, sender: SegmentCounters | None, view: TcpInfo | None) -> int:
        """Return how many bytes the receiver has, and its sender has not heard of it.

        Both kernels count from the connection's begin, the SYN as one byte at most, and
        the receiver only what is in order, which is what it acknowledges.
        """
        if sender is None or view is None:
            return 0
        here = self._conversation.connection.bytes_received
        arrived = view.bytes_received if self._up else here
        return max(0, arrived - sender.acked)

    async def _reported(self, patience: float) -> SegmentCounters | None:
        """Return the server's kernel's view of this very connection."""
        report = await self._conversation.report(patience)
        if report is None or report.connection is None:
            return None
        return SegmentCounters.of(report.connection.model_dump())


def _unwelcome(opening: Handshake) -> str:
    if opening.refused is not None:
        return f"the server says: {escape(opening.refused.message)}"
    if opening.broken is not None:
        return f"its answer breaks a rule: {escape(opening.broken.message)}"
    return opening.detail or "it was accepted, and not welcomed"


def _changed_at(answer: BaseModel | bytes | None, payload: bytes) -> int | None:
    """Return where the first byte stands that did not arrive as it was sent."""
    if isinstance(answer, SinkAnswer):
        return answer.changed_at
    if not isinstance(answer, bytes) or answer == payload:
        return None
    pairs = enumerate(zip(answer, payload, strict=False))
    shorter = min(len(answer), len(payload))
    return next((at for at, (one, other) in pairs if one != other), shorter)
