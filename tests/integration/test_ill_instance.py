"""Two instances behind one address, of which one is at fault: each check names it."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable

import pytest

from netduet.client.checks.base import CheckContext, CheckOptions
from netduet.client.checks.churn import measure as churn
from netduet.client.checks.churn import pacer
from netduet.client.checks.churn.results import ChurnPlan
from netduet.client.checks.runner import CheckRunner
from netduet.client.net.timeouts import Timeouts
from netduet.client.results.target import Target
from netduet.client.results.verdict import CheckResult, Outcome
from netduet.runtime.stall_monitor import StallMonitor
from tests.integration.conftest import StartServer
from tests.integration.foreign_servers import Behaviour
from tests.integration.framed_client import connect, reset
from tests.integration.proxies import (
    IDLE_SECONDS,
    ProxiedConnection,
    end_idle_connections,
    forward_all,
    running_proxy,
)
from tests.integration.servers import TIMEOUT_SECONDS

TIMEOUTS = Timeouts(TIMEOUT_SECONDS, TIMEOUT_SECONDS, 1.0)
LATE_SECONDS = 0.5
SILENCES = tuple(IDLE_SECONDS * factor for factor in (2.0, 2.5, 3.0, 3.5))
MAX_CARRIED_BYTES = 256 * 1024
"""Far more than a welcome and echoes need, and far less than a second carries."""


def close_at_first_end(port: int) -> Behaviour:
    """Close both ways at the first end of either, whatever it is."""

    def behave(client: socket.socket) -> None:
        with connect(port) as server, contextlib.suppress(ConnectionError):
            ProxiedConnection(client, server).forward(until_end=True)

    return behave


def answer_late(port: int) -> Behaviour:
    """Forward all, some time after the connection was made."""
    forward = forward_all(port)

    def behave(client: socket.socket) -> None:
        time.sleep(LATE_SECONDS)  # the fault itself
        forward(client)

    return behave


def reset_bulk_data(port: int) -> Behaviour:
    """Reset what has carried too much."""

    def behave(client: socket.socket) -> None:
        with connect(port) as server:
            carried = 0

            def count(data: bytes) -> bytes:
                nonlocal carried
                carried += len(data)
                if carried > MAX_CARRIED_BYTES:
                    raise ConnectionResetError
                return data

            pair = ProxiedConnection(client, server)
            try:
                pair.forward(change=count)
            except ConnectionError:
                reset(client)
                reset(server)

    return behave


@contextlib.asynccontextmanager
async def balanced(
    start_server: StartServer, ill: Callable[[int], Behaviour]
) -> AsyncIterator[int]:
    """Lead connections by turns to a healthy instance, and to one behind a fault."""
    healthy = await start_server(instance="healthy")
    faulty = await start_server(instance="faulty")
    turns = itertools.cycle([forward_all(healthy.port), ill(faulty.port)])
    lock = threading.Lock()

    def behave(client: socket.socket) -> None:
        with lock:
            behaviour = next(turns)
        behaviour(client)

    async with running_proxy(behave) as port:
        yield port


async def check(port: int, name: str, *rungs: float) -> CheckResult:
    """Run a check, with those that it needs; return what came of it."""
    context = CheckContext(
        Target("127.0.0.1", port),
        socket.AF_UNSPEC,
        "",
        TIMEOUTS,
        options=CheckOptions(idle_rungs=rungs),
    )
    async with StallMonitor() as stalls:
        check_runner = CheckRunner(context, stalls, lambda _: None, (name,))
        await check_runner.run()
    return check_runner.verdict().results[-1]


def blamed(result: CheckResult) -> set[str]:
    """Return the instances that the findings blame."""
    assert result.outcome is Outcome.FAIL
    return {finding.culprit.partition(" ")[0] for finding in result.findings}


async def test_close_names_the_instance(start_server: StartServer) -> None:
    """The ways that failed are tried again, and all failures met the same instance."""
    async with balanced(start_server, close_at_first_end) as port:
        result = await check(port, "close")
    assert "faulty" in blamed(result), result.findings
    assert all("healthy" not in finding.culprit for finding in result.findings)


async def test_churn_names_the_instance(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First answers of one instance are late, those of the other are not."""
    monkeypatch.setitem(churn.PLANS, "quick", ChurnPlan(40, 0.01, 8, 2.3))
    monkeypatch.setattr(pacer, "MAX_START_DELAY_SECONDS", TIMEOUT_SECONDS)
    async with balanced(start_server, answer_late) as port:
        result = await check(port, "churn")
    [finding] = result.findings
    assert finding.failure == "churn.slow_first_answer"
    assert blamed(result) == {"faulty"}


async def test_idle_names_the_instance(start_server: StartServer) -> None:
    """Connections to one instance are reset when they are silent."""

    def cut(port: int) -> Behaviour:
        return end_idle_connections(port, "reset")

    async with balanced(start_server, cut) as port:
        result = await check(port, "idle", *SILENCES)
    assert "faulty" in blamed(result), result.findings


async def test_load_names_the_instance(start_server: StartServer) -> None:
    """Bulk data to one instance is cut."""
    async with balanced(start_server, reset_bulk_data) as port:
        result = await check(port, "load")
    assert "faulty" in blamed(result), result.findings
