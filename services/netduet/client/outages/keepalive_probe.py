"""One old connection, in use all the time: what an outage does to what was there.

Numbered questions (ECHO) leave at a steady pace, and their answers come in order, so a
connection that stands still shows by the age of its oldest question. TCP's back-off
stretches an outage, and a loss in one direction stops both: nothing is said here about
how long the network was out, or which way.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from netduet.client.net.framed_connection import FramedConnection, open_connection
from netduet.client.outages.events import ConnectionStall, Met, Tell
from netduet.wire.frames import Kind

if TYPE_CHECKING:
    from netduet.client.checks.base import Timeouts
    from netduet.client.net.dial import Address
    from netduet.wire.messages import ServerReport

SLOW: Final = 0.3
"""Seconds beyond the quickest answer from which on an answer is late.

A lost segment is sent again after about a round trip and 0.2 s (tcp(7)'s least
retransmission timeout on Linux).
"""

MOST: Final = 200
"""Questions without an answer at which no more are asked."""

_AGAIN: Final = 0.5
_LAST_WORD: Final = 1.0
_PAYLOAD: Final = bytes(8)


class StallDetector:
    """Finds where answers were late. Pure; they come in the order of the questions."""

    def __init__(
        self, tell: Tell, round_trip: Callable[[float], None] = lambda _: None
    ) -> None:
        """Say who hears of a pause that is over, and of the seconds of each answer."""
        self.asked = 0
        self.answered = 0
        self._tell = tell
        self._round_trip = round_trip
        self._sent: deque[float] = deque()
        self._quickest = float("inf")
        self._pause: ConnectionStall | None = None

    @property
    def waiting(self) -> int:
        """How many questions have no answer."""
        return len(self._sent)

    def ask(self, at: float) -> None:
        """Count a question."""
        self.asked += 1
        self._sent.append(at)

    def take(self, count: int, at: float) -> None:
        """Take so many answers, that came at a time."""
        for _ in range(min(count, len(self._sent))):
            sent = self._sent.popleft()
            self.answered += 1
            self._quickest = min(self._quickest, at - sent)
            self._round_trip(at - sent)
            if at - sent <= SLOW + self._quickest:
                self._tell_pause()
            elif self._pause is None or sent > self._pause.end:
                self._tell_pause()
                self._pause = ConnectionStall(sent, at)
            else:
                self._pause = replace(self._pause, end=at)

    @property
    def quickest(self) -> float:
        """The seconds of the quickest answer; 0 before the first."""
        return 0.0 if self._quickest == float("inf") else self._quickest

    def standing(self, now: float) -> ConnectionStall | None:
        """Return the pause that goes on, if one does."""
        if not self._sent or now - self._sent[0] <= SLOW + self.quickest:
            return None
        return ConnectionStall(self._sent[0], now, ended=False)

    def end(self, at: float, broken: str = "") -> None:
        """End the connection: by a breach of it, or because the time is up."""
        start = self._sent[0] if self._sent else at
        late = at - start > SLOW + self.quickest
        pause = self._pause
        if pause is not None and late and start <= pause.end:
            start, self._pause = pause.start, None
        self._tell_pause()
        if broken or late:
            self._tell(ConnectionStall(start, at, broken, ended=bool(broken)))
        self._sent.clear()

    def _tell_pause(self) -> None:
        if self._pause is not None:
            self._tell(self._pause)
        self._pause = None


class KeepaliveProbe:
    """Keeps one connection in use; makes another when it breaks."""

    def __init__(
        self,
        address: Address,
        patience: Timeouts,
        period: float,
        tell: Tell,
        round_trip: Callable[[float], None] = lambda _: None,
        *,
        met: Met = lambda _: None,
    ) -> None:
        """Say where to, at which pace (in seconds), and who hears of events.

        ``round_trip`` hears of the seconds of each answer, ``met`` who welcomed.
        """
        self.pauses = StallDetector(tell, round_trip)
        self.connections = 0
        self.broken = False
        """The last one is gone, and none has been made since."""
        self.unmade = ""
        self.report: ServerReport | None = None
        """What the server said of the connection in the end."""
        self.sent_again = 0
        """Segments that our own kernel sent again."""
        self._address = address
        self._patience = patience
        self._period = period
        self._met = met

    async def run(self, seconds: float) -> None:
        """Go on for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            async with open_connection(self._address, self._patience) as (
                opening,
                talk,
            ):
                if talk is None:
                    self.unmade = opening.detail or "it was not welcomed"
                else:
                    self.connections += 1
                    self._met(talk.welcome)
                    self.broken = False
                    await self._talk(talk, until)
                    self.broken = True
            left = until - time.monotonic()
            if left > 0:
                await asyncio.sleep(min(left, _AGAIN))

    async def _talk(self, talk: FramedConnection, until: float) -> None:
        """Ask and take answers until the time is up or the connection ends."""
        asking = asyncio.create_task(self._ask(talk, until))
        pauses = self.pauses
        try:
            while talk.ending is None:
                now = time.monotonic()
                if now >= until and (not pauses.waiting or now >= until + SLOW):
                    break
                left = until + SLOW - now
                wait = left if pauses.waiting else min(left, self._period)
                count = await talk.echoes(max(self._period, wait))
                if count:
                    pauses.take(count, time.monotonic())
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        broken = "" if talk.ending is None else talk.ending.detail
        pauses.end(time.monotonic(), broken)
        if not broken:
            info = talk.info()
            again = info["total_retrans"] if info is not None else 0
            self.sent_again += again if isinstance(again, int) else 0
            self.report = await talk.report(_LAST_WORD)
            await talk.end(self._period)

    async def _ask(self, talk: FramedConnection, until: float) -> None:
        due = time.monotonic()
        while (now := time.monotonic()) < until:
            if self.pauses.waiting < MOST and talk.ending is None:
                self.pauses.ask(now)
                talk.send(Kind.ECHO, _PAYLOAD)
            due = max(due + self._period, now)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
