"""The client's end of a framed connection, with every kind of far end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest

from netduet.client.net.dial import Cause
from netduet.client.net.framed_connection import MAX_FOREIGN_BYTES, FramedConnection
from netduet.client.net.handshake import Handshake
from netduet.wire.errors import Code
from netduet.wire.frames import ANSWER, MAGIC, Kind, serialize
from netduet.wire.messages import ErrorMessage, encode
from netduet.wire.state_machine import State
from tests.integration.peer import reset
from tests.integration.running import PATIENCE, until
from tests.unit.client.far_end import Script, Taken, meeting, talking, welcome, welcomes

BRIEF = 0.05
"""How long to wait for what does not come."""


async def opened(
    script: Script,
    patience: float = PATIENCE,
    before: Callable[[FramedConnection], bool] = lambda _: True,
) -> Handshake:
    """Open, once something is so before; return what came of it."""
    async with meeting(script) as conversation:
        await until(lambda: before(conversation))
        return await conversation.open(patience)


def says(data: bytes) -> Script:
    """Return a far end that reads the opening, says this, and waits."""

    def script(taken: Taken) -> None:
        taken.opening()
        taken.sock.sendall(data)
        taken.waits()

    return script


def ended(conversation: FramedConnection) -> bool:
    """Tell whether the far end's end of stream has been read."""
    return conversation.connection.state is State.CLOSED


# Opening


async def test_netduet_welcomes() -> None:
    """The welcome is returned; its kernel had taken all that was sent."""
    opening = await opened(welcomes)
    assert opening.welcome is not None
    assert opening.welcome.service == "netduet"
    assert opening.acked == opening.sent > len(MAGIC)
    assert not opening.own_socket
    assert opening.seconds == opening.end - opening.start >= 0


async def test_welcome_of_somebody_else_is_a_breach() -> None:
    """An answer with another nonce answers another question: a replay or a mix-up."""
    foreign = serialize(Kind.OPEN, encode(welcome(nonce="f" * 32)), flags=ANSWER)
    opening = await opened(says(MAGIC + foreign))
    assert (opening.welcome, opening.closed) == (None, False)
    assert opening.broken is not None
    assert opening.broken.message == "the response carries a nonce that is not ours"


async def test_stranger_is_heard_up_to_a_bound() -> None:
    """Whoever speaks no frames is kept in the first bytes, however much comes."""
    opening = await opened(says(b"Hello, client!" + b"x" * 10_000))
    assert len(opening.foreign) == MAX_FOREIGN_BYTES
    assert opening.foreign.startswith(b"Hello, client!")


async def test_banner_that_comes_in_pieces_before_we_speak_is_heard_whole() -> None:
    """A server that speaks first is a stranger, and all its words count."""
    heard = threading.Event()

    def speaks_first(taken: Taken) -> None:
        taken.sock.sendall(b"220 ")
        assert heard.wait(PATIENCE)
        taken.sock.sendall(b"mail\r\n")
        taken.waits()

    async with meeting(speaks_first) as conversation:
        await until(lambda: conversation.connection.bytes_received == 4)
        heard.set()
        await until(lambda: conversation.connection.bytes_received == 10)
        opening = await conversation.open(PATIENCE)
    assert opening.foreign == b"220 mail\r\n"


async def test_banner_of_who_closes_before_we_speak_is_heard() -> None:
    """Who speaks and leaves at once, such as a service of the time, is a stranger."""
    opening = await opened(lambda taken: taken.sock.sendall(b"noon"), before=ended)
    assert (opening.foreign, opening.sent) == (b"noon", 0)


async def test_end_before_we_speak_is_no_defect_of_ours() -> None:
    """A proxy whose server is dead closes at once, before a byte can be sent."""
    opening = await opened(lambda _: None, before=ended)
    assert (opening.closed, opening.cause, opening.sent) == (True, None, 0)


async def test_reset_before_we_speak_is_no_defect_of_ours() -> None:
    """Who cuts at once is told so, with the kernel's word for it, and is not ourselves."""
    connected = threading.Event()

    def cuts(taken: Taken) -> None:
        assert connected.wait(PATIENCE)
        reset(taken.sock)

    async with meeting(cuts) as conversation:
        connected.set()
        await until(lambda: conversation.gone)
        opening = await conversation.open(PATIENCE)
    assert (opening.cause, opening.sent, opening.acked) == (Cause.RESET, 0, None)
    assert opening.detail == "ECONNRESET: Connection reset by peer"
    assert not opening.own_socket


async def test_end_in_place_of_an_answer_is_seen() -> None:
    """Who reads the opening and closes has answered nothing."""
    opening = await opened(lambda taken: taken.opening())
    assert (opening.closed, opening.cause) == (True, None)
    assert opening.acked is not None


async def test_reset_in_place_of_an_answer_is_seen() -> None:
    """Who reads the opening and cuts is told apart from who closes."""

    def cuts(taken: Taken) -> None:
        taken.opening()
        reset(taken.sock)

    opening = await opened(cuts)
    assert (opening.closed, opening.cause) == (False, Cause.RESET)


async def test_silence_ends_with_patience() -> None:
    """Nobody is waited for longer than told; the kernel says that the request arrived."""
    opening = await opened(lambda taken: taken.waits(), BRIEF)
    assert (opening.cause, opening.detail) == (Cause.TIMEOUT, "no response in time")
    assert opening.acked is not None
    assert opening.foreign == b""


async def test_refusal_is_heard() -> None:
    """A server's ERROR frame is kept with its code and its words."""
    failure = ErrorMessage(code="draining", message="going")
    opening = await opened(says(MAGIC + serialize(Kind.ERROR, encode(failure))))
    assert opening.refused == failure


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (MAGIC.replace(b"\r\n", b"\n"), Code.MAGIC_BROKEN),
        (MAGIC + serialize(Kind.OPEN, b"{}", flags=ANSWER), Code.BAD_MESSAGE),
        (MAGIC + serialize(99), Code.UNKNOWN_KIND),
        (MAGIC + serialize(Kind.OPEN, b"{}"), Code.OUT_OF_ORDER),
    ],
)
async def test_breach_of_the_rules_is_named(answer: bytes, code: Code) -> None:
    """What a far end does wrong in its first answer has the code of the rule."""
    opening = await opened(says(answer))
    assert opening.broken is not None
    assert opening.broken.code is code


async def test_end_inside_an_answer_is_a_breach() -> None:
    """Who ends in the midst of the answer did not merely close."""

    def script(taken: Taken) -> None:
        taken.opening()
        taken.sock.sendall(MAGIC[:3])

    opening = await opened(script)
    assert opening.broken is not None
    assert opening.broken.code is Code.TRUNCATED


async def test_connection_to_itself_is_recognised() -> None:
    """A socket that is connected to itself (a simultaneous open) hears its own opening."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.connect(sock.getsockname())
    sock.setblocking(False)
    async with talking(sock) as conversation:
        opening = await conversation.open(PATIENCE)
    assert opening.own_socket
    assert opening.broken is not None
