"""The check ``close`` against a real server, and proxies that alter closes."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from netduet.client.checks.addresses import AddressResults
from netduet.client.checks.base import CheckContext
from netduet.client.checks.close.results import CloseMethod, CloseResult
from netduet.client.checks.runner import CheckRunner
from netduet.client.net.timeouts import Timeouts
from netduet.client.results.target import Target
from netduet.client.results.verdict import CheckResult, Outcome
from netduet.runtime.stall_monitor import StallMonitor
from tests.integration.conftest import StartServer
from tests.integration.foreign_servers import Behaviour
from tests.integration.proxies import (
    close_at_first_fin,
    forward_all,
    hold_server_reset,
    running_proxy,
    swallow_after_large_answer,
    swallow_client_fin,
    truncate_answer,
    turn_resets_into_fins,
    turn_server_fin_into_reset,
)
from tests.integration.servers import TIMEOUT_SECONDS

TIMEOUTS = Timeouts(TIMEOUT_SECONDS, TIMEOUT_SECONDS, TIMEOUT_SECONDS)
BRIEF = Timeouts(TIMEOUT_SECONDS, TIMEOUT_SECONDS, 1.0)
"""How long is waited for what never comes."""


async def check(
    port: int, timeouts: Timeouts = TIMEOUTS
) -> tuple[CheckResult, AddressResults[CloseResult]]:
    """Run the check, with those that it needs; return what came of it."""
    target = Target("127.0.0.1", port)
    context = CheckContext(target, socket.AF_UNSPEC, "", timeouts)
    async with StallMonitor() as stalls:
        check_runner = CheckRunner(context, stalls, lambda _: None, ("close",))
        await check_runner.run()
    return check_runner.verdict().results[-1], context.earlier(AddressResults)


async def test_all_closes_arrive_on_loopback(start_server: StartServer) -> None:
    """Without a middlebox each close arrives, and the records of both ends agree."""
    running = await start_server()
    result, close = await check(running.port)
    assert (result.outcome, result.remarks) == (Outcome.PASS, ())
    [place] = close.results
    recorded = {
        trial.method: (trial.server.entry.ended, trial.server.entry.ended_by)
        for trial in place.trials
        if trial.server.entry is not None
    }
    assert recorded.pop(CloseMethod.FINISH) in {
        (None, None),
        ("asked.finish", "server"),
    }
    assert recorded == {
        CloseMethod.AT_ONCE: ("asked.after_eof", "client"),
        CloseMethod.PAUSED: ("asked.after_eof", "client"),
        CloseMethod.RESET: ("asked.reset", "server"),
        CloseMethod.OWN_RESET: ("reset", "client"),
    }
    [finish] = [trial for trial in place.trials if trial.method is CloseMethod.FINISH]
    assert finish.server.entry is not None
    assert finish.server.entry.bytes_received == finish.sent
    assert finish.pushed > 0


async def test_small_frame_limit_is_respected(start_server: StartServer) -> None:
    """A server with small frames is asked for small answers."""
    running = await start_server(max_frame_size=1024)
    result, close = await check(running.port)
    assert result.outcome is Outcome.PASS
    sizes = {trial.size for trial in close.results[0].trials if trial.size}
    assert sizes == {1024}


async def test_transparent_proxy_passes(start_server: StartServer) -> None:
    """A proxy that forwards each close unchanged is not blamed."""
    running = await start_server()
    async with running_proxy(forward_all(running.port)) as port:
        result, _ = await check(port)
    assert (result.outcome, result.findings) == (Outcome.PASS, ())


@pytest.mark.parametrize(
    ("proxy", "failure", "ways"),
    [
        (close_at_first_fin, "close.half_close", {"at_once", "paused", "finish"}),
        (
            lambda port: truncate_answer(port, 1000),
            "close.answer_cut",
            {"at_once", "paused"},
        ),
        (turn_resets_into_fins, "close.reset_hidden", {"reset", "own_reset"}),
        (
            turn_server_fin_into_reset,
            "close.fin_changed",
            {"at_once", "paused", "finish"},
        ),
    ],
)
async def test_proxy_altering_closes_is_found(
    start_server: StartServer,
    proxy: Callable[[int], Behaviour],
    failure: str,
    ways: set[str],
) -> None:
    """The finding names the altered closes, and that a middlebox does it."""
    running = await start_server()
    async with running_proxy(proxy(running.port)) as port:
        result, _ = await check(port)
    assert result.outcome is Outcome.FAIL
    found = {finding.failure: finding for finding in result.findings}
    assert set(str(found[failure].figures["ends"]).split()) == ways
    assert found[failure].where is None
    assert set(found) <= {failure, "close.reset_hidden"}


async def test_proxy_swallowing_a_fin_is_found(start_server: StartServer) -> None:
    """Our FIN was acknowledged, and the server's kernel never got it."""
    running = await start_server(frame_timeout=4.0, idle_timeout=4.0)
    async with running_proxy(swallow_client_fin(running.port)) as port:
        result, _ = await check(port, BRIEF)
    finding = next(
        finding for finding in result.findings if finding.failure == "close.fin_changed"
    )
    assert (finding.where, finding.missed_deadline) == (None, None)
    assert "the server never received the FIN" in finding.seen


async def test_reset_lost_once_is_no_fault(start_server: StartServer) -> None:
    """A RST is not retransmitted; a later byte makes the remote kernel send another."""
    running = await start_server()
    async with running_proxy(hold_server_reset(running.port)) as port:
        result, _ = await check(port, BRIEF)
    assert (result.outcome, result.findings) == (Outcome.PASS, ())


async def test_path_without_large_answers_is_not_judged(
    start_server: StartServer,
) -> None:
    """If data does not pass before the close, the connection is blamed, not the close."""
    running = await start_server()
    async with running_proxy(swallow_after_large_answer(running.port)) as port:
        result, _ = await check(port, BRIEF)
    assert (result.outcome, result.blocks) == (Outcome.FAIL, True)
    assert [finding.failure for finding in result.findings] == ["path.broken"]
    assert "data does not even pass while both ends are open" in result.summary
