"""The vectors, run with their bytes in every split."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from netduet.server.udp_flow_counters import UdpFlowCounters
from netduet.server.udp_streams import ReplyPath, UdpStreams
from netduet.wire import (
    datagram,
    frames,
    messages,
    payload_pattern,
    udp_count,
    udp_stream,
)
from netduet.wire.connection import Connection
from netduet.wire.errors import Code, RemoteError
from netduet.wire.frames import HEADER_SIZE, MAGIC, Frame, Kind
from netduet.wire.messages import (
    CloseQuestion,
    HoldQuestion,
    InspectQuestion,
    LedgerQuestion,
    ReportQuestion,
    SourceQuestion,
)
from netduet.wire.state_machine import TRANSITIONS, Input, Role, State
from tests.unit.wire.vectors import (
    OPENING,
    Vector,
    VectorPeer,
    finish,
    load,
    matches,
    peer_of,
    raw,
    splits,
)

STREAMS: list[Vector] = load("streams")
DATAGRAMS: list[Vector] = load("datagrams")
MESSAGES = load("messages")
TRANSCRIPTS: list[Vector] = load("transcripts")


def named(rows: list[Vector]) -> pytest.MarkDecorator:
    """Parametrise a test by vectors."""
    return pytest.mark.parametrize("vector", rows, ids=lambda row: row["name"])


def whole(vector: Vector) -> VectorPeer:
    """Run a stream's vector in one piece."""
    peer = peer_of(vector)
    peer.feed(raw(vector["in"]))
    return finish(peer, vector)


@named(load("frames"))
def test_frame_vector_both_ways(vector: Vector) -> None:
    """A frame's fields give its bytes, and its bytes its fields."""
    data = bytes.fromhex(vector["hex"])
    payload = bytes.fromhex(vector["payload"])
    kind, flags, frame_id = Kind[vector["kind"]], vector["flags"], vector["id"]
    assert frames.serialize(kind, payload, flags=flags, id=frame_id) == data
    expected = (Frame(kind, flags, frame_id, payload), len(data))
    assert frames.parse(data) == expected
    assert frames.parse(data + b"\xff") == expected
    assert [frames.parse(data[:cut]) for cut in range(len(data))] == [None] * len(data)


@named(MESSAGES["valid"])
def test_message_vector_both_ways(vector: Vector) -> None:
    """A message's fields give its text, and its text its fields."""
    model = getattr(messages, vector["model"])
    message = messages.decode(model, vector["text"].encode())
    assert message.model_dump() == vector["fields"]
    assert messages.encode(message) == vector["text"].encode()


@named(MESSAGES["refused"])
def test_invalid_message_vector_is_rejected(vector: Vector) -> None:
    """A payload that breaks a rule is rejected with code, text, and field."""
    with pytest.raises(RemoteError) as caught:
        messages.decode(getattr(messages, vector["model"]), raw(vector["in"]), 7)
    error = caught.value
    assert (error.code, error.message) == (vector["code"], vector["message"])
    assert error.facts.get("field") == vector.get("field")
    assert error.frame_id == 7


@named(STREAMS)
def test_stream_vector_in_one_piece(vector: Vector) -> None:
    """A stream gives its events, its answers and its state."""
    events, sent, ended, state = whole(vector).outcome
    assert [event["event"] for event in events] == [
        event["event"] for event in vector["events"]
    ]
    for event, expected in zip(events, vector["events"], strict=True):
        assert matches(event, expected), (event, expected)
    assert sent == raw(vector["sent"])
    assert ended == (vector["sent"][-1:] == ["EOF"])
    assert state is State[vector["state"]]


@named(STREAMS)
def test_stream_vector_byte_by_byte(vector: Vector) -> None:
    """The result is that of the whole stream."""
    peer = peer_of(vector)
    for byte in raw(vector["in"]):
        peer.feed(bytes([byte]))
    assert finish(peer, vector).outcome == whole(vector).outcome


@named(STREAMS)
def test_stream_vector_in_two_pieces(vector: Vector) -> None:
    """The result is that of the whole stream, wherever it is cut."""
    data = raw(vector["in"])
    expected = whole(vector).outcome
    for cut in splits(len(data)):
        peer = peer_of(vector)
        peer.feed(data[:cut])
        peer.feed(data[cut:])
        assert finish(peer, vector).outcome == expected, cut


