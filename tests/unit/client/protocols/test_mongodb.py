"""MongoDB: roles in a replica set, errors, HTTP on its port.

No server of it is in Debian: the answers are laid out as the wire protocol and
bsonspec.org say.
"""

from __future__ import annotations

import struct

import pytest

from netduet.client.protocols import recognise
from netduet.client.protocols.base import Refusal
from tests.unit.client.protocols import answers
from tests.unit.client.protocols.exchange import converse, is_foreign, recognition_of

FIRST = 0x6E6475
OK = b"\x01ok\0" + struct.pack("<d", 1.0)


def answer(*fields: bytes, number: int = FIRST) -> bytes:
    """Return OP_MSG with a document."""
    content = b"".join(fields)
    document = (len(content) + 5).to_bytes(4, "little") + content + b"\0"
    head = struct.pack("<IIII", 21 + len(document), 1, number, 2013)
    return head + bytes(5) + document


def true(name: str) -> bytes:
    """Return a boolean that is true."""
    return b"\x08" + name.encode() + b"\0\1"


def text(name: str, value: str) -> bytes:
    """Return a string."""
    size = (len(value) + 1).to_bytes(4, "little")
    return b"\x02" + name.encode() + b"\0" + size + value.encode() + b"\0"


REPLICA_SET = text("setName", "rs0")


@pytest.mark.parametrize(
    ("data", "notes"),
    [
        (answers.MONGODB, ("primary", "replica set rs0")),
        (answer(true("isWritablePrimary"), OK), ("standalone or mongos",)),
        (answer(true("secondary"), REPLICA_SET, OK), ("secondary", "replica set rs0")),
        (answer(true("arbiterOnly"), REPLICA_SET, OK), ("arbiter", "replica set rs0")),
        (
            answer(text("errmsg", "no such command"), b"\x01ok\0" + bytes(8)),
            ("no such command",),
        ),
    ],
)
def test_roles_are_notes(data: bytes, notes: tuple[str, ...]) -> None:
    """Each of them serves."""
    recognition = recognition_of("mongodb", data)
    assert (recognition.notes, recognition.refusal) == (notes, None)


def test_member_without_a_role_is_not_ready() -> None:
    """It is starting, recovering, or was never initiated."""
    recognition = recognition_of("mongodb", answer(REPLICA_SET, OK))
    assert recognition.refusal is Refusal.NOT_READY
    assert recognition.reason == "neither primary nor secondary"
    reason = "Does not have a valid replica set config"
    recognition = recognition_of("mongodb", answer(text("info", reason), OK))
    assert recognition.reason == reason


def test_fields_of_all_types_are_skipped() -> None:
    """Documents, arrays, bytes, dates, numbers, object ids, timestamps."""
    others = (
        b"\x03d\0\5\0\0\0\0",
        b"\x04a\0\5\0\0\0\0",
        b"\x05b\0\2\0\0\0\0xy",
        b"\x07o\0" + bytes(12),
        b"\x09t\0" + bytes(8),
        b"\x0an\0",
        b"\x10i\0" + bytes(4),
        b"\x11s\0" + bytes(8),
        b"\x12l\0" + bytes(8),
        b"\x13d\0" + bytes(16),
    )
    recognition = recognition_of("mongodb", answer(*others, true("ismaster"), OK))
    assert recognition.notes == ("standalone or mongos",)


def test_answer_to_http_is_recognised() -> None:
    """It answers in HTTP, but serves none."""
    recognition = recognise(answers.MONGODB_TO_HTTP)
    assert recognition is not None
    assert recognition.protocol == "mongodb"
    assert is_foreign("http", answers.MONGODB_TO_HTTP)


def test_question_has_the_next_number() -> None:
    """It is the hello again."""
    conversation = converse("mongodb", answers.MONGODB)
    assert struct.unpack_from("<II", conversation.ask(100))[1] == FIRST + 1
    conversation.receive(answer(OK, number=FIRST + 1))
    assert conversation.answers == 1


@pytest.mark.parametrize(
    "data",
    [answer(OK, number=7), answer(true("ismaster")), answer(b"\x7f", OK), bytes(21)],
)
def test_other_answers_are_foreign(data: bytes) -> None:
    """To another request, without a result, with an unknown type."""
    assert is_foreign("mongodb", data)
