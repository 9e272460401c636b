"""SMTP: greeting, EHLO and its answer, refusals, NOOP, services that look alike."""

from __future__ import annotations

import pytest

from netduet.client.protocols.base import Refusal
from tests.unit.client.protocols import answers
from tests.unit.client.protocols.exchange import (
    begin,
    converse,
    is_foreign,
    recognition_of,
)

EXTENSIONS = (
    b"250-mail.example.org\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 CHUNKING\r\n"
)


def test_greeting_is_answered_with_ehlo() -> None:
    """The server speaks first."""
    conversation = begin("smtp")
    assert conversation.receive(answers.POSTFIX[:30]) == b""
    assert conversation.receive(answers.POSTFIX[30:]) == b"EHLO netduet\r\n"
    assert conversation.recognition is None


def test_answer_to_ehlo_completes_the_recognition() -> None:
    """Software from the greeting, extensions from the answer."""
    recognition = recognition_of("smtp", answers.POSTFIX, EXTENSIONS)
    assert recognition.product == "Postfix"
    assert recognition.notes == ("offers STARTTLS",)


def test_greeting_of_several_lines_is_read_to_its_end() -> None:
    """220- is not the last line."""
    conversation = begin("smtp")
    assert conversation.receive(b"220-mail.example.org\r\n") == b""
    assert conversation.receive(b"220 ready\r\n") == b"EHLO netduet\r\n"


def test_server_without_ehlo_is_asked_with_helo() -> None:
    """RFC 5321 §3.2."""
    conversation = converse("smtp", answers.POSTFIX)
    assert conversation.receive(b"502 5.5.2 unknown\r\n") == b"HELO netduet\r\n"
    conversation.receive(b"250 mail\r\n")
    assert conversation.recognition is not None


@pytest.mark.parametrize(
    ("greeting", "refusal"),
    [
        (b"554 No SMTP service here\r\n", Refusal.DENIED),
        (b"421 4.7.0 mail Error: too many connections from 10.0.0.9\r\n", Refusal.BUSY),
        (
            b"421 4.3.2 All server ports are busy or in maintenance\r\n",
            Refusal.NOT_READY,
        ),
    ],
)
def test_greeting_that_refuses(greeting: bytes, refusal: Refusal) -> None:
    """The server answers, and serves nobody, or not us."""
    recognition = recognition_of("smtp", greeting)
    assert recognition.refusal is refusal
    assert recognition.reason == greeting.decode().strip()


@pytest.mark.parametrize("size", [0, 5, 7, 100, 512, 9000])
def test_noop_is_the_question(size: int) -> None:
    """Its text is as long as a command line may be."""
    conversation = converse("smtp", answers.POSTFIX, EXTENSIONS)
    question = conversation.ask(size)
    assert question.startswith(b"NOOP")
    assert min(size, 512) <= len(question) <= 512
    conversation.receive(b"250 2.0.0 Ok\r\n")
    assert conversation.answers == 1


def test_ftp_server_is_foreign() -> None:
    """It greets with 220, too, but knows no EHLO."""
    conversation = converse("smtp", b"220 (vsFTPd 3.0.3)\r\n")
    conversation.receive(b"530 Please login with USER and PASS.\r\n")
    assert conversation.is_foreign


@pytest.mark.parametrize("data", [b"SSH-2.0-x\r\n", b"220", b"22x", b"200 hello\r\n"])
def test_other_beginnings(data: bytes) -> None:
    """Three digits may still become a greeting."""
    assert is_foreign("smtp", data) == (data != b"220")


def test_greeting_without_an_end_is_foreign() -> None:
    """What is kept of a reply has a limit."""
    assert is_foreign("smtp", b"220-mail.example.org ESMTP\r\n" * 1000)