@named(STREAMS)
def test_stream_vector_ending_anywhere(vector: Vector) -> None:
    """An early end of stream closes; inside a frame it is a truncation."""
    data = raw(vector["in"])
    for cut in (0, *splits(len(data)), len(data)):
        peer = peer_of(vector)
        peer.feed(data[:cut])
        before, was = len(peer.events), peer.connection.state
        peer_ended = peer.ended
        peer.eof()
        events, _, ended, state = peer.outcome
        expected = ["EofReceived"]
        if was is State.START:
            expected.insert(0, "GreetingReceived")
        asking = (State.OPENING, State.CHALLENGED, State.OPEN)
        if was in asking and _inside(data[:cut]):
            expected.insert(0, "PeerFailed")
            assert events[before]["code"] == "truncated"
        assert [event["event"] for event in events[before:]] == (
            [] if was is State.CLOSED else expected
        )
        if state is State.PARTED:  # an end that was asked for is still to be made
            assert not ended
        else:
            assert state is State.CLOSED
            assert ended == (was is not State.CLOSED or peer_ended)


def _inside(prefix: bytes) -> bool:
    """Tell whether bytes that break no rule end inside an opening or a frame."""
    at = len(MAGIC)
    if 0 < len(prefix) <= at:
        return True
    while at < len(prefix):
        found = frames.parse(prefix, at)
        if found is None:
            return True
        at = found[1]
    return False


@named([row for row in STREAMS if row["state"] in ("GREETED", "LINGER", "CLOSED")])
def test_stream_vector_followed_by_data(vector: Vector) -> None:
    """Data after the end of the exchange changes nothing."""
    peer = whole(vector)
    events, sent, ended, _ = peer.outcome
    before = list(events)
    bound = peer.connection.limits.plain_linger_bytes
    peer.feed(MAGIC[: min(bound - len(raw(vector["in"])), 5)])
    assert (peer.events, peer.sent, peer.ended) == (before, sent, ended)


@named(DATAGRAMS)
def test_datagram_vector(vector: Vector) -> None:
    """A datagram is a question, a breach with an answer, or dropped."""
    data = raw(vector["in"])
    answer = code = None
    try:
        frame = datagram.parse_question(data)
        assert (frame is None) == vector.get("dropped", False)
        if frame is not None and frame.kind != Kind.OPEN:
            kind = Kind(frame.kind)
            answer = datagram.answer(kind, _answer_payload(frame), frame.id, len(data))
    except RemoteError as error:
        code = error.code
        answer = datagram.failure(error, len(data))
    else:
        if frame is not None:
            wanted = vector["frame"]
            assert (Kind(frame.kind).name, frame.id) == tuple(wanted.values())
    assert code == vector.get("code")
    assert answer == (raw(vector["answer"]) if "answer" in vector else None)
    assert answer is None or len(answer) <= len(data)


def _answer_payload(frame: Frame) -> bytes:
    """Return the payload that answers an ECHO, the first COUNT there was, a STREAM."""
    if frame.kind == Kind.ECHO:
        return frame.payload
    if frame.kind == Kind.STREAM:
        asked = udp_stream.parse_question(frame.payload, frame.id)
        server = UdpStreams("bb" * 16, bytes(32))
        way = ReplyPath(("192.0.2.1", 1024), lambda _: True, lambda: 0)
        answer = server.take(asked, way, 0.0)
        assert answer is not None
        return answer.serialize()
    question = udp_count.parse_question(frame.payload, frame.id)
    size = len(frame.payload)
    return UdpFlowCounters().answer(
        ("192.0.2.1", 1024), question, size, size, dropped=0
    )


@named(TRANSCRIPTS)
def test_transcript_vector(vector: Vector) -> None:
    """Both ends, each given the other's bytes, produce the transcript."""
    client = VectorPeer(Role.CLIENT, opens=False)
    server = VectorPeer(Role.SERVER)
    to_server, to_client = _Way(client, server), _Way(server, client)
    for turn in vector["turns"]:
        known = len(client.events)
        _act(client, server, turn)
        assert to_server.carry() == expected(turn["client sends"])
        assert to_client.carry() == expected(turn["server sends"])
        events = client.events[known:]
        for event, wanted in zip(events, turn["client learns"], strict=True):
            assert matches(event, wanted), (event, wanted)
    assert client.connection.state is server.connection.state is State.CLOSED


def expected(pieces: list[Any]) -> tuple[bytes, bool]:
    """Return the bytes of a turn, and whether the sending ends with it."""
    return raw(pieces), pieces[-1:] == ["EOF"]


class _Way:
    """What one peer sends, on its way to the other."""

    def __init__(self, sender: VectorPeer, receiver: VectorPeer) -> None:
        self._sender = sender
        self._receiver = receiver
        self._carried = 0
        self._ended = False

    def carry(self) -> tuple[bytes, bool]:
        """Bring over what was sent since the last time, and return it."""
        self._sender.flush()
        data = self._sender.sent[self._carried :]
        end = self._sender.ended and not self._ended
        self._carried += len(data)
        self._ended = self._sender.ended
        self._receiver.feed(data)
        if end:
            self._receiver.eof()
        return data, end


