"""One connection: deadlines, counters, limits, and misuse of its API."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from netduet.wire import frames, payload_pattern
from netduet.wire.connection import SEND_EOF, Connection
from netduet.wire.errors import Code, LocalError, RemoteError
from netduet.wire.events import (
    EchoReceived,
    EndReceived,
    Event,
    PeerFailed,
    RequestReceived,
)
from netduet.wire.frames import ANSWER, HEADER_SIZE, MAGIC, Kind
from netduet.wire.messages import ReportQuestion
from netduet.wire.sender import PIECE_BYTES
from netduet.wire.state_machine import Limits, Role, State
from tests.unit.wire.vectors import ANSWERS, OPENING, VectorPeer, load, raw

STREAMS = {row["name"]: raw(row["in"]) for row in load("streams")}
OPENED, WELCOMED = STREAMS["an opening"], STREAMS["a welcome"]
LIMITS = Limits()
HALF = frames.serialize(Kind.ECHO, b"hello")[:-2]
ECHO = frames.serialize(Kind.ECHO, b"hello")
HOLD = frames.serialize(Kind.HOLD, b'{"seconds":500.0,"speak":false}')
CLOSE = frames.serialize(
    Kind.CLOSE, b'{"how":"after_eof","delay":3.0,"size":3,"seed":0}', id=9
)


def server(**limits: float) -> VectorPeer:
    """Return a server whose client has opened at time 0."""
    peer = VectorPeer(Role.SERVER, Limits(**limits))  # type: ignore[arg-type]
    peer.feed(OPENED)
    return peer


def names(peer: VectorPeer) -> list[str]:
    """Return the names of the events so far."""
    return [event["event"] for event in peer.events]


# Deadlines


def test_first_byte_deadline_counts_from_the_accept() -> None:
    """A server waits for the first byte for as long as the limit says."""
    connection = Connection(Role.SERVER, LIMITS, 100.0)
    assert connection.deadline == 110.0
    assert connection.expire(109.9) == []
    assert connection.state is State.START


def test_opening_deadline_is_a_total() -> None:
    """Single bytes do not extend the time for the opening."""
    peer = VectorPeer(Role.SERVER)
    for second, byte in enumerate(OPENED[:40]):
        peer.feed(bytes([byte]), now=3.0 + second / 10)
    assert peer.connection.deadline == 8.0
    peer.expire(8.0)
    assert peer.events == [{"event": "Expired", "limit": "opening"}]


def test_frame_deadline_is_a_total() -> None:
    """Single bytes do not extend the time for a frame."""
    peer = server()
    for second, byte in enumerate(HALF):
        peer.feed(bytes([byte]), now=20.0 + second / 10)
    assert peer.connection.deadline == 30.0


def test_frame_deadline_is_each_frames_own() -> None:
    """The end of a frame starts the time of the next, also within one read."""
    peer = server()
    peer.feed(HALF, now=20.0)
    peer.feed(ECHO[len(HALF) :] + ECHO[:3], now=25.0)
    assert peer.connection.deadline == 35.0


def test_completed_header_does_not_restart_the_frame_deadline() -> None:
    """A frame starts with the first byte of its header."""
    peer = server()
    peer.feed(ECHO[:3], now=20.0)
    peer.feed(ECHO[3:18], now=25.0)
    assert peer.connection.deadline == 30.0


@pytest.mark.parametrize("data", [ECHO, ECHO * 3, ECHO * 40])
def test_idle_deadline_counts_from_the_last_frame(data: bytes) -> None:
    """Each complete frame restarts the idle time."""
    peer = server()
    peer.feed(data[:7], now=30.0)
    peer.feed(data[7:], now=31.0)
    assert peer.connection.deadline == 91.0
    peer.feed(data, now=32.0)
    assert peer.connection.deadline == 92.0


def test_linger_is_a_total() -> None:
    """Data after our end does not extend the wait."""
    peer = server()
    peer.feed(frames.serialize(Kind.END), now=10.0)
    for second in range(1, 20):
        peer.feed(b"x", now=10.0 + second / 10)
    assert peer.connection.deadline == 12.0
    peer.expire(12.0)
    assert peer.connection.state is State.CLOSED
    assert peer.connection.deadline is None


def test_client_has_no_deadline_before_its_opening() -> None:
    """Afterwards it has the deadlines of its limits."""
    peer = VectorPeer(Role.CLIENT, opens=False)
    assert peer.connection.deadline is None
    assert peer.connection.expire(1e9) == []
    peer.connection.open(OPENING, 7.0)
    assert peer.connection.deadline == 12.0
    peer.feed(WELCOMED, now=8.0)
    assert peer.connection.deadline == 68.0


def test_foreign_server_has_no_deadline() -> None:
    """The client's own timeouts limit a foreign protocol."""
    peer = VectorPeer(Role.CLIENT)
    peer.feed(b"220 ready\r\n")
    assert peer.connection.deadline is None


