"""One connection, sans-I/O: bytes, end of stream and the time in; events and bytes out.

House rules: every change of state is a row of ``states.TRANSITIONS``; this file
opens nothing, reads no clock and answers no question of substance (that is the
server's ``behaviours``).

Theory of operation. A server's connection starts in START, where the first byte
fixes the dialect: the magic's first byte leads to OPENING, anything else (and an
end of stream) to GREETED, where the greeting is queued and the sending side
ends. A framed connection is OPEN from its valid opening until an END frame, an
end of stream or a breach of the rules. In GREETED and LINGER what still comes in
is read and dropped within bounds, for a close with unread input would reset the
connection and destroy the answer on its way (RFC 1122 §4.2.2.13). A client's
connection starts in START too, and ``open`` leads it to OPENING; there the
server's first byte tells whether a netduet answers (a stranger leads to FOREIGN).

Frames are only ever cut from ``bytes``. What is not yet whole waits in a buffer
that is looked at again when as much is there as its header says: each byte is
copied a fixed number of times, in whatever pieces it comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from netduet.wire import echo, frames, timeouts
from netduet.wire.echo import PEEK
from netduet.wire.errors import Code, RemoteError
from netduet.wire.events import (
    EchoReceived,
    EofReceived,
    Event,
    Expired,
    GreetingReceived,
    PlainReceived,
    RequestReceived,
)
from netduet.wire.frames import ANSWER, HEADER, HEADER_SIZE, MAGIC, Kind
from netduet.wire.messages import HoldQuestion
from netduet.wire.receiver import Receiver
from netduet.wire.sender import SEND_EOF
from netduet.wire.state_machine import Input, Limits, Role, State

__all__ = ["SEND_EOF", "Connection"]

_DEAF: Final = frozenset({State.PARTING, State.PARTED, State.LINGER, State.CLOSED})
"""States in which bytes mean nothing any more."""


class Connection(Receiver):
    """The protocol of one TCP connection, for either end.

    Feed it with ``receive_data``, ``receive_eof`` and, when ``deadline`` has
    passed, ``expire``; after each, send what ``data_to_send`` returns. Times are
    seconds of any monotonic clock.
    """

    __slots__ = (
        "_awaited",
        "_buffer",
        "_echo",
        "_idle",
        "_intake",
        "_largest",
        "_started",
        "_wanted",
        "bytes_received",
        "frames_received",
        "greeting",
        "lingered",
        "text",
    )

    def __init__(
        self,
        role: Role,
        limits: Limits,
        now: float,
        *,
        greeting: bytes = b"",
        refusal: RemoteError | None = None,
    ) -> None:
        """Start a connection.

        Args:
            role: which end this is.
            limits: its bounds.
            now: the time at which it was accepted or connected.
            greeting: what a server answers to plain text.
            refusal: when given, a framed opening is answered with this error
                (a plain peer is greeted all the same).

        """
        super().__init__(role, limits, refusal)
        self.greeting = greeting
        self.text = bytearray()
        self.lingered = 0
        self.bytes_received = 0
        self.frames_received = 0
        # A client waits with clocks of its own until it has opened.
        if role is Role.SERVER:
            self.deadline = now + limits.first_byte
        self._intake = _INTAKE[State.START]
        self._awaited = MAGIC
        self._buffer = bytearray()
        self._wanted = HEADER_SIZE
        self._started: float | None = None
        # What the hot path reads:
        self._echo = echo.word(0 if role is Role.SERVER else ANSWER)
        self._idle = limits.idle
        self._largest = 0  # bytes of the largest frame, while the connection is OPEN

    # In

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """Take bytes from the peer and return what they mean.

        Never raises for anything the peer can send: a breach of the rules is the
        event PeerFailed, and what follows it is dropped unread.
        """
        size = len(data)
        self.bytes_received += size
        if HEADER_SIZE <= size <= self._largest and not self._buffer:
            length, word = PEEK(data)
            if word == self._echo and length == size - HEADER_SIZE:
                # One whole ECHO frame: what a read brings most often by far.
                self.frames_received += 1
                self.deadline = now + self._idle
                return [EchoReceived(data, size)]
        return self._intake(self, data, now) if data else []

    def receive_eof(self, now: float) -> list[Event]:
        """Take the end of the peer's sending."""
        state = self.state
        if state in (State.PARTED, State.CLOSED):
            return []
        events: list[Event] = []
        if state is State.START and self.role is Role.SERVER:
            self.plain = True
            self._send(self.greeting)
            events.append(GreetingReceived())
        elif self._inside():
            what = "the opening" if self.state is State.OPENING else "a frame"
            message = f"the stream ended inside {what}"
            facts: dict[str, int | str] = {"received": self._progress()}
            error = RemoteError(Code.TRUNCATED, message, facts)
            events.append(self._fail(error, now))
        self._move(Input.EOF)
        if self.state is State.PARTED:
            self.deadline = now + self._parting + self.limits.linger
            return [EofReceived()]
        self._end_sending()
        self.deadline = None
        events.append(EofReceived())
        return events

    def expire(self, now: float) -> list[Event]:
        """Act on a deadline that has passed.

        In GREETED and LINGER the connection is then CLOSED and is to be aborted.
        """
        if self.deadline is None or now < self.deadline:
            return []
        name, error = timeouts.judge(
            self.state,
            self.limits,
            self._progress(),
            plain=self.plain,
            started=self._started is not None,
        )
        self._move(Input.EXPIRED)
        if self.state is State.LINGER:
            if error is not None and self.role is Role.SERVER:
                self._end_with_error(error)
            self._linger(now)
        else:
            self.deadline = None
        return [Expired(name)]

    def postpone(self, seconds: float) -> None:
        """Move the deadline on by a time in which this side did not read.

        A peer is not late while we are the ones who do not listen.
        """
        if self.deadline is not None:
            self.deadline += seconds
        if self._started is not None:
            self._started += seconds

    # How each state takes bytes; what comes is never empty

    def _take_start(self, data: bytes, now: float) -> list[Event]:
        if self.role is Role.CLIENT:
            self.plain = True
            return [PlainReceived(data)]
        if data[0] == MAGIC[0]:
            self._move(Input.MAGIC)
            self.deadline = now + self.limits.opening
            return self._take_opening(data, now)
        self.plain = True
        self._move(Input.TEXT)
        self._send(self.greeting)
        self._end_sending()
        self.deadline = now + self.limits.plain_linger
        return [GreetingReceived(), *self._take_greeted(data, now)]

    def _take_greeted(self, data: bytes, _now: float) -> list[Event]:
        room = self.limits.max_text + 1 - len(self.text)
        if room > 0:
            self.text += data[:room]
        return self._discard(len(data))

    def _take_foreign(self, data: bytes, _now: float) -> list[Event]:
        return [PlainReceived(data)]

    def _take_opening(self, data: bytes, now: float) -> list[Event]:
        awaited = self._awaited
        if not awaited:
            return self._take_pieces(data, now)
        if awaited is MAGIC and self.role is Role.CLIENT and data[0] != MAGIC[0]:
            self._stranger()
            return [PlainReceived(data)]
        magic = data[: len(awaited)]
        known = MAGIC[: len(MAGIC) - len(awaited)]
        try:
            frames.judge_magic(known + magic)
        except RemoteError as error:
            right = len(cast("str", error.facts["received"])) // 2 - len(known)
            return [self._fail(error, now), *self._discard(len(data) - right)]
        self._awaited = awaited[len(magic) :]
        rest = data[len(magic) :]
        return self._take_pieces(rest, now) if rest else []

    def _take_pieces(self, data: bytes, now: float) -> list[Event]:
        """Take bytes that complete what is buffered, or do not."""
        buffer = self._buffer
        if not buffer:
            return self._take_frames(data, now)
        if len(buffer) + len(data) < self._wanted:
            buffer += data
            return []
        self._buffer = bytearray()
        return self._take_frames(b"".join((buffer, data)), now)

    def _take_linger(self, data: bytes, _now: float) -> list[Event]:
        return self._discard(len(data))

    def _take_closed(self, _data: bytes, _now: float) -> list[Event]:
        return []

    def _take_frames(self, data: bytes, now: float) -> list[Event]:
        """Take every whole frame; keep what is left, whose frame has then begun."""
        events: list[Event] = []
        end = len(data)
        offset = taken = 0
        wanted = HEADER_SIZE
        try:
            while end - offset >= HEADER_SIZE:
                length, kind, flags, reserved, frame_id = HEADER.unpack_from(
                    data, offset
                )
                taken = offset + HEADER_SIZE
                self._judge(length, kind, flags, reserved, frame_id)
                wanted = HEADER_SIZE + length
                if end - offset < wanted:
                    break
                if kind == Kind.ECHO:
                    echoes = echo.take(data, offset, wanted, self.limits.max_frame)
                    self.frames_received += echoes.count
                    events.append(echoes)
                    offset += len(echoes.run)
                else:
                    payload = data[taken : offset + wanted]
                    offset = taken = offset + wanted
                    self.frames_received += 1
                    events.append(self._control(kind, flags, frame_id, payload))
                    if self.state is not State.OPEN:  # nothing is meant any more
                        if self.state is State.PARTING:
                            self.deadline = now + self.limits.frame
                        else:
                            self._linger(now)
                        events += self._discard(end - offset)
                        return events
                wanted = HEADER_SIZE
        except RemoteError as error:
            events.append(self._fail(error, now))
            events += self._discard(end - taken)
            return events
        self._keep(data[offset:], wanted, now, begins=offset > 0)
        if offset == end and type(events[-1]) is RequestReceived:
            question = events[-1].message
            if isinstance(question, HoldQuestion):  # nothing came behind it yet
                self.deadline = now + question.seconds + self._idle
        return events

    def _keep(self, rest: bytes, wanted: int, now: float, *, begins: bool) -> None:
        """Keep the begin of a frame, and set the deadline that now holds."""
        self._wanted = wanted
        if rest:
            self._buffer += rest
        if self.state is State.OPENING:
            return
        if not rest:
            self._started = None
            self.deadline = now + self._idle
            return
        if begins or self._started is None:
            self._started = now
        self.deadline = self._started + self.limits.frame

    def _discard(self, size: int) -> list[Event]:
        self.lingered += size
        limits = self.limits
        bound = limits.plain_linger_bytes if self.plain else limits.linger_bytes
        if self.lingered <= bound:
            return []
        self._move(Input.EXPIRED)
        self.deadline = None
        return [Expired("plain_linger_bytes" if self.plain else "linger_bytes")]

    # Small parts

    def _inside(self) -> bool:
        """Tell whether an opening or a frame has begun and is not yet whole."""
        if self.state is State.OPENING:
            return self.bytes_received > 0
        return self.state is State.OPEN and bool(self._buffer)

    def _progress(self) -> int:
        """Return how many bytes of the opening or of the frame begun have come."""
        opening = self.state is State.OPENING
        return self.bytes_received if opening else len(self._buffer)

    def _move(self, cause: Input) -> None:
        super()._move(cause)
        self._intake = _INTAKE[self.state]
        still = self.state is State.OPEN
        self._largest = HEADER_SIZE + self.limits.max_frame if still else 0
        if self.state in _DEAF:
            self._buffer = bytearray()


_INTAKE: Final[dict[State, Callable[[Connection, bytes, float], list[Event]]]] = {
    State.START: Connection._take_start,
    State.GREETED: Connection._take_greeted,
    State.FOREIGN: Connection._take_foreign,
    State.OPENING: Connection._take_opening,
    State.OPEN: Connection._take_pieces,
    State.PARTING: Connection._take_linger,
    State.PARTED: Connection._take_closed,
    State.LINGER: Connection._take_linger,
    State.CLOSED: Connection._take_closed,
}
