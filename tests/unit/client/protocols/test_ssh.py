"""SSH: identification, lines before it, refusals, farewell."""

from __future__ import annotations

import struct

import pytest

from netduet.client.protocols.base import Refusal
from tests.unit.client.protocols import answers
from tests.unit.client.protocols.exchange import (
    begin,
    converse,
    is_foreign,
    recognition_of,
)


def test_identification_is_answered_with_our_own() -> None:
    """RFC 4253 §4.2 wants both."""
    conversation = begin("ssh")
    assert conversation.receive(answers.OPENSSH) == b"SSH-2.0-netduet\r\n"
    assert conversation.recognition is not None
    assert conversation.recognition.product == "OpenSSH 9.2p1"


def test_lines_before_the_identification_are_skipped() -> None:
    """Such a server may greet first."""
    recognition = recognition_of("ssh", b"Welcome!\r\nNo access.\r\n", answers.OPENSSH)
    assert recognition.product == "OpenSSH 9.2p1"


@pytest.mark.parametrize(
    "line",
    [
        b"Exceeded MaxStartups",  # sshd.c of OpenSSH 9.2
        b"Not allowed at this time",  # OpenSSH 10.0p2, for MaxStartups and for penalties
    ],
)
def test_refusal_in_place_of_the_identification(line: bytes) -> None:
    """The server says in a line of text that it takes no more connections."""
    recognition = recognition_of("ssh", line + b"\r\n")
    assert recognition.refusal is Refusal.BUSY
    assert recognition.reason == line.decode()


def test_old_protocol_is_noted() -> None:
    """SSH 1 is not what anybody wants."""
    assert recognition_of("ssh", b"SSH-1.5-old\n").notes == ("SSH 1.5 only",)


def test_farewell_is_a_packet_with_a_reason() -> None:
    """SSH_MSG_DISCONNECT, padded to 8 bytes (RFC 4253 §6)."""
    packet = converse("ssh", answers.OPENSSH).end()
    length, padding, kind, reason = struct.unpack_from(">IBBI", packet)
    assert (len(packet), kind, reason) == (length + 4, 1, 11)
    assert len(packet) % 8 == 0
    assert padding >= 4


@pytest.mark.parametrize(
    "data", [b"220 mail ESMTP\r\n", b"HTTP/1.1 400 Bad\r\n", b"\0\0\1"]
)
def test_other_services_are_foreign(data: bytes) -> None:
    """A line of text is allowed, but not the greeting of another protocol."""
    assert is_foreign("ssh", data)


def test_endless_lines_are_foreign() -> None:
    """Some text without an identification is no SSH."""
    assert is_foreign("ssh", b"line\r\n" * 60)
