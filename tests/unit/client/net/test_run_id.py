"""The id of a run: who has it, and where it stands on the wire (P-77)."""

from __future__ import annotations

import asyncio

from netduet.client.net.run_id import run_id, start_run
from netduet.wire.frames import MAGIC, MIN_RUN_ID
from tests.integration.servers import TIMEOUT_SECONDS
from tests.unit.client.fake_server import (
    AcceptedConnection,
    connection_to_fake_server,
)


async def ids_of_a_run() -> list[int]:
    """Start a run; return the id in this task and in a task that it starts."""

    async def inner() -> int:
        return run_id()

    start_run()
    return [run_id(), await asyncio.create_task(inner())]


async def test_tasks_of_a_run_share_its_id() -> None:
    """Two runs have two ids, in all their tasks; the task that started both has none."""
    runs = await asyncio.gather(ids_of_a_run(), ids_of_a_run())
    assert all(len(set(ids)) == 1 for ids in runs)
    assert runs[0][0] != runs[1][0]
    assert all(MIN_RUN_ID <= ids[0] < 2**64 for ids in runs)
    assert run_id() == 0


async def test_opening_carries_the_id_of_the_run() -> None:
    """The frame OPEN has the run's id, and the server's welcome is accepted."""
    received: list[int] = []

    def script(accepted: AcceptedConnection) -> None:
        assert accepted.sock.recv(len(MAGIC)) == MAGIC
        received.append(accepted.read_frame().id)

    start_run()
    async with connection_to_fake_server(script) as connection:
        await connection.open(TIMEOUT_SECONDS)
    assert received == [run_id()]
