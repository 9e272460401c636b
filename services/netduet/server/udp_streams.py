"""The streams of datagrams that are under way: whose they are, their pace, their end."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from netduet.wire import udp_stream
from netduet.wire.errors import Code, RemoteError
from netduet.wire.sequence import SequenceGaps
from netduet.wire.udp_stream import (
    COOKIE_AGE,
    GAPS,
    LEASE,
    Challenge,
    EndReason,
    StreamAnswer,
    StreamEnd,
    StreamFlag,
    StreamQuestion,
    StreamStatus,
)

if TYPE_CHECKING:
    from netduet.server.address import Address

MOST: Final = 64
"""Streams at once: at the fastest pace 3,200 small datagrams a second, half a core."""

EACH: Final = 16
"""Streams at once to one address; behind a NAT everybody is one address."""


@dataclass(frozen=True, slots=True)
class ReplyPath:
    """Where a question came from: ``send`` sends there, and tells whether that left.

    ``drops`` tells how many datagrams the socket has had no room for, None if unknown.
    """

    peer: Address
    send: Callable[[StreamAnswer], bool]
    drops: Callable[[], int | None]


@dataclass(slots=True)
class _UdpStream:
    flow: int
    way: ReplyPath
    cookie: bytes
    period: float
    start: float
    due: float
    until: float
    run: int
    number: int = 0
    arrived: SequenceGaps = field(default_factory=SequenceGaps)
    timer: asyncio.TimerHandle | None = None

    def status(self, now: float) -> StreamStatus:
        """Return the next datagram."""
        arrived = self.arrived
        return StreamStatus(
            self.flow,
            self.run,
            self.number,
            int((now - self.start) * 1_000_000),
            arrived.first,
            arrived.since(GAPS),
            arrived.next,
            arrived.received,
            arrived.duplicated,
            arrived.late,
            arrived.newest(GAPS),
            self.way.drops(),
        )


class UdpStreams:
    """The streams of one server, on all its sockets."""

    def __init__(
        self,
        boot_id: str,
        secret: bytes | None = None,
        most: int = MOST,
        each: int = EACH,
    ) -> None:
        """Start with none; ``secret`` is for tests, and random otherwise."""
        self._boot = bytes.fromhex(boot_id)
        self._secret = secret or secrets.token_bytes(32)
        self.most = most
        """How many there may be at once."""
        self.refused = {"total": 0, "client": 0}
        """How often there was no room, by the limit: all streams, or one address's."""
        self._each = each
        self._streams: dict[int, _UdpStream] = {}
        self._over = False

    def __len__(self) -> int:
        """Return how many are under way."""
        return len(self._streams)

    def take(
        self,
        question: StreamQuestion,
        way: ReplyPath,
        now: float,
        frame_id: int = 0,
    ) -> StreamAnswer | None:
        """Take a client's datagram; return what answers it at once, if anything does.

        Args:
            question: the datagram.
            way: where it came from.
            now: monotonic seconds.
            frame_id: for an error.

        Raises:
            RemoteError: the client may stream, and there is no room.

        """
        stream = self._streams.get(question.flow)
        # The cookie of a stream holds for as long as the stream and the address do.
        known = stream is not None and stream.way.peer == way.peer
        if not (known and hmac.compare_digest(stream.cookie, question.cookie)):  # type: ignore[union-attr]  # known
            age = int(now // COOKIE_AGE)
            made = [
                self._cookie(way.peer, question.flow, age - back) for back in (0, 1)
            ]
            if not any(hmac.compare_digest(cookie, question.cookie) for cookie in made):
                return Challenge(question.flow, made[0], self._boot)
        if question.flags & StreamFlag.STOP:
            if stream is not None:
                self._forget(stream)
            return StreamEnd(question.flow, EndReason.STOPPED)
        if self._over:
            return StreamEnd(question.flow, EndReason.DRAINING)
        if stream is None:
            stream = self._start(question, way, now, frame_id)
        stream.way, stream.cookie = way, question.cookie
        stream.period = question.period / 1000
        stream.until = now + LEASE
        stream.arrived.take(question.sequence)
        return None

    def end(self) -> None:
        """End all of them, and say so: the server is shutting down."""
        self._over = True
        for stream in list(self._streams.values()):
            self._end(stream, EndReason.DRAINING)

    def _cookie(self, peer: Address, flow: int, age: int) -> bytes:
        return udp_stream.cookie(self._secret, *peer, flow, age)

    def _start(
        self,
        question: StreamQuestion,
        way: ReplyPath,
        now: float,
        frame_id: int,
    ) -> _UdpStream:
        theirs = sum(
            stream.way.peer[0] == way.peer[0] for stream in self._streams.values()
        )
        full = len(self._streams) >= self.most
        if full or theirs >= self._each:
            self.refused["total" if full else "client"] += 1
            limit = self.most if full else self._each
            message = f"{limit} streams are under way: no more"
            facts: dict[str, int | str] = {"limit": limit}
            raise RemoteError(Code.TOO_MANY_CONNECTIONS, message, facts, frame_id)
        stream = _UdpStream(
            question.flow,
            way,
            question.cookie,
            question.period / 1000,
            start=now,
            due=now,
            until=now + LEASE,
            run=secrets.randbits(32),
        )
        self._streams[question.flow] = stream
        loop = asyncio.get_running_loop()
        stream.timer = loop.call_soon(self._turn, stream)  # type: ignore[assignment]  # both can be cancelled
        return stream

    def _turn(self, stream: _UdpStream) -> None:
        """Send the next one, if its time has come; what was missed is not caught up."""
        now = time.monotonic()
        if now > stream.until:
            self._end(stream, EndReason.LEASE)
            return
        if now >= stream.due:
            # One that does not leave takes no number: it is not for the network to lose.
            stream.number += stream.way.send(stream.status(now))
            stream.due += stream.period
            if stream.due <= now:
                stream.due = now + stream.period
        # The loop's own clock stands still during a turn, so not call_at.
        delay = max(0.0, stream.due - time.monotonic())
        loop = asyncio.get_running_loop()
        stream.timer = loop.call_later(delay, self._turn, stream)

    def _end(self, stream: _UdpStream, why: EndReason) -> None:
        self._forget(stream)
        stream.way.send(StreamEnd(stream.flow, why))

    def _forget(self, stream: _UdpStream) -> None:
        if stream.timer is not None:
            stream.timer.cancel()
        self._streams.pop(stream.flow, None)
