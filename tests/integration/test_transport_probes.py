"""Probes of small writes, bursts and flows against a real server."""

from __future__ import annotations

import select
import socket

import pytest

from netduet.client.checks.churn.repeated_flow import repeat_flow, try_budget
from netduet.client.checks.churn.results import Attempt, AttemptOutcome, RepeatedFlow
from netduet.client.checks.load.burst_probe import BURST_SIZES, SINGLES, count_bursts
from netduet.client.checks.small_writes import (
    held_back_finding,
    measure_small_writes,
    small_write_notes,
)
from netduet.client.net.dial import Address
from netduet.client.net.timeouts import Timeouts
from netduet.client.results.location import Direction
from tests.integration.conftest import StartServer
from tests.integration.foreign_servers import Behaviour, closed_port
from tests.integration.framed_client import connect
from tests.integration.proxies import running_proxy
from tests.integration.servers import TIMEOUT_SECONDS

TIMEOUTS = Timeouts(TIMEOUT_SECONDS, TIMEOUT_SECONDS, TIMEOUT_SECONDS)
HELD_SECONDS = 0.2
HELD_BYTES = 4096


def here(port: int) -> Address:
    """Return an address of this host."""
    return Address(socket.AF_INET, "127.0.0.1", port)


def hold_small_pieces(port: int) -> Behaviour:
    """Forward pieces of 4 KiB and more, or what there is after 0.2 s without more."""

    def behave(client: socket.socket) -> None:
        with connect(port) as server:
            held = {client: b"", server: b""}
            others = {client: server, server: client}
            while True:
                waits = HELD_SECONDS if any(held.values()) else None
                ready, _, _ = select.select(list(held), [], [], waits)
                for sock in ready:
                    data = sock.recv(65536)
                    if not data:
                        return
                    held[sock] += data
                for sock, data in held.items():
                    if data and (len(data) >= HELD_BYTES or not ready):
                        others[sock].sendall(data)
                        held[sock] = b""

    return behave


async def test_buffering_proxy_holds_small_writes_back(
    start_server: StartServer,
) -> None:
    """What waits alone passes at once when more data follows."""
    running = await start_server()
    async with running_proxy(hold_small_pieces(running.port)) as port:
        writes = await measure_small_writes(here(port), TIMEOUTS)
    finding = held_back_finding(here(port), writes, 0.0)
    assert finding is not None
    assert min(writes.alone) >= 2 * HELD_SECONDS
    assert min(writes.followed) < min(writes.alone)


async def test_small_writes_are_not_held_back_on_loopback(
    start_server: StartServer,
) -> None:
    """Nothing is found, and writes in two pieces are answered."""
    running = await start_server()
    writes = await measure_small_writes(here(running.port), TIMEOUTS)
    assert held_back_finding(here(running.port), writes, 0.0) is None
    assert small_write_notes(here(running.port), writes, 0.0) == []
    assert writes.alone
    assert writes.split


@pytest.mark.parametrize("direction", Direction)
async def test_bursts_are_counted_in_each_direction(
    start_server: StartServer, direction: Direction
) -> None:
    """Loopback loses nothing, singly or at once."""
    running = await start_server()
    counts = await count_bursts(here(running.port), TIMEOUTS, direction, 1e9)
    assert [(burst.size, burst.direction) for burst in counts] == [
        (size, direction) for size in (1, *BURST_SIZES)
    ]
    assert counts[0].sent == SINGLES
    assert all(burst.lost == 0 for burst in counts)


async def test_flow_is_repeated_from_the_same_port(start_server: StartServer) -> None:
    """Both connections of a flow are made at once on loopback."""
    running = await start_server()
    assert await repeat_flow(here(running.port)) == RepeatedFlow(0, 0)


async def test_nothing_is_repeated_where_nothing_listens() -> None:
    """A flow that cannot be made once is not made twice."""
    with closed_port() as target:
        number = int(target.rpartition(":")[2])
        assert await repeat_flow(here(number)) is None


async def test_budget_is_not_used_up_on_loopback(start_server: StartServer) -> None:
    """New ports and known ports pass."""
    running = await start_server()
    with connect(running.port) as sock:
        local = sock.getsockname()
    known = Attempt(AttemptOutcome.SERVED, connect_seconds=0.001, local=local)
    trial = await try_budget(here(running.port), [known])
    assert trial.fresh_passed == trial.fresh
    assert (trial.known, trial.known_passed) == (1, 1)
