"""Requests that are dropped for what they contain, on real sockets."""

from __future__ import annotations

import socket

from netduet.client.checks.base import CheckContext
from netduet.client.checks.runner import CheckRunner
from netduet.client.net.content_probe import try_opening
from netduet.client.net.dial import Address
from netduet.client.net.timeouts import Timeouts
from netduet.client.results.target import Target
from netduet.runtime.stall_monitor import StallMonitor
from netduet.wire.frames import MAGIC
from tests.integration.conftest import StartServer
from tests.integration.segment_filter import attach_filter
from tests.integration.servers import TIMEOUT_SECONDS

BEGINNING = int.from_bytes(MAGIC[:4], "big")
ALL_BITS = 0xFFFFFFFF
TIMEOUTS = Timeouts(TIMEOUT_SECONDS, TIMEOUT_SECONDS, 1.0)


async def test_any_bytes_pass_on_loopback(start_server: StartServer) -> None:
    """The kernel acknowledges both kinds, whatever the server makes of them."""
    running = await start_server()
    trial = await try_opening(Address(socket.AF_INET, "127.0.0.1", running.port))
    assert (trial.same_passed, trial.changed_passed) == (5, 5)
    assert not trial.depends_on_content


async def test_dropped_beginning_is_found_by_changing_it() -> None:
    """What begins with the magic is never acknowledged, and as many other bytes are."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        attach_filter(listener, 0, ALL_BITS, BEGINNING)
        target = Target("127.0.0.1", listener.getsockname()[1])
        context = CheckContext(target, socket.AF_UNSPEC, "netduet", TIMEOUTS)
        async with StallMonitor() as stalls:
            check_runner = CheckRunner(context, stalls, lambda _: None, ("identity",))
            await check_runner.run()
    [finding] = check_runner.verdict().results[-1].findings
    assert finding.failure == "identity.content_dropped"
    assert "recognises in the data" in finding.causes[0]
    [(_, text)] = [line for line in finding.evidence if "when changed" in line[1]]
    assert "on 5 of 5 connections, unchanged on none of 5" in text


async def test_lost_data_is_not_blamed_on_content() -> None:
    """Where no data at all is acknowledged, changing it proves nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        attach_filter(listener, 0, 0, 0)
        address = Address(socket.AF_INET, *listener.getsockname())
        trial = await try_opening(address)
    assert (trial.same_passed, trial.changed_passed) == (0, 0)
    assert not trial.depends_on_content