def test_paused_reading_extends_deadlines() -> None:
    """Time in which this side did not read moves the deadlines (P-43)."""
    peer = server()
    peer.feed(HALF, now=20.0)
    peer.connection.postpone(7.0)
    assert peer.connection.deadline == 37.0
    peer.feed(b"l", now=36.0)
    assert peer.connection.deadline == 37.0
    peer.expire(36.9)
    assert "Expired" not in names(peer)
    peer.feed(b"o", now=36.95)
    assert peer.connection.deadline == 96.95


@pytest.mark.parametrize("behind", [b"", ECHO[:3], ECHO])
def test_hold_ends_with_the_next_byte(behind: bytes) -> None:
    """It may be in the same read or in a later one."""
    for apart in (False, True):
        peer = server()
        peer.feed(HOLD if apart else HOLD + behind, now=20.0)
        if apart:
            assert peer.connection.deadline == 20.0 + 500 + 60
            peer.feed(behind, now=20.0)
        expected = {0: 580.0, 3: 30.0, len(ECHO): 80.0}[len(behind)]
        assert peer.connection.deadline == expected


def test_hold_counts_from_its_last_byte() -> None:
    """The hold starts when the question is complete."""
    peer = server()
    peer.feed(HOLD[:20], now=20.0)
    peer.feed(HOLD[20:], now=25.0)
    assert peer.connection.deadline == 25.0 + 500 + 60


def test_small_echo_ends_a_hold() -> None:
    """The fast path for small echoes ends a hold too."""
    peer = server()
    peer.feed(HOLD, now=20.0)
    peer.feed(ECHO, now=30.0)
    peer.feed(ECHO, now=31.0)
    assert peer.connection.deadline == 91.0


def test_close_waits_for_the_end_then_its_delay() -> None:
    """It waits for the client's end within the frame timeout (P-60)."""
    peer = server()
    peer.feed(CLOSE, now=20.0)
    peer.feed(b"x", now=25.0)
    assert (peer.connection.state, peer.connection.deadline) == (State.PARTING, 30.0)
    peer.eof(now=26.0)
    assert peer.connection.state is State.PARTED
    assert peer.connection.deadline == 26.0 + 3 + 2
    peer.connection.answer(Kind.CLOSE, b"bye", 9)
    peer.connection.half_close()
    assert peer.connection.data_to_send() == [
        frames.serialize(Kind.CLOSE, b"bye", flags=ANSWER, id=9),
        SEND_EOF,
    ]
    assert (peer.connection.state, peer.connection.deadline) == (State.CLOSED, None)


# Bounds


def test_frame_limit_below_64_kib_limits_only_echo() -> None:
    """Control frames are not affected, alone or in a run."""
    for data in (
        frames.serialize(Kind.ECHO, bytes(101)),
        frames.serialize(Kind.ECHO, bytes(100)) * 2
        + frames.serialize(Kind.ECHO, bytes(101)),
    ):
        peer = server(max_frame=100)
        peer.feed(data)
        assert peer.events[-1]["code"] == "too_large"
    peer = server(max_frame=1)
    question = frames.serialize(Kind.REPORT, b" " * 500 + b"{}")
    peer.feed(question)
    assert names(peer)[-1] == "RequestReceived"


