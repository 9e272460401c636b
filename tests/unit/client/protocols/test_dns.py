"""DNS over UDP and TCP: answers with data, refusals and errors."""

from __future__ import annotations

import struct

import pytest

from tests.unit.client.protocols import answers
from tests.unit.client.protocols.exchange import converse, recognition_of


def answer(number: int, flags: int) -> bytes:
    """Return an answer to the question for the root, without data."""
    return struct.pack(">6H", number, flags, 1, 0, 0, 0) + b"\0\0\2\0\1"


FIRST = 0x6E64


@pytest.mark.parametrize(
    ("flags", "notes"),
    [
        (0x8080, ("recursive",)),
        (0x8400, ("authoritative, not recursive",)),
        (0x8082, ("recursive", "answers SERVFAIL for the root")),
        (0x8005, ("not recursive", "answers REFUSED for the root")),
        (0x800B, ("not recursive", "answers code 11 for the root")),
    ],
)
def test_each_answer_is_an_answer(flags: int, notes: tuple[str, ...]) -> None:
    """Whether the server has the data is not the question."""
    conversation = converse("dns", answer(FIRST, flags))
    assert conversation.recognition is not None
    assert conversation.recognition.notes == notes
    assert conversation.recognition.refusal is None


def test_answers_count_once_each() -> None:
    """A duplicate is none, and neither is an answer to something else."""
    conversation = converse("dns", answers.DNSMASQ)
    question = conversation.ask()
    (number,) = struct.unpack_from(">H", question)
    assert number == FIRST + 1
    for other in (number, number, number + 1, FIRST):
        conversation.receive(answer(other, 0x8080))
    assert conversation.answers == 1


def test_size_precedes_each_message_over_tcp() -> None:
    """RFC 1035 §4.2.2."""
    data = answer(FIRST, 0x8080)
    recognition = recognition_of("dns-tcp", len(data).to_bytes(2) + data)
    assert recognition.protocol == "dns-tcp"


def test_question_over_tcp_is_answered() -> None:
    """Several on the same connection."""
    data = answer(FIRST, 0x8080)
    conversation = converse("dns-tcp", len(data).to_bytes(2) + data)
    assert conversation.ask()[:2] == b"\0\x11"
    data = answer(FIRST + 1, 0x8080)
    conversation.receive(len(data).to_bytes(2) + data)
    assert conversation.answers == 1


@pytest.mark.parametrize("data", [b"", b"nd", answer(FIRST, 0x0100), bytes(48)])
def test_datagram_that_is_no_answer_is_foreign(data: bytes) -> None:
    """An echo of the question is none."""
    assert converse("dns", data).is_foreign
