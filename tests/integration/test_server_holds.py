"""The number of holds that the server is to end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from netduet.wire.frames import Kind, serialize
from tests.integration.conftest import StartServer
from tests.integration.framed_client import FramedClient
from tests.integration.servers import wait_until


def holds(count: int, seconds: float = 60.0, *, speak: bool = True) -> bytes:
    """Return questions for this number of holds, with ids from 0 on."""
    asked = json.dumps({"seconds": seconds, "speak": speak}).encode()
    return b"".join(serialize(Kind.HOLD, asked, id=number) for number in range(count))


def answers_and_error(peer: FramedClient) -> tuple[int, dict[str, Any], int]:
    """Return how many answers come, the error behind them, and its id."""
    count = 0
    while (frame := peer.receive()).kind == Kind.HOLD:
        assert json.loads(frame.payload) == {"spoke": False}
        count += 1
    assert frame.kind == Kind.ERROR
    return count, json.loads(frame.payload), frame.id


async def test_holds_of_a_connection_are_bounded(start_server: StartServer) -> None:
    """Those within the limit are answered; one more ends the connection."""
    running = await start_server(max_holds_per_connection=5)

    def talk() -> tuple[int, dict[str, Any], int]:
        with FramedClient(running.port) as peer:
            peer.sock.sendall(holds(6))
            return answers_and_error(peer)

    count, failure, frame_id = await asyncio.to_thread(talk)
    assert (count, frame_id) == (5, 5)
    assert failure["code"] == "too_many_questions"
    assert failure["facts"] == {"limit": 5}
    line = await running.closed_line()
    assert line["netduet.ended"] == "limit.holds_per_connection"
    assert running.server._context.holds.used == 0


async def test_holds_are_bounded_in_all(start_server: StartServer) -> None:
    """Who comes later is refused, and served when the others have left."""
    running = await start_server(max_holds=8, max_holds_per_connection=5)
    budget = running.server._context.holds

    def talk() -> tuple[int, dict[str, Any], int]:
        with FramedClient(running.port) as first, FramedClient(running.port) as other:
            first.sock.sendall(holds(5))
            for _ in range(5):
                first.message(Kind.HOLD)
            other.sock.sendall(holds(4))
            refused = answers_and_error(other)
            assert first.echo(b"still here") == b"still here"
            return refused

    count, failure, _ = await asyncio.to_thread(talk)
    assert count == 3
    assert failure["code"] == "overloaded"
    await wait_until(lambda: budget.used == 0)
    [line] = running.lines.of("limit.reached")
    assert (line["netduet.limit_name"], line["netduet.limit"]) == ("holds", 8)


async def test_ended_holds_make_room(start_server: StartServer) -> None:
    """A hold counts until its second answer; one that the client ends never does."""
    running = await start_server(max_holds=5, max_holds_per_connection=5)

    def talk() -> None:
        with FramedClient(running.port) as peer:
            peer.sock.sendall(holds(20, speak=False))
            for _ in range(20):
                assert peer.message(Kind.HOLD) == {"spoke": False}
            for _ in range(3):
                peer.sock.sendall(holds(5, 0.05))
                spoken = [peer.message(Kind.HOLD)["spoke"] for _ in range(10)]
                assert sorted(spoken) == [False] * 5 + [True] * 5
            peer.end()

    await asyncio.to_thread(talk)
    assert running.server._context.holds.used == 0
    assert running.server._counters.limits == {}