def test_frame_limit_is_inclusive() -> None:
    """It holds for a payload in one piece and in many."""
    data = frames.serialize(Kind.ECHO, bytes(100_000))
    peer = server(max_frame=100_000)
    peer.feed(data)
    for at in range(0, len(data), 4096):
        peer.feed(data[at : at + 4096])
    assert peer.events[-1]["frames"] == 2
    peer = server(max_frame=99_999)
    peer.feed(data[:16])
    assert peer.events[-1]["code"] == "too_large"


def test_plain_text_is_kept_up_to_limit_plus_one() -> None:
    """The extra byte shows that there was more text."""
    peer = VectorPeer(Role.SERVER, Limits(max_text=4))
    peer.feed(b"abc")
    peer.feed(b"defgh")
    assert peer.connection.text == b"abcde"


def test_buffer_is_released_at_the_end() -> None:
    """An incomplete frame is not kept while the connection lingers."""
    peer = server()
    peer.feed(frames.serialize(Kind.ECHO, bytes(90_000))[:-1])
    assert len(peer.connection.incomplete) > 90_000
    error = RemoteError(Code.DRAINING, "the server is shutting down")
    peer.connection.refuse(error, 0.0)
    assert len(peer.connection.incomplete) == 0


# Order and counters


def test_pending_answer_comes_before_the_end() -> None:
    """Questions before an END are answered before it, in one write."""
    connection = server().connection
    data = frames.serialize(Kind.REPORT, b"{}", id=5) + frames.serialize(Kind.END)
    events = connection.receive_data(data, 0.0)
    assert [type(event) for event in events] == [RequestReceived, EndReceived]
    connection.answer(Kind.REPORT, ANSWERS[Kind.REPORT], 5)
    answer, last, end = connection.data_to_send()
    assert frames.parse(bytes(answer))[0].id == 5  # type: ignore[index]
    assert last == frames.serialize(Kind.END, flags=ANSWER)
    assert end == SEND_EOF


def test_answer_after_the_end_is_dropped() -> None:
    """An answer that is ready after our end is not sent."""
    connection = server().connection
    events: list[Event] = connection.receive_data(ECHO, 0.0)
    connection.receive_data(frames.serialize(Kind.END), 0.0)
    connection.data_to_send()
    sent = connection.bytes_sent
    echo = events[0]
    assert isinstance(echo, EchoReceived)
    connection.echo(echo)
    connection.answer(Kind.REPORT, ANSWERS[Kind.REPORT], 5)
    assert connection.data_to_send() == []
    assert connection.bytes_sent == sent


def test_promised_answers_are_made_one_at_a_time() -> None:
    """Each promised answer is made in its turn, in order with the others."""
    connection = server().connection
    for event in connection.receive_data(ECHO + frames.serialize(Kind.END), 0.0):
        if isinstance(event, EchoReceived):
            connection.promise(Kind.SOURCE, 1, 7, 1)
            connection.echo(event)
            connection.promise(Kind.SOURCE, 1, 7, 2)
            connection.answer(Kind.REPORT, ANSWERS[Kind.REPORT], 5)
    before = connection.bytes_sent
    assert connection.owed == 2
    first = connection.data_to_send()
    assert connection.owed == 1
    assert connection.bytes_sent == before + 17
    then = connection.data_to_send()
    assert connection.owed == 0
    parsed = [frames.parse(bytes(frame)) for frame in (*first, *then[:-1])]
    kinds = [frame[0].kind for frame in parsed if frame is not None]
    assert kinds == [Kind.SOURCE, Kind.ECHO, Kind.SOURCE, Kind.REPORT, Kind.END]
    assert then[-1] == SEND_EOF
    assert connection.frames_sent == 1 + len(kinds)
    assert connection.data_to_send() == []