QUESTIONS: dict[str, tuple[Kind, BaseModel | bytes]] = {
    "echo": (Kind.ECHO, b"hi"),
    "report": (Kind.REPORT, ReportQuestion()),
    "ledger": (Kind.LEDGER, LedgerQuestion(conn_id="c" * 32)),
    "sink": (Kind.SINK, payload_pattern.make(12, 0x0102030405060708)),
    "source": (Kind.SOURCE, SourceQuestion(size=9, seed=7)),
    "hold": (Kind.HOLD, HoldQuestion(seconds=5.0, speak=False)),
    "inspect": (Kind.INSPECT, InspectQuestion(conn_id="c" * 32)),
    "close: finish": (
        Kind.CLOSE,
        CloseQuestion(how="finish", delay=0.0, size=9, seed=7),
    ),
    "close: after_eof": (
        Kind.CLOSE,
        CloseQuestion(how="after_eof", delay=0.0, size=9, seed=7),
    ),
}
"""What a client of a transcript asks, by the word for it."""


def _act(client: VectorPeer, server: VectorPeer, turn: Vector) -> None:
    connection = client.connection
    match turn["client does"]:
        case "end the sending":
            connection.end_sending()
        case does if does in QUESTIONS:
            connection.ask(*QUESTIONS[does], 1)
        case "open":
            connection.open(OPENING, 0.0)
        case "say":
            connection.say(b"Hello, server!")
        case "end":
            connection.end()
    if turn.get("server does") == "refuse":
        error = RemoteError(Code.DRAINING, "the server is shutting down")
        server.connection.refuse(error, 0.0)


@pytest.mark.parametrize("cut", range(len(MAGIC) + 1))
def test_magic_is_decided_at_each_prefix(cut: int) -> None:
    """Each prefix of the magic waits for more; each wrong next byte is reported."""
    peer = VectorPeer(Role.SERVER)
    peer.feed(MAGIC[:cut])
    assert peer.connection.state is (State.OPENING if cut else State.START)
    assert (peer.events, peer.sent) == ([], b"")
    if 0 < cut < len(MAGIC):
        peer.feed(bytes([MAGIC[cut] ^ 0x20]))
        assert [event.get("code") for event in peer.events] == ["magic_broken"]


@pytest.mark.parametrize("cut", range(1, len(b"Hello, server!") + 1))
def test_greeting_is_sent_at_any_prefix(cut: int) -> None:
    """Any prefix of a plain greeting is answered at once and once."""
    peer = VectorPeer(Role.SERVER)
    peer.feed(b"Hello, server!"[:cut])
    peer.feed(b"Hello, server!"[cut:])
    events, sent, ended, state = peer.outcome
    assert events == [{"event": "GreetingReceived"}]
    assert (sent, ended, state) == (b"Hello, client!", True, State.GREETED)
    assert peer.connection.text == b"Hello, server!"


def test_every_first_byte_selects_a_dialect() -> None:
    """One first byte of 256 is framed, all others are plain."""
    states = {}
    for byte in range(256):
        peer = VectorPeer(Role.SERVER)
        peer.feed(bytes([byte]))
        states[byte] = peer.connection.state
    framed = [byte for byte, state in states.items() if state is State.OPENING]
    assert framed == [MAGIC[0]]
    assert set(states.values()) == {State.OPENING, State.GREETED}


def test_every_kind_and_code_has_a_vector() -> None:
    """Each frame kind and each error code occurs in a stream."""
    kinds, codes = set(), set()
    for row in STREAMS:
        for data in (raw(row["in"]), raw(row["sent"])):
            at = len(MAGIC)
            while data.startswith(MAGIC) and (found := frames.parse(data, at)):
                frame, at = found
                kinds.add(frame.kind)
                if frame.kind == Kind.ERROR and row["role"] == "server":
                    codes.add(json.loads(frame.payload)["code"])
    assert set(Kind) - kinds == set()
    assert set(Code) - codes == set()
    assert {row["kind"] for row in load("frames")} == {kind.name for kind in Kind}


def test_every_transition_has_a_vector() -> None:
    """Each row of the state table is used by a stream."""
    taken: set[tuple[State, Input]] = set()

    class Traced(Connection):
        __slots__ = ()

        def _move(self, cause: Input) -> None:
            taken.add((self.state, cause))
            super()._move(cause)

    for row in STREAMS:
        peer = peer_of(row, Traced)
        peer.feed(raw(row["in"]))
        finish(peer, row)
    rows = {(state, cause) for state, causes in TRANSITIONS.items() for cause in causes}
    assert rows - taken == set()


def test_header_is_judged_before_its_payload() -> None:
    """A length too large is rejected before any byte of the payload has come."""
    row = next(row for row in STREAMS if row["name"] == "the longest length there is")
    data = raw(row["in"])
    assert data[-HEADER_SIZE:].startswith(b"\xff\xff\xff\xff")
    peer = peer_of(row)
    peer.feed(data[:-1])
    assert peer.connection.state is State.OPEN
    peer.feed(data[-1:])
    assert peer.events[-1]["code"] == "too_large"
