"""The check ``churn`` against a real server, a proxy and closed ports."""

from __future__ import annotations

import asyncio
import itertools
import select
import socket
import threading
import time
from dataclasses import replace

import pytest

from netduet.client.checks.addresses import AddressResults
from netduet.client.checks.base import CheckContext
from netduet.client.checks.churn import CHECK, measure, pacer
from netduet.client.checks.churn.pacer import Pacer
from netduet.client.checks.churn.results import AttemptOutcome, ChurnPlan, ChurnResult
from netduet.client.checks.runner import CheckRunner
from netduet.client.net.dial import Address
from netduet.client.net.dialer import FramedDialer
from netduet.client.net.timeouts import Timeouts
from netduet.client.results.target import Target
from netduet.client.results.verdict import CheckResult, Outcome
from netduet.net.tcp_info import fast_open_setting
from netduet.runtime.stall_monitor import StallMonitor
from tests.integration.conftest import StartServer
from tests.integration.framed_client import connect, reset
from tests.integration.proxies import ProxiedConnection, forward_all, running_proxy
from tests.integration.servers import TIMEOUT_SECONDS, wait_until

TIMEOUTS = Timeouts(TIMEOUT_SECONDS, TIMEOUT_SECONDS, TIMEOUT_SECONDS)
FEW = ChurnPlan(20, 0.005, 8, 2.3)


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have few connections, and none left out: a test's machine may be busy."""
    monkeypatch.setitem(measure.PLANS, "quick", FEW)
    monkeypatch.setattr(pacer, "MAX_START_DELAY_SECONDS", TIMEOUT_SECONDS)


async def check(port: int) -> tuple[CheckResult, AddressResults[ChurnResult]]:
    """Run the check, with those that it needs; return what came of it."""
    target = Target("127.0.0.1", port)
    context = CheckContext(target, socket.AF_UNSPEC, "", TIMEOUTS)
    async with StallMonitor() as stalls:
        check_runner = CheckRunner(context, stalls, lambda _: None, ("churn",))
        await check_runner.run()
    return check_runner.verdict().results[-1], context.earlier(AddressResults)


async def test_all_connections_are_served_on_loopback(
    start_server: StartServer,
) -> None:
    """Each one reaches the server, and the server counts them all to their ends."""
    running = await start_server()
    result, churn = await check(running.port)
    assert (result.outcome, result.findings) == (Outcome.PASS, ())
    [place] = churn.results
    assert [attempt.outcome for attempt in place.attempts] == [
        AttemptOutcome.SERVED
    ] * 28
    assert {attempt.boot_id for attempt in place.attempts} == {place.witness.boot_id}
    expected = True if fast_open_setting() & 1 else None
    assert result.figures["fast_open"] is expected
    assert all(
        attempt.direct and attempt.counted_by_kernel for attempt in place.attempts
    )
    assert (place.witness.drops, place.witness.survived) == (0, True)
    assert place.hold is not None
    assert place.hold.held_count == 8


async def test_transparent_proxy_passes(start_server: StartServer) -> None:
    """The server's counters are not used, because it sees another peer."""
    running = await start_server()
    async with running_proxy(forward_all(running.port)) as port:
        result, churn = await check(port)
    assert (result.outcome, result.findings) == (Outcome.PASS, ())
    assert not any(attempt.direct for attempt in churn.results[0].attempts)


async def test_proxy_with_dead_backend_is_unserved(
    start_server: StartServer,
) -> None:
    """A connection accepted for a dead backend is not served."""
    running = await start_server()
    turns, lock = itertools.count(), threading.Lock()
    served = forward_all(running.port)

    def behave(client: socket.socket) -> None:
        with lock:
            turn = next(turns)
        if turn < 3 or turn % 2:  # the checks before it, and the one to ask on
            served(client)

    async with running_proxy(behave) as port:
        result, churn = await check(port)
    assert [finding.failure for finding in result.findings] == ["churn.not_served"]
    assert {attempt.outcome for attempt in churn.results[0].run.attempts} == {
        AttemptOutcome.SERVED,
        AttemptOutcome.ENDED,
    }


async def test_servers_own_limit_is_a_note(
    start_server: StartServer,
) -> None:
    """A server at its limit says so, and nothing in between is blamed."""
    running = await start_server(max_connections_per_client=6)
    measure.PLANS["quick"] = replace(FEW, gap=0.05)
    result, churn = await check(running.port)
    assert result.outcome is Outcome.PASS
    assert any("the server's own limit" in remark for remark in result.remarks)
    [place] = churn.results
    assert place.hold is not None
    assert {attempt.outcome for attempt in place.hold.while_held} == {
        AttemptOutcome.BUSY
    }
    assert {attempt.outcome for attempt in place.hold.after_release} == {
        AttemptOutcome.SERVED
    }


