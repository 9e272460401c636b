"""Questions for addresses, and answers to them, as bytes."""

from __future__ import annotations

import struct

import pytest

from netduet.client.protocols.dns_lookup import (
    DnsAnswer,
    RecordType,
    parse_reply,
    serialize_query,
)

NAME = "web.example"
QUESTION = b"\3web\7example\0\0\1\0\1"
POINTER = b"\xc0\x0c"


def reply(
    flags: int = 0x8180,
    records: bytes = b"",
    count: int = 0,
    question: bytes = QUESTION,
) -> bytes:
    """Return an answer with the id 7."""
    return struct.pack(">6H", 7, flags, 1, count, 0, 0) + question + records


def record(kind: int, data: bytes, name: bytes = POINTER) -> bytes:
    """Return a resource record."""
    return name + struct.pack(">2HIH", kind, 1, 60, len(data)) + data


def test_query_asks_for_recursion() -> None:
    """RFC 1035 §4.1: header, then the question."""
    header = struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0)
    assert serialize_query(7, NAME, RecordType.A) == header + QUESTION
    assert serialize_query(7, f"{NAME}.", RecordType.A) == header + QUESTION


@pytest.mark.parametrize("name", ["", "a..b", "a" * 64, ".".join(["abcdefg"] * 40)])
def test_impossible_name_is_an_error(name: str) -> None:
    """Labels have 1 to 63 bytes, a name has at most 255."""
    with pytest.raises(ValueError, match="DNS has no name"):
        serialize_query(7, name, RecordType.A)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (0x8180, DnsAnswer("NOERROR")),
        (0x8182, DnsAnswer("SERVFAIL")),
        (0x8183, DnsAnswer("NXDOMAIN")),
        (0x8185, DnsAnswer("REFUSED")),
        (0x818F, DnsAnswer("RCODE 15")),
        (0x8380, DnsAnswer("NOERROR", truncated=True)),
    ],
)
def test_code_of_an_answer_without_records(flags: int, expected: DnsAnswer) -> None:
    """The RCODE is given by name."""
    assert parse_reply(reply(flags), 7, NAME, RecordType.A) == expected


def test_addresses_behind_an_alias() -> None:
    """Records of other types and names are skipped."""
    alias = record(5, b"\3www\xc0\x10")
    address = record(1, bytes([198, 18, 2, 2]), name=b"\3www\xc0\x10")
    answer = reply(records=alias + address, count=2)
    found = parse_reply(answer, 7, NAME, RecordType.A)
    assert found == DnsAnswer("NOERROR", ("198.18.2.2",))


def test_ipv6_address() -> None:
    """RFC 3596 §2.2."""
    question = QUESTION[:-4] + b"\0\x1c\0\1"
    packed = bytes.fromhex("20010db8000000000000000000000002")
    answer = reply(records=record(28, packed), count=1, question=question)
    found = parse_reply(answer, 7, NAME, RecordType.AAAA)
    assert found == DnsAnswer("NOERROR", ("2001:db8::2",))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        reply()[:11],
        reply(flags=0x0100),
        b"\0\x08" + reply()[2:],
        reply(question=QUESTION.replace(b"web", b"wab")),
        reply(count=1),
        reply(records=record(1, bytes(4))[:-1], count=1),
        reply(records=b"\x20", count=1),
    ],
)
def test_anything_else_is_no_answer(data: bytes) -> None:
    """Foreign, forged and broken datagrams are ignored."""
    assert parse_reply(data, 7, NAME, RecordType.A) is None


def test_cut_off_records_of_a_truncated_answer_are_ignored() -> None:
    """RFC 2181 §9."""
    answer = reply(0x8380, record(1, bytes(4))[:-2], 1)
    assert parse_reply(answer, 7, NAME, RecordType.A) == DnsAnswer("NOERROR", (), True)


def test_question_may_come_back_in_another_case() -> None:
    """Names are compared without case (RFC 4343)."""
    answer = reply(question=QUESTION.replace(b"web", b"WeB"))
    assert parse_reply(answer, 7, NAME, RecordType.A) == DnsAnswer("NOERROR")
