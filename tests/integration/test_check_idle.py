"""The check ``idle`` against a real server, and proxies with idle timeouts."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest

from netduet.client.checks.addresses import AddressResults
from netduet.client.checks.base import CheckContext, CheckOptions
from netduet.client.checks.idle.judge_udp import judge_udp
from netduet.client.checks.idle.measure import hold
from netduet.client.checks.idle.results import HoldPlan
from netduet.client.checks.idle.udp_silence import keep_silent
from netduet.client.checks.runner import CheckRunner
from netduet.client.net.dial import Address
from netduet.client.net.timeouts import Timeouts
from netduet.client.results.location import Side
from netduet.client.results.target import Target
from netduet.client.results.verdict import CheckResult, Outcome, exit_status
from netduet.runtime.stall_monitor import StallMonitor
from netduet.wire.frames import Kind
from netduet.wire.messages import HoldAnswer
from tests.integration.conftest import StartServer
from tests.integration.forgetful_nat import running_nat
from tests.integration.framed_client import FramedClient
from tests.integration.proxies import (
    IDLE_SECONDS,
    end_connections_at_age,
    end_idle_connections,
    forward_all,
    running_proxy,
)
from tests.integration.servers import TIMEOUT_SECONDS, RunningServer, wait_until
from tests.unit.client.fake_server import AcceptedConnection, FakeServer

SHORT, LONG = IDLE_SECONDS / 10, IDLE_SECONDS * 3
TIMEOUTS = Timeouts(TIMEOUT_SECONDS, TIMEOUT_SECONDS, TIMEOUT_SECONDS)
SHORT_TIMEOUTS = Timeouts(TIMEOUT_SECONDS, TIMEOUT_SECONDS, 1.0)
"""How long is waited for what never comes."""

HASTY = Timeouts(TIMEOUT_SECONDS, TIMEOUT_SECONDS, 0.2)


async def check(
    port: int, *rungs: float, timeouts: Timeouts = SHORT_TIMEOUTS
) -> CheckResult:
    """Run the check, with those that it needs; return what came of it."""
    context = CheckContext(
        Target("127.0.0.1", port),
        socket.AF_UNSPEC,
        "",
        timeouts,
        "full",
        CheckOptions(idle_rungs=rungs),
    )
    async with StallMonitor() as stalls:
        check_runner = CheckRunner(context, stalls, lambda _: None, ("idle",))
        await check_runner.run()
    return check_runner.verdict().results[-1]


async def test_idle_connections_survive_on_loopback(start_server: StartServer) -> None:
    """All survive, whichever end wakes them, with and without keepalive."""
    running = await start_server()
    result = await check(running.port, SHORT, LONG, timeouts=TIMEOUTS)
    assert (result.outcome, result.remarks) == (Outcome.PASS, ())
    assert result.figures["longest_lived"] == LONG
    assert result.figures["keepalive_longest_lived"] == LONG


@pytest.mark.parametrize(
    ("how", "failure"),
    [("reset", "idle.reset"), ("fin", "idle.closed"), ("silence", "idle.silent")],
)
async def test_proxy_closing_idle_connections_is_found(
    start_server: StartServer, how: str, failure: str
) -> None:
    """The finding says how they die, at a middlebox, in spite of keepalive."""
    running = await start_server()
    async with running_proxy(end_idle_connections(running.port, how)) as port:
        result = await check(port, SHORT, LONG)
        [finding] = result.findings
    assert (result.outcome, finding.failure) == (Outcome.FAIL, failure)
    assert finding.where is None
    assert (finding.figures["lived"], finding.figures["died"]) == (SHORT, LONG)
    assert finding.figures["keepalive_lives"] is False


async def test_proxy_that_limits_the_lifetime_is_found(
    start_server: StartServer,
) -> None:
    """Connections that are used all the time end at the same age."""
    running = await start_server()
    behaviour = end_connections_at_age(running.port, IDLE_SECONDS)
    async with running_proxy(behaviour) as port:
        result = await check(port, SHORT, LONG)
        [finding] = result.findings
    assert (result.outcome, finding.failure) == (Outcome.FAIL, "idle.lifetime")
    assert finding.where is None


async def test_udp_flow_that_a_nat_forgets_is_found(start_server: StartServer) -> None:
    """The server's datagrams go nowhere, and the client comes from another port."""
    running = await start_server()
    async with running_nat(running.port, 2 * IDLE_SECONDS + 1) as port:
        address = Address(socket.AF_INET, "127.0.0.1", port)
        silences = await keep_silent(address, (1, 4))
    lived, died = silences.flows
    assert (lived.is_held, lived.is_alive) == (True, True)
    assert (died.is_held, died.is_alive) == (True, False)
    assert (died.answers_again, died.is_moved) == (True, True)
    [finding] = judge_udp(silences).findings
    assert finding.failure == "idle.udp_forgotten"


