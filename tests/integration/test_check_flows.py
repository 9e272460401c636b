"""The check ``flows`` against real servers, and proxies that treat flows differently."""

from __future__ import annotations

import itertools
import select
import socket
from functools import partial

from netduet.client.checks.addresses import AddressResults
from netduet.client.checks.base import CheckContext
from netduet.client.checks.flows.plan import PLANS
from netduet.client.checks.flows.port_statistics import loses_first_datagrams
from netduet.client.checks.flows.results import FlowsResult
from netduet.client.checks.flows.udp_flows import try_ports
from netduet.client.checks.runner import CheckRunner
from netduet.client.net.dial import Address, in_thread
from netduet.client.net.timeouts import Timeouts
from netduet.client.results.target import Target
from netduet.client.results.verdict import CheckResult, Outcome
from netduet.runtime.stall_monitor import StallMonitor
from tests.integration.conftest import StartServer
from tests.integration.foreign_servers import Behaviour
from tests.integration.forgetful_nat import running_nat
from tests.integration.proxies import forward_all, running_proxy
from tests.integration.servers import TIMEOUT_SECONDS

TIMEOUTS = Timeouts(TIMEOUT_SECONDS, TIMEOUT_SECONDS, TIMEOUT_SECONDS)
ROUND_TRIP_SECONDS = 0.1
"""Far more than on loopback: a busy machine answers late."""


async def check(port: int) -> tuple[CheckResult, FlowsResult]:
    """Run the check, with those that it needs; return what came of it."""
    context = CheckContext(Target("127.0.0.1", port), socket.AF_UNSPEC, "", TIMEOUTS)
    async with StallMonitor() as stalls:
        check_runner = CheckRunner(context, stalls, lambda _: None, ("flows",))
        await check_runner.run()
    [measured] = context.earlier(AddressResults).results
    return check_runner.verdict().results[-1], measured


async def test_all_ports_pass_on_loopback(start_server: StartServer) -> None:
    """Both transports pass from each port, and connections stay."""
    running = await start_server()
    result, measured = await check(running.port)
    assert result.outcome is Outcome.PASS
    assert measured.tcp is not None
    assert measured.udp is not None
    for flows in measured.flows:
        assert all(port.passed for port in flows.ports)
        assert len({port.port for port in flows.ports}) > 100
    assert not any(each.error for each in measured.held)
    assert measured.link_addresses == ()


async def test_closed_udp_port_gets_few_datagrams(start_server: StartServer) -> None:
    """The host's few ICMP errors are left for the check ``udp``."""
    running = await start_server(udp=False)
    result, measured = await check(running.port)
    assert result.outcome is Outcome.PASS
    assert measured.udp is None


def silent_from_ports(port: int, divisor: int) -> Behaviour:
    """Carry nothing for clients whose port is a multiple of this, but for two.

    Most likely those are of reach and identity.
    """
    forward, connections = forward_all(port), itertools.count()

    def behave(client: socket.socket) -> None:
        if next(connections) < 2 or client.getpeername()[1] % divisor:
            forward(client)
            return
        while select.select([client], [], [])[0] and client.recv(65536):
            pass  # until the client gives up

    return behave


async def test_dead_flows_of_a_proxy_are_found(start_server: StartServer) -> None:
    """Every fourth source port gets no answer, whenever it is tried."""
    running = await start_server()
    async with running_proxy(silent_from_ports(running.port, 4)) as port:
        result, measured = await check(port)
    assert result.outcome is Outcome.FAIL
    assert result.findings[0].failure == "flows.dead"
    assert measured.tcp is not None
    wrong = [
        each.port for each in measured.tcp.ports if each.passed != bool(each.port % 4)
    ]
    assert len(wrong) <= 2


async def test_nat_that_loses_first_datagrams_is_found(
    start_server: StartServer,
) -> None:
    """It sets a flow up by the first one, and passes the second."""
    running = await start_server()
    async with running_nat(running.port, 60.0, loses_first=True) as port:
        address = Address(socket.AF_INET, "127.0.0.1", port)
        attempt = partial(try_ports, address, PLANS["quick"], ROUND_TRIP_SECONDS, ())
        flows = await in_thread(attempt)
    assert flows is not None
    first = flows.first_datagrams
    assert first is not None
    assert loses_first_datagrams(first)
    assert (first.new_lost, first.new_arrived, first.known_lost) == (first.new, 0, 0)
