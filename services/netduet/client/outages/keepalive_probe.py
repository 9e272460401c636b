"""A long-lived connection in constant use: what an outage does to existing ones.

Numbered requests (ECHO) are sent at a steady pace, and the answers come in order, so
the age of the oldest unanswered request shows a stall. TCP's back-off prolongs an
outage, and loss in either direction stops both, so this probe shows neither how long
the network was out nor the direction.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from netduet.client.net.framed_connection import FramedConnection
from netduet.client.outages.events import ConnectionStall, EventHandler, WelcomeHandler
from netduet.wire.errors import Code

if TYPE_CHECKING:
    from netduet.client.net.dialer import Dialer, ProbeConnection
    from netduet.client.net.timeouts import Timeouts
    from netduet.runtime.stall_monitor import StallMonitor
    from netduet.wire.messages import ServerReport

LATE_SECONDS: Final = 0.3
"""Seconds beyond the shortest round trip after which an answer is late.

A lost segment is retransmitted after about a round trip plus 0.2 s (Linux's minimum
retransmission timeout, TCP_RTO_MIN)."""

MAX_UNANSWERED: Final = 200
"""Maximum unanswered requests."""

_RECONNECT_SECONDS: Final = 0.5
_REPORT_SECONDS: Final = 1.0


class StallDetector:
    """Finds late answers. Pure; answers must be in the order of the requests."""

    def __init__(
        self,
        on_event: Callable[[ConnectionStall], None],
        on_round_trip: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Report stalls that are over, and the seconds of each round trip."""
        self.asked = 0
        self.answered = 0
        self._on_event = on_event
        self._on_round_trip = on_round_trip
        self._sent: deque[float] = deque()
        self._min_round_trip = float("inf")
        self._stall: ConnectionStall | None = None

    @property
    def unanswered(self) -> int:
        """The number of unanswered requests."""
        return len(self._sent)

    def record_sent(self, now: float) -> None:
        """Count a request."""
        self.asked += 1
        self._sent.append(now)

    def record_answers(self, count: int, now: float) -> None:
        """Record that so many answers arrived."""
        for _ in range(min(count, len(self._sent))):
            sent = self._sent.popleft()
            self.answered += 1
            self._min_round_trip = min(self._min_round_trip, now - sent)
            self._on_round_trip(now - sent)
            if now - sent <= LATE_SECONDS + self._min_round_trip:
                self._report_stall()
            elif self._stall is None or sent > self._stall.end:
                self._report_stall()
                self._stall = ConnectionStall(sent, now)
            else:
                self._stall = replace(self._stall, end=now)

    @property
    def min_round_trip(self) -> float:
        """The shortest round trip in seconds; 0 before the first."""
        return 0.0 if self._min_round_trip == float("inf") else self._min_round_trip

    def ongoing(self, now: float) -> ConnectionStall | None:
        """Return the ongoing stall, if there is one."""
        if not self._sent or now - self._sent[0] <= LATE_SECONDS + self.min_round_trip:
            return None
        return ConnectionStall(self._sent[0], now, ended=False)

    def finish(self, now: float, broken: str = "") -> None:
        """End the connection, because it ``broke`` or because the time is up."""
        start = self._sent[0] if self._sent else now
        late = now - start > LATE_SECONDS + self.min_round_trip
        stall = self._stall
        if stall is not None and late and start <= stall.end:
            start, self._stall = stall.start, None
        self._report_stall()
        if broken or late:
            self._on_event(ConnectionStall(start, now, broken, ended=bool(broken)))
        self._sent.clear()

    def _report_stall(self) -> None:
        if self._stall is not None:
            self._on_event(self._stall)
        self._stall = None


class KeepaliveProbe:
    """Keeps one connection in use; opens another when it breaks."""

    def __init__(
        self,
        dialer: Dialer,
        timeouts: Timeouts,
        period: float,
        stalls: StallMonitor,
        on_event: EventHandler,
        *,
        on_round_trip: Callable[[float], None] = lambda _: None,
        on_welcome: WelcomeHandler = lambda _: None,
        on_shutdown: Callable[[str, float], None] = lambda *_: None,
    ) -> None:
        """Prepare; ``period`` is in seconds.

        ``stalls`` watches this process. ``on_round_trip`` gets the seconds of each
        answer, ``on_welcome`` each welcome, ``on_shutdown`` the boot id of a server that
        announces its shutdown, and when.
        """
        self.detector = StallDetector(self._on_stall, on_round_trip)
        self.connections = 0
        self.broken = False
        """Whether the last connection broke, and none has been opened since."""
        self.connect_error = ""
        self.boot_id = ""
        """That of the server process at the other end, "" if unknown."""
        self.answered_at = float("-inf")
        """The monotonic second of the latest answer."""
        self.server_report: ServerReport | None = None
        """The server's final report about the connection."""
        self.retransmits = 0
        """Segments that this kernel retransmitted."""
        self._dialer = dialer
        self._timeouts = timeouts
        self._period = period
        self._stalls = stalls
        self._on_event = on_event
        self._on_welcome = on_welcome
        self._on_shutdown = on_shutdown

    async def run(self, seconds: float) -> None:
        """Run for that many seconds."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            async with self._dialer.open(self._timeouts) as (handshake, connection):
                if connection is None:
                    self.connect_error = handshake.failure
                else:
                    self.connections += 1
                    if handshake.welcome is not None:
                        self.boot_id = handshake.welcome.boot_id
                        self._on_welcome(handshake.welcome)
                    self.broken = False
                    self.broken = await self._exchange(connection, until)
            left = until - time.monotonic()
            if left > 0:
                await asyncio.sleep(min(left, _RECONNECT_SECONDS))

    def _on_stall(self, stall: ConnectionStall) -> None:
        stalled = self._stalls.stalled(stall.start, stall.end)
        self._on_event(replace(stall, client_stalled=stalled, boot_id=self.boot_id))

    async def _exchange(self, connection: ProbeConnection, until: float) -> bool:
        """Send requests and record answers until the end; return whether it broke."""
        until = min(until, time.monotonic() + self._dialer.max_hold)
        sender = asyncio.create_task(self._send_questions(connection, until))
        detector = self.detector
        try:
            while connection.ending is None:
                now = time.monotonic()
                if now >= until and (
                    not detector.unanswered or now >= until + LATE_SECONDS
                ):
                    break
                left = until + LATE_SECONDS - now
                wait = left if detector.unanswered else min(left, self._period)
                count = await connection.answers(max(self._period, wait))
                if count:
                    self.answered_at = time.monotonic()
                    detector.record_answers(count, self.answered_at)
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
        ending = connection.ending
        if ending is not None and ending.how == "eof" and self._dialer.server_may_close:
            ending = None
        if ending is not None and ending.code == Code.DRAINING:
            self._on_shutdown(self.boot_id, time.monotonic())
        broken = "" if ending is None else ending.detail
        detector.finish(time.monotonic(), broken)
        if not broken:
            info = connection.info()
            self.retransmits += 0 if info is None else info.total_retrans
            if isinstance(connection, FramedConnection):
                self.server_report = await connection.report(_REPORT_SECONDS)
            await connection.end(self._period)
        return bool(broken)

    async def _send_questions(self, connection: ProbeConnection, until: float) -> None:
        due = time.monotonic()
        while (now := time.monotonic()) < until:
            has_room = self.detector.unanswered < MAX_UNANSWERED
            if has_room and connection.ending is None and connection.ask():
                self.detector.record_sent(now)
            due = max(due + self._period, now)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
