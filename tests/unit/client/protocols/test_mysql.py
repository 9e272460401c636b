"""MySQL and MariaDB: the greeting, and errors in its place."""

from __future__ import annotations

import pytest

from netduet.client.protocols.base import Refusal
from tests.unit.client.protocols import answers
from tests.unit.client.protocols.exchange import (
    begin,
    is_foreign,
    recognition_of,
)

# Laid out as MySQL 8.0 does, after "Protocol::HandshakeV10" of its documentation.
MYSQL = (
    b"I\0\0\0\x0a8.0.36\0\x0b\0\0\0abcdefgh\0\xff\xff\xff\x02\0\xff\xdf\x15" + bytes(10)
) + b"abcdefghijkl\0caching_sha2_password\0"
MYSQL = (len(MYSQL) - 4).to_bytes(3, "little") + MYSQL[3:]


def error(number: int, text: str) -> bytes:
    """Return an ERR packet without a state, as it comes before a login."""
    payload = b"\xff" + number.to_bytes(2, "little") + text.encode()
    return len(payload).to_bytes(3, "little") + b"\0" + payload


def test_greeting_of_mariadb_names_the_version() -> None:
    """Without the prefix for old replicas."""
    recognition = recognition_of("mysql", answers.MARIADB)
    assert recognition.product == "MariaDB 10.11.19-0+deb12u1"
    assert recognition.notes == ()


def test_greeting_of_mysql_names_version_and_tls() -> None:
    """The flag CLIENT_SSL says whether TLS is offered."""
    recognition = recognition_of("mysql", MYSQL)
    assert recognition.product == "MySQL 8.0.36"
    assert recognition.notes == ("offers TLS",)


@pytest.mark.parametrize(
    ("number", "refusal"),
    [
        (1040, Refusal.BUSY),
        (1053, Refusal.NOT_READY),
        (1129, Refusal.DENIED),
        (1130, Refusal.DENIED),
    ],
)
def test_error_that_refuses(number: int, refusal: Refusal) -> None:
    """The number decides, the text is the reason."""
    recognition = recognition_of("mysql", error(number, "Host 'x' is not allowed"))
    assert recognition.refusal is refusal
    assert recognition.reason == f"error {number}: Host 'x' is not allowed"


def test_unknown_error_is_a_note() -> None:
    """It is MySQL, whatever it says."""
    recognition = recognition_of("mysql", error(1045, "Access denied"))
    assert (recognition.refusal, recognition.notes) == (
        None,
        ("error 1045: Access denied",),
    )


def test_farewell_is_a_login_without_a_password() -> None:
    """A connection that just ends counts towards max_connect_errors."""
    conversation = begin("mysql")
    assert conversation.receive(answers.MARIADB) == b""
    assert conversation.ask() == b""
    login = conversation.end()
    assert login[3] == 1
    assert int.from_bytes(login[:3], "little") == len(login) - 4
    assert b"netduet\0\0mysql_native_password\0" in login
    assert conversation.end() == b""


def test_other_way_to_log_in_gets_no_password_either() -> None:
    """AuthSwitchRequest is answered with an empty packet of the next number."""
    conversation = begin("mysql")
    conversation.receive(answers.MARIADB)
    conversation.end()
    switch = b"\xfecaching_sha2_password\0" + bytes(20)
    packet = len(switch).to_bytes(3, "little") + b"\x02" + switch
    assert conversation.receive(packet) == b"\0\0\0\x03"


def test_refused_client_is_not_logged_in() -> None:
    """There is no greeting that a login would answer."""
    conversation = begin("mysql")
    conversation.receive(error(1129, "blocked"))
    assert conversation.end() == b""


@pytest.mark.parametrize(
    "data", [error(1, "no"), b"\x05\0\0\1\x0a8.0\0", b"\0\0\0\0\0"]
)
def test_other_services_are_foreign(data: bytes) -> None:
    """A number out of range, another sequence, an empty packet."""
    assert is_foreign("mysql", data)
