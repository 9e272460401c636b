"""The client's end of a framed connection, with every kind of server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest

from netduet.client.net.dial import Cause
from netduet.client.net.framed_connection import (
    MAX_FOREIGN_BYTES,
    FramedConnection,
    start_framed_connection,
)
from netduet.client.net.handshake import Handshake
from netduet.wire.errors import Code
from netduet.wire.frames import ANSWER, MAGIC, Kind, serialize
from netduet.wire.messages import ErrorMessage, encode
from netduet.wire.state_machine import State
from tests.integration.framed_client import reset
from tests.integration.servers import TIMEOUT_SECONDS, wait_until
from tests.unit.client.fake_server import (
    AcceptedConnection,
    Script,
    connection_to_fake_server,
    framed_connection,
    make_welcome,
    welcome_and_wait,
)

BRIEF = 0.05
"""How long to wait for what does not come."""


async def opened(
    script: Script,
    timeout: float = TIMEOUT_SECONDS,
    before: Callable[[FramedConnection], bool] = lambda _: True,
) -> Handshake:
    """Open, once something is so before; return what came of it."""
    async with connection_to_fake_server(script) as connection:
        await wait_until(lambda: before(connection))
        return await connection.open(timeout)


def says(data: bytes) -> Script:
    """Return a server that reads the opening, sends this, and waits."""

    def script(accepted: AcceptedConnection) -> None:
        accepted.read_opening()
        accepted.sock.sendall(data)
        accepted.wait_for_close()

    return script


def ended(connection: FramedConnection) -> bool:
    """Return whether the server's FIN has been read."""
    return connection.wire.state is State.CLOSED


# Opening


async def test_netduet_server_welcomes() -> None:
    """The welcome is returned; the kernel had acknowledged all that was sent."""
    opening = await opened(welcome_and_wait)
    assert opening.welcome is not None
    assert opening.welcome.service == "netduet"
    assert opening.acked == opening.sent > len(MAGIC)
    assert not opening.self_connected
    assert opening.seconds == opening.end - opening.start >= 0


async def test_welcome_with_another_nonce_is_a_breach() -> None:
    """An answer with another nonce belongs to another opening."""
    foreign = serialize(Kind.OPEN, encode(make_welcome(nonce="f" * 32)), flags=ANSWER)
    opening = await opened(says(MAGIC + foreign))
    assert (opening.welcome, opening.closed) == (None, False)
    assert opening.broken is not None
    assert opening.broken.message == "the response carries a nonce that is not ours"


async def test_foreign_server_output_is_read_up_to_a_limit() -> None:
    """Only the first bytes of a foreign protocol are kept, however much comes."""
    opening = await opened(says(b"Hello, client!" + b"x" * 10_000))
    assert len(opening.foreign) == MAX_FOREIGN_BYTES
    assert opening.foreign.startswith(b"Hello, client!")


async def test_early_banner_in_pieces_is_read_whole() -> None:
    """A server that speaks first is foreign, and its whole banner is kept."""
    received = threading.Event()

    def speaks_first(accepted: AcceptedConnection) -> None:
        accepted.sock.sendall(b"220 ")
        assert received.wait(TIMEOUT_SECONDS)
        accepted.sock.sendall(b"mail\r\n")
        accepted.wait_for_close()

    async with connection_to_fake_server(speaks_first) as connection:
        await wait_until(lambda: connection.wire.bytes_received == 4)
        received.set()
        await wait_until(lambda: connection.wire.bytes_received == 10)
        opening = await connection.open(TIMEOUT_SECONDS)
    assert opening.foreign == b"220 mail\r\n"


async def test_banner_before_immediate_close_is_read() -> None:
    """A server that sends and closes at once, as daytime does, is foreign."""
    opening = await opened(
        lambda accepted: accepted.sock.sendall(b"noon"), before=ended
    )
    assert (opening.foreign, opening.sent) == (b"noon", 0)


async def test_close_before_the_opening_is_reported() -> None:
    """A proxy with a dead backend closes before a byte can be sent."""
    opening = await opened(lambda _: None, before=ended)
    assert (opening.closed, opening.cause, opening.sent) == (True, None, 0)


async def test_reset_before_the_opening_is_reported() -> None:
    """An immediate reset is reported with the kernel's error."""
    connected = threading.Event()

    def cuts(accepted: AcceptedConnection) -> None:
        assert connected.wait(TIMEOUT_SECONDS)
        reset(accepted.sock)

    async with connection_to_fake_server(cuts) as connection:
        connected.set()
        await wait_until(lambda: connection.is_closed)
        opening = await connection.open(TIMEOUT_SECONDS)
    assert (opening.cause, opening.sent, opening.acked) == (Cause.RESET, 0, None)
    assert opening.detail == "ECONNRESET: Connection reset by peer"
    assert not opening.self_connected


async def test_close_instead_of_an_answer_is_reported() -> None:
    """A server that reads the opening and closes did not answer."""
    opening = await opened(lambda accepted: accepted.read_opening())
    assert (opening.closed, opening.cause) == (True, None)
    assert opening.acked is not None


async def test_reset_instead_of_an_answer_is_reported() -> None:
    """A reset after the opening is distinguished from a normal close."""

    def cuts(accepted: AcceptedConnection) -> None:
        accepted.read_opening()
        reset(accepted.sock)

    opening = await opened(cuts)
    assert (opening.closed, opening.cause) == (False, Cause.RESET)


async def test_silence_ends_at_the_timeout() -> None:
    """The kernel says that the request arrived."""
    opening = await opened(lambda accepted: accepted.wait_for_close(), BRIEF)
    assert (opening.cause, opening.detail) == (Cause.TIMEOUT, "no response in time")
    assert opening.acked is not None
    assert opening.foreign == b""


async def test_refusal_is_reported_with_its_reason() -> None:
    """The server's ERROR frame is kept with its code and text."""
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
async def test_protocol_breach_is_named(answer: bytes, code: Code) -> None:
    """A wrong first answer has the code of the rule it breaks."""
    opening = await opened(says(answer))
    assert opening.broken is not None
    assert opening.broken.code is code


async def test_close_inside_an_answer_is_a_breach() -> None:
    """A truncated answer is more than a mere close."""

    def script(accepted: AcceptedConnection) -> None:
        accepted.read_opening()
        accepted.sock.sendall(MAGIC[:3])

    opening = await opened(script)
    assert opening.broken is not None
    assert opening.broken.code is Code.TRUNCATED


async def test_connection_to_itself_is_recognised() -> None:
    """A simultaneous open to our own socket returns our own opening."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.connect(sock.getsockname())
    sock.setblocking(False)
    async with framed_connection(sock) as connection:
        opening = await connection.open(TIMEOUT_SECONDS)
    assert opening.self_connected
    assert opening.broken is not None


async def test_option_of_a_closed_connection_is_left_alone() -> None:
    """There is no socket any more with uvloop."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sock = socket.create_connection(listener.getsockname())
        connection = await start_framed_connection(sock)
        connection.close()
        await wait_until(lambda: connection.is_closed)
        connection.set_option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
