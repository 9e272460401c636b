"""Whole conversations: a client's connection against a server's, and a hostile peer.

What each end sends is on its way until it is delivered, in pieces of any size. A hostile
peer changes what is on its way, adds to it, or leaves it out.
"""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from netduet.wire import frames
from netduet.wire.connection import SEND_EOF, Connection
from netduet.wire.errors import Code, RemoteError
from netduet.wire.events import (
    AnswerReceived,
    DataReceived,
    EchoReceived,
    EndReceived,
    ErrorReceived,
    Event,
    Expired,
    PeerFailed,
)
from netduet.wire.frames import HEADER_SIZE, MAGIC, MAX_CONTROL, Kind
from netduet.wire.messages import (
    HoldQuestion,
    InspectQuestion,
    LedgerQuestion,
    ReportQuestion,
    SourceQuestion,
)
from netduet.wire.state_machine import Limits, Role, State
from tests.unit.wire.vectors import OPENING, VectorPeer

LIMITS: Final = Limits(max_frame=600, max_questions=20, linger_bytes=4096)
_UNKNOWN: Final = "c" * 32

questions = st.sampled_from(
    [
        (Kind.ECHO, b"x" * 40),
        (Kind.ECHO, b""),
        (Kind.SINK, b"y" * 20),
        (Kind.REPORT, ReportQuestion()),
        (Kind.LEDGER, LedgerQuestion(conn_id=_UNKNOWN)),
        (Kind.SOURCE, SourceQuestion(size=300, seed=7)),
        (Kind.HOLD, HoldQuestion(seconds=1.0, speak=False)),
        (Kind.INSPECT, InspectQuestion(conn_id=_UNKNOWN)),
    ]
)
hostile_bytes = st.one_of(
    st.binary(min_size=1, max_size=40),
    st.sampled_from(
        [
            MAGIC,
            frames.serialize(Kind.END),
            frames.serialize(Kind.END, flags=1),
            frames.serialize(Kind.ECHO, b"z" * 9),
            frames.serialize(Kind.ECHO, b"z" * 9, flags=1, id=1),
            frames.serialize(Kind.HOLD, b'{"seconds":9,"speak":true}'),
            frames.serialize(Kind.ERROR, b'{"code":"idle","message":"","facts":{}}'),
            frames.HEADER.pack(2**32 - 1, Kind.ECHO, 0, 0, 1),
        ]
    ),
)


