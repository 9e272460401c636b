"""The plain greeting."""

from __future__ import annotations

import pytest

from tests.unit.client.protocols.exchange import (
    begin,
    converse,
    is_foreign,
    recognition_of,
)


def test_greeting_in_return_is_recognised() -> None:
    """With and without the end of a line."""
    assert recognition_of("plain", b"Hello, client!").protocol == "plain"
    assert recognition_of("plain", b"Hello, client!\r\n").protocol == "plain"


def test_beginning_of_the_greeting_decides_nothing() -> None:
    """The rest may be on its way."""
    conversation = converse("plain", b"Hello, cli")
    assert conversation.recognition is None
    assert not conversation.is_foreign


@pytest.mark.parametrize("data", [b"Hello, server!", b"hello", b"\0"])
def test_other_text_is_foreign(data: bytes) -> None:
    """An echo of our greeting is no greeting in return."""
    assert is_foreign("plain", data)


def test_question_does_not_exist() -> None:
    """The server ends the connection."""
    assert begin("plain").ask() == b""
