"""Fills the path in one direction: frames on a few connections, bounded bytes in flight.

Rates are measured where the data arrives: up by the server's answers to SINK, down by
the received bytes. A frame takes about 20 ms at the current rate, and at most about a
second's worth is in flight, so that a deep queue can show (RFC 6349 §3.3: the window
must exceed the bandwidth-delay product; RFC 9097 on duration).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from bisect import insort
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from netduet.client.checks.load.extent import TransferExtent
from netduet.client.checks.load.losses import MIN_LOST_SHARE, count_segments
from netduet.client.checks.load.results import SenderTcpInfo, TransferFlow
from netduet.client.checks.load.stall_evidence import stall_evidence
from netduet.client.net.framed_connection import open_connection
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
    from netduet.wire.messages import TcpInfo

MIN_FRAME_BYTES: Final = 16 * 1024
MAX_FRAME_BYTES: Final = 256 * 1024
"""Limits of a frame's size: a server parses a frame at once, and other connections
wait."""

MAX_QUESTIONS: Final = Limits().max_questions - 50
"""Maximum requests per connection; the server ends one that sends more."""

STALL_SECONDS: Final = 2.5
"""Seconds without progress on any connection after which a transfer has stalled.

A kernel retransmits after 0.2, 0.4, 0.8 and 1.6 s (RFC 6298 §5.5), so random loss
would have to hit all of these, on each connection."""

_STALL_ROUND_TRIPS: Final = 5
"""The same in round trips: two retransmissions, the second after twice the time."""

_FRAME_SECONDS: Final = 0.02
_IN_FLIGHT_BYTES: Final = (256 * 1024, 8 * 1024 * 1024)
_WARM_UP_SHARE: Final = 0.3
"""Share of the time that is not measured: TCP's slow start (RFC 5681 §3.1)."""

_POLL_SECONDS: Final = 0.02
_WARM_UP_ROUND_TRIPS: Final = 8
_MAX_WARM_UP_SECONDS: Final = 1.0
_LOSSY_SECONDS: Final = 1.5
"""Seconds by which a transfer that loses many packets is longer."""

_MIN_POLLED_SHARE: Final = 0.5
"""Share of the polls that must have been made by the end."""

_MAX_STARVED_FACTOR: Final = 3.0
"""Factor by which a starved end may take longer."""

_REPORT_INTERVAL_SECONDS: Final = 0.05
_INSPECT_INTERVAL_SECONDS: Final = 0.1
_LAST_REPORT_SECONDS: Final = 0.8
_PATTERN_COUNT: Final = 4