class Wire:
    """What one end has sent and the other has not received yet."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.ended = False

    def take(self, size: int) -> bytes:
        """Return the next bytes."""
        piece = bytes(self.data[:size])
        del self.data[:size]
        return piece


class Conversation(RuleBasedStateMachine):
    """A client and a server, and perhaps somebody between them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.client = Connection(Role.CLIENT, LIMITS, 0.0)
        self.server = VectorPeer(Role.SERVER, LIMITS)
        self.to_server, self.to_client = Wire(), Wire()
        self.asked: set[int] = set()
        self.answered: set[int] = set()
        self.number = 0
        self.hostile = False
        """Whether somebody changes what is on its way, in this run."""
        self.is_over = False
        """Whether the client knows that no more answers come."""
        self.client.open(OPENING, 0.0)
        self._send()

    @initialize(
        hostile=st.booleans(),
        opened=st.sampled_from([True, True, True, False]),
        several=st.lists(questions, max_size=6),
    )
    def start(
        self, several: list[tuple[Kind, bytes]], *, hostile: bool, opened: bool
    ) -> None:
        """Choose whether there is a hostile peer, and how far all goes well."""
        if opened:
            self.deliver()
            self.ask(several)
        self.hostile = hostile

    # Good peers

    @precondition(lambda self: self._may_ask())
    @rule(several=st.lists(questions, min_size=1, max_size=4))
    def ask(self, several: list[tuple[Kind, bytes]]) -> None:
        """Ask something."""
        for question in several:
            self.number += 1
            self.asked.add(self.number)
            self.client.ask(*question, self.number)
        self._send()

    @precondition(lambda self: self._may_ask() and self.number > 4)
    @rule()
    def end(self) -> None:
        """Say that nothing more will be asked."""
        self.client.end()
        self._send()

    @rule(size=st.sampled_from([1, 9, 40, 300, 5000]))
    def deliver_to_server(self, size: int) -> None:
        """Have something arrive at the server, and what it causes be sent."""
        piece = self.to_server.take(size)
        if piece:
            self.server.feed(piece, self.now)
        elif self.to_server.ended:
            self.server.eof(self.now)
        self._send()

    @rule(size=st.sampled_from([1, 9, 40, 300, 5000]))
    def deliver_to_client(self, size: int) -> None:
        """Have something arrive at the client."""
        piece = self.to_client.take(size)
        if piece:
            self._take(self.client.receive_data(piece, self.now))
        elif self.to_client.ended:
            self._take(self.client.receive_eof(self.now))
            self.is_over = True
        self._send()

    @rule()
    def deliver(self) -> None:
        """Have everything that is on its way arrive, as on a good network."""
        self.deliver_to_server(5000)
        self.deliver_to_client(5000)

    @rule(seconds=st.sampled_from([0.1, 0.1, 1.0, 4.0, 30.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass at both ends."""
        self.now += seconds
        self.server.expire(self.now)
        self._take(self.client.expire(self.now))
        self._send()

    @precondition(lambda self: self.number > 4)
    @rule()
    def drain(self) -> None:
        """Have the server shut down."""
        error = RemoteError(Code.DRAINING, "the server is shutting down")
        self.server.connection.refuse(error, self.now)
        self.server.flush()
        self._send()

    # A hostile peer, or somebody between

    @precondition(lambda self: self.hostile)
    @rule(data=hostile_bytes, to_server=st.booleans())
    def inject(self, data: bytes, *, to_server: bool) -> None:
        """Send something behind what is on its way."""
        wire = self.to_server if to_server else self.to_client
        if not wire.ended:
            wire.data += data

    @precondition(lambda self: self.hostile)
    @rule(place=st.integers(0, 500), bit=st.integers(0, 7), to_server=st.booleans())
    def flip(self, place: int, bit: int, *, to_server: bool) -> None:
        """Change a bit of what is on its way."""
        wire = self.to_server if to_server else self.to_client
        if wire.data:
            wire.data[place % len(wire.data)] ^= 1 << bit

    @precondition(lambda self: self.hostile)
    @rule(to_server=st.booleans(), size=st.integers(0, 40))
    def cut(self, size: int, *, to_server: bool) -> None:
        """End a direction, and lose what is on its way but for the first bytes."""
        wire = self.to_server if to_server else self.to_client
        wire.ended = True
        del wire.data[size:]

    # What holds

    @invariant()
    def buffers_are_bounded(self) -> None:
        """Neither end keeps more than a frame."""
        most = HEADER_SIZE + max(MAX_CONTROL, LIMITS.max_frame)
        assert len(self.client.incomplete) <= most
        assert len(self.server.connection.incomplete) <= most
        assert self.server.connection.owed <= LIMITS.max_questions

    @invariant()
    def every_wait_has_an_end(self) -> None:
        """Neither end waits for the other without a deadline."""
        for connection in (self.client, self.server.connection):
            endless = connection.state in {State.CLOSED, State.FOREIGN}
            assert endless or connection.deadline is not None, connection.state
            if connection.state in {State.LINGER, State.CLOSED}:
                assert connection._ended, connection.state

    def teardown(self) -> None:
        """Whatever happened, both ends come to an end, and good clients know."""
        for _ in range(60):
            self.deliver_to_server(100_000)
            self.deliver_to_client(100_000)
        if not self.hostile:
            assert self.is_over or self.asked == self.answered
        for _ in range(4):
            self.to_server.ended = self.to_client.ended = True
            self.deliver_to_server(100_000)
            self.deliver_to_client(100_000)
            self.wait(1e6)
        states = self.client.state, self.server.connection.state
        assert states == (State.CLOSED, State.CLOSED), states

    # Helpers

    def _may_ask(self) -> bool:
        return self.client.state is State.OPEN and not self.client._end_sent

    def _send(self) -> None:
        for data in self.client.data_to_send():
            self._put(self.to_server, bytes(data))
        sent, self.server.sent = self.server.sent, b""
        if sent:
            self._put(self.to_client, sent)
        if self.server.ended:
            self.to_client.ended = True

    def _put(self, wire: Wire, data: bytes) -> None:
        if data == SEND_EOF:
            wire.ended = True
        elif not wire.ended:
            wire.data += data

    def _take(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case AnswerReceived() | DataReceived():
                    self.answered.add(event.id)
                case EchoReceived():
                    self._count_echoes(event)
                case EndReceived():
                    assert self.hostile or self.asked == self.answered
                    self.is_over = True
                case PeerFailed() | ErrorReceived() | Expired():
                    self.is_over = True
                case _:
                    pass

    def _count_echoes(self, event: EchoReceived) -> None:
        offset = 0
        for _ in range(event.count):
            parsed = frames.parse(event.run, offset)
            assert parsed is not None
            frame, offset = parsed
            self.answered.add(frame.id)
