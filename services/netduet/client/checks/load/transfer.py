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
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netduet.client.checks.load.results import (
    SenderTcpInfo,
    TransferFlow,
    TransferStall,
)
from netduet.client.net.server_evidence import ServerView, server_view
from netduet.client.results.location import Direction
from netduet.net.time_span import TimeSpan
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

    from netduet.client.net.dial import Address
    from netduet.client.net.framed_connection import FramedConnection
    from netduet.client.net.timeouts import Timeouts

MIN_FRAME_BYTES: Final = 16 * 1024
MAX_FRAME_BYTES: Final = 256 * 1024
"""Sizes of frames: a server parses one at once, and others wait for that long."""

MAX_QUESTIONS: Final = Limits().max_questions - 50
"""Questions of one connection: the server ends one that asks more."""

STALL_SECONDS: Final = 2.5
"""Seconds without progress on any connection after which a transfer has stalled.

A kernel sends again after 0.2, 0.4, 0.8 and 1.6 s (RFC 6298 §5.5): so many must have
been lost in a row, on each connection, for random loss to look like it.
"""

_FRAME_SECONDS: Final = 0.02
_IN_FLIGHT_BYTES: Final = (256 * 1024, 8 * 1024 * 1024)
_WARM_UP_SHARE: Final = 0.3
"""Share of the time that is not counted: TCP's slow start (RFC 5681 §3.1)."""

_POLL_SECONDS: Final = 0.02
_WARM_UP_ROUND_TRIPS: Final = 8
_MAX_WARM_UP_SECONDS: Final = 1.0
_MIN_POLLED_SHARE: Final = 0.5
"""Share of the looks that must have been taken before the time is up."""

_MAX_STARVED_FACTOR: Final = 3.0
"""How many times longer a starved end may take."""

_REPORT_INTERVAL_SECONDS: Final = 0.05
_LAST_REPORT_SECONDS: Final = 0.8
_PATTERN_COUNT: Final = 4
_EVIDENCE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class TransferExtent:
    """For how many seconds a transfer lasts, and how many bytes, at most."""

    seconds: float
    max_bytes: int


