"""What all connections together may make a server keep."""

from __future__ import annotations

import asyncio
import contextlib

from netduet.wire.frames import Kind, serialize
from tests.integration.conftest import StartServer
from tests.integration.framed_client import FramedClient
from tests.integration.servers import wait_until
from tests.integration.test_server_pressure import stuck

MIB = 1024 * 1024
ALMOST = serialize(Kind.SINK, bytes(MIB))[:-1]
"""All but the end of a frame of the largest size."""


def fill_from(source: str, port: int, count: int) -> list[FramedClient]:
    """Open connections from an address, and send all but the end of a frame on each."""
    peers = []
    for _ in range(count):
        peer = FramedClient(port, source=source)
        peer.open()
        peer.sock.sendall(ALMOST)
        peers.append(peer)
    return peers


async def test_started_frames_are_bounded_in_all(start_server: StartServer) -> None:
    """Who sends all but the ends of frames gets an error; nobody else notices."""
    running = await start_server(max_buffered=8 * MIB)
    budget = running.server._context.buffers

    def talk() -> tuple[list[str], bytes]:
        with FramedClient(running.port) as other:
            other.sock.sendall(ALMOST)
            hostile = fill_from("127.0.0.2", running.port, 20)
            assert budget.used <= 8 * MIB
            codes = []
            # The connections that are left are the last ones.
            for peer in hostile[:12]:
                codes.append(peer.error()["code"])
                peer.sock.close()
            other.sock.sendall(b"\0")
            answer = other.receive().payload
            for peer in hostile[12:]:
                peer.sock.close()
            return codes, answer

    codes, answer = await asyncio.to_thread(talk)
    assert set(codes) == {"overloaded"}
    assert b'"received":1048576' in answer
    assert running.server._counters.limits["buffered"] >= 12
    [line] = running.lines.of("limit.reached")
    assert line["netduet.limit_name"] == "buffered"
    assert line["client.address"] == "127.0.0.2"
    await wait_until(lambda: budget.used == 0)


async def test_unread_answers_are_bounded_in_all(start_server: StartServer) -> None:
    """Who asks and does not read is reset when the budget is used up."""
    running = await start_server(max_buffered=MIB, max_frame_size=64 * 1024)
    budget = running.server._context.buffers
    asked = serialize(Kind.SOURCE, b'{"size":65536,"seed":5}') * 20
    other = FramedClient(running.port)
    await asyncio.to_thread(other.open)
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            sock = stack.enter_context(stuck(running.port))
            await asyncio.to_thread(sock.sendall, asked)
        await wait_until(lambda: "buffered" in running.server._counters.limits)
        # What is being reset counts until it is gone; no more answers are made then.
        assert budget.used <= MIB + 256 * 1024
        assert await asyncio.to_thread(other.echo, b"still here") == b"still here"
        await asyncio.to_thread(other.end)
    await wait_until(lambda: budget.used == 0)


async def test_frame_that_arrives_in_pieces_is_answered(
    start_server: StartServer,
) -> None:
    """What is buffered is released when the frame is complete."""
    running = await start_server(max_buffered=2 * MIB)
    budget = running.server._context.buffers

    def talk() -> None:
        with FramedClient(running.port) as peer:
            for _ in range(8):
                with peer.sending(serialize(Kind.ECHO, bytes(MIB))):
                    assert len(peer.receive().payload) == MIB
            peer.end()

    await asyncio.to_thread(talk)
    assert running.server._counters.limits == {}
    await wait_until(lambda: budget.used == 0)
    assert running.lines.of("limit.reached") == []
