"""Redis: PONG, errors that refuse and errors that do not, questions of any size."""

from __future__ import annotations

import pytest

from netduet.client.protocols import recognise
from netduet.client.protocols.base import Refusal
from netduet.client.protocols.redis import MAX_PING_BYTES
from tests.unit.client.protocols import answers
from tests.unit.client.protocols.exchange import converse, is_foreign, recognition_of


def test_pong_is_recognised() -> None:
    """The plain case."""
    recognition = recognition_of("redis", answers.REDIS)
    assert (recognition.refusal, recognition.notes) == (None, ())


def test_required_password_is_a_note() -> None:
    """The server works; nobody gave a password."""
    recognition = recognition_of("redis", answers.REDIS_PASSWORD)
    assert recognition.notes == ("requires a password",)
    assert recognition.refusal is None


@pytest.mark.parametrize(
    ("answer", "refusal"),
    [
        (answers.REDIS_FULL, Refusal.BUSY),
        (answers.REDIS_NO_MASTER, Refusal.NOT_READY),
        # From server.c and networking.c of Redis 7.0.
        (b"-LOADING Redis is loading the dataset in memory\r\n", Refusal.NOT_READY),
        (b"-BUSY Redis is busy running a script.\r\n", Refusal.NOT_READY),
        (b"-MISCONF Redis is configured to save RDB snapshots\r\n", Refusal.NOT_READY),
        (b"-DENIED Redis is running in protected mode because\r\n", Refusal.DENIED),
    ],
)
def test_error_that_refuses(answer: bytes, refusal: Refusal) -> None:
    """The reason is the server's own text."""
    recognition = recognition_of("redis", answer)
    assert recognition.refusal is refusal
    assert recognition.reason == answer[1:].decode().strip()


def test_unknown_command_of_another_hello_is_recognised() -> None:
    """Redis answers to EHLO, too."""
    recognition = recognise(answers.REDIS_UNKNOWN_COMMAND)
    assert recognition is not None
    assert recognition.protocol == "redis"


@pytest.mark.parametrize("size", [0, 100, 1500, 70_000])
def test_argument_of_ping_comes_back(size: int) -> None:
    """The answer is complete when all of the argument is."""
    conversation = converse("redis", answers.REDIS)
    question = conversation.ask(size)
    assert len(question) >= min(size, MAX_PING_BYTES)
    text = question.split(b"\r\n")[-2]
    answer = b"$%d\r\n%s\r\n" % (len(text), text) if size else answers.REDIS
    conversation.receive(answer[:-1])
    assert conversation.answers == 0
    conversation.receive(answer[-1:])
    assert conversation.answers == 1


def test_argument_of_another_size_is_foreign() -> None:
    """It is not the one that was sent."""
    conversation = converse("redis", answers.REDIS)
    conversation.ask(10)
    conversation.receive(b"$10\r\nnnn\r\n")
    assert conversation.is_foreign


def test_question_without_a_password_is_answered_with_an_error() -> None:
    """That is an answer as good as any."""
    conversation = converse("redis", answers.REDIS_PASSWORD)
    assert conversation.ask(100)
    conversation.receive(answers.REDIS_PASSWORD)
    assert conversation.answers == 1


def test_unasked_answer_does_not_count() -> None:
    """Only answers to questions do."""
    assert converse("redis", answers.REDIS, answers.REDIS).answers == 0


@pytest.mark.parametrize("data", [b"+OK\r\n", b"-ERR\r\n", b"-ERR [SYS/TEMP] pop3\r\n"])
def test_similar_answers_are_foreign(data: bytes) -> None:
    """POP3 and NATS have + and -, too."""
    assert is_foreign("redis", data)