class Transfer:
    """One way, over connections that are open; they can carry no second one."""

    def __init__(
        self,
        direction: Direction,
        connections: Sequence[FramedConnection],
        extent: TransferExtent,
    ) -> None:
        """Prepare."""
        self._direction = direction
        self._connections = connections
        self._extent = extent
        self._up = direction is Direction.UP
        seeds = [
            secrets.randbits(8 * payload_pattern.SEED_SIZE)
            for _ in range(_PATTERN_COUNT)
        ]
        self._patterns = [
            (seed, payload_pattern.make(MAX_FRAME_BYTES, seed)) for seed in seeds
        ]
        self._largest = min(
            MAX_FRAME_BYTES,
            *(connection.welcome.limits.max_frame for connection in connections),
        )
        self._arrived = 0
        self._requested_bytes = 0
        self._in_flight_bytes = 0
        self._arrivals: list[tuple[float, int]] = []
        self._sender_infos: list[SenderTcpInfo] = []
        self._stopping = False
        self._exhausted = False
        self._changed = False
        self._connection_error = ""
        self._server_refusal = ""
        self._received_before = sum(
            connection.wire.bytes_received for connection in connections
        )
        self._last_progress = (-1, 0.0)
        self._idle_polls = 0
        self._polls = 0

    async def run(self, address: Address, timeouts: Timeouts) -> TransferFlow:
        """Carry data for so long, or until it stalls; return what came of it."""
        self._start = time.monotonic()
        pumps = [
            asyncio.create_task(self._pump(number, connection))
            for number, connection in enumerate(self._connections)
        ]
        try:
            window = await self._wait_until_done(pumps)
            end = time.monotonic()
            self._stopping = True
            if window is None and not self._up:
                await self._await_last_reports(pumps, (self._start + end) / 2)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        stall = None
        if window is not None:
            stall = await self._collect_evidence(window, address, timeouts)
        for connection in self._connections:
            connection.reset()  # what waits in our buffers must not disturb what comes next
        warm = self._start + _WARM_UP_SHARE * (end - self._start)
        return TransferFlow(
            self._direction,
            len(self._connections),
            self._start,
            end,
            tuple(event for event in self._arrivals if event[0] >= warm),
            tuple(self._sender_infos),
            self._arrived,
            self._exhausted,
            self._changed,
            self._connection_error,
            self._server_refusal,
            stall,
        )

    # Under way

    async def _wait_until_done(
        self, pumps: list[asyncio.Task[None]]
    ) -> TimeSpan | None:
        """Wait for the end; return the time in which nothing moved, if it came to that.

        Looks are counted, not seconds: whoever is starved looks less often.
        """
        while True:
            await asyncio.wait(pumps, timeout=_POLL_SECONDS)
            now = time.monotonic()
            self._poll(now)
            if (
                self._connection_error
                or self._server_refusal
                or all(pump.done() for pump in pumps)
            ):
                return None
            if self._idle_polls * _POLL_SECONDS >= STALL_SECONDS:
                return TimeSpan(self._last_progress[1], now)
            if self._exhausted and not self._in_flight_bytes:
                return None
            if self._idle_polls == 0 and self._long_enough(now):
                return None

    async def _await_last_reports(
        self, pumps: list[asyncio.Task[None]], since: float
    ) -> None:
        """Have the server's last words read: they stand behind the data it owes."""
        until = time.monotonic() + _LAST_REPORT_SECONDS
        while time.monotonic() < until and not all(pump.done() for pump in pumps):
            if (
                any(info.at >= since for info in self._sender_infos)
                and not self._exhausted
            ):
                return
            await asyncio.wait(pumps, timeout=_POLL_SECONDS)

    def _long_enough(self, now: float) -> bool:
        """Tell whether the time is up, and enough of it was watched."""
        length, passed = self._duration(), now - self._start
        watched = self._polls * _POLL_SECONDS >= length * _MIN_POLLED_SHARE
        return passed >= length and (watched or passed >= _MAX_STARVED_FACTOR * length)

    def _duration(self) -> float:
        """Long enough for TCP to find the path's rate, within reason."""
        rtt = max((info.min_rtt for info in self._sender_infos), default=0.0)
        warm = min(_WARM_UP_ROUND_TRIPS * rtt, _MAX_WARM_UP_SECONDS)
        return max(self._extent.seconds, warm)

    def _poll(self, now: float) -> None:
        acked = 0
        self._polls += 1
        for number, connection in enumerate(self._connections):
            info = connection.info()
            if info is None:
                continue
            if self._up:
                sender = SenderTcpInfo.from_tcp_info(now, number, info)
                self._sender_infos += [] if sender is None else [sender]
                acked += info.bytes_acked
        received = sum(
            connection.wire.bytes_received for connection in self._connections
        )
        if not self._up:
            self._arrived = received - self._received_before
            self._arrivals.append((now, self._arrived))
        moved = acked + received
        if moved == self._last_progress[0]:
            self._idle_polls += 1
        else:
            self._last_progress, self._idle_polls = (moved, now), 0

    async def _pump(self, number: int, connection: FramedConnection) -> None:
        """Ask on one connection, several questions at once, until told to stop."""
        pending: deque[tuple[int, int, bytes, float]] = deque()
        questions = 0
        reported = 0.0
        share = len(self._connections)
        own, last = 0, False
        while True:
            while (
                not self._stopping
                and questions < MAX_QUESTIONS
                and own < self._max_in_flight() / share
                and not self._is_exhausted()
            ):
                size = self._frame_size()
                now = time.monotonic()
                if not self._up and now - reported > _REPORT_INTERVAL_SECONDS:
                    asked = connection.send(Kind.REPORT, ReportQuestion())
                    pending.append((asked, 0, b"", now))
                    reported, questions = now, questions + 1
                seed, whole = self._patterns[questions % _PATTERN_COUNT]
                if self._up:
                    asked = connection.send(Kind.SINK, whole[:size])
                else:
                    question = SourceQuestion(size=size, seed=seed)
                    asked = connection.send(Kind.SOURCE, question)
                pending.append((asked, size, whole, now))
                questions += 1
                own += size
                self._requested_bytes += size
                self._in_flight_bytes += size
            ended = self._stopping or self._exhausted or questions >= MAX_QUESTIONS
            if ended and not self._up and not last:
                last = True
                asked = connection.send(Kind.REPORT, ReportQuestion())
                pending.append((asked, 0, b"", time.monotonic()))
            if not pending:
                self._exhausted = self._exhausted or not self._stopping
                return
            asked, size, whole, since = pending[0]
            answer = await connection.answer(asked, _POLL_SECONDS)
            if answer is not None:
                pending.popleft()
                own -= size
                self._in_flight_bytes -= size
                self._record_answer(answer, size, whole)
                if isinstance(answer, ServerReport):
                    self._record_report(number, answer, since)
            elif connection.ending is not None:
                self._record_end(connection)
                return

    def _is_exhausted(self) -> bool:
        """Tell whether all bytes that may be asked for have been."""
        self._exhausted = (
            self._exhausted or self._requested_bytes >= self._extent.max_bytes
        )
        return self._exhausted

    def _record_report(self, number: int, report: ServerReport, asked: float) -> None:
        """Keep what the server's kernel said; it was read soon after it was asked for.

        The answer then stood behind the data owed: its arrival tells no time.
        """
        if report.connection is not None:
            sender = SenderTcpInfo.from_tcp_info(asked, number, report.connection)
            self._sender_infos += [] if sender is None else [sender]

    def _record_answer(
        self, answer: BaseModel | bytes, size: int, whole: bytes
    ) -> None:
        now = time.monotonic()
        match answer:
            case SinkAnswer(received=received, changed_at=changed_at):
                self._arrived += received
                self._arrivals.append((now, self._arrived))
                self._changed |= changed_at is not None or received != size
            case bytes():
                self._changed |= len(answer) != size or not whole.startswith(answer)
            case _:
                pass

    def _record_end(self, connection: FramedConnection) -> None:
        ending = connection.ending
        if ending is None or self._stopping:
            return
        if ending.how == "error":
            self._server_refusal = ending.detail
        else:
            self._connection_error = ending.detail

    def _rate(self) -> float:
        """Bytes a second, of late."""
        if len(self._arrivals) < 2:  # noqa: PLR2004 - a rate has a begin and an end
            return 0.0
        start, before = self._arrivals[max(0, len(self._arrivals) - 20)]
        end, after = self._arrivals[-1]
        return (after - before) / max(_POLL_SECONDS, end - start)

    def _frame_size(self) -> int:
        """Return a power of two: few patterns are then made, and often used."""
        wanted = int(self._rate() * _FRAME_SECONDS)
        size = 1 << max(MIN_FRAME_BYTES, wanted).bit_length() - 1
        return min(size, self._largest)

    def _max_in_flight(self) -> float:
        least, most = _IN_FLIGHT_BYTES
        return min(max(least, self._rate()), most)

    # Stalled

    async def _collect_evidence(
        self, window: TimeSpan, address: Address, timeouts: Timeouts
    ) -> TransferStall:
        """Ask both kernels what became of a transfer in which nothing moves."""
        first = self._connections[0]
        server = ServerView(missing="no response in time")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_EVIDENCE_SECONDS):
                server = await server_view(address, first.welcome, timeouts)
        local, view = first.info(), server.view
        if view is None or local is None:
            missing = server.missing or "the server does not report this connection"
            unacked = None if local is None else local.unacked
            return TransferStall(window, unacked if self._up else None, missing=missing)
        if self._up:
            # The SYN counts as one byte (RFC 9293 §3.4).
            acked, arrived = local.bytes_acked - 1, view.bytes_received
            unacked, unsent = local.unacked, local.notsent_bytes
            sent = first.wire.bytes_sent - unsent
        else:
            acked, arrived = view.bytes_acked - 1, local.bytes_received
            unacked, unsent = view.unacked, view.notsent_bytes
            sent = acked + unacked * view.snd_mss
        undelivered = max(0, sent - arrived) if unacked else 0
        if arrived > acked:
            undelivered = 0  # it did arrive: its acknowledgements did not
        return TransferStall(window, unacked, unsent, undelivered)
