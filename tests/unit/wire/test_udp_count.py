"""Counting datagrams: payloads, and counts compared with a reference."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netduet.wire import udp_count
from netduet.wire.errors import Code, RemoteError
from netduet.wire.udp_count import (
    ANSWER_SIZE,
    MAX_SEQUENCE,
    QUESTION_SIZE,
    CountAnswer,
    CountFlag,
    CountQuestion,
    Tally,
)

few = settings(max_examples=200, deadline=None)
numbers = st.integers(0, MAX_SEQUENCE - 1)


def oracle(arrived: list[int]) -> tuple[int, int, int]:
    """Return different ones, repeated ones, and new ones behind a higher one."""
    first = [n for at, n in enumerate(arrived) if n not in arrived[:at]]
    late = [
        n for at, n in enumerate(first) if any(n < earlier for earlier in first[:at])
    ]
    return len(first), len(arrived) - len(first), len(late)


def count(arrived: list[int]) -> tuple[int, int, int]:
    """Return what a tally says of what arrived."""
    tally = Tally()
    for sequence in arrived:
        tally.take(sequence)
    return tally.received, tally.duplicated, tally.reordered


@few
@given(st.lists(st.one_of(st.integers(0, 20), numbers), max_size=60))
def test_count_matches_a_reference(arrived: list[int]) -> None:
    """Any numbers in any order are counted as a simple model counts them."""
    assert count(arrived) == oracle(arrived)


@few
@given(
    st.integers(1, 200),
    st.sets(st.integers(0, 199)),
    st.sets(st.integers(0, 199)),
    st.randoms(use_true_random=False),
)
def test_loss_duplication_and_reordering_are_counted(
    sent: int, lost: set[int], doubled: set[int], chance: object
) -> None:
    """The counts are what a simulated network did to a flow."""
    path = [number for number in range(sent) if number not in lost]
    path += [number for number in path if number in doubled]
    chance.shuffle(path)  # type: ignore[attr-defined]
    received, again, late = count(path)
    assert sent - received == len(lost & set(range(sent)))
    assert again == len((doubled - lost) & set(range(sent)))
    assert late == oracle(path)[2]


def test_flow_in_order_has_no_anomalies() -> None:
    """There are no duplicates, and none out of order."""
    assert count(list(range(MAX_SEQUENCE))) == (MAX_SEQUENCE, 0, 0)
    assert count(list(range(MAX_SEQUENCE))[::-1]) == (MAX_SEQUENCE, 0, MAX_SEQUENCE - 1)


def test_count_memory_is_bounded() -> None:
    """A flow takes one bit per number, whatever comes first."""
    tally = Tally()
    for sequence in (MAX_SEQUENCE - 1, 0, MAX_SEQUENCE - 1):
        tally.take(sequence)
    assert len(tally._seen) == MAX_SEQUENCE // 8


@few
@given(st.integers(0, 2**64 - 1), numbers, st.integers(0, 3), st.integers(37, 200))
def test_question_round_trip(flow: int, sequence: int, flags: int, size: int) -> None:
    """A question is parsed as it was serialized, whatever its padding."""
    question = CountQuestion(flow, sequence, CountFlag(flags))
    payload = question.serialize(size)
    assert len(payload) == size
    assert udp_count.parse_question(payload, 7) == question


@few
@given(st.binary(max_size=80))
def test_any_payload_is_a_question_or_rejected(payload: bytes) -> None:
    """Any bytes are a question whose answer fits in them, or one RemoteError."""
    question = error = None
    try:
        question = udp_count.parse_question(payload, 7)
    except RemoteError as caught:
        error = caught
    if question is None:
        assert error is not None
        assert (error.code, error.frame_id) == (Code.BAD_MESSAGE, 7)
    else:
        assert len(payload) >= ANSWER_SIZE
        assert payload.startswith(question.serialize())
        assert question.sequence < MAX_SEQUENCE


@pytest.mark.parametrize("flags", [4, 5, 8, 128, 255])
def test_unknown_flag_is_rejected(flags: int) -> None:
    """An undefined flag is a breach, also beside defined ones."""
    payload = bytearray(CountQuestion(1, 2).serialize(ANSWER_SIZE))
    payload[QUESTION_SIZE - 1] = flags
    with pytest.raises(RemoteError, match="out of range"):
        udp_count.parse_question(bytes(payload), 7)


@few
@given(
    st.builds(
        CountAnswer,
        flow=st.integers(0, 2**64 - 1),
        sequence=numbers,
        flags=st.integers(0, 3).map(CountFlag),
        received=st.integers(0, 65_536),
        duplicated=st.integers(0, 2**32 - 1),
        reordered=st.integers(0, 65_535),
        number=st.integers(0, 2**32 - 1),
        size=st.integers(0, 65_507),
    ),
    st.integers(0, 200),
)
def test_answer_round_trip(answer: CountAnswer, size: int) -> None:
    """An answer is parsed as it was serialized, and has at least its fixed size."""
    payload = answer.serialize(size)
    assert len(payload) == max(size, ANSWER_SIZE)
    assert udp_count.parse_answer(payload) == answer


@few
@given(st.binary(max_size=80))
def test_any_payload_is_an_answer_or_none(payload: bytes) -> None:
    """Any bytes are an answer or too short: a server cannot crash a client."""
    assert (udp_count.parse_answer(payload) is None) == (len(payload) < ANSWER_SIZE)
