"""Streams datagrams to a server, and receives the server's stream, on one socket.

It blocks, and runs in its own thread, which keeps time better than the event loop. It
sends at a steady pace, requests the cookie, and records everything in the tracker.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from netduet.client.net.dial import errno_meaning
from netduet.client.outages.events import EventHandler, LossRun
from netduet.client.outages.loss_tracker import LossTracker
from netduet.net.time_span import TimeSpan
from netduet.wire import datagram, udp_stream
from netduet.wire.errors import RemoteError
from netduet.wire.frames import ANSWER, Kind
from netduet.wire.messages import ErrorMessage, decode
from netduet.wire.udp_stream import (
    NO_COOKIE,
    Challenge,
    EndReason,
    StreamEnd,
    StreamFlag,
    StreamQuestion,
    StreamStatus,
)

if TYPE_CHECKING:
    from netduet.client.net.udp_socket import UdpSocket

LATE_SECONDS: Final = 0.05
"""Seconds by which a datagram of ours must be late to show that we were not running."""

_SETTLE_INTERVAL_SECONDS: Final = 0.25
_QUIET_SECONDS: Final = 0.3
_MAX_DRAIN_SECONDS: Final = 1.5
_STOP_ATTEMPTS: Final = 5
_MAX_SPANS: Final = 64
_COOKIE_RETRY_SECONDS: Final = 0.1
_MAX_COOKIE_RETRY_SECONDS: Final = 2.0
"""Seconds between two requests for a cookie, at first and after some failures."""


class UdpProbe:
    """One flow. ``run`` it in a thread; ``tracker`` has the result.

    ``answered``: a cookie arrived. ``refused`` is why the server does not stream;
    ``unsent`` counts the datagrams that were not sent, because of ``error`` or because
    this process was not running, for ``stalled`` seconds in total.
    """

    def __init__(
        self,
        sock: UdpSocket,
        period: float,
        on_event: EventHandler,
        tracker: LossTracker | None = None,
    ) -> None:
        """Prepare; ``period`` is in seconds.

        A given ``tracker`` is continued.
        """
        self.tracker = tracker or LossTracker(period)
        self.ongoing: LossRun | None = None
        """The ongoing outage at the last settling."""
        self.answered = False
        self.refused = ""
        self.unsent = 0
        self.error = ""
        self._send_blocked: deque[TimeSpan] = deque(maxlen=_MAX_SPANS)
        self.stalled = 0.0
        self.round_trip = 0.0
        self._sock = sock
        self._period = period
        self._on_event = on_event
        self._flow = secrets.randbits(64)
        self._cookie = NO_COOKIE
        self._boot = b""
        self._cookie_asked_at = float("-inf")
        self._cookie_requests = 0
        self._ended = False
        self._on_time = True
        self._due = self._settled_at = 0.0

    @property
    def send_blocked(self) -> tuple[TimeSpan, ...]:
        """The latest times in which our kernel sent nothing, because of ``error``."""
        return tuple(self._send_blocked)

    def run(self, seconds: float, stop: threading.Event) -> None:
        """Stream for so many seconds or until ``stop``; then end both streams."""
        now = time.monotonic()
        until = now + seconds
        self.start(now)
        while (now := time.monotonic()) < until and not stop.is_set():
            due = self.step(now)
            self._wait(min(due, until) - time.monotonic())
        self._drain(stop)

    def start(self, now: float) -> None:
        """Set when the first datagram is due (a monotonic second)."""
        self._due = self._settled_at = now

    def step(self, now: float) -> float:
        """Do what is due; return when the next datagram is due."""
        if now >= self._due:
            self._count_delay(now - self._due)
            self._send(now)
            # Missed datagrams are not sent later. The phase is kept, so that probes
            # held up together do not run in step.
            missed = int((now - self._due) / self._period)
            self._due += (1 + missed) * self._period
        if now >= self._settled_at + _SETTLE_INTERVAL_SECONDS:
            self.tracker.record_drops(self._sock.dropped, now)
            for event in self.tracker.settle(now):
                self._on_event(event)
            # After a delay, waiting datagrams have not been read yet.
            self.ongoing = self.tracker.ongoing(now) if self._on_time else None
            self._settled_at = now
        return self._due

    def receive(self, datagrams: list[bytes], now: float, *, on_time: bool) -> None:
        """Handle datagrams; ``on_time`` False: they may have waited for us."""
        for data in datagrams:
            try:
                frame = datagram.parse(data)
            except RemoteError:
                continue
            if frame is None or not frame.flags & ANSWER:
                continue
            if frame.kind == Kind.STREAM:
                answer = udp_stream.parse_answer(frame.payload)
                self._handle_answer(answer, now, on_time=on_time and self._on_time)
            elif frame.kind == Kind.ERROR:
                self._handle_error(frame.payload)

    def request_stop(self) -> None:
        """Ask the server to end its stream, without waiting for an answer."""
        if self.answered:
            self._send_question(self.tracker.up.sent, StreamFlag.STOP)

    # Helpers

    def _count_delay(self, late: float) -> None:
        """Count the datagrams that were not sent in time."""
        self._on_time = late < LATE_SECONDS
        if not self._on_time:
            self.stalled += late
        if self.answered:
            self.unsent += int(late / self._period)

    def _send(self, now: float) -> None:
        tracker = self.tracker
        if self.answered:
            error = self._send_question(tracker.up.sent)
            if error:
                self.unsent += 1
                self.error = error
                if errno_meaning(error).local:
                    self._record_blocked(now)
            else:
                tracker.record_sent(now)
        elif now - self._cookie_asked_at >= min(
            _MAX_COOKIE_RETRY_SECONDS,
            _COOKIE_RETRY_SECONDS * 2 ** (self._cookie_requests // 16),
        ):
            self._cookie_asked_at = now
            self._cookie_requests += 1
            self.error = self._send_question(0) or self.error

    def _record_blocked(self, now: float) -> None:
        spans, start = self._send_blocked, now
        if spans and now - spans[-1].end <= self._period:
            start = spans.pop().start
        spans.append(TimeSpan(start, now + self._period))

    def _send_question(self, number: int, flags: StreamFlag = udp_stream.PLAIN) -> str:
        period = round(self._period * 1000)
        question = StreamQuestion(self._flow, number, period, self._cookie, flags)
        payload = question.serialize()
        return self._sock.send(
            datagram.serialize(Kind.STREAM, payload, 0, udp_stream.SIZE)
        )

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + max(0.0, seconds)
        datagrams = self._sock.wait(seconds)
        now = time.monotonic()
        self.receive(datagrams, now, on_time=now - until < LATE_SECONDS)

    def _handle_answer(
        self, answer: udp_stream.StreamAnswer | None, now: float, *, on_time: bool
    ) -> None:
        if answer is None or answer.flow != self._flow:
            return
        match answer:
            case Challenge(cookie=cookie, boot=boot):
                self.answered = True
                self._cookie = cookie
                self.tracker.set_boot_id(boot.hex())
            case StreamStatus():
                self.refused = ""
                self._record_status(answer, now, on_time=on_time)
            case StreamEnd(reason=EndReason.STOPPED):
                self._ended = True
            case StreamEnd(reason=reason):
                self.tracker.set_end_reason(reason.name.lower(), now)

    def _record_status(
        self, status: StreamStatus, now: float, *, on_time: bool
    ) -> None:
        tracker = self.tracker
        known = tracker.acknowledged
        tracker.record_status(status, now, on_time=on_time)
        if tracker.acknowledged > known:
            # Not that of the cookie: it is asked for again before it can arrive.
            self.round_trip = now - tracker.sent_at(tracker.acknowledged - 1)

    def _handle_error(self, payload: bytes) -> None:
        try:
            self.refused = decode(ErrorMessage, payload).message
        except RemoteError:
            self.refused = "an error that cannot be read"

    def _drain(self, stop: threading.Event) -> None:
        """Wait for datagrams in flight, report the rest, and end the stream."""
        tracker = self.tracker
        start = time.monotonic()
        quiet_seconds = _QUIET_SECONDS + 2 * self.round_trip

        def must_wait(now: float) -> bool:
            if tracker.acknowledged >= tracker.up.sent or tracker.last_arrival is None:
                return False
            silent = now - tracker.last_arrival > quiet_seconds
            return now < start + (
                _MAX_DRAIN_SECONDS + quiet_seconds if silent else quiet_seconds
            )

        while must_wait(now := time.monotonic()) and not stop.is_set():
            self._wait(self._period)
        tracker.record_drops(self._sock.dropped, now)
        for event in tracker.finish(now):
            self._on_event(event)
        for _ in range(_STOP_ATTEMPTS if self.answered else 0):
            if self._ended or self._send_question(tracker.up.sent, StreamFlag.STOP):
                break
            self._wait_until(lambda: self._ended, quiet_seconds / _STOP_ATTEMPTS)

    def _wait_until(self, done: Callable[[], bool], seconds: float) -> None:
        until = time.monotonic() + seconds
        while not done() and (left := until - time.monotonic()) > 0:
            self._wait(left)
