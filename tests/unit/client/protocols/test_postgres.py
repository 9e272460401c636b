"""PostgreSQL: TLS, logins, refusals, versions, poolers."""

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


def error(code: str, text: str) -> bytes:
    """Return an ErrorResponse (PostgreSQL manual, "Message Formats")."""
    fields = f"SFATAL\0VFATAL\0C{code}\0M{text}\0\0".encode()
    return b"E" + (4 + len(fields)).to_bytes(4) + fields


def test_hello_asks_for_tls_first() -> None:
    """SSLRequest; without TLS the StartupMessage follows at once."""
    conversation = begin("postgres")
    reply = conversation.receive(answers.POSTGRES_NO_TLS)
    assert reply[4:8] == (3 << 16).to_bytes(4)
    assert b"user\0netduet\0" in reply
    assert conversation.recognition is None


def test_tls_is_started_if_offered() -> None:
    """The reply to S is a ClientHello."""
    assert begin("postgres").receive(b"S").startswith(b"\x16\x03")


def test_unprotected_bytes_after_the_offer_are_foreign() -> None:
    """CVE-2021-23222."""
    assert is_foreign("postgres", b"S" + answers.POSTGRES_LOGIN)


def test_required_login_is_a_note() -> None:
    """A request for a password proves that the server serves."""
    recognition = recognition_of("postgres", b"N", answers.POSTGRES_LOGIN)
    assert recognition.notes == ("offers no TLS", "requires a login (SCRAM)")
    assert recognition.refusal is None


def test_login_without_a_password_shows_the_version() -> None:
    """With the method trust the server goes on to its parameters."""
    conversation = converse("postgres", b"N", answers.POSTGRES_TRUST)
    assert conversation.recognition is not None
    assert conversation.recognition.product == "PostgreSQL 15.18"
    assert conversation.end() == b"X\0\0\0\4"


def test_unknown_role_is_a_note() -> None:
    """Nobody said that there is a role of this name."""
    recognition = recognition_of("postgres", b"N", answers.POSTGRES_NO_ROLE)
    assert recognition.refusal is None
    assert 'FATAL: role "netduet" does not exist (28000)' in recognition.notes


@pytest.mark.parametrize(
    ("answer", "refusal", "text"),
    [
        (answers.POSTGRES_STOPPING, Refusal.NOT_READY, "is shutting down (57P03)"),
        (error("57P03", "is starting up"), Refusal.NOT_READY, "is starting up (57P03)"),
        (answers.POSTGRES_FULL, Refusal.BUSY, "too many clients already (53300)"),
        # PgBouncer: objects.c
        (
            error("08P01", "no more connections allowed (max_client_conn)"),
            Refusal.BUSY,
            "no more connections allowed",
        ),
    ],
)
def test_error_that_refuses(answer: bytes, refusal: Refusal, text: str) -> None:
    """As pg_isready: the server answers, but takes nobody."""
    recognition = recognition_of("postgres", b"N", answer)
    assert recognition.refusal is refusal
    assert text in recognition.reason


def test_full_server_is_seen_after_authentication() -> None:
    """Slots that are reserved are found out only then."""
    text = "remaining connection slots are reserved"
    data = answers.POSTGRES_TRUST[:9] + error("53300", text)
    assert recognition_of("postgres", b"N", data).refusal is Refusal.BUSY


def test_host_without_an_entry_is_a_note() -> None:
    """pg_hba.conf decides by user and database, too: others may come from here."""
    data = error("28000", "no pg_hba.conf entry for host")
    assert recognition_of("postgres", b"N", data).refusal is None


def test_nothing_is_said_to_a_server_that_waits_for_a_password() -> None:
    """It would log Terminate as FATAL."""
    assert converse("postgres", b"N", answers.POSTGRES_LOGIN).end() == b""


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-OpenSSH_9.2p1\r\n", b"E\0\0\0\0", b"R\xff\xff\xff\xff"]
)
def test_other_services_are_foreign(data: bytes) -> None:
    """S alone is an offer, but no more may follow."""
    assert is_foreign("postgres", data)
