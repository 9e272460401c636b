"""The addresses of a name, asked of a DNS server (RFC 1035 §4.1, RFC 3596).

Sans-I/O: ``serialize_query`` and ``parse_reply`` turn questions into bytes and bytes
into answers. As glibc's resolver does by default, questions ask for recursion and have
no EDNS record.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_HEADER: Final = struct.Struct(">6H")
_QUESTION_END: Final = struct.Struct(">2H")
_RECORD_HEAD: Final = struct.Struct(">2HIH")
"""Of a resource record behind its name: type, class, TTL, bytes of data."""

_RECURSION_DESIRED: Final = 0x0100
"""The flag RD."""
_RESPONSE: Final = 0x8000
"""The flag QR."""
_TRUNCATED: Final = 0x0200
"""The flag TC."""
_CODE_MASK: Final = 0x000F
"""The bits of RCODE."""
_POINTER: Final = 0xC0
"""The first byte of a compressed name's pointer has these bits (§4.1.4)."""
_CLASS_IN: Final = 1
"""The class of the Internet's names."""
_MAX_LABEL_BYTES: Final = 63
_MAX_NAME_BYTES: Final = 255
_MAX_RECORDS: Final = 1000

NOERROR: Final = "NOERROR"
NXDOMAIN: Final = "NXDOMAIN"
SERVFAIL: Final = "SERVFAIL"

CODES: Final = {
    0: NOERROR,
    1: "FORMERR",
    2: SERVFAIL,
    3: NXDOMAIN,
    4: "NOTIMP",
    5: "REFUSED",
    9: "NOTAUTH",
}
"""RCODEs (RFC 1035 §4.1.1, RFC 2136 §2.2)."""


class RecordType(StrEnum):
    """A record type that has addresses."""

    A = "A"
    AAAA = "AAAA"


_NUMBERS: Final = {RecordType.A: 1, RecordType.AAAA: 28}
_ADDRESS_BYTES: Final = {RecordType.A: 4, RecordType.AAAA: 16}


@dataclass(frozen=True, slots=True)
class DnsAnswer:
    """A server's answer: its RCODE by name, the addresses, whether it is truncated."""

    code: str
    addresses: tuple[str, ...] = ()
    truncated: bool = False


def serialize_query(number: int, name: str, record: RecordType) -> bytes:
    """Return a question for the addresses of a name, with this id.

    Raises:
        ValueError: it is no name that DNS can have.
    """
    head = _HEADER.pack(number, _RECURSION_DESIRED, 1, 0, 0, 0)
    return head + _serialize_question(name, record)


def parse_reply(
    data: bytes, number: int, name: str, record: RecordType
) -> DnsAnswer | None:
    """Return the answer to that question; None for anything else."""
    if len(data) < _HEADER.size:
        return None
    found, flags, questions, answers, *_ = _HEADER.unpack_from(data)
    if found != number or not flags & _RESPONSE or questions > 1:
        return None
    code = CODES.get(flags & _CODE_MASK, f"RCODE {flags & _CODE_MASK}")
    truncated = bool(flags & _TRUNCATED)
    end = _HEADER.size
    if questions:
        question = _serialize_question(name, record)
        # Servers may answer in another case (draft-vixie-dnsext-dns0x20).
        if data[end : end + len(question)].lower() != question.lower():
            return None
        end += len(question)
    try:
        addresses = _parse_addresses(data, end, min(answers, _MAX_RECORDS), record)
    except (struct.error, IndexError):
        # RFC 2181 §9: what a truncated answer has of records is of no use.
        return DnsAnswer(code, (), truncated=True) if truncated else None
    return DnsAnswer(code, addresses, truncated)


def _serialize_question(name: str, record: RecordType) -> bytes:
    labels = name.removesuffix(".").encode("ascii").split(b".")
    if not all(0 < len(label) <= _MAX_LABEL_BYTES for label in labels):
        raise ValueError(f"DNS has no name {name!r}")
    encoded = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    if len(encoded) > _MAX_NAME_BYTES:
        raise ValueError(f"DNS has no name {name!r}")
    return encoded + _QUESTION_END.pack(_NUMBERS[record], _CLASS_IN)


def _parse_addresses(
    data: bytes, start: int, count: int, record: RecordType
) -> tuple[str, ...]:
    """Return the addresses of the answer section, which may follow aliases."""
    addresses = []
    for _ in range(count):
        start = _end_of_name(data, start)
        kind, in_class, _, size = _RECORD_HEAD.unpack_from(data, start)
        start += _RECORD_HEAD.size
        packed = data[start : start + size]
        if len(packed) < size:
            raise IndexError
        start += size
        wanted = (_NUMBERS[record], _CLASS_IN, _ADDRESS_BYTES[record])
        if (kind, in_class, size) == wanted:
            addresses.append(str(ipaddress.ip_address(packed)))
    return tuple(addresses)


def _end_of_name(data: bytes, start: int) -> int:
    while length := data[start]:
        if length & _POINTER:
            return start + 2
        start += 1 + length
    return start + 1
