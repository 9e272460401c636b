"""Properties for any bytes in any split: events or one breach, in linear work."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netduet.server.udp_flow_counters import UdpFlowCounters
from netduet.wire import datagram, echo, frames, messages, payload_pattern, udp_count
from netduet.wire.connection import Connection
from netduet.wire.errors import Code, RemoteError
from netduet.wire.events import EchoReceived, RequestReceived
from netduet.wire.frames import HEADER, HEADER_SIZE, MAGIC, Frame, Kind
from netduet.wire.messages import (
    ANSWERS,
    QUESTIONS,
    CloseQuestion,
    HoldAnswer,
    HoldQuestion,
    InspectQuestion,
    Open,
    SinkAnswer,
    SourceQuestion,
)
from netduet.wire.state_machine import Limits, Role, State
from tests.unit.wire.vectors import ANSWERS as ANSWERED
from tests.unit.wire.vectors import VectorPeer, load, raw

SMALL = Limits(
    max_frame=600, max_questions=3, linger_bytes=80, max_text=9, plain_linger_bytes=80
)
STREAMS = {row["name"]: raw(row["in"]) for row in load("streams")}
OPENED, WELCOMED = STREAMS["an opening"], STREAMS["a welcome"]

KINDS = {
    model: Kind(kind)
    for models in (QUESTIONS, ANSWERS)
    for kind, model in models.items()
}

few = settings(max_examples=120, deadline=None)
many = settings(max_examples=400, deadline=None)


def changed(data: bytes, at: int) -> bytes:
    """Return the data with one byte changed, if there is one at that place."""
    broken = bytearray(data)
    if at < len(data):
        broken[at] ^= 1
    return bytes(broken)


headers = st.builds(
    HEADER.pack,
    st.one_of(st.integers(0, 40), st.sampled_from([600, 601, 65537, 2**32 - 1])),
    st.sampled_from([*Kind, *Kind, 0, 99]),
    st.sampled_from([0, 0, 0, 1, 1, 2]),
    st.sampled_from([0, 0, 0, 0, 1]),
    st.integers(0, 2**64 - 1),
)
echo_frames = st.builds(
    lambda payload, flags, times: (
        frames.serialize(Kind.ECHO, payload, flags=flags, id=7) * times
    ),
    st.binary(max_size=40),
    st.sampled_from([0, 0, 0, 1]),
    st.integers(1, 30),
)
control_frames = st.builds(
    lambda kind, flags, payload: frames.serialize(kind, payload, flags=flags),
    st.sampled_from([Kind.REPORT, Kind.LEDGER, Kind.END, Kind.OPEN, Kind.ERROR]),
    st.sampled_from([0, 0, 1]),
    st.sampled_from([b"", b"{}", b'{"conn_id":"%s"}' % (b"c" * 32), b"{", b"[]"]),
)
requests = st.one_of(
    st.builds(
        SourceQuestion,
        size=st.sampled_from([0, 1, 8, 9, 600, 601, 2**64 - 1]),
        seed=st.integers(0, 2**64 - 1),
    ),
    st.builds(
        HoldQuestion, seconds=st.sampled_from([0.0, 5.0, 7201.0]), speak=st.booleans()
    ),
    st.builds(
        CloseQuestion,
        how=st.sampled_from(["finish", "reset", "after_eof"]),
        delay=st.sampled_from([0.0, 0.0, 5.0, 7201.0]),
        size=st.sampled_from([0, 9, 600, 601]),
        seed=st.just(7),
    ),
    st.builds(InspectQuestion, conn_id=st.just("c" * 32)),
)
answers = st.one_of(
    st.builds(SinkAnswer, received=st.just(9), changed_at=st.sampled_from([None, 8])),
    st.builds(HoldAnswer, spoke=st.booleans()),
    st.just(ANSWERED[Kind.INSPECT]),
)
request_frames = st.builds(
    lambda message, flags: frames.serialize(
        KINDS[type(message)], messages.encode(message), flags=flags, id=7
    ),
    requests,
    st.sampled_from([0, 0, 0, 1]),
)
answer_frames = st.builds(
    lambda message: frames.serialize(
        KINDS[type(message)], messages.encode(message), flags=1, id=7
    ),
    answers,
)
data_frames = st.builds(
    lambda pair, size, flipped: frames.serialize(
        pair[0], changed(payload_pattern.make(size, 7), flipped), flags=pair[1], id=7
    ),
    st.sampled_from(sorted(frames.DATA)),
    st.integers(0, 40),
    st.integers(0, 99),
)
bodies = st.lists(
    st.one_of(
        echo_frames,
        echo_frames,
        control_frames,
        request_frames,
        request_frames,
        answer_frames,
        data_frames,
        headers,
        st.binary(),
    ),
    max_size=8,
).map(b"".join)
streams = st.one_of(
    st.binary(max_size=60),
    st.builds(lambda cut, rest: MAGIC[:cut] + rest, st.integers(1, 8), st.binary()),
    st.builds(lambda body: OPENED + body, bodies),
    st.builds(lambda body: WELCOMED + body, bodies),
)
roles = st.sampled_from(Role)
cuts = st.lists(st.integers(0, 10_000), max_size=12)


def pieces(data: bytes, places: list[int]) -> list[bytes]:
    """Cut the data at these places."""
    marks = sorted({0, *(place % (len(data) + 1) for place in places), len(data)})
    return [data[a:b] for a, b in itertools.pairwise(marks)]


@many
@given(roles, streams, cuts, st.booleans())
def test_any_split_gives_the_same_result(
    role: Role, data: bytes, places: list[int], end: bool
) -> None:
    """Any bytes, split anywhere, give equal events, answers, state and deadline."""
    whole, cut = VectorPeer(role, SMALL), VectorPeer(role, SMALL)
    whole.feed(data)
    for piece in pieces(data, places):
        cut.feed(piece)
    if end:
        whole.eof()
        cut.eof()
    assert cut.outcome == whole.outcome
    assert cut.connection.deadline == whole.connection.deadline
    assert cut.connection.text == whole.connection.text
    assert cut.connection.frames_received == whole.connection.frames_received
    assert cut.connection.frames_sent == whole.connection.frames_sent
    assert cut.connection.bytes_sent == whole.connection.bytes_sent == len(cut.sent)


@many
@given(roles, streams, cuts)
def test_any_bytes_give_events_or_one_breach(
    role: Role, data: bytes, places: list[int]
) -> None:
    """No input raises; at most one breach is reported and one ERROR sent."""
    peer = VectorPeer(role, SMALL)
    for piece in pieces(data, places):
        peer.feed(piece)
    peer.eof()
    peer.eof()
    peer.feed(data)
    peer.expire(1e9)
    names = [event["event"] for event in peer.events]
    breaches = names.count("PeerFailed")
    assert breaches <= 1
    if "Expired" not in names:
        assert names.count("EofReceived") == 1
    elif "EofReceived" in names:  # an end that was asked for, and is not made in time
        assert names[-2:] == ["EofReceived", "Expired"]
    assert peer.connection.state is State.CLOSED
    assert peer.connection.bytes_received == 2 * len(data)
    errors = [frame for frame in sent_frames(peer) if frame.kind == Kind.ERROR]
    assert len(errors) == (breaches if role is Role.SERVER else 0)


def sent_frames(peer: VectorPeer) -> list[Frame]:
    """Return the frames that a peer sent."""
    found, at = [], len(MAGIC)
    while peer.sent.startswith(MAGIC) and (parsed := frames.parse(peer.sent, at)):
        found.append(parsed[0])
        at = parsed[1]
    assert not peer.sent.startswith(MAGIC) or at == len(peer.sent)
    return found


@few
@given(roles, streams, cuts)
def test_buffer_is_bounded(role: Role, data: bytes, places: list[int]) -> None:
    """An incomplete frame takes at most the size of a control frame."""
    peer = VectorPeer(role, SMALL)
    bound = HEADER_SIZE + max(SMALL.max_frame, frames.MAX_CONTROL)
    for piece in pieces(data, places):
        peer.feed(piece)
        assert len(peer.connection.incomplete) < bound
        assert len(peer.connection.text) <= SMALL.max_text + 1


@few
@given(st.sampled_from([*QUESTIONS.values(), *ANSWERS.values()]), st.binary())
def test_any_payload_is_a_message_or_rejected(model: type[Any], data: bytes) -> None:
    """Any bytes are a message or one RemoteError, whose ERROR fits."""
    error = refusal(model, data)
    if error is not None:
        encoded = messages.encode(messages.ErrorMessage.of(error))
        assert messages.decode(messages.ErrorMessage, encoded).code == error.code


def refusal(model: type[Any], payload: bytes) -> RemoteError | None:
    """Return the error that a payload is refused with; None when it is a message."""
    try:
        messages.decode(model, payload)
    except RemoteError as error:
        return error
    return None


PAYLOAD_CODES = {Code.BAD_MESSAGE, Code.UNKNOWN_FIELD, Code.UNKNOWN_VERSION}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["version", "nonce", "peer", "limits", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([*QUESTIONS.values(), *ANSWERS.values()]), json_values)
def test_any_json_is_a_message_or_rejected(model: type[Any], value: object) -> None:
    """Any JSON is a message or one RemoteError with a code of the protocol."""
    error = refusal(model, json.dumps(value).encode())
    if error is not None:
        assert error.code in PAYLOAD_CODES
        assert error.message.isprintable()


@few
@given(
    st.sampled_from(Kind),
    st.binary(max_size=99),
    st.integers(0, 255),
    st.integers(0, 2**64 - 1),
)
def test_frame_round_trip(kind: Kind, payload: bytes, flags: int, id_: int) -> None:
    """A serialized frame is parsed to the same frame, and shown in one safe line."""
    data = frames.serialize(kind, payload, flags=flags, id=id_)
    frame = Frame(kind, flags, id_, payload)
    assert frames.parse(data) == (frame, len(data))
    assert str(frame).isprintable()


@few
@given(st.text(alphabet="0123456789abcdef", min_size=32, max_size=32))
def test_opening_round_trip(nonce: str) -> None:
    """An opening decodes to itself."""
    message = Open(nonce=nonce)
    assert messages.decode(Open, messages.encode(message)) == message


@few
@given(
    st.one_of(
        st.binary(max_size=80),
        st.builds(
            lambda header, rest: MAGIC + header + rest,
            headers,
            st.binary(max_size=40) | st.integers(0, 999).map(bytes),
        ),
        st.builds(
            lambda payload, pad: datagram.serialize(Kind.COUNT, payload, 7, pad),
            st.binary(max_size=60),
            st.sampled_from([0, 250]),
        ),
    )
)
def test_answer_to_any_datagram_is_not_larger(data: bytes) -> None:
    """Any datagram is a question, dropped or a breach."""
    try:
        frame = datagram.parse_question(data)
        if frame is None:
            return
        answer_payload = frame.payload
        if frame.kind == Kind.COUNT:
            question = udp_count.parse_question(answer_payload, frame.id)
            answer_payload = UdpFlowCounters().answer(
                ("192.0.2.1", 1), question, len(answer_payload), len(answer_payload)
            )
        answer = datagram.answer(Kind(frame.kind), answer_payload, frame.id, len(data))
    except RemoteError as error:
        answer = datagram.failure(error, len(data))
    assert answer is None or len(answer) <= len(data)
    assert answer is None or datagram.parse_question(answer) is None


@few
@given(st.lists(echo_frames, max_size=12).map(b"".join), cuts)
def test_echo_mirrors_each_frame(data: bytes, places: list[int]) -> None:
    """Each ECHO comes back with its id, its payload and the flag."""
    peer = VectorPeer(Role.SERVER)
    peer.feed(OPENED)
    start = len(peer.sent)
    for piece in pieces(data, places):
        peer.feed(piece)
    at, wanted = 0, b""
    while (found := frames.parse(data, at)) and found[0].flags == 0:
        frame, at = found
        wanted += frames.serialize(frame.kind, frame.payload, flags=1, id=frame.id)
    assert peer.sent[start:].startswith(wanted)
    assert (len(peer.sent) - start == len(wanted)) == (at == len(data))


# Linear work, without a clock: lines run, bytes sliced, bytes handed on


def lines_run(work: Callable[[], object]) -> int:
    """Count the lines of this package's code that the work runs."""
    count = 0

    def trace(frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal count
        if "netduet" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def echo_frame(size: int) -> bytes:
    """Return an ECHO frame with so long a payload."""
    return frames.serialize(Kind.ECHO, bytes(size))


REPORT = frames.serialize(Kind.REPORT, b"{}")
SINK = frames.serialize(Kind.SINK, payload_pattern.make(9, 7))
SOURCE = frames.serialize(Kind.SOURCE, b'{"size":9,"seed":7}')
HOLD = frames.serialize(Kind.HOLD, b'{"seconds":5.0,"speak":false}')
SHAPES = {
    "equal": echo_frame(8),
    "sinks": SINK,
    "sources and holds with echoes between": SOURCE + echo_frame(3) + HOLD,
    "alternating": echo_frame(0) + echo_frame(1),
    "runs just long enough to be compared by columns": echo_frame(0) * 8
    + echo_frame(1) * 8,
    "runs a little too short": echo_frame(0) * 7 + echo_frame(1) * 7,
    "long, then short": echo_frame(0) * 70 + echo_frame(3),
    "growing": b"".join(map(echo_frame, range(30))),
    "with questions between": echo_frame(0) * 9 + REPORT,
    "frames inside payloads": echo_frame(16 * 5)[:16] + echo_frame(0) * 5,
}


@pytest.mark.parametrize("size", [None, 1, 100])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_work_is_linear_in_the_bytes(shape: bytes, size: int | None) -> None:
    """Twice the bytes take twice the lines of code, not four times, in any split."""

    def run(times: int) -> int:
        connection = Connection(Role.SERVER, Limits(max_questions=10**6), 0.0)
        connection.receive_data(OPENED, 0.0)
        data = shape * times
        step = size or len(data)

        def feed() -> None:
            for at in range(0, len(data), step):
                for event in connection.receive_data(data[at : at + step], 0.0):
                    match event:
                        case EchoReceived():
                            connection.echo(event)
                        case RequestReceived(Kind.SOURCE, _, frame_id):
                            connection.promise(Kind.SOURCE, 1, 7, frame_id)
                while connection.owed:
                    connection.data_to_send()
                connection.data_to_send()

        lines = lines_run(feed)
        assert connection.state is State.OPEN
        return lines

    once, twice = run(20), run(40)
    assert twice <= 2.2 * once


class Counted(bytes):
    """Bytes that count what is sliced out of them."""

    sliced = 0

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        if isinstance(found, bytes):
            Counted.sliced += len(found)
        return found


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_sliced_bytes_are_bounded(shape: bytes) -> None:
    """Finding the frames of a read slices at most six times its bytes."""
    data = Counted(shape * 40)
    Counted.sliced = 0
    at = 0
    while at < len(data):
        length, kind, *_ = HEADER.unpack_from(data, at)
        size = HEADER_SIZE + length
        if kind == Kind.ECHO:
            at += len(echo.take(data, at, size, 1024).run)
        else:
            at += size
    assert at == len(data)
    assert Counted.sliced <= 6 * len(data)


class Handing(Connection):
    """Counts the bytes that are looked through for frames."""

    __slots__ = ("handed",)

    def _take_frames(self, data: bytes, now: float) -> list[Any]:
        self.handed = getattr(self, "handed", 0) + len(data)
        return super()._take_frames(data, now)


@pytest.mark.parametrize("step", [1, 2, 15, 16, 17, 1000, 10**6])
@pytest.mark.parametrize("payload", [0, 1, 15, 100_000])
def test_scanned_bytes_are_bounded(step: int, payload: int) -> None:
    """However a frame is split, its bytes are scanned at most three times."""
    peer = VectorPeer(Role.SERVER, made_of=Handing)
    data = OPENED + echo_frame(payload) * (3 if payload > 1000 else 50)
    for at in range(0, len(data), step):
        peer.feed(data[at : at + step])
    assert peer.connection.frames_received > 3
    assert isinstance(peer.connection, Handing)
    assert peer.connection.handed <= 3 * len(data)