def test_promised_answer_is_made_in_pieces() -> None:
    """No piece is larger than is allowed, and together they are one frame."""
    connection = server().connection
    size = 3 * PIECE_BYTES + 5
    connection.promise(Kind.SOURCE, size, 7, 9)
    assert not connection.is_amid_answer
    pieces = []
    frames_sent = connection.frames_sent
    while connection.owed:
        [piece] = connection.data_to_send()
        pieces.append(piece)
        assert connection.is_amid_answer == (connection.owed > 0)
    assert connection.frames_sent == frames_sent + 1
    assert max(map(len, pieces)) <= PIECE_BYTES + HEADER_SIZE
    whole = frames.serialize(
        Kind.SOURCE, payload_pattern.make(size, 7), flags=ANSWER, id=9
    )
    assert b"".join(pieces) == whole


def test_answer_in_part_comes_before_an_error() -> None:
    """What ends the connection waits for the rest of an answer."""
    connection = server().connection
    size = PIECE_BYTES + 1
    connection.promise(Kind.SOURCE, size, 7, 1)
    first = connection.data_to_send()
    connection.refuse(RemoteError(Code.DRAINING, "over"), 0.0)
    rest = connection.data_to_send()
    assert (len(first), len(rest[0]), rest[-1]) == (1, 1, SEND_EOF)
    assert b"draining" in rest[1]


def test_promise_after_the_end_is_dropped() -> None:
    """An answer promised after our end is never made."""
    connection = server().connection
    connection.receive_data(frames.serialize(Kind.END), 0.0)
    connection.data_to_send()
    connection.promise(Kind.SOURCE, 1, 7, 1)
    assert connection.owed == 0
    assert connection.data_to_send() == []


def test_counters_count_bytes_and_whole_frames() -> None:
    """Bytes of the stream and complete frames are counted each way (P-48)."""
    peer = server()
    mixed = b"".join(frames.serialize(Kind.ECHO, bytes(n)) for n in range(9))
    peer.feed(ECHO)
    peer.feed(ECHO * 20)
    peer.feed(mixed + HALF)
    connection = peer.connection
    assert connection.frames_received == 1 + 1 + 20 + 9
    assert connection.frames_sent == connection.frames_received
    assert connection.bytes_received == len(OPENED + ECHO * 21 + mixed + HALF)
    assert connection.bytes_sent == len(peer.sent)


def test_refusal_names_the_frame_and_the_limit() -> None:
    """A refused opening gets the reason with its own id, and nothing is opened."""
    error = RemoteError(Code.TOO_MANY_CONNECTIONS, "no more", {"limit": 3})
    peer = VectorPeer(Role.SERVER, refusal=error)
    peer.feed(STREAMS["an opening with an id"])
    assert names(peer) == ["PeerFailed"]
    client = VectorPeer(Role.CLIENT)
    client.feed(peer.sent)
    assert client.events[0]["id"] == 7
    assert client.events[0]["message"].facts == {"limit": 3}


def test_refusal_ends_a_partial_opening() -> None:
    """A drain ends a connection with a partial opening; the magic is sent first."""
    peer = VectorPeer(Role.SERVER)
    peer.feed(OPENED[:20])
    peer.connection.refuse(RemoteError(Code.DRAINING, "over"), 0.0)
    peer.flush()
    assert peer.sent.startswith(MAGIC)
    assert peer.ended


def test_refusal_does_not_affect_a_plain_peer() -> None:
    """A drain adds nothing to a greeting."""
    peer = VectorPeer(Role.SERVER)
    peer.feed(b"Hello, server!")
    peer.connection.refuse(RemoteError(Code.DRAINING, "over"), 0.0)
    peer.flush()
    assert peer.sent == b"Hello, client!"


def test_long_error_is_truncated() -> None:
    """Our own message model does not reject it."""
    peer = server()
    error = RemoteError(Code.DRAINING, "x" * 5000, {"why": "y" * 5000})
    peer.connection.refuse(error, 0.0)
    peer.flush()
    client = VectorPeer(Role.CLIENT)
    client.feed(peer.sent)
    assert len(client.events[-1]["message"].message) == 1024


def test_empty_greeting_is_followed_by_the_end() -> None:
    """A greeting of no bytes does not end the connection itself."""
    connection = Connection(Role.SERVER, LIMITS, 0.0)
    connection.receive_data(b"x", 0.0)
    assert connection.data_to_send() == [SEND_EOF]


