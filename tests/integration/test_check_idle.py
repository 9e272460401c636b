"""Holding connections in silence: a real server, and proxies that cut what is silent."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from netduet.client.battery import Battery
from netduet.client.checks.declaration import Context, Patience
from netduet.client.dial import Address
from netduet.client.silence import Idle, Plan, hold
from netduet.client.target import Target
from netduet.client.verdict import Outcome, Result, Side
from netduet.stalls import StallWatch
from tests.integration.conftest import StartServer
from tests.integration.proxies import IDLE, faithful, idle_cutting, standing
from tests.integration.running import PATIENCE, Running, until

SHORT, LONG = IDLE / 10, IDLE * 3
PATIENT = Patience(PATIENCE, PATIENCE, PATIENCE)
BRIEF = Patience(PATIENCE, PATIENCE, 1.0)
"""How long is waited for what never comes."""


async def check(port: int, *rungs: float, patience: Patience = BRIEF) -> Result:
    """Run the check, with those that it needs; return what came of it."""
    context = Context(
        Target("127.0.0.1", port),
        socket.AF_UNSPEC,
        "",
        patience,
        "full",
        rungs=rungs,
    )
    async with StallWatch() as stalls:
        battery = Battery(context, stalls, lambda _: None, ("idle",))
        await battery.run()
    return battery.verdict().results[-1]


async def test_silent_connections_live_on_loopback(start_server: StartServer) -> None:
    """With nothing in between, all live, whichever end wakes them, with probes or not."""
    running = await start_server()
    result = await check(running.port, SHORT, LONG, patience=PATIENT)
    assert (result.outcome, result.remarks) == (Outcome.PASS, ())
    assert result.figures["longest_lived"] == LONG
    assert result.figures["keepalive_longest_lived"] == LONG


@pytest.mark.parametrize(
    ("how", "failure"),
    [("reset", "idle.reset"), ("fin", "idle.closed"), ("silence", "idle.silent")],
)
async def test_proxy_that_cuts_what_is_silent_is_found(
    start_server: StartServer, how: str, failure: str
) -> None:
    """It is told how they die, that something in between did it, and that probes do not help."""
    running = await start_server()
    async with standing(idle_cutting(running.port, how)) as port:
        result = await check(port, SHORT, LONG)
        [finding] = result.findings
    assert (result.outcome, finding.failure) == (Outcome.FAIL, failure)
    assert finding.where is None
    assert (finding.figures["lived"], finding.figures["died"]) == (SHORT, LONG)
    assert finding.figures["keepalive_lives"] is False


async def test_faithful_proxy_lets_silent_connections_live(
    start_server: StartServer,
) -> None:
    """What only carries is not blamed."""
    running = await start_server()
    async with standing(faithful(running.port)) as port:
        result = await check(port, SHORT, patience=PATIENT)
    assert result.outcome is Outcome.PASS


async def test_rung_beyond_the_server_s_limit_is_skipped(
    start_server: StartServer,
) -> None:
    """A server that holds no longer is believed, and asked for no more."""
    running = await start_server(hold_timeout=6.0)
    result = await check(running.port, 2.0)
    assert result.outcome is Outcome.SKIP
    assert "not tried: 2 s" in result.summary
    assert running.lines.of("connection.failed") == []


async def test_idle_limit_of_the_server_does_not_end_what_it_holds(
    start_server: StartServer,
) -> None:
    """The time held comes on top of the server's own patience."""
    running = await start_server(idle_timeout=SHORT)
    result = await check(running.port, LONG, patience=PATIENT)
    assert result.outcome is Outcome.PASS


async def test_server_that_shuts_down_meanwhile_is_no_middlebox(
    start_server: StartServer,
) -> None:
    """Connections that a drain ends say nothing about the network."""
    running = await start_server(drain_timeout=PATIENCE)
    task = asyncio.create_task(check(running.port, 60.0))
    await until(lambda: held(running) == 4)
    running.server.stop()
    result = await task
    assert result.outcome is Outcome.INCONCLUSIVE
    assert {one.failure for one in result.findings} == {"idle.interrupted"}


def held(running: Running) -> int:
    """Return how many connections are established to a server of this host."""
    return sum(one[3] == "01" for one in _rows() if _port(one[1]) == running.port)


@pytest.mark.parametrize(("keepalive", "timers"), [(None, {False}), (1, {False, True})])
async def test_probes_are_off_at_both_ends_unless_asked_for(
    start_server: StartServer, keepalive: int | None, timers: set[bool]
) -> None:
    """A held connection is silent: no kernel has a timer of probes; or ours alone has."""
    running = await start_server()
    address = Address(socket.AF_INET, "127.0.0.1", running.port)
    plan = Plan(60.0, Side.CLIENT, keepalive)
    task = asyncio.create_task(hold(PATIENT, address, plan))
    await until(lambda: quiet(running) == timers)
    ours = [one for one in _rows() if _port(one[2]) == running.port and one[3] == "01"]
    assert {one[5][:2] == "02" for one in ours} == {keepalive is not None}
    task.cancel()
    await asyncio.wait({task})


def quiet(running: Running) -> set[bool]:
    """Return whether either end of the held connection has a timer of probes.

    Empty until all that was sent is acknowledged (proc_net_tcp.rst).
    """
    rows = [
        one
        for one in _rows()
        if running.port in (_port(one[1]), _port(one[2])) and one[3] == "01"
    ]
    if len(rows) != 2 or any(one[5][:2] == "01" for one in rows):
        return set()
    return {one[5][:2] == "02" for one in rows}


def _rows() -> list[list[str]]:
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return [line.split() for line in lines]


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


async def test_quick_profile_is_silent_about_silence(start_server: StartServer) -> None:
    """Without rungs of its own the profile quick holds nothing, and the verdict is PASS."""
    running = await start_server()
    target = Target("127.0.0.1", running.port)
    context = Context(target, socket.AF_UNSPEC, "", PATIENT)
    async with StallWatch() as stalls:
        battery = Battery(context, stalls, lambda _: None, ("idle",))
        await battery.run()
    verdict = battery.verdict()
    assert verdict.results[-1].outcome is Outcome.SKIP
    assert verdict.outcome is Outcome.PASS
    assert context.earlier(Idle) == Idle(())
