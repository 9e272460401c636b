"""The client's checks against a real server on loopback."""

from __future__ import annotations

import socket

import pytest
from structlog.testing import capture_logs

from netduet.client.checks.base import CheckContext
from netduet.client.checks.runner import CheckRunner
from netduet.client.net.dial import Address, connect
from netduet.client.net.framed_connection import start_framed_connection
from netduet.client.net.server_evidence import server_view
from netduet.client.net.timeouts import Timeouts
from netduet.client.results.target import Target
from netduet.client.results.verdict import Outcome, Verdict
from netduet.runtime.stall_monitor import StallMonitor
from tests.integration.conftest import StartServer
from tests.integration.framed_client import FramedClient
from tests.integration.servers import TIMEOUT_SECONDS

TIMEOUTS = Timeouts(TIMEOUT_SECONDS, TIMEOUT_SECONDS, TIMEOUT_SECONDS)


def context(port: int, service: str = "") -> CheckContext:
    """Return what checks of a server on loopback may use."""
    return CheckContext(Target("127.0.0.1", port), socket.AF_UNSPEC, service, TIMEOUTS)


async def check(given: CheckContext) -> Verdict:
    """Run all checks; return the verdict."""
    with capture_logs():
        async with StallMonitor() as stalls:
            check_runner = CheckRunner(given, stalls, lambda _: None)
            await check_runner.run()
    return check_runner.verdict()


async def test_counters_of_both_ends_agree(start_server: StartServer) -> None:
    """The server's ledger has the bytes that the client sent and received."""
    running = await start_server()
    address = Address(socket.AF_INET, "127.0.0.1", running.port)
    connected = await connect(address, TIMEOUT_SECONDS)
    assert connected.sock is not None
    connection = await start_framed_connection(connected.sock)
    opening = await connection.open(TIMEOUT_SECONDS)
    assert opening.welcome is not None
    report = await connection.report(TIMEOUT_SECONDS)
    assert report is not None
    assert report.connection is not None
    local = connection.local()
    assert await connection.end(TIMEOUT_SECONDS)
    connection.close()

    entry = (await server_view(address, opening.welcome, TIMEOUTS)).entry
    assert entry is not None
    assert (entry.bytes_received, entry.bytes_sent) == (
        connection.wire.bytes_sent,
        connection.wire.bytes_received,
    )
    assert (entry.ended, entry.ended_by) == ("end", "client")
    assert (entry.peer.address, entry.peer.port) == local


async def test_good_server_passes_all_checks(start_server: StartServer) -> None:
    """On loopback the two ends agree, and there are no notes."""
    running = await start_server(service="mine")
    given = context(running.port, "mine")
    verdict = await check(given)
    assert {result.outcome for result in verdict.results} <= {
        Outcome.PASS,
        Outcome.SKIP,
    }
    assert verdict.outcome is Outcome.PASS
    [path] = [
        check_result for check_result in verdict.results if check_result.check == "path"
    ]
    differing = [
        remark
        for remark in path.remarks
        if "throttled by its CPU limit" not in remark  # a busy machine's own matter
    ]
    assert differing == []


@pytest.mark.parametrize(
    ("settings", "full", "failure"),
    [
        ({"service": "other"}, False, "identity.other_service"),
        ({"service": "mine", "max_connections": 1}, True, "identity.busy"),
    ],
)
async def test_wrong_or_full_server_is_classified(
    start_server: StartServer,
    settings: dict[str, object],
    full: bool,
    failure: str,
) -> None:
    """A server of another service and a full one are recognised."""
    running = await start_server(**settings)
    held = FramedClient(running.port) if full else None
    verdict = await check(context(running.port, "mine"))
    if held is not None:
        held.sock.close()
    assert verdict.root is not None
    assert verdict.root.failure == failure
