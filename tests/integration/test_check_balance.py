"""The check ``balance``, against servers behind a balancing proxy."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Sequence

import pytest

from netduet.client.checks.base import CheckContext, CheckOptions
from netduet.client.checks.runner import CheckRunner
from netduet.client.net.timeouts import Timeouts
from netduet.client.results.target import Target
from netduet.client.results.verdict import CheckResult
from netduet.runtime.stall_monitor import StallMonitor
from tests.integration.conftest import StartServer
from tests.integration.foreign_servers import Behaviour, close_normally
from tests.integration.proxies import forward_all, running_proxy
from tests.integration.servers import TIMEOUT_SECONDS

TIMEOUTS = Timeouts(TIMEOUT_SECONDS, TIMEOUT_SECONDS, TIMEOUT_SECONDS)


def by_turns(manners: Sequence[Behaviour]) -> Behaviour:
    """Return a behaviour: connections go to each of these ports in turn."""
    turns = itertools.cycle(manners)
    return lambda sock: next(turns)(sock)


async def check(port: int, bounds: CheckOptions | None = None) -> CheckResult:
    """Run the check, with those that it needs; return what came of it."""
    target = Target("127.0.0.1", port)
    context = CheckContext(
        target, socket.AF_UNSPEC, "netduet", TIMEOUTS, "quick", bounds or CheckOptions()
    )
    async with StallMonitor() as stalls:
        check_runner = CheckRunner(context, stalls, lambda _: None, ("balance",))
        await check_runner.run()
    return check_runner.verdict().results[-1]


def found(result: CheckResult) -> list[str]:
    """Return the classes that the check found."""
    return [finding.failure for finding in result.findings]


async def test_round_robin_instances_are_even(start_server: StartServer) -> None:
    """Three servers in rotation pass, each with its share; a fourth is missing."""
    servers = [await start_server(instance=name) for name in ("a", "b", "c")]
    async with running_proxy(
        by_turns([forward_all(running.port) for running in servers])
    ) as port:
        result = await check(port)
        missing = await check(port, CheckOptions(expect_instances=4))
    assert found(result) == []
    assert {"a", "b", "c"} <= set(result.summary.replace(",", "").split())
    assert result.figures["instances"] == 3
    assert found(missing) == ["balance.missing"]


@pytest.mark.parametrize(
    ("turns", "failure"),
    [
        ("aaaaaaaaab", "balance.uneven"),
        ("ab-", "balance.unhealthy_backend"),
        ("abz", "balance.wrong_service"),
    ],
)
async def test_balancer_fault_has_its_class(
    start_server: StartServer, turns: str, failure: str
) -> None:
    """An overloaded backend, a dead one, one of another service."""
    backends = {
        "a": forward_all((await start_server(instance="a")).port),
        "b": forward_all((await start_server(instance="b")).port),
        "z": forward_all((await start_server(instance="z", service="shop")).port),
        "-": close_normally,
    }
    # The first one is for the checks before: identity meets a server that is right.
    async with running_proxy(by_turns([backends[name] for name in turns])) as port:
        assert found(await check(port)) == [failure]
