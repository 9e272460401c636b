"""One TCP connection, sans-I/O: bytes, end of stream and time in; events and bytes out.

Every change of state is a row of ``state_machine.TRANSITIONS``. Requests are answered
by the server's ``handlers``.

A server's connection starts in START, where the first byte fixes the dialect: the first
byte of the magic leads to OPENING, anything else (and an end of stream) to GREETED,
where the greeting is queued and the sending side ends. A framed connection is OPEN from
its valid opening until an END frame, an end of stream or a protocol error. In GREETED
and LINGER, input is read and dropped within bounds, because closing with unread input
would reset the connection and destroy the answer in flight (RFC 1122 §4.2.2.13). A
client's connection starts in START too, and ``open`` leads it to OPENING, where the
server's first byte shows whether a netduet answers; if not, the state is FOREIGN.

An incomplete frame waits in a buffer that is parsed again when the frame is complete,
so each byte is copied a fixed number of times however the stream is split.
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

_IGNORING: Final = frozenset({State.PARTING, State.PARTED, State.LINGER, State.CLOSED})
"""States in which received bytes are discarded or ignored."""

_ASKING: Final = frozenset({State.CHALLENGED, State.OPEN})
"""States in which frames are accepted after the opening."""

_UNADMITTED: Final = frozenset({State.OPENING, State.CHALLENGED})
"""States that must be left within the time for the opening."""


class Connection(Receiver):
    """The protocol of one TCP connection, for either end.

    Feed it with ``receive_data``, ``receive_eof`` and, when ``deadline`` has passed,
    ``expire``; after each, send what ``data_to_send`` returns. Times are monotonic
    seconds.
    """

    __slots__ = (
        "_awaited",
        "_echo",
        "_idle",
        "_intake",
        "_largest",
        "_started",
        "_wanted",
        "bytes_received",
        "frames_received",
        "greeting",
        "incomplete",
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
        token: bytes = b"",
        conn_id: str = "",
    ) -> None:
        """Start a connection that was accepted or connected at ``now``.

        ``greeting`` is a server's answer to a plain peer, ``refusal`` its answer to a
        framed opening if it refuses the connection. ``token`` is what a server demands
        the proof of, and what a client proves if it is demanded; a server then needs
        the ``conn_id`` of its welcome.
        """
        super().__init__(role, limits, refusal, token, conn_id)
        self.greeting = greeting
        self.text = bytearray()
        self.lingered = 0
        self.bytes_received = 0
        self.frames_received = 0
        # Before the opening, the client's caller has its own timeouts.
        if role is Role.SERVER:
            self.deadline = now + limits.first_byte
        self._intake = _INTAKE[State.START]
        self._awaited = MAGIC
        self.incomplete = bytearray()
        """The start of a frame whose rest has not arrived."""
        self._wanted = HEADER_SIZE
        self._started: float | None = None
        # Cached for the hot path.
        self._echo = echo.word(0 if role is Role.SERVER else ANSWER)
        self._idle = limits.idle
        self._largest = 0  # bytes of the largest frame while OPEN, else 0

    # Input

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """Process bytes from the peer and return the events.

        Never raises for anything the peer can send: a protocol error is the event
        PeerFailed, and the rest of the input is discarded.
        """
        size = len(data)
        self.bytes_received += size
        if HEADER_SIZE <= size <= self._largest and not self.incomplete:
            length, word = PEEK(data)
            if word == self._echo and length == size - HEADER_SIZE:
                # One complete ECHO frame: by far the most common read.
                self.frames_received += 1
                self.deadline = now + self._idle
                return [EchoReceived(data, size)]
        return self._intake(self, data, now) if data else []

    def receive_eof(self, now: float) -> list[Event]:
        """Process the peer's end of stream."""
        state = self.state
        if state in (State.PARTED, State.CLOSED):
            return []
        events: list[Event] = []
        if state is State.START and self.role is Role.SERVER:
            self.plain = True
            self._send(self.greeting)
            events.append(GreetingReceived())
        elif self._is_partial():
            unit = "the opening" if self.state is State.OPENING else "a frame"
            message = f"the stream ended inside {unit}"
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

        In GREETED and LINGER the connection is then CLOSED; the caller must abort it.
        """
        if self.deadline is None or now < self.deadline:
            return []
        name, error = timeouts.expired_limit(
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
        """Extend the deadline by the time in which this side did not read.

        The peer is not late while we do not read.
        """
        if self.deadline is not None:
            self.deadline += seconds
        if self._started is not None:
            self._started += seconds

    # How each state processes bytes; data is never empty

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
            self._set_foreign()
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
        buffer = self.incomplete
        if not buffer:
            return self._take_frames(data, now)
        if len(buffer) + len(data) < self._wanted:
            buffer += data
            return []
        self.incomplete = bytearray()
        return self._take_frames(b"".join((buffer, data)), now)

    def _take_linger(self, data: bytes, _now: float) -> list[Event]:
        return self._discard(len(data))

    def _take_closed(self, _data: bytes, _now: float) -> list[Event]:
        return []

    def _take_frames(self, data: bytes, now: float) -> list[Event]:
        """Process all complete frames; keep the rest, and set its deadline."""
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
                self._validate(length, kind, flags, reserved, frame_id)
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
                    if self.state not in _ASKING:  # the rest is ignored
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
            if isinstance(question, HoldQuestion):  # the last frame so far
                self.deadline = now + question.seconds + self._idle
        return events

    def _keep(self, rest: bytes, wanted: int, now: float, *, begins: bool) -> None:
        """Keep the start of a frame, and set the deadline that now applies."""
        self._wanted = wanted
        if rest:
            self.incomplete += rest
        if self.state in _UNADMITTED:
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

    # Helpers

    def _is_partial(self) -> bool:
        """Whether an opening or a frame has started and is incomplete."""
        if self.state is State.OPENING:
            return self.bytes_received > 0
        return self.state in _ASKING and bool(self.incomplete)

    def _progress(self) -> int:
        """Return how many bytes of the current opening or frame have arrived."""
        opening = self.state is State.OPENING
        return self.bytes_received if opening else len(self.incomplete)

    def _move(self, cause: Input) -> None:
        super()._move(cause)
        self._intake = _INTAKE[self.state]
        is_open = self.state is State.OPEN
        self._largest = HEADER_SIZE + self.limits.max_frame if is_open else 0
        if self.state in _IGNORING:
            self.incomplete = bytearray()


_INTAKE: Final[dict[State, Callable[[Connection, bytes, float], list[Event]]]] = {
    State.START: Connection._take_start,
    State.GREETED: Connection._take_greeted,
    State.FOREIGN: Connection._take_foreign,
    State.OPENING: Connection._take_opening,
    State.CHALLENGED: Connection._take_pieces,
    State.OPEN: Connection._take_pieces,
    State.PARTING: Connection._take_linger,
    State.PARTED: Connection._take_closed,
    State.LINGER: Connection._take_linger,
    State.CLOSED: Connection._take_closed,
}