class Transfer:
    """A transfer in one direction; its connections cannot be used for another one."""

    def __init__(
        self,
        direction: Direction,
        connections: Sequence[FramedConnection],
        extent: TransferExtent,
    ) -> None:
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
        self._carried = [0] * len(connections)
        self._last_progress = (-1, 0.0)
        self._idle_polls = 0
        self._polls = 0

    async def run(self, address: Address, timeouts: Timeouts) -> TransferFlow:
        """Transfer until the time is up or it stalls; return the result."""
        self._start = time.monotonic()
        inspector = asyncio.create_task(self._inspect(address, timeouts))
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
            for task in (inspector, *pumps):
                task.cancel()
            await asyncio.gather(inspector, *pumps, return_exceptions=True)
        stall = None
        if window is not None:
            first = self._connections[0]
            stall = await stall_evidence(
                self._direction, first, window, address, timeouts
            )
        for connection in self._connections:
            connection.reset()  # data in our buffers must not disturb the next transfer
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
            tuple(self._carried),
        )

    # Transfer

    async def _wait_until_done(
        self, pumps: list[asyncio.Task[None]]
    ) -> TimeSpan | None:
        """Wait for the end; return the time without progress if it stalled.

        Polls are counted, not seconds, because a starved process polls less often.
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
            idle = self._idle_polls * _POLL_SECONDS
            # The second costs a look at all reports so far: only when it may matter.
            if idle >= STALL_SECONDS and idle >= self._stall_seconds():
                return TimeSpan(self._last_progress[1], now)
            if self._exhausted and not self._in_flight_bytes:
                return None
            if self._idle_polls == 0 and self._long_enough(now):
                return None

    async def _await_last_reports(
        self, pumps: list[asyncio.Task[None]], since: float
    ) -> None:
        """Wait for the server's last reports, which follow the data."""
        until = time.monotonic() + _LAST_REPORT_SECONDS
        while time.monotonic() < until and not all(pump.done() for pump in pumps):
            if (
                any(info.at >= since for info in self._sender_infos)
                and not self._exhausted
            ):
                return
            await asyncio.wait(pumps, timeout=_POLL_SECONDS)

    async def _inspect(self, address: Address, timeouts: Timeouts) -> None:
        """Ask the server for its TCP_INFO of each connection, over a further one.

        On a slow path, reports on the connections themselves wait behind the data for
        seconds. A load balancer may lead the further one to another instance.
        """
        first = self._connections[0].welcome
        if self._up or "inspect" not in first.features:
            return
        async with open_connection(address, timeouts) as (_, inspector):
            if inspector is None or inspector.welcome.boot_id != first.boot_id:
                return
            while inspector.ending is None:
                for number, connection in enumerate(self._connections):
                    asked_at = time.monotonic()
                    inspection = await inspector.inspect(
                        connection.welcome.conn_id, timeouts.answer
                    )
                    if inspection is not None and inspection.connection is not None:
                        self._record_info(asked_at, number, inspection.connection)
                await asyncio.sleep(_INSPECT_INTERVAL_SECONDS)

    def _record_info(self, asked_at: float, number: int, info: TcpInfo) -> None:
        """Keep the sender's TCP_INFO, in the order in which it was asked for."""
        sender = SenderTcpInfo.from_tcp_info(asked_at, number, info)
        if sender is not None:
            insort(self._sender_infos, sender, key=lambda each: each.at)

    def _long_enough(self, now: float) -> bool:
        """Whether the time is up, with enough polls."""
        length, passed = self._duration(), now - self._start
        if self._extent.is_worth_longer(self._arrived, passed):
            return False
        if passed >= length and self._loses_much():
            length += _LOSSY_SECONDS
        enough_polls = self._polls * _POLL_SECONDS >= length * _MIN_POLLED_SHARE
        return passed >= length and (
            enough_polls or passed >= _MAX_STARVED_FACTOR * length
        )

    def _loses_much(self) -> bool:
        """Whether a longer transfer must show if losses are chance, or of a slow start."""
        return count_segments(self._sender_infos).share > MIN_LOST_SHARE

    def _stall_seconds(self) -> float:
        """Return the time without progress that is a stall, longer on a long path.

        A queue of a second makes the RTT, and so the first retransmission, that long.
        """
        longest = max((info.rtt for info in self._sender_infos), default=0.0)
        return max(STALL_SECONDS, _STALL_ROUND_TRIPS * longest)

    def _duration(self) -> float:
        """Return the duration, long enough for TCP to reach the path's rate."""
        rtt = max((info.min_rtt for info in self._sender_infos), default=0.0)
        warm_up_seconds = min(_WARM_UP_ROUND_TRIPS * rtt, _MAX_WARM_UP_SECONDS)
        return max(self._extent.seconds, warm_up_seconds)

    def _poll(self, now: float) -> None:
        acked = 0
        self._polls += 1
        for number, connection in enumerate(self._connections):
            info = connection.info()
            if not self._up:
                self._carried[number] = connection.wire.bytes_received
            if info is None:
                continue
            if self._up:
                self._record_info(now, number, info)
                acked += info.bytes_acked
        received = sum(
            connection.wire.bytes_received for connection in self._connections
        )
        if not self._up:
            self._arrived = received - self._received_before
            self._arrivals.append((now, self._arrived))
        progress = acked + received
        if progress == self._last_progress[0]:
            self._idle_polls += 1
        else:
            self._last_progress, self._idle_polls = (progress, now), 0

    async def _pump(self, number: int, connection: FramedConnection) -> None:
        """Send requests on one connection, several at once, until the end."""
        pending: deque[tuple[int, int, bytes, float]] = deque()
        questions = 0
        reported = 0.0
        share = len(self._connections)
        in_flight, last_report_asked = 0, False
        while True:
            while (
                not self._stopping
                and questions < MAX_QUESTIONS
                and in_flight < self._max_in_flight() / share
                and not self._is_exhausted()
            ):
                size = self._frame_size()
                now = time.monotonic()
                if not self._up and now - reported > _REPORT_INTERVAL_SECONDS:
                    question_number = connection.send(Kind.REPORT, ReportQuestion())
                    pending.append((question_number, 0, b"", now))
                    reported, questions = now, questions + 1
                seed, pattern = self._patterns[questions % _PATTERN_COUNT]
                if self._up:
                    question_number = connection.send(Kind.SINK, pattern[:size])
                else:
                    question = SourceQuestion(size=size, seed=seed)
                    question_number = connection.send(Kind.SOURCE, question)
                pending.append((question_number, size, pattern, now))
                questions += 1
                in_flight += size
                self._requested_bytes += size
                self._in_flight_bytes += size
            ended = self._stopping or self._exhausted or questions >= MAX_QUESTIONS
            if ended and not self._up and not last_report_asked:
                last_report_asked = True
                question_number = connection.send(Kind.REPORT, ReportQuestion())
                pending.append((question_number, 0, b"", time.monotonic()))
            if not pending:
                self._exhausted = self._exhausted or not self._stopping
                return
            question_number, size, pattern, asked_at = pending[0]
            answer = await connection.answer(question_number, _POLL_SECONDS)
            if answer is not None:
                pending.popleft()
                in_flight -= size
                self._in_flight_bytes -= size
                self._record_answer(number, answer, size, pattern)
                if isinstance(answer, ServerReport):
                    self._record_report(number, answer, asked_at)
            elif connection.ending is not None:
                self._record_end(connection)
                return

    def _is_exhausted(self) -> bool:
        self._exhausted = (
            self._exhausted or self._requested_bytes >= self._extent.max_bytes
        )
        return self._exhausted

    def _record_report(
        self, number: int, report: ServerReport, asked_at: float
    ) -> None:
        """Record the server's TCP_INFO, with the time of the request.

        The answer waits behind the data, so the time of its arrival means nothing.
        """
        if report.connection is not None:
            self._record_info(asked_at, number, report.connection)

    def _record_answer(
        self, number: int, answer: BaseModel | bytes, size: int, pattern: bytes
    ) -> None:
        now = time.monotonic()
        match answer:
            case SinkAnswer(received=received, changed_at=changed_at):
                self._arrived += received
                self._carried[number] += received
                self._arrivals.append((now, self._arrived))
                self._changed |= changed_at is not None or received != size
            case bytes():
                self._changed |= len(answer) != size or not pattern.startswith(answer)
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
        """Return the current rate in bytes per second."""
        if len(self._arrivals) < 2:  # noqa: PLR2004 - a rate has a begin and an end
            return 0.0
        start, bytes_before = self._arrivals[max(0, len(self._arrivals) - 20)]
        end, bytes_after = self._arrivals[-1]
        return (bytes_after - bytes_before) / max(_POLL_SECONDS, end - start)

    def _frame_size(self) -> int:
        """Return a power of two, so that few patterns are made and reused."""
        frame_bytes = int(self._rate() * _FRAME_SECONDS)
        size = 1 << max(MIN_FRAME_BYTES, frame_bytes).bit_length() - 1
        return min(size, self._largest)

    def _max_in_flight(self) -> float:
        minimum, maximum = _IN_FLIGHT_BYTES
        return min(max(minimum, self._rate()), maximum)