async def test_udp_flow_survives_on_loopback(start_server: StartServer) -> None:
    """The server breaks the silence, and the control is busy meanwhile."""
    running = await start_server()
    address = Address(socket.AF_INET, "127.0.0.1", running.port)
    silences = await keep_silent(address, (1, 2))
    assert all(flow.is_alive for flow in silences.flows)
    assert len(silences.busy_arrivals) > 1


async def test_transparent_proxy_passes(
    start_server: StartServer,
) -> None:
    """A proxy without an idle timeout is not blamed."""
    running = await start_server()
    async with running_proxy(forward_all(running.port)) as port:
        result = await check(port, SHORT, timeouts=TIMEOUTS)
    assert result.outcome is Outcome.PASS


async def test_rung_beyond_the_servers_limit_is_skipped(
    start_server: StartServer,
) -> None:
    """The server is not asked for longer holds than it announces."""
    running = await start_server(hold_timeout=6.0)
    result = await check(running.port, 2.0)
    assert result.outcome is Outcome.SKIP
    assert "not tried: 2 s" in result.summary
    assert running.lines.of("connection.failed") == []


async def test_server_idle_timeout_does_not_end_held_connections(
    start_server: StartServer,
) -> None:
    """The time of a hold comes on top of the idle timeout."""
    running = await start_server(idle_timeout=SHORT)
    result = await check(running.port, LONG, timeouts=TIMEOUTS)
    assert result.outcome is Outcome.PASS


async def test_server_shutdown_is_no_middlebox(
    start_server: StartServer,
) -> None:
    """Connections that a drain ends say nothing about the network."""
    running = await start_server(drain_timeout=TIMEOUT_SECONDS)
    task = asyncio.create_task(check(running.port, 60.0))
    await wait_until(lambda: held(running) >= 6)  # two of them busy
    running.server.stop()
    result = await task
    assert result.outcome is Outcome.INCONCLUSIVE
    assert {finding.failure for finding in result.findings} == {"idle.interrupted"}


def held(running: RunningServer) -> int:
    """Return how many connections are established to a server of this host."""
    return len(timers(running.port))


def timers(port: int) -> list[tuple[str, float]]:
    """Return the timers of the established connections with this local port.

    Each is its kind and the seconds that are left (proc_net_tcp.rst).
    """
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, _, timer, *_ = line.split()
        if state == "01" and int(local.rpartition(":")[2], 16) == port:
            kind, _, ticks = timer.partition(":")
            found.append((kind, int(ticks, 16) / 100))
    return found


NONE, SENDS_AGAIN, PROBES = "00", "01", "02"


def settled(port: int) -> tuple[str, float]:
    """Return the timer of the only connection, once all that it sent is acknowledged."""
    until = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < until:
        [timer] = timers(port)
        if timer[0] != SENDS_AGAIN:
            return timer
    raise TimeoutError


@pytest.mark.parametrize("keepalive", [None, 2])
async def test_client_sends_keepalives_only_on_request(keepalive: int | None) -> None:
    """A held connection is silent unless keepalive is requested."""
    found: list[tuple[str, float]] = []

    def script(accepted: AcceptedConnection) -> None:
        accepted.send_welcome(features=["hold"])
        question = accepted.read_frame()
        assert question.kind == Kind.HOLD
        accepted.send_answer(Kind.HOLD, HoldAnswer(spoke=False), question.id)
        found.append(settled(accepted.sock.getpeername()[1]))

    async with FakeServer(script) as server:
        await hold(HASTY, server.address, HoldPlan(60.0, Side.CLIENT, keepalive))
    [(kind, seconds)] = found
    assert kind == (NONE if keepalive is None else PROBES)
    assert seconds <= (keepalive or 0)


async def test_server_never_sends_keepalives(start_server: StartServer) -> None:
    """Its end of a held connection is silent too."""
    running = await start_server()

    def ask() -> tuple[str, float]:
        with FramedClient(running.port) as peer:
            assert peer.ask(Kind.HOLD, seconds=60.0, speak=False) == {"spoke": False}
            return settled(running.port)

    assert await asyncio.to_thread(ask) == (NONE, 0.0)


async def test_quick_profile_holds_no_connections(start_server: StartServer) -> None:
    """The profile has no rungs; the check was requested by name, so that is no PASS."""
    running = await start_server()
    target = Target("127.0.0.1", running.port)
    context = CheckContext(target, socket.AF_UNSPEC, "", TIMEOUTS)
    async with StallMonitor() as stalls:
        check_runner = CheckRunner(context, stalls, lambda _: None, ("idle",))
        await check_runner.run()
    verdict = check_runner.verdict()
    assert verdict.results[-1].outcome is Outcome.SKIP
    assert (verdict.outcome, verdict.unmet) == (Outcome.SKIP, ("idle",))
    assert exit_status([verdict]) == 3
    [result] = context.earlier(AddressResults).results
    assert result.held == ()
