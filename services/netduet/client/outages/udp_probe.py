"""Streams datagrams to a server and has it stream back, by one socket.

Blocking, for a thread of its own: it keeps time better there than in the event loop.
It paces, asks for the cookie, and hands all that was sent and came to the picture.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from netduet.client.outages.events import LossRun, Tell
from netduet.client.outages.loss_tracker import LossTracker
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

LATE: Final = 0.05
"""Seconds behind its time from which on a datagram of ours shows that we did not run."""

_SETTLE: Final = 0.25
_QUIET: Final = 0.3
_LONGEST: Final = 1.5
_STOPS: Final = 5
_SPANS: Final = 64
_OWN: Final = ("EACCES", "EADDRNOTAVAIL", "ENETDOWN", "ENETUNREACH", "EPERM")
"""Errors by which our own kernel does not send. Others may tell of an earlier datagram."""

_KNOCK: Final = 0.1
_SELDOM: Final = 2.0
"""Seconds between two questions for a cookie, at first and after some in vain."""


class UdpProbe:
    """One flow. ``run`` it in a thread; ``picture`` is then what came of it.

    ``answered`` tells whether a cookie came, ``refused`` why the server streams not;
    ``unsent`` counts those that did not leave, for the reason ``error`` or because this
    end did not run, for ``stalled`` seconds in all.
    """

    def __init__(
        self,
        sock: UdpSocket,
        period: float,
        tell: Tell,
        picture: LossTracker | None = None,
    ) -> None:
        """Say by which socket, at which pace (in seconds), and who hears of events.

        ``picture`` is where all goes; a new one unless it is given.
        """
        self.picture = picture or LossTracker(period)
        self.standing: LossRun | None = None
        """The outage that went on when all was settled last."""
        self.answered = False
        self.refused = ""
        self.unsent = 0
        self.error = ""
        self._withheld: deque[tuple[float, float]] = deque(maxlen=_SPANS)
        self.stalled = 0.0
        self.round_trip = 0.0
        self._sock = sock
        self._period = period
        self._tell = tell
        self._flow = secrets.randbits(64)
        self._cookie = NO_COOKIE
        self._boot = b""
        self._knocked = float("-inf")
        self._knocks = 0
        self._over = False
        self._fair = True
        self._due = self._settled = 0.0

    @property
    def withheld(self) -> tuple[tuple[float, float], ...]:
        """The latest times in which our own kernel did not send, for the reason ``error``."""
        return tuple(self._withheld)

    def run(self, seconds: float, stop: threading.Event) -> None:
        """Stream for so long, or until told to stop; then end the server's stream."""
        now = time.monotonic()
        until = now + seconds
        self.start(now)
        while (now := time.monotonic()) < until and not stop.is_set():
            due = self.turn(now)
            self._take(min(due, until) - time.monotonic())
        self._rest(stop)

    def start(self, at: float) -> None:
        """Say when the first datagram is due (a monotonic second)."""
        self._due = self._settled = at

    def turn(self, now: float) -> float:
        """Do what is due; return when the next datagram is."""
        if now >= self._due:
            self._judge_pace(now - self._due)
            self._send(now)
            # What was missed is left out, and the phase is kept: many that were held
            # up together must not go on in step.
            missed = int((now - self._due) / self._period)
            self._due += (1 + missed) * self._period
        if now >= self._settled + _SETTLE:
            self.picture.dropped(self._sock.dropped, now)
            for event in self.picture.settle(now):
                self._tell(event)
            # Who comes late has not heard yet what waits for it.
            self.standing = self.picture.standing(now) if self._fair else None
            self._settled = now
        return self._due

    def hear(self, arrived: list[bytes], at: float, *, fair: bool) -> None:
        """Take what has come; not ``fair``: it may have waited for us."""
        for data in arrived:
            try:
                frame = datagram.parse(data)
            except RemoteError:
                continue
            if frame is None or not frame.flags & ANSWER:
                continue
            if frame.kind == Kind.STREAM:
                answer = udp_stream.parse_answer(frame.payload)
                self._understand(answer, at, fair=fair and self._fair)
            elif frame.kind == Kind.ERROR:
                self._be_refused(frame.payload)

    def leave(self) -> None:
        """Ask the server to end its stream; nobody waits for an answer."""
        if self.answered:
            self._ask(self.picture.up.sent, StreamFlag.STOP)

    # Parts

    def _judge_pace(self, late: float) -> None:
        """Count what could not be sent in its time: it is not caught up with."""
        self._fair = late < LATE
        if not self._fair:
            self.stalled += late
        if self.answered:
            self.unsent += int(late / self._period)

    def _send(self, now: float) -> None:
        picture = self.picture
        if self.answered:
            error = self._ask(picture.up.sent)
            if error:
                self.unsent += 1
                self.error = error
                if error.startswith(_OWN):
                    self._withhold(now)
            else:
                picture.sent(now)
        elif now - self._knocked >= min(_SELDOM, _KNOCK * 2 ** (self._knocks // 16)):
            self._knocked = now
            self._knocks += 1
            self.error = self._ask(0) or self.error

    def _withhold(self, now: float) -> None:
        spans, start = self._withheld, now
        if spans and now - spans[-1][1] <= self._period:
            start, _ = spans.pop()
        spans.append((start, now + self._period))

    def _ask(self, number: int, flags: StreamFlag = udp_stream.PLAIN) -> str:
        period = round(self._period * 1000)
        question = StreamQuestion(self._flow, number, period, self._cookie, flags)
        payload = question.serialize()
        return self._sock.send(
            datagram.serialize(Kind.STREAM, payload, 0, udp_stream.SIZE)
        )

    def _take(self, seconds: float) -> None:
        until = time.monotonic() + max(0.0, seconds)
        arrived = self._sock.wait(seconds)
        at = time.monotonic()
        self.hear(arrived, at, fair=at - until < LATE)

    def _understand(
        self, answer: udp_stream.StreamAnswer | None, at: float, *, fair: bool
    ) -> None:
        if answer is None or answer.flow != self._flow:
            return
        match answer:
            case Challenge(cookie=cookie, boot=boot):
                if not self.answered:
                    self.round_trip = at - self._knocked
                self.answered = True
                self._cookie = cookie
                self.picture.booted(boot.hex())
            case StreamStatus():
                self.refused = ""
                self.picture.take(answer, at, fair=fair)
            case StreamEnd(why=EndReason.STOPPED):
                self._over = True
            case StreamEnd(why=why):
                self.picture.ended(why.name.lower())

    def _be_refused(self, payload: bytes) -> None:
        try:
            self.refused = decode(ErrorMessage, payload).message
        except RemoteError:
            self.refused = "an error that cannot be read"

    def _rest(self, stop: threading.Event) -> None:
        """Wait for what is still under way, then end the stream; tell what is left."""
        picture = self.picture
        start = time.monotonic()
        quiet = _QUIET + 2 * self.round_trip

        def waiting(now: float) -> bool:
            if picture.known >= picture.up.sent or picture.latest is None:
                return False
            silent = now - picture.latest > quiet
            return now < start + (_LONGEST + quiet if silent else quiet)

        while waiting(now := time.monotonic()) and not stop.is_set():
            self._take(self._period)
        picture.dropped(self._sock.dropped, now)
        for event in picture.finish(now):
            self._tell(event)
        for _ in range(_STOPS if self.answered else 0):
            if self._over or self._ask(picture.up.sent, StreamFlag.STOP):
                break
            self._until(lambda: self._over, quiet / _STOPS)

    def _until(self, done: Callable[[], bool], seconds: float) -> None:
        until = time.monotonic() + seconds
        while not done() and (left := until - time.monotonic()) > 0:
            self._take(left)
