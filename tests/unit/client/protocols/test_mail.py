"""IMAP, POP3 and FTP: greetings, refusals, questions."""

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


def test_imap_greeting_is_recognised() -> None:
    """Software from its text, extensions from its code."""
    assert recognition_of("imap", answers.DOVECOT_IMAP).product == "Dovecot"
    data = b"* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready.\r\n"
    assert recognition_of("imap", data).notes == ("offers STARTTLS",)
    assert recognition_of("imap", b"* PREAUTH welcome\r\n").refusal is None


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("Too many connections", Refusal.BUSY),
        ("Temporary failure", Refusal.NOT_READY),
    ],
)
def test_imap_server_that_ends_at_once(text: str, refusal: Refusal) -> None:
    """BYE in place of a greeting (RFC 9051 §7.1.5)."""
    recognition = recognition_of("imap", f"* BYE {text}\r\n".encode())
    assert (recognition.refusal, recognition.reason) == (refusal, text)


def test_imap_question_is_answered_by_its_tag() -> None:
    """What comes untagged in between is no answer."""
    conversation = converse("imap", answers.DOVECOT_IMAP)
    assert conversation.ask(100) == b"n NOOP\r\n"
    conversation.receive(b"* OK Still here\r\n")
    assert conversation.answers == 0
    conversation.receive(b"n OK NOOP completed.\r\n")
    assert conversation.answers == 1
    assert conversation.end() == b"z LOGOUT\r\n"


def test_pop3_greeting_is_recognised() -> None:
    """Also one whose text says nothing, if POP3 is expected."""
    assert recognition_of("pop3", answers.DOVECOT_POP3).product == "Dovecot"
    assert recognition_of("pop3", b"+OK hello\r\n").product == ""


def test_pop3_server_with_a_failure_is_not_ready() -> None:
    """RFC 3206 §4."""
    recognition = recognition_of("pop3", b"-ERR [SYS/TEMP] later\r\n")
    assert recognition.refusal is Refusal.NOT_READY


def test_pop3_question_is_answered_by_a_list() -> None:
    """The list ends with a dot."""
    conversation = converse("pop3", answers.DOVECOT_POP3)
    assert conversation.ask() == b"CAPA\r\n"
    conversation.receive(answers.DOVECOT_POP3_CAPABILITIES[:-3])
    assert conversation.answers == 0
    conversation.receive(answers.DOVECOT_POP3_CAPABILITIES[-3:])
    assert conversation.answers == 1
    conversation.ask()
    conversation.receive(b"-ERR Unknown command.\r\n")
    assert conversation.answers == 2
    assert conversation.end() == b"QUIT\r\n"


def test_ftp_greeting_that_names_ftp_is_recognised() -> None:
    """With version."""
    recognition = recognition_of("ftp", answers.VSFTPD)
    assert recognition.product == "vsFTPd 3.0.3"
    recognition = recognition_of("ftp", b"220 ProFTPD 1.3.8 Server ready.\r\n")
    assert recognition.product == "ProFTPD 1.3.8"


@pytest.mark.parametrize(
    "reply", [b"211-Features:\r\n UTF8\r\n211 End\r\n", answers.VSFTPD_TO_EHLO]
)
def test_ftp_server_with_any_greeting_is_asked_for_features(reply: bytes) -> None:
    """Inner lines of the answer have no code."""
    conversation = begin("ftp")
    assert conversation.receive(b"220 Welcome\r\n") == b"FEAT\r\n"
    conversation.receive(reply)
    assert conversation.recognition is not None


def test_ftp_server_that_is_full_is_busy() -> None:
    """421 in place of the greeting."""
    recognition = recognition_of("ftp", answers.VSFTPD_FULL)
    assert recognition.refusal is Refusal.BUSY
    assert recognition.reason == answers.VSFTPD_FULL.decode().strip()


def test_mail_server_is_foreign_to_ftp() -> None:
    """It does not know FEAT."""
    reply = b"500 5.5.2 Error: command not recognized\r\n"  # Postfix 3.7.11
    assert is_foreign("ftp", answers.POSTFIX, reply)


@pytest.mark.parametrize("name", ["imap", "pop3", "ftp"])
@pytest.mark.parametrize("data", [b"\xff", b"HTTP/1.1 400 Bad\r\n", b"hello\r\n"])
def test_other_services_are_foreign(name: str, data: bytes) -> None:
    """At the first byte, if it cannot be."""
    assert is_foreign(name, data)
