"""The pair on broken networks: each fault is named, with its class and location."""

from __future__ import annotations

from typing import Any

from tests.containers.sandbox import (
    PORT,
    ContainerResult,
    Sandbox,
    engine_handle,
    wait_for_end,
    wait_for_output,
)

SILENT = "import signal; signal.pause()"
STRANGER = f"""
import http.server
http.server.HTTPServer(("", {PORT}), http.server.BaseHTTPRequestHandler).serve_forever()
"""
LISTENS = [
    "python3",
    "-c",
    f"import socket; socket.create_connection(('127.0.0.1', {PORT}), 1)",
]


def failed(result: ContainerResult, check: str) -> dict[str, Any]:
    """Return the only finding of a failed check, from ``--json``."""
    assert result.status == 1, result.out + result.err
    [target] = result.document["targets"]
    [found] = [entry for entry in target["checks"] if entry["name"] == check]
    assert found["outcome"] == "FAIL", result.out
    [finding] = [entry for entry in found["findings"] if entry["outcome"] == "FAIL"]
    assert target["root"]["class"] == finding["class"]
    assert isinstance(finding, dict)
    return finding


def test_stopped_server_is_refused(sandbox: Sandbox) -> None:
    """The host is up without a server, so it refuses."""
    network = sandbox.network()
    host = sandbox.python(network, SILENT, alias="server")
    server = sandbox.server(None, network_mode=f"container:{host.get_container_id()}")
    assert sandbox.client(network, "check", "server").status == 0
    engine_handle(server).stop(timeout=20)
    finding = failed(sandbox.client(network, "check", "--json", "server"), "reach")
    assert finding["class"] == "reach.refused"


def test_removed_server_is_an_unknown_name(sandbox: Sandbox) -> None:
    """The name is gone with the container: that is the root, not reach."""
    network = sandbox.network()
    server = sandbox.server(network)
    engine_handle(server).stop(timeout=20)
    finding = failed(sandbox.client(network, "check", "--json", "server"), "name")
    assert finding["class"] == "name.not_found"


def test_paused_server_accepts_and_is_silent(sandbox: Sandbox) -> None:
    """The kernel of a frozen server still accepts: reach passes, identity fails."""
    network = sandbox.network()
    server = sandbox.server(network)
    engine_handle(server).pause()
    try:
        result = sandbox.client(network, "check", "--json", "server")
    finally:
        engine_handle(server).unpause()
    finding = failed(result, "identity")
    assert finding["class"] == "identity.silent"
    assert finding["evidence"]


DEMANDED = ("check", "--json", "--expect-service=netduet")


def test_web_server_under_the_name_is_recognised(sandbox: Sandbox) -> None:
    """A web server under the server's name is recognised, with its answer."""
    network = sandbox.network()
    sandbox.python(network, STRANGER, alias="server", wait=LISTENS)
    finding = failed(sandbox.client(network, *DEMANDED, "server"), "identity")
    assert finding["class"] == "identity.not_netduet"
    assert "HTTP" in str(finding)


def test_other_service_under_the_name_is_named(sandbox: Sandbox) -> None:
    """A netduet server of another service is not the expected one."""
    network = sandbox.network()
    sandbox.server(network, env={"NETDUET_SERVER_SERVICE": "billing"})
    finding = failed(sandbox.client(network, *DEMANDED, "server"), "identity")
    assert finding["class"] == "identity.other_service"
    assert "billing" in str(finding)


def test_published_port_of_a_dead_application_is_named(sandbox: Sandbox) -> None:
    """The engine's proxy accepts for an application that does not listen."""
    dead = sandbox.python(
        sandbox.network(), SILENT, ports={f"{PORT}/tcp": ("127.0.0.1", None)}
    )
    wrapped = engine_handle(dead)
    wrapped.reload()
    port = wrapped.attrs["NetworkSettings"]["Ports"][f"{PORT}/tcp"][0]["HostPort"]
    result = sandbox.client(
        None, "check", "--json", f"127.0.0.1:{port}", network_mode="host"
    )
    finding = failed(result, "identity")
    assert finding["class"] in ("identity.closed", "identity.reset")
    assert "proxy" in str(finding)


def test_stopped_client_is_inconclusive(sandbox: Sandbox) -> None:
    """SIGTERM during a check prints what is known, with status 3."""
    network = sandbox.network()
    server = sandbox.server(network)
    engine_handle(server).pause()
    try:
        client = sandbox.start_client(
            network,
            "check",
            "server",
            env={"NETDUET_CLIENT_ANSWER_TIMEOUT": "60s"},
        )
        wait_for_output(client, "reach")
        engine_handle(client).kill("SIGTERM")
        result = wait_for_end(client)
    finally:
        engine_handle(server).unpause()
    assert result.status == 3, result.out + result.err
    assert "INCONCLUSIVE" in result.out