async def test_limit_whose_end_is_noticed_late(start_server: StartServer) -> None:
    """New connections are reset for a while after the held ones were closed."""
    running = await start_server()
    measure.PLANS["quick"] = replace(FEW, gap=0.05, hold_count=12)
    served, lock = forward_all(running.port), threading.Lock()
    limit, late_seconds, open_count, reached = 8, 0.5, 0, False

    def behave(client: socket.socket) -> None:
        nonlocal open_count, reached
        with lock:
            reached = reached or open_count >= limit
            if open_count >= limit:
                reset(client)
                return
            open_count += 1
        served(client)
        if reached:
            time.sleep(late_seconds)
        with lock:
            open_count -= 1

    async with running_proxy(behave) as port:
        result, _ = await check(port)
    assert [finding.failure for finding in result.findings] == ["churn.count_limited"]
    assert result.findings[0].figures == {"limit_count": limit}


async def test_late_starts_are_skipped(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that is already late is not made."""
    running = await start_server()
    monkeypatch.setattr(pacer, "MAX_START_DELAY_SECONDS", -1.0)
    result, churn = await check(running.port)
    assert result.outcome is Outcome.INCONCLUSIVE
    assert [finding.failure for finding in result.findings] == ["churn.client_too_slow"]
    assert churn.results[0].run.unstarted == 20


async def test_concurrency_is_bounded(
    start_server: StartServer,
) -> None:
    """Slow connections pile up only to a limit; the rest is left out."""
    running = await start_server()
    address = Address(socket.AF_INET, "127.0.0.1", running.port)
    run = await Pacer(
        FramedDialer(address),
        TIMEOUT_SECONDS,
        ChurnPlan(10, 1e-9, 0, TIMEOUT_SECONDS, 1),
    ).run()
    assert 0 < len(run.attempts) < 10
    assert len(run.attempts) + run.unstarted == 10


async def test_failures_add_extra_attempts() -> None:
    """More connections are made after failures, to find the cause."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address(socket.AF_INET, *taken.getsockname())
    plan = ChurnPlan(4, 0.02, 0, TIMEOUT_SECONDS, extra_count=3)
    run = await Pacer(FramedDialer(address), TIMEOUT_SECONDS, plan).run()
    assert (run.planned, len(run.attempts)) == (7, 7)


async def test_closed_port_is_refused_without_lost_syns() -> None:
    """A RST instead of a SYN-ACK is no loss."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address(socket.AF_INET, *taken.getsockname())
    run = await Pacer(
        FramedDialer(address), TIMEOUT_SECONDS, ChurnPlan(3, 0.001, 0, TIMEOUT_SECONDS)
    ).run()
    assert [(attempt.outcome, attempt.lost_syns) for attempt in run.attempts] == [
        (AttemptOutcome.REFUSED, 0)
    ] * 3
    assert "ECONNREFUSED" in run.attempts[0].detail


async def test_cancellation_does_not_wait_for_answers(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A silent network does not delay a stop."""
    running = await start_server()
    monkeypatch.setitem(measure.PLANS, "quick", replace(FEW, count=10_000, gap=0.02))
    silent = threading.Event()
    carried = itertools.count()
    under_way = threading.Event()

    def behave(client: socket.socket) -> None:
        if next(carried) > 2:  # the check before it, and the one to ask on
            under_way.set()
        with connect(running.port) as server:
            pair = ProxiedConnection(client, server)
            while True:
                for sock in select.select([client, server], [], [])[0]:
                    data = sock.recv(65_536)
                    if not data:
                        return
                    if not silent.is_set():
                        pair.other(sock).sendall(data)

    endless = Timeouts(TIMEOUT_SECONDS, TIMEOUT_SECONDS, 3600.0)
    async with running_proxy(behave) as port:
        context = CheckContext(Target("127.0.0.1", port), socket.AF_UNSPEC, "", endless)
        async with StallMonitor() as stalls:
            await CheckRunner(context, stalls, lambda _: None, ("identity",)).run()
        task = asyncio.create_task(CHECK.measure(context))
        await wait_until(under_way.is_set)
        silent.set()
        task.cancel()
        await wait_until(task.done)
    assert task.cancelled()
