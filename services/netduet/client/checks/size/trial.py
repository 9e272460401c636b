"""One trial of a size, on a separate connection.

A size is that of a frame, header included: the bytes of one write to TCP.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import time
from typing import TYPE_CHECKING, Final

from netduet.client.checks.size.results import (
    SizeTrial,
    TrialOutcome,
    TrialPlan,
)
from netduet.client.net.dial import Address
from netduet.client.net.framed_connection import FramedConnection, open_connection
from netduet.client.net.server_evidence import ServerView, server_view
from netduet.client.results.instance import instance_of
from netduet.client.results.location import Direction
from netduet.net.time_span import TimeSpan
from netduet.wire import payload_pattern
from netduet.wire.frames import HEADER_SIZE, Kind
from netduet.wire.messages import SinkAnswer, SourceQuestion
from netduet.wire.state_machine import Limits

if TYPE_CHECKING:
    from pydantic import BaseModel

    from netduet.client.net.timeouts import Timeouts
    from netduet.wire.messages import TcpInfo

STALL_SECONDS: Final = 1.8
"""Seconds without progress after which a trial has stalled.

A kernel retransmits after at least 200 ms, then after 400 and 800 ms more, so random
loss would have to hit a packet four times to look like a stall."""

SEARCH_STALL_SECONDS: Final = 1.0
"""The same while the limit of a known stall is searched: three losses."""

MAX_TRIAL_SECONDS: Final = 5.0
"""Maximum seconds of a trial that makes progress."""

_REPORT_SECONDS: Final = 1.0
"""Seconds for requests on a connection whose bytes have arrived."""

_POLL_SECONDS: Final = 0.1
_EXTRA_ROUND_TRIPS: Final = 4
"""Round trips added to these times, because the kernel's timers grow with them."""

_MAX_EXTRA_SECONDS: Final = 2.0
_FRAME_TIMEOUT_SHARE: Final = 0.8
"""Share of the server's frame timeout that a trial may take."""

_EMPTY_ANSWER_BYTES: Final = HEADER_SIZE
"""Bytes of the empty answer before the requested one."""

DEFAULT_MSS_BYTES: Final = 1448
"""Payload of a full packet if the kernel does not report it."""


async def run_trial(address: Address, timeouts: Timeouts, plan: TrialPlan) -> SizeTrial:
    """Try a size on a new connection; never raises by itself."""
    async with open_connection(address, timeouts) as (handshake, connection):
        if connection is None:
            window = handshake.span
            return SizeTrial(
                plan,
                plan.size or 0,
                TrialOutcome.UNOPENED,
                window,
                detail=handshake.failure,
                cause=handshake.cause,
                refusal_code=""
                if handshake.refused is None
                else handshake.refused.code,
            )
        trial = await _TrialRunner(address, timeouts, plan, connection).run()
        if trial.delivered:
            await connection.end(min(_REPORT_SECONDS, timeouts.answer))
        else:
            connection.reset()  # what is left must not fill a slow path
    return trial


