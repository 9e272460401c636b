"""memcached: version, errors, questions."""

from __future__ import annotations

import pytest

from netduet.client.protocols import recognise
from netduet.client.protocols.base import Refusal
from tests.unit.client.protocols import answers
from tests.unit.client.protocols.exchange import converse, is_foreign, recognition_of


def test_version_is_the_product() -> None:
    """The hello asks for it."""
    assert recognition_of("memcached", answers.MEMCACHED).product == "memcached 1.6.18"


def test_full_server_is_busy() -> None:
    """memcached.c: maxconns_fast."""
    data = b"ERROR Too many open connections\r\n"
    assert recognition_of("memcached", data).refusal is Refusal.BUSY


def test_required_login_is_a_note() -> None:
    """With an authentication file (-Y)."""
    data = b"CLIENT_ERROR unauthenticated\r\n"
    assert recognition_of("memcached", data).notes == ("requires a login",)


def test_errors_to_another_hello_are_recognised() -> None:
    """One for each line of it, and nothing else."""
    recognition = recognise(answers.MEMCACHED_ERROR * 3)
    assert recognition is not None
    assert recognition.protocol == "memcached"
    assert recognise(b"ERROR: no such thing\r\n") is None


@pytest.mark.parametrize("size", [0, 9, 100, 1024, 50_000])
def test_question_is_padded_with_spaces(size: int) -> None:
    """The server takes a line up to 1 KiB."""
    conversation = converse("memcached", answers.MEMCACHED)
    question = conversation.ask(size)
    assert question.split() == [b"version"]
    assert min(size, 1024) <= len(question) <= 1024
    conversation.receive(answers.MEMCACHED)
    assert conversation.answers == 1
    assert conversation.end() == b"quit\r\n"


@pytest.mark.parametrize("data", [b"VERSION x\r\n", b"OK\r\n", b"+PONG\r\n"])
def test_other_services_are_foreign(data: bytes) -> None:
    """A version is a number."""
    assert is_foreign("memcached", data)
