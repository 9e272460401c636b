"""Questions on a framed connection, and its end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from netduet.wire.frames import ANSWER, Kind, serialize
from netduet.wire.messages import ErrorMessage, LedgerAnswer, encode
from tests.integration.peer import reset
from tests.integration.running import PATIENCE, until
from tests.unit.client.far_end import (
    Script,
    Taken,
    entry,
    meeting,
    report,
    welcomes,
)

BRIEF = 0.05
"""How long to wait for what does not come."""


async def test_questions_are_answered() -> None:
    """The report and the ledger entry are returned as the server sent them."""
    theirs, answer = report(drops=3), LedgerAnswer(instance="here", entry=entry())

    def script(taken: Taken) -> None:
        taken.welcomes()
        question = taken.frame()
        assert question.kind == Kind.REPORT
        taken.answers(Kind.REPORT, theirs, question.id)
        question = taken.frame()
        assert b'"conn_id":"' + b"c" * 32 in question.payload
        taken.answers(Kind.LEDGER, answer, question.id)
        taken.waits()

    async with meeting(script) as conversation:
        await conversation.open(PATIENCE)
        assert await conversation.report(PATIENCE) == theirs
        assert await conversation.ledger("c" * 32, PATIENCE) == answer


async def test_answer_to_another_question_is_skipped() -> None:
    """Only the answer with the id of the question counts."""
    wrong, right = report(drops=1), report(drops=2)

    def script(taken: Taken) -> None:
        taken.welcomes()
        question = taken.frame()
        taken.answers(Kind.REPORT, wrong, question.id + 1)
        taken.answers(Kind.REPORT, right, question.id)
        taken.waits()

    async with meeting(script) as conversation:
        await conversation.open(PATIENCE)
        assert await conversation.report(PATIENCE) == right


def asked_then(then: Callable[[Taken], object]) -> Script:
    """Return a far end that welcomes, reads one question, and does this."""

    def script(taken: Taken) -> None:
        taken.welcomes()
        taken.frame()
        then(taken)

    return script


@pytest.mark.parametrize(
    ("script", "patience"),
    [
        (asked_then(lambda _: None), PATIENCE),
        (asked_then(lambda taken: reset(taken.sock)), PATIENCE),
        (asked_then(lambda taken: taken.waits()), BRIEF),
        (
            asked_then(lambda taken: taken.sock.sendall(serialize(99))),
            PATIENCE,
        ),
        (
            asked_then(
                lambda taken: taken.sock.sendall(
                    serialize(
                        Kind.ERROR, encode(ErrorMessage(code="idle", message="late"))
                    )
                )
            ),
            PATIENCE,
        ),
    ],
    ids=["end", "reset", "silence", "breach", "error"],
)
async def test_unanswered_question_is_none(script: Script, patience: float) -> None:
    """However the server fails to answer, the caller gets None and continues."""
    async with meeting(script) as conversation:
        assert (await conversation.open(PATIENCE)).welcome is not None
        assert await conversation.report(patience) is None


def stranger(taken: Taken) -> None:
    """Speak no frames."""
    taken.opening()
    taken.sock.sendall(b"stranger")
    taken.waits()


async def test_nothing_is_asked_without_a_welcome() -> None:
    """A connection without a welcome sends no question and does not wait."""
    async with meeting(stranger) as conversation:
        await conversation.open(PATIENCE)
        sent = conversation.wire.bytes_sent
        assert await conversation.report(PATIENCE) is None
        assert await conversation.end(PATIENCE) is False
        assert conversation.wire.bytes_sent == sent


# The end


@pytest.mark.parametrize(("answered", "patience"), [(True, PATIENCE), (False, BRIEF)])
async def test_end_reports_whether_the_server_ended(
    answered: bool,
    patience: float,
) -> None:
    """The close is clean if the server has ended its side too."""

    def script(taken: Taken) -> None:
        taken.welcomes()
        assert taken.frame().kind == Kind.END
        if answered:
            taken.sock.sendall(serialize(Kind.END, flags=ANSWER))
        else:
            taken.waits()

    async with meeting(script) as conversation:
        await conversation.open(PATIENCE)
        assert await conversation.end(patience) is answered


async def test_tcp_info_is_available_until_the_close() -> None:
    """After the close there is None, and no error."""
    async with meeting(welcomes) as framed_connection:
        await framed_connection.open(PATIENCE)
        info = framed_connection.info()
        assert info is not None
        assert info.state == "ESTABLISHED"
        host, port = framed_connection.local()
        assert host == "127.0.0.1"
        framed_connection.close()
        await until(lambda: framed_connection.is_closed)
        assert framed_connection.info() is None
        assert framed_connection.local() == (host, port)
        assert await framed_connection.report(PATIENCE) is None
