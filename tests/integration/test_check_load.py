"""The check ``load`` against a real server, and a relay that stops."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from netduet.client.checks.addresses import AddressResults
from netduet.client.checks.base import CheckContext, CheckOptions
from netduet.client.checks.load.latency_probe import LatencyProbe
from netduet.client.checks.load.results import LoadResult
from netduet.client.checks.runner import CheckRunner
from netduet.client.net.dial import Address
from netduet.client.net.timeouts import Timeouts
from netduet.client.results.target import Target
from netduet.client.results.verdict import CheckResult, Outcome
from netduet.runtime.stall_monitor import StallMonitor
from netduet.wire.frames import ANSWER, Kind, serialize
from tests.integration.conftest import StartServer
from tests.integration.framed_client import connect
from tests.integration.proxies import running_proxy
from tests.integration.servers import TIMEOUT_SECONDS, wait_until

TIMEOUTS = Timeouts(TIMEOUT_SECONDS, TIMEOUT_SECONDS, TIMEOUT_SECONDS)


async def check(
    port: int, bounds: CheckOptions | None = None
) -> tuple[CheckResult, AddressResults[LoadResult]]:
    """Run the check, with those that it needs; return what came of it."""
    target = Target("127.0.0.1", port)
    bounds = bounds or CheckOptions()
    context = CheckContext(target, socket.AF_UNSPEC, "", TIMEOUTS, options=bounds)
    async with StallMonitor() as stalls:
        check_runner = CheckRunner(context, stalls, lambda _: None, ("load",))
        await check_runner.run()
    return check_runner.verdict().results[-1], context.earlier(AddressResults)


@contextlib.asynccontextmanager
async def relay(port: int, most: int) -> AsyncIterator[int]:
    """Forward this number of bytes up, and then nothing, without a FIN."""
    tasks: set[asyncio.Task[None]] = set()

    async def carry(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None
    ) -> None:
        try:
            while data := await reader.read(65_536):
                if left is not None:
                    left -= len(data)
                    if left < 0:
                        await asyncio.sleep(TIMEOUT_SECONDS)
                        break
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.transport.abort()

    async def accept(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        for coroutine_type in (
            carry(reader, far_writer, most),
            carry(far_reader, writer, None),
        ):
            tasks.add(asyncio.create_task(coroutine_type))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_loopback_passes_with_rates_both_ways(
    start_server: StartServer,
) -> None:
    """Each direction has a rate, the sender's TCP_INFO, and latency samples."""
    running = await start_server()
    result, load = await check(running.port)
    assert (result.outcome, result.findings) == (Outcome.PASS, ())
    [place] = load.results
    assert [phase.name for phase in place.phases] == ["idle", "up", "down"]
    for phase in place.phases[1:]:
        [flow] = phase.flows
        assert flow.rate
        assert flow.sender_infos
        assert not flow.changed
        assert flow.total <= 26 * 1024 * 1024
        assert phase.echoes
    idle = place.phases[0]
    assert idle.latency is not None
    assert idle.send_delay is not None
    assert all(echo.arrived is not None for echo in idle.echoes)


async def test_small_frame_limit_is_respected(start_server: StartServer) -> None:
    """A server with small frames is asked for small ones."""
    running = await start_server(max_frame_size=4096)
    result, _ = await check(running.port)
    assert (result.outcome, result.findings) == (Outcome.PASS, ())


async def test_unreachable_min_rate_is_slow(
    start_server: StartServer,
) -> None:
    """The finding says by how much the rate is missed, each way."""
    running = await start_server()
    result, _ = await check(running.port, CheckOptions(min_rate=1e12))
    assert {finding.failure for finding in result.findings} == {"load.slow"}
    assert {finding.where for finding in result.findings} <= {"path →", "path ←"}


async def test_same_bytes_on_each_connection_are_a_quota(
    start_server: StartServer,
) -> None:
    """The relay stops each connection early enough for a transfer on a busy machine."""
    running = await start_server()
    async with relay(running.port, 600_000) as port:
        result, load = await check(port)
    [finding] = result.findings
    assert finding.failure == "load.quota"
    assert finding.seen.startswith("up: each connection stopped after the same number")
    [place] = load.results
    assert [phase.name for phase in place.phases] == ["idle", "up"]
    [flow] = place.phases[1].flows
    assert flow.stall is not None
    assert flow.repeated


async def test_unrequested_echo_ends_probe_with_reason(
    start_server: StartServer,
) -> None:
    """The probe ends with a reason, not with a traceback."""
    running = await start_server()

    def behave(client: socket.socket) -> None:
        with connect(running.port) as server:
            server.sendall(client.recv(4096))
            client.sendall(server.recv(65_536))
        client.recv(
            4096
        )  # a question: what is sent before it may come with the welcome
        client.sendall(serialize(Kind.ECHO, flags=ANSWER, id=99))
        while client.recv(65_536):
            pass

    async with running_proxy(behave) as port:
        address = Address(socket.AF_INET, "127.0.0.1", port)
        with LatencyProbe(address, 60.0, TIMEOUT_SECONDS) as probe:
            await wait_until(lambda: not probe.running)
    assert "never requested" in probe.detail
