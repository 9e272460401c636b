"""The pair on broken networks: each fault is named, by its class and its side."""

from __future__ import annotations

from typing import Any

from tests.containers.stage import PORT, Finished, Stage, finish, inside, wait_for

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


def failed(result: Finished, check: str) -> dict[str, Any]:
    """Return the one finding of a check that failed, as ``--json`` tells it."""
    assert result.status == 1, result.out + result.err
    [target] = result.document["targets"]
    [found] = [one for one in target["checks"] if one["name"] == check]
    assert found["outcome"] == "FAIL", result.out
    [finding] = [one for one in found["findings"] if one["outcome"] == "FAIL"]
    assert target["root"]["class"] == finding["class"]
    assert isinstance(finding, dict)
    return finding


def test_stopped_server_is_refused(stage: Stage) -> None:
    """The host is up without a server, so it refuses."""
    network = stage.network()
    host = stage.python(network, SILENT, alias="server")
    server = stage.server(None, network_mode=f"container:{host.get_container_id()}")
    assert stage.client(network, "check", "server").status == 0
    inside(server).stop(timeout=20)
    finding = failed(stage.client(network, "check", "--json", "server"), "reach")
    assert finding["class"] == "reach.refused"


def test_removed_server_is_an_unknown_name(stage: Stage) -> None:
    """The name is gone with the container: that is the root, not reach."""
    network = stage.network()
    server = stage.server(network)
    inside(server).stop(timeout=20)
    finding = failed(stage.client(network, "check", "--json", "server"), "name")
    assert finding["class"] == "name.not_found"


def test_paused_server_accepts_and_is_silent(stage: Stage) -> None:
    """The kernel of a frozen server still accepts: reach passes, identity fails."""
    network = stage.network()
    server = stage.server(network)
    inside(server).pause()
    try:
        result = stage.client(network, "check", "--json", "server")
    finally:
        inside(server).unpause()
    finding = failed(result, "identity")
    assert finding["class"] == "identity.silent"
    assert finding["evidence"]


def test_web_server_under_the_name_is_recognised(stage: Stage) -> None:
    """A web server under the server's name is recognised, with its answer."""
    network = stage.network()
    stage.python(network, STRANGER, alias="server", wait=LISTENS)
    finding = failed(stage.client(network, "check", "--json", "server"), "identity")
    assert finding["class"] == "identity.not_netduet"
    assert "HTTP" in str(finding)


def test_other_service_under_the_name_is_named(stage: Stage) -> None:
    """A netduet server of another service is not the expected one."""
    network = stage.network()
    stage.server(network, env={"NETDUET_SERVER_SERVICE": "billing"})
    finding = failed(stage.client(network, "check", "--json", "server"), "identity")
    assert finding["class"] == "identity.other_service"
    assert "billing" in str(finding)


def test_published_port_of_a_dead_application_is_named(stage: Stage) -> None:
    """The engine's proxy accepts for an application that does not listen."""
    dead = stage.python(
        stage.network(), SILENT, ports={f"{PORT}/tcp": ("127.0.0.1", None)}
    )
    wrapped = inside(dead)
    wrapped.reload()
    port = wrapped.attrs["NetworkSettings"]["Ports"][f"{PORT}/tcp"][0]["HostPort"]
    result = stage.client(
        None, "check", "--json", f"127.0.0.1:{port}", network_mode="host"
    )
    finding = failed(result, "identity")
    assert finding["class"] in ("identity.closed", "identity.reset")
    assert "proxy" in str(finding)


def test_stopped_client_is_inconclusive(stage: Stage) -> None:
    """SIGTERM during a check prints what is known, with status 3."""
    network = stage.network()
    server = stage.server(network)
    inside(server).pause()
    try:
        client = stage.start_client(
            network,
            "check",
            "server",
            env={"NETDUET_CLIENT_ANSWER_TIMEOUT": "60s"},
        )
        wait_for(client, "reach")
        inside(client).kill("SIGTERM")
        result = finish(client)
    finally:
        inside(server).unpause()
    assert result.status == 3, result.out + result.err
    assert "INCONCLUSIVE" in result.out
