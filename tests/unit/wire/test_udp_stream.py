"""UDP streams: the payloads, and the cookie."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netduet.wire import datagram, udp_stream
from netduet.wire.errors import Code, RemoteError
from netduet.wire.frames import Kind
from netduet.wire.sequence import SequenceGaps
from netduet.wire.udp_stream import (
    COOKIE_SIZE,
    MAX_GAPS,
    MAX_PERIOD_MS,
    MIN_PERIOD_MS,
    QUESTION_SIZE,
    SIZE,
    Challenge,
    EndReason,
    StreamEnd,
    StreamFlag,
    StreamQuestion,
    StreamStatus,
)

few = settings(max_examples=200, deadline=None)
flows = st.integers(0, 2**64 - 1)
words = st.integers(0, 2**32 - 1)
numbers = st.integers(0, udp_stream.MAX_NUMBER)
cookies = st.binary(min_size=COOKIE_SIZE, max_size=COOKIE_SIZE)


@st.composite
def tellings(draw: st.DrawFn) -> StreamStatus:
    """Return the server's report after these numbers have arrived."""
    gaps = SequenceGaps()
    for number in draw(st.lists(st.integers(0, 200), min_size=1, max_size=120)):
        gaps.take(number)
    return StreamStatus(
        draw(flows),
        draw(words),
        draw(words),
        draw(flows),
        gaps.first,
        gaps.since(MAX_GAPS),
        gaps.next,
        gaps.received,
        gaps.duplicated,
        gaps.late,
        gaps.newest(MAX_GAPS),
        draw(st.none() | st.integers(0, 2**32 - 2)),
    )


@few
@given(
    flows,
    numbers,
    st.integers(MIN_PERIOD_MS, MAX_PERIOD_MS),
    cookies,
    st.sampled_from([0, 1]),
)
def test_question_round_trip(
    flow: int, sequence: int, period: int, cookie: bytes, flags: int
) -> None:
    """A question is parsed as it was serialized, and fits the datagram."""
    question = StreamQuestion(flow, sequence, period, cookie, StreamFlag(flags))
    payload = question.serialize()
    assert len(payload) == QUESTION_SIZE
    assert udp_stream.parse_question(payload, 7) == question
    assert len(datagram.serialize(Kind.STREAM, payload, 0, SIZE)) == SIZE


@few
@given(st.binary(max_size=40))
def test_any_payload_is_a_question_or_rejected(payload: bytes) -> None:
    """Any bytes are a question, or one RemoteError that names the frame."""
    question = error = None
    try:
        question = udp_stream.parse_question(payload, 7)
    except RemoteError as caught:
        error = caught
    if question is None:
        assert error is not None
        assert (error.code, error.frame_id) == (Code.BAD_MESSAGE, 7)
    else:
        assert question.serialize() == payload


@few
@given(tellings())
def test_report_round_trip(status: StreamStatus) -> None:
    """A server's report is parsed as it was serialized, and fits the datagram."""
    payload = status.serialize()
    assert udp_stream.parse_answer(payload) == status
    assert datagram.answer(Kind.STREAM, payload, 0, SIZE) is not None


@few
@given(flows, cookies, st.binary(min_size=16, max_size=16), st.sampled_from(EndReason))
def test_challenge_and_end_round_trip(
    flow: int, cookie: bytes, boot: bytes, why: EndReason
) -> None:
    """A challenge and an end are parsed as they were serialized."""
    for answer in (Challenge(flow, cookie, boot), StreamEnd(flow, why)):
        assert udp_stream.parse_answer(answer.serialize()) == answer


def test_large_counts_saturate() -> None:
    """A count beyond 32 bits does not wrap."""
    status = StreamStatus(1, 2, 3, 4, 0, 0, 9, 2**40, 2**40, 2**40)
    read = udp_stream.parse_answer(status.serialize())
    assert isinstance(read, StreamStatus)
    assert (read.received, read.duplicated, read.late) == (2**32 - 1,) * 3


@pytest.mark.parametrize(
    ("dropped", "read"), [(0, 0), (7, 7), (2**32 - 2, 2**32 - 2), (2**32 - 1, 0)]
)
def test_drop_counter_skips_the_unknown_value(dropped: int, read: int) -> None:
    """The largest number means unknown, so the counter wraps before it."""
    status = StreamStatus(1, 2, 3, 4, 0, 0, 9, 5, 0, 0, (), dropped)
    again = udp_stream.parse_answer(status.serialize())
    assert isinstance(again, StreamStatus)
    assert again.dropped == read


def test_unknown_drops_are_not_zero() -> None:
    """Unknown has its own value."""
    status = StreamStatus(1, 2, 3, 4, 0, 0, 9, 5, 0, 0)
    assert udp_stream.parse_answer(status.serialize()) == status


@few
@given(st.binary(max_size=200))
def test_any_payload_is_an_answer_or_none(payload: bytes) -> None:
    """Any bytes are an answer or None: a server cannot crash a client."""
    answer = udp_stream.parse_answer(payload)
    assert answer is None or answer.serialize() == payload


@pytest.mark.parametrize(
    ("since", "upto", "gaps"),
    [
        (0, 9, ((3, 3),)),
        (0, 9, ((5, 4),)),
        (0, 9, ((4, 6), (5, 7))),
        (0, 9, ((4, 9),)),
        (5, 9, ((4, 6),)),
    ],
)
def test_invalid_gaps_are_no_answer(
    since: int, upto: int, gaps: tuple[tuple[int, int], ...]
) -> None:
    """Gaps are ordered ranges, above what is known and below the highest number."""
    status = StreamStatus(1, 2, 3, 4, 0, since, upto, 5, 0, 0, gaps)
    assert udp_stream.parse_answer(status.serialize()) is None


@few
@given(flows, st.integers(1, 65_535), st.integers(0, 9))
def test_cookie_depends_on_client_flow_and_time(flow: int, port: int, age: int) -> None:
    """Another address, port, flow, time or secret gives another cookie."""
    of = (b"s" * 32, "192.0.2.1", port, flow, age)
    others = [
        (b"t" * 32, "192.0.2.1", port, flow, age),
        (b"s" * 32, "192.0.2.2", port, flow, age),
        (b"s" * 32, "192.0.2.1", port - 1, flow, age),
        (b"s" * 32, "192.0.2.1", port, flow ^ 1, age),
        (b"s" * 32, "192.0.2.1", port, flow, age + 1),
    ]
    cookie = udp_stream.cookie(*of)
    assert udp_stream.cookie(*of) == cookie
    assert len(cookie) == COOKIE_SIZE
    assert cookie not in {udp_stream.cookie(*arguments) for arguments in others}


def test_largest_number_is_rejected() -> None:
    """The report holds the next number, which must fit."""
    last = StreamQuestion(1, udp_stream.MAX_NUMBER, 20)
    assert udp_stream.parse_question(last.serialize(), 1) == last
    beyond = StreamQuestion(1, udp_stream.MAX_NUMBER + 1, 20)
    with pytest.raises(RemoteError) as caught:
        udp_stream.parse_question(beyond.serialize(), 1)
    assert caught.value.code is Code.BAD_MESSAGE


@pytest.mark.parametrize(("first", "since"), [(9, 0), (0, 9)])
def test_report_of_unsent_numbers_is_no_answer(first: int, since: int) -> None:
    """No number of the report may be above the highest that was received."""
    status = StreamStatus(1, 2, 3, 4, first, since, 8, 5, 0, 0)
    assert udp_stream.parse_answer(status.serialize()) is None