class _TrialRunner:
    """Runs a trial on an open connection."""

    def __init__(
        self,
        address: Address,
        timeouts: Timeouts,
        plan: TrialPlan,
        connection: FramedConnection,
    ) -> None:
        self._address = address
        self._timeouts = timeouts
        self._plan = plan
        self._connection = connection
        self._up = plan.direction is Direction.UP
        self._local_view = connection.info()

    async def run(self) -> SizeTrial:
        """Transfer the bytes, and wait while there is progress."""
        connection = self._connection
        timeout = self._timeouts.answer
        before = self._local_view if self._up else await self._request_counters(timeout)
        size = self._choose_size(before)
        seed = self._plan.seed
        if seed is None:
            seed = secrets.randbits(8 * payload_pattern.SEED_SIZE)
        payload = payload_pattern.make(size - HEADER_SIZE, seed)
        sent = connection.wire.bytes_sent
        received = connection.wire.bytes_received
        number = self._send_request(payload, seed)
        answer, outcome, window = await self._wait_for_answer(number)
        changed_at = _first_changed_byte(answer, payload)
        if changed_at is not None:
            outcome = TrialOutcome.CHANGED
        request_unacked = (
            not self._up
            and self._local_view is not None
            and self._local_view.unacked > 0
        )
        after, server = await self._collect_evidence(outcome)
        view = server.view
        if self._up:
            arrived = None if view is None else max(0, view.bytes_received - sent)
        else:
            received += _EMPTY_ANSWER_BYTES
            arrived = max(0, connection.wire.bytes_received - received)
        ack_gap = self._ack_gap(after, view)
        ending = connection.ending
        return SizeTrial(
            self._plan,
            size,
            outcome,
            window,
            before,
            after,
            arrived,
            changed_at,
            "" if ending is None else ending.detail,
            "" if view or server.entry else server.missing,
            ack_gap=ack_gap,
            request_unacked=request_unacked,
            record=server.entry,
            instance=str(instance_of(connection.welcome)),
            seed=seed,
        )

    def _send_request(self, payload: bytes, seed: int) -> int:
        """Send or request the bytes so that their packet carries no acknowledgement.

        If such an acknowledgement were lost with the packet, its sender would
        retransmit, and the receiver would report the duplicate in an option. That makes
        the next packet too long for one segment, and a virtual link passes two segments
        unchecked.
        """
        connection = self._connection
        if self._up:
            with contextlib.suppress(OSError):  # a kernel without it, as of a sandbox
                connection.set_option(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            return connection.send(Kind.SINK, payload)
        # Both are sent in one packet, and the first answer acknowledges both.
        connection.send(Kind.SOURCE, SourceQuestion(size=0, seed=0), more=True)
        question = SourceQuestion(size=len(payload), seed=seed)
        return connection.send(Kind.SOURCE, question)

    def _choose_size(self, before: TcpInfo | None) -> int:
        known = before or self._local_view
        full_packet_bytes = DEFAULT_MSS_BYTES if known is None else known.snd_mss
        size = self._plan.size or full_packet_bytes
        if self._plan.one_packet:
            size = min(size, full_packet_bytes)
        # If a server accepts less than a full packet, try that.
        max_frame = min(self._connection.welcome.limits.max_frame, Limits().max_frame)
        return min(size, HEADER_SIZE + max_frame)

    async def _wait_for_answer(
        self, number: int
    ) -> tuple[BaseModel | bytes | None, TrialOutcome, TimeSpan]:
        """Wait for the answer, until nothing has moved for a number of polls.

        Polls are counted, not seconds: a starved process polls less often, and gets
        longer.
        """
        connection = self._connection
        start = progress_at = time.monotonic()
        stall_seconds = SEARCH_STALL_SECONDS if self._plan.brief else STALL_SECONDS
        stall_seconds += min(
            _EXTRA_ROUND_TRIPS * self._round_trip(), _MAX_EXTRA_SECONDS
        )
        max_seconds = min(
            MAX_TRIAL_SECONDS, _FRAME_TIMEOUT_SHARE * connection.welcome.limits.frame
        )
        last, idle = self._progress(), 0
        while True:
            answer = await connection.answer(number, _POLL_SECONDS)
            now = time.monotonic()
            if answer is not None:
                return answer, TrialOutcome.PASSED, TimeSpan(start, now)
            if connection.ending is not None:
                return None, TrialOutcome.ENDED, TimeSpan(start, now)
            progress = self._progress()
            if progress != last:
                last, progress_at, idle = progress, now, 0
            else:
                idle += 1
            if idle * _POLL_SECONDS >= stall_seconds:
                return None, TrialOutcome.STALLED, TimeSpan(progress_at, now)
            if now - start >= max_seconds:
                return None, TrialOutcome.SLOW, TimeSpan(start, now)

    def _round_trip(self) -> float:
        info = self._connection.info()
        return 0.0 if info is None else info.rtt / 1e6

    def _progress(self) -> int:
        """Return a number that changes with any progress; store this kernel's view."""
        self._local_view = view = self._connection.info() or self._local_view
        acked = view.bytes_acked if self._up and view is not None else 0
        return acked + self._connection.wire.bytes_received

    async def _collect_evidence(
        self, outcome: TrialOutcome
    ) -> tuple[TcpInfo | None, ServerView]:
        """Return the sender's view, and the server's view if it was requested."""
        self._progress()
        local = self._local_view if self._up else None
        if outcome in (TrialOutcome.PASSED, TrialOutcome.CHANGED):
            if self._up or self._plan.brief:
                return local, ServerView()
            timeout = min(_REPORT_SECONDS, self._timeouts.answer)
            return await self._request_counters(timeout), ServerView()
        if self._plan.brief:
            return local, ServerView()
        server = ServerView(missing="no response in time")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timeouts.answer):
                welcome = self._connection.welcome
                server = await server_view(self._address, welcome, self._timeouts)
        if not self._up and server.view is not None:
            local = server.view
        elif self._up:
            self._progress()  # again: acknowledgements have had more time
            local = self._local_view
        return local, server

    def _ack_gap(self, sender: TcpInfo | None, view: TcpInfo | None) -> int:
        """Return how many received bytes the sender's kernel does not know of.

        Both kernels count from the start of the connection, the SYN as at most one
        byte, and the receiver only bytes in order, which it acknowledges.
        """
        if sender is None or view is None:
            return 0
        received = self._connection.wire.bytes_received
        arrived = view.bytes_received if self._up else received
        return max(0, arrived - sender.bytes_acked)

    async def _request_counters(self, timeout: float) -> TcpInfo | None:
        report = await self._connection.report(timeout)
        return None if report is None else report.connection


def _first_changed_byte(answer: BaseModel | bytes | None, payload: bytes) -> int | None:
    if isinstance(answer, SinkAnswer):
        return answer.changed_at
    if not isinstance(answer, bytes) or answer == payload:
        return None
    pairs = enumerate(zip(answer, payload, strict=False))
    shorter = min(len(answer), len(payload))
    return next((at for at, (received, sent) in pairs if received != sent), shorter)
