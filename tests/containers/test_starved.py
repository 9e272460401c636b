"""The pair under a CPU limit, as an orchestrator sets one."""

from __future__ import annotations

from typing import Any, Final

from tests.containers.sandbox import ContainerResult, Sandbox, engine_handle

TENTH: Final = {"cpu_period": 100_000, "cpu_quota": 10_000}
"""A tenth of a CPU: cgroups then hold a busy process back for 90 of each 100 ms."""


def checks(result: ContainerResult) -> dict[str, dict[str, Any]]:
    """Return the checks of the only target, by name."""
    [target] = result.document["targets"]
    return {check["name"]: check for check in target["checks"]}


def test_throttled_client_fails_no_healthy_network(sandbox: Sandbox) -> None:
    """It says for how long it was throttled."""
    network = sandbox.network()
    sandbox.server(network)
    result = sandbox.client(network, "check", "--json", "server", **TENTH)
    assert result.document["probe"]["throttled_seconds"] > 0
    assert "FAIL" not in {check["outcome"] for check in checks(result).values()}


def test_throttled_server_fails_no_check(sandbox: Sandbox) -> None:
    """Its lateness is its own: no check of a healthy network fails."""
    network = sandbox.network()
    engine_handle(sandbox.server(network)).update(**TENTH)
    result = sandbox.client(network, "check", "--json", "server")
    assert "FAIL" not in {check["outcome"] for check in checks(result).values()}


def test_fault_is_named_with_a_throttled_server(sandbox: Sandbox) -> None:
    """Refused datagrams are a fault that starvation does not explain."""
    network = sandbox.network()
    server = sandbox.server(network, env={"NETDUET_SERVER_UDP": "false"})
    engine_handle(server).update(**TENTH)
    result = sandbox.client(network, "check", "--json", "server")
    assert [finding["class"] for finding in checks(result)["udp"]["findings"]] == [
        "udp.rejected"
    ]
