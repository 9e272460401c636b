"""The UDP streams in progress: their clients, pace and end."""

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
    COOKIE_AGE_SECONDS,
    LEASE_SECONDS,
    MAX_GAPS,
    WAIT_LEASE_SECONDS,
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

MAX_STREAMS: Final = 64
"""Maximum streams: at the shortest period 3,200 small datagrams a second, half a core."""

MAX_STREAMS_PER_CLIENT: Final = 16
"""Maximum streams per address; behind a NAT all clients share one address."""


_WAITING_PERIOD_SECONDS: Final = 1.0
"""The period of a stream that begins with a wait."""


@dataclass(frozen=True, slots=True)
class ReplyPath:
    """Where a question came from: ``send`` returns whether the answer was sent.

    ``drops`` returns how many datagrams the socket has had no room for, None if
    unknown.
    """

    peer: Address
    send: Callable[[StreamAnswer], bool]
    drops: Callable[[], int | None]


@dataclass(slots=True)
class _UdpStream:
    flow: int
    reply_path: ReplyPath
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
            arrived.since(MAX_GAPS),
            arrived.next,
            arrived.received,
            arrived.duplicated,
            arrived.late,
            arrived.newest(MAX_GAPS),
            self.reply_path.drops(),
        )


class UdpStreams:
    """The streams of one server, on all its sockets."""

    def __init__(
        self,
        boot_id: str,
        secret: bytes | None = None,
        max_streams: int = MAX_STREAMS,
        max_per_client: int = MAX_STREAMS_PER_CLIENT,
    ) -> None:
        """Start with none; tests set ``secret``, else it is random."""
        self._boot = bytes.fromhex(boot_id)
        self._secret = secret or secrets.token_bytes(32)
        self.max_streams = max_streams
        """Maximum streams at once."""
        self.refused = {"total": 0, "client": 0}
        """Streams refused, by the limit: all streams, or one address's."""
        self._max_per_client = max_per_client
        self._streams: dict[int, _UdpStream] = {}
        self._over = False

    def __len__(self) -> int:
        return len(self._streams)

    def take(
        self,
        question: StreamQuestion,
        reply_path: ReplyPath,
        now: float,
        frame_id: int = 0,
    ) -> StreamAnswer | None:
        """Handle a client's datagram; return the immediate answer, if there is one.

        ``now`` is in monotonic seconds, ``frame_id`` is for an error.

        Raises:
            RemoteError: the client may stream, but a limit is reached.
        """
        stream = self._streams.get(question.flow)
        # A stream's cookie is valid as long as the stream exists and the address is the
        # same.
        known = stream is not None and stream.reply_path.peer == reply_path.peer
        if not (known and hmac.compare_digest(stream.cookie, question.cookie)):  # type: ignore[union-attr]  # known
            age = int(now // COOKIE_AGE_SECONDS)
            made = [
                self._cookie(reply_path.peer, question.flow, age - back)
                for back in (0, 1)
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
            stream = self._start(question, reply_path, now, frame_id)
        stream.reply_path, stream.cookie = reply_path, question.cookie
        stream.arrived.take(question.sequence)
        if question.flags & StreamFlag.WAIT:
            self._wait(stream, question.period, now)
            return None
        stream.period = question.period / 1000
        stream.until = now + LEASE_SECONDS
        if stream.due > now + stream.period:
            stream.due = now + stream.period
            self._schedule(stream)
        return None

    def end(self) -> None:
        """End all streams, and send the reason: the server is shutting down."""
        self._over = True
        for stream in list(self._streams.values()):
            self._end(stream, EndReason.DRAINING)

    def _cookie(self, peer: Address, flow: int, age: int) -> bytes:
        return udp_stream.cookie(self._secret, *peer, flow, age)

    def _start(
        self,
        question: StreamQuestion,
        reply_path: ReplyPath,
        now: float,
        frame_id: int,
    ) -> _UdpStream:
        of_client = sum(
            stream.reply_path.peer[0] == reply_path.peer[0]
            for stream in self._streams.values()
        )
        full = len(self._streams) >= self.max_streams
        if full or of_client >= self._max_per_client:
            self.refused["total" if full else "client"] += 1
            limit = self.max_streams if full else self._max_per_client
            message = f"the limit of {limit} streams is reached"
            facts: dict[str, int | str] = {"limit": limit}
            raise RemoteError(Code.TOO_MANY_CONNECTIONS, message, facts, frame_id)
        stream = _UdpStream(
            question.flow,
            reply_path,
            question.cookie,
            _WAITING_PERIOD_SECONDS
            if question.flags & StreamFlag.WAIT
            else question.period / 1000,
            start=now,
            due=now,
            until=now + LEASE_SECONDS,
            run=secrets.randbits(32),
        )
        self._streams[question.flow] = stream
        loop = asyncio.get_running_loop()
        stream.timer = loop.call_soon(self._turn, stream)  # type: ignore[assignment]  # both can be cancelled
        return stream

    def _wait(self, stream: _UdpStream, seconds: int, now: float) -> None:
        """Send one datagram, then none for so long; then go on for a short lease."""
        stream.number += stream.reply_path.send(stream.status(now))
        stream.due = now + seconds
        stream.until = stream.due + WAIT_LEASE_SECONDS
        self._schedule(stream)

    def _turn(self, stream: _UdpStream) -> None:
        """Send the next datagram if it is due; missed ones are not sent later."""
        now = time.monotonic()
        if now > stream.until:
            self._end(stream, EndReason.LEASE_SECONDS)
            return
        if now >= stream.due:
            # One that was not sent takes no number: the network did not lose it.
            stream.number += stream.reply_path.send(stream.status(now))
            stream.due += stream.period
            if stream.due <= now:
                stream.due = now + stream.period
        self._schedule(stream)

    def _schedule(self, stream: _UdpStream) -> None:
        """Take the next turn when the next datagram is due."""
        if stream.timer is not None:
            stream.timer.cancel()
        # The loop's own clock stands still during a turn, so not call_at.
        delay = max(0.0, stream.due - time.monotonic())
        loop = asyncio.get_running_loop()
        stream.timer = loop.call_later(delay, self._turn, stream)

    def _end(self, stream: _UdpStream, reason: EndReason) -> None:
        self._forget(stream)
        stream.reply_path.send(StreamEnd(stream.flow, reason))

    def _forget(self, stream: _UdpStream) -> None:
        if stream.timer is not None:
            stream.timer.cancel()
        self._streams.pop(stream.flow, None)
