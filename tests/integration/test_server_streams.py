"""UDP streams requested over a bare socket: who gets one, and how it ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TypeVar

import pytest

from netduet.wire import datagram, udp_stream
from netduet.wire.frames import ANSWER, Kind
from netduet.wire.udp_stream import (
    NO_COOKIE,
    SIZE,
    Challenge,
    EndReason,
    StreamAnswer,
    StreamEnd,
    StreamFlag,
    StreamQuestion,
    StreamStatus,
)
from tests.integration.conftest import StartServer
from tests.integration.servers import TIMEOUT_SECONDS, RunningServer

Result = TypeVar("Result")


class Bare:
    """A socket that streams by hand."""

    def __init__(self, port: int, flow: int = 7) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.settimeout(TIMEOUT_SECONDS)
        self.sock.connect(("127.0.0.1", port))
        self.flow = flow
        self.cookie = NO_COOKIE

    def ask(self, number: int = 0, flags: int = 0, size: int = SIZE) -> None:
        """Send a datagram of ours."""
        flag = StreamFlag(flags)
        question = StreamQuestion(self.flow, number, 20, self.cookie, flag)
        self.sock.send(datagram.serialize(Kind.STREAM, question.serialize(), 0, size))

    def next(self) -> StreamAnswer:
        """Return the next datagram of the server's."""
        data = self.sock.recv(2048)
        assert len(data) <= SIZE
        frame = datagram.parse(data)
        assert frame is not None
        assert (frame.kind, frame.flags) == (Kind.STREAM, ANSWER)
        answer = udp_stream.parse_answer(frame.payload)
        assert answer is not None
        return answer

    def until(self, kind: type[Result]) -> Result:
        """Return the next one of a kind."""
        while not isinstance(answer := self.next(), kind):
            pass
        return answer

    def learn(self) -> None:
        """Ask for a cookie."""
        self.ask()
        self.cookie = self.until(Challenge).cookie


async def talk(running: RunningServer, script: Callable[[Bare], Result]) -> Result:
    """Run a script with a socket in a thread."""
    bare = Bare(running.port)
    with bare.sock:
        return await asyncio.to_thread(script, bare)


async def test_stream_continues_until_it_is_stopped(
    start_server: StartServer,
) -> None:
    """The server sends at its own pace, and stops on request."""
    running = await start_server()

    def script(bare: Bare) -> list[StreamStatus]:
        bare.learn()
        bare.ask(0)
        bare.ask(2)
        statuses = [bare.until(StreamStatus) for _ in range(5)]
        bare.ask(3, StreamFlag.STOP)
        assert bare.until(StreamEnd).reason is EndReason.STOPPED
        return statuses

    received = await talk(running, script)
    assert [stream_status.number for stream_status in received] == [0, 1, 2, 3, 4]
    assert (received[-1].received, received[-1].gaps) == (2, ((1, 2),))


async def test_socket_drops_of_the_server_are_reported(
    start_server: StartServer,
) -> None:
    """The event loop is blocked while datagrams come: the socket drops and counts."""
    running = await start_server()
    first = Bare(running.port)
    with first.sock:
        await asyncio.to_thread(first.learn)
        first.ask(0)
        before = await asyncio.to_thread(first.until, StreamStatus)
        for number in range(1, 3000):  # nobody reads: the server's loop is this one
            first.ask(number)

        def last() -> tuple[int, int]:
            assert before.dropped is not None
            while True:
                status = first.until(StreamStatus)
                assert status.dropped is not None
                dropped = status.dropped - before.dropped
                if status.received + dropped >= 3000:  # it has read all that is there
                    return status.received + dropped, dropped

        known, count = await asyncio.to_thread(last)
    assert known == 3000
    assert count > 0


async def test_answers_without_a_valid_cookie_are_not_larger(
    start_server: StartServer,
) -> None:
    """Each question from a forged source has one smaller answer, or none."""
    running = await start_server()

    def script(bare: Bare) -> None:
        bare.learn()
        forged = Bare(running.port)
        with forged.sock:
            forged.cookie = bare.cookie
            for _ in range(3):
                forged.ask()
                assert isinstance(forged.next(), Challenge)
            forged.ask(size=0)  # too small for a challenge
            forged.ask(flags=StreamFlag.STOP)
            assert isinstance(forged.next(), Challenge)
            forged.sock.settimeout(0.1)
            with pytest.raises(TimeoutError):
                forged.next()

    await talk(running, script)


async def test_shutdown_ends_streams_with_a_message(start_server: StartServer) -> None:
    """A drain tells each stream."""
    running = await start_server()
    bare = Bare(running.port)
    with bare.sock:
        await asyncio.to_thread(bare.learn)
        bare.ask(0)
        await asyncio.to_thread(bare.until, StreamStatus)
        await running.stop()
        assert (
            await asyncio.to_thread(bare.until, StreamEnd)
        ).reason is EndReason.DRAINING


async def test_shutdown_is_said_again_to_who_goes_on(start_server: StartServer) -> None:
    """The message may be lost: while the listener closes, each datagram is answered."""
    running = await start_server()
    bare = Bare(running.port)
    with bare.sock:
        await asyncio.to_thread(bare.learn)
        bare.ask(0)
        await asyncio.to_thread(bare.until, StreamStatus)
        stopping = asyncio.create_task(running.stop())
        for number in range(1, 4):
            ended = await asyncio.to_thread(bare.until, StreamEnd)
            assert ended.reason is EndReason.DRAINING
            if number < 3:
                bare.ask(number)
        await stopping


async def test_streams_per_address_are_limited(start_server: StartServer) -> None:
    """The seventeenth stream to one address gets an error."""
    running = await start_server()

    def script(bare: Bare) -> bytes:
        for flow in range(16):
            bare.flow, bare.cookie = flow, NO_COOKIE
            bare.learn()
            bare.ask(0)
        bare.flow, bare.cookie = 99, NO_COOKIE
        bare.learn()
        bare.ask(0)
        while True:
            frame = datagram.parse(bare.sock.recv(2048))
            if frame is not None and frame.kind == Kind.ERROR:
                return frame.payload

    assert b"too_many_connections" in await talk(running, script)