def test_empty_read_has_no_effect() -> None:
    """It neither greets nor opens nor starts a frame."""
    for peer in (VectorPeer(Role.SERVER), VectorPeer(Role.CLIENT), server()):
        before = peer.outcome
        deadline = peer.connection.deadline
        peer.feed(b"", now=3.0)
        assert peer.outcome == before
        assert peer.connection.deadline == deadline


def test_early_banner_makes_the_connection_plain() -> None:
    """A banner before our opening is plain, and so is all data after it."""
    peer = VectorPeer(Role.CLIENT, opens=False)
    peer.feed(b"220 ")
    peer.connection.open(OPENING, 0.0)
    peer.feed(MAGIC)
    assert peer.connection.state is State.FOREIGN
    assert peer.events == [{"event": "PlainReceived", "data": b"220 " + MAGIC}]


def test_end_is_sent_once() -> None:
    """A second end() does nothing."""
    peer = VectorPeer(Role.CLIENT)
    peer.feed(WELCOMED)
    before = len(peer.sent)
    peer.connection.end()
    peer.connection.end()
    peer.flush()
    assert len(peer.sent) - before == frames.HEADER_SIZE


# Misuse


def test_misuse_is_a_local_error() -> None:
    """A defect of ours raises LocalError and sends nothing."""
    client, fresh = VectorPeer(Role.CLIENT), VectorPeer(Role.CLIENT, opens=False)
    client.feed(WELCOMED)
    client.connection.end()
    opened, plain = server(), VectorPeer(Role.SERVER)
    plain.feed(b"x")
    ask = ReportQuestion()
    answer = ANSWERS[Kind.REPORT]
    misuses: list[Callable[[], None]] = [
        lambda: opened.connection.open(OPENING, 0.0),
        lambda: opened.connection.ask(Kind.REPORT, ask, 1),
        lambda: opened.connection.end(),
        lambda: opened.connection.say(b"x"),
        lambda: opened.connection.answer(Kind.ECHO, bytes(2**20 + 1), 1),
        lambda: plain.connection.answer(Kind.REPORT, answer, 1),
        lambda: VectorPeer(Role.SERVER).connection.answer(Kind.REPORT, answer, 1),
        lambda: client.connection.open(OPENING, 0.0),
        lambda: client.connection.ask(Kind.REPORT, ask, 1),
        lambda: client.connection.answer(Kind.REPORT, answer, 1),
        lambda: fresh.connection.ask(Kind.REPORT, ask, 1),
        lambda: fresh.connection.end(),
        lambda: opened.connection.half_close(),
        lambda: opened.connection.end_sending(),
        lambda: plain.connection.promise(Kind.SOURCE, 0, 7, 1),
        lambda: client.connection.promise(Kind.SOURCE, 0, 7, 1),
        lambda: fresh.connection.end_sending(),
        lambda: client.connection.half_close(),
        lambda: fresh.connection.refuse(RemoteError(Code.DRAINING, "over"), 0.0),
    ]
    for misuse in misuses:
        with pytest.raises(LocalError):
            misuse()
    assert fresh.connection.data_to_send() == opened.connection.data_to_send() == []


def test_sending_after_the_end_is_a_local_error() -> None:
    """A client that has ended after its server can send no more."""
    peer = VectorPeer(Role.CLIENT, opens=False)
    peer.eof()
    with pytest.raises(LocalError):
        peer.connection.say(b"x")


@pytest.mark.parametrize("payload", [b"{", b'{"conn_id":1}'])
def test_error_of_a_breach_holds_nothing_that_was_received(payload: bytes) -> None:
    """A lingering connection must not keep the frames before the one at fault."""
    connection = Connection(Role.SERVER, LIMITS, 0.0)
    connection.receive_data(OPENED, 0.0)
    breach = frames.serialize(Kind.LEDGER, payload)
    failed = connection.receive_data(ECHO + breach, 0.0)[-1]
    assert isinstance(failed, PeerFailed)
    assert failed.error.__traceback__ is None
    assert failed.error.__context__ is None
