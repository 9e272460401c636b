"""Questions on a framed connection, and its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from netduet.wire.frames import ANSWER, Kind, serialize
from netduet.wire.messages import ErrorMessage, LedgerAnswer, encode
from tests.integration.framed_client import reset
from tests.integration.servers import TIMEOUT_SECONDS, wait_until
from tests.unit.client.fake_server import (
    AcceptedConnection,
    Script,
    connection_to_fake_server,
    make_ledger_entry,
    make_server_report,
    welcome_and_wait,
)

BRIEF = 0.05
"""How long to wait for what does not come."""


async def test_questions_are_answered() -> None:
    """The report and the ledger entry are returned as the server sent them."""
    theirs, answer = (
        make_server_report(drops=3),
        LedgerAnswer(instance="here", entry=make_ledger_entry()),
    )

    def script(accepted: AcceptedConnection) -> None:
        accepted.send_welcome()
        question = accepted.read_frame()
        assert question.kind == Kind.REPORT
        accepted.send_answer(Kind.REPORT, theirs, question.id)
        question = accepted.read_frame()
        assert b'"conn_id":"' + b"c" * 32 in question.payload
        accepted.send_answer(Kind.LEDGER, answer, question.id)
        accepted.wait_for_close()

    async with connection_to_fake_server(script) as connection:
        await connection.open(TIMEOUT_SECONDS)
        assert await connection.report(TIMEOUT_SECONDS) == theirs
        assert await connection.ledger("c" * 32, TIMEOUT_SECONDS) == answer


async def test_answer_to_another_question_is_skipped() -> None:
    """Only the answer with the id of the question counts."""
    wrong, right = make_server_report(drops=1), make_server_report(drops=2)

    def script(accepted: AcceptedConnection) -> None:
        accepted.send_welcome()
        question = accepted.read_frame()
        accepted.send_answer(Kind.REPORT, wrong, question.id + 1)
        accepted.send_answer(Kind.REPORT, right, question.id)
        accepted.wait_for_close()

    async with connection_to_fake_server(script) as connection:
        await connection.open(TIMEOUT_SECONDS)
        assert await connection.report(TIMEOUT_SECONDS) == right


def asked_then(then: Callable[[AcceptedConnection], object]) -> Script:
    """Return a server that welcomes, reads one question, and does this."""

    def script(accepted: AcceptedConnection) -> None:
        accepted.send_welcome()
        accepted.read_frame()
        then(accepted)

    return script


@pytest.mark.parametrize(
    ("script", "timeout"),
    [
        (asked_then(lambda _: None), TIMEOUT_SECONDS),
        (asked_then(lambda accepted: reset(accepted.sock)), TIMEOUT_SECONDS),
        (asked_then(lambda accepted: accepted.wait_for_close()), BRIEF),
        (
            asked_then(lambda accepted: accepted.sock.sendall(serialize(99))),
            TIMEOUT_SECONDS,
        ),
        (
            asked_then(
                lambda accepted: accepted.sock.sendall(
                    serialize(
                        Kind.ERROR, encode(ErrorMessage(code="idle", message="late"))
                    )
                )
            ),
            TIMEOUT_SECONDS,
        ),
    ],
    ids=["end", "reset", "silence", "breach", "error"],
)
async def test_unanswered_question_is_none(script: Script, timeout: float) -> None:
    """However the server fails to answer, the caller gets None and continues."""
    async with connection_to_fake_server(script) as connection:
        assert (await connection.open(TIMEOUT_SECONDS)).welcome is not None
        assert await connection.report(timeout) is None


def send_foreign_text(accepted: AcceptedConnection) -> None:
    """Speak no frames."""
    accepted.read_opening()
    accepted.sock.sendall(b"stranger")
    accepted.wait_for_close()


async def test_nothing_is_asked_without_a_welcome() -> None:
    """A connection without a welcome sends no question and does not wait."""
    async with connection_to_fake_server(send_foreign_text) as connection:
        await connection.open(TIMEOUT_SECONDS)
        sent = connection.wire.bytes_sent
        assert await connection.report(TIMEOUT_SECONDS) is None
        assert await connection.end(TIMEOUT_SECONDS) is False
        assert connection.wire.bytes_sent == sent


# The end


@pytest.mark.parametrize(
    ("answered", "timeout"), [(True, TIMEOUT_SECONDS), (False, BRIEF)]
)
async def test_end_reports_whether_the_server_ended(
    answered: bool,
    timeout: float,
) -> None:
    """The close is clean if the server has ended its side too."""

    def script(accepted: AcceptedConnection) -> None:
        accepted.send_welcome()
        assert accepted.read_frame().kind == Kind.END
        if answered:
            accepted.sock.sendall(serialize(Kind.END, flags=ANSWER))
        else:
            accepted.wait_for_close()

    async with connection_to_fake_server(script) as connection:
        await connection.open(TIMEOUT_SECONDS)
        assert await connection.end(timeout) is answered


async def test_tcp_info_is_available_until_the_close() -> None:
    """After the close there is None, and no error."""
    async with connection_to_fake_server(welcome_and_wait) as framed_connection:
        await framed_connection.open(TIMEOUT_SECONDS)
        info = framed_connection.info()
        assert info is not None
        assert info.state == "ESTABLISHED"
        host, port = framed_connection.local()
        assert host == "127.0.0.1"
        framed_connection.close()
        await wait_until(lambda: framed_connection.is_closed)
        assert framed_connection.info() is None
        assert framed_connection.local() == (host, port)
        assert await framed_connection.report(TIMEOUT_SECONDS) is None


FLOODS = {
    "echo answers": serialize(Kind.ECHO, bytes(8), flags=ANSWER, id=1) * 1000,
    "reports": serialize(Kind.REPORT, encode(make_server_report()), flags=ANSWER, id=1)
    * 100,
    "data": serialize(Kind.SOURCE, bytes(1024 * 1024), flags=ANSWER, id=1) * 3,
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
async def test_server_that_sends_more_than_was_asked_for_is_left(flood: bytes) -> None:
    """What waits to be read is bounded by what was asked for, whatever is sent."""

    def script(accepted: AcceptedConnection) -> None:
        accepted.send_welcome()
        accepted.read_frame()
        for _ in range(1000):  # until the client leaves
            accepted.sock.sendall(flood)
        raise AssertionError("the client reads on")

    async with connection_to_fake_server(script) as connection:
        await connection.open(TIMEOUT_SECONDS)
        connection.ask()
        await wait_until(lambda: connection.is_closed)
        while connection.ending is None:
            await connection.answers(TIMEOUT_SECONDS)
        assert connection.ending.how == "broken"
        assert "more than it was asked for" in connection.ending.detail


async def test_text_of_another_program_is_read_no_further_than_needed() -> None:
    """The rest of it waits in the buffers of the kernels."""

    def script(accepted: AcceptedConnection) -> None:
        accepted.sock.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            for _ in range(1000):
                accepted.sock.sendall(b"yes\n" * 65_536)
            raise AssertionError("the client reads on")

    async with connection_to_fake_server(script) as connection:
        handshake = await connection.open(TIMEOUT_SECONDS)
        assert handshake.foreign.startswith(b"yes\nyes\n")
        await asyncio.sleep(0.1)
        read = connection.wire.bytes_received
        await asyncio.sleep(0.1)
        assert connection.wire.bytes_received == read
