"""The pair on a healthy network: the verdict, the logs, the hardening."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from netduet.runtime.logs import EVENTS
from tests.containers.sandbox import (
    PORT,
    ContainerResult,
    Sandbox,
    address,
    engine_handle,
)

SECOND = 1_000_000_000

# Printed from inside a container, by the interpreter it runs with.
ASK_INSIDE = """
import json, os, pathlib
status = dict(
    line.split(":\\t", 1)
    for line in pathlib.Path("/proc/self/status").read_text().splitlines()
    if ":\\t" in line
)
def writable(path):
    try:
        (pathlib.Path(path) / "probe").touch()
        return True
    except OSError:
        return False
print(json.dumps({
    "uid": os.getuid(),
    "gid": os.getgid(),
    "capabilities": [status["CapPrm"], status["CapEff"], status["CapBnd"]],
    "no_new_privileges": status["NoNewPrivs"].strip(),
    "writable": [path for path in ("/", "/app", "/tmp", "/var") if writable(path)],
}))
"""


def lines(text: str) -> list[dict[str, object]]:
    """Return log lines, each checked to be one conforming JSON object."""
    found = []
    for line in text.splitlines():
        fields = json.loads(line)
        assert isinstance(fields, dict)
        assert fields["event"] in EVENTS
        assert fields["level"] in ("debug", "info", "warning", "error", "critical")
        written = datetime.fromisoformat(str(fields["timestamp"]))
        assert written.utcoffset() == timedelta(0)
        assert fields["service.name"]
        assert fields["service.instance.id"]
        found.append(fields)
    return found


def passed(result: ContainerResult) -> bool:
    """Tell whether a check passed, by its words and by its status."""
    assert result.status == 0, result.out + result.err
    return "PASS" in result.out and "FAIL" not in result.out


@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv4+ipv6"])
def test_pair_on_a_fresh_network_passes(sandbox: Sandbox, *, ipv6: bool) -> None:
    """The verdict is PASS, and the exit status 0."""
    network = sandbox.network(ipv6=ipv6)
    sandbox.server(network)
    assert passed(sandbox.client(network, "check", "server"))


def test_pair_over_ipv6_alone_passes(sandbox: Sandbox) -> None:
    """An IPv6 address is reached and judged like any other."""
    network = sandbox.network(ipv6=True)
    server = sandbox.server(network)
    target = f"[{address(server, network, '6')}]:{PORT}"
    assert passed(sandbox.client(network, "check", target))


def test_server_is_healthy_in_seconds(sandbox: Sandbox) -> None:
    """The image's health check succeeds as soon as the server answers."""
    check = {
        "test": ["CMD", "netduet-healthcheck"],
        "interval": SECOND // 4,
        "timeout": 3 * SECOND,
        "retries": 20,
    }
    server = sandbox.server(sandbox.network(), healthcheck=check)
    wrapped = engine_handle(server)
    for _ in range(100):
        wrapped.reload()
        if wrapped.attrs["State"]["Health"]["Status"] == "healthy":
            break
        wrapped.exec_run(["netduet-healthcheck"])
    assert wrapped.attrs["State"]["Health"]["Status"] == "healthy"


def test_image_declares_a_health_check(sandbox: Sandbox) -> None:
    """The server's image checks itself without a shell."""
    wrapped = engine_handle(sandbox.server(sandbox.network()))
    declared = wrapped.attrs["Config"]["Healthcheck"]["Test"]
    assert declared[0] == "CMD"
    assert "netduet-healthcheck" in declared[-1]


def test_every_log_line_conforms(sandbox: Sandbox) -> None:
    """Both containers write only JSON lines, with known events and common fields."""
    network = sandbox.network()
    server = sandbox.server(network, env={"NETDUET_SERVER_LOG_LEVEL": "debug"})
    client = sandbox.client(
        network, "check", "server", env={"NETDUET_CLIENT_LOG_LEVEL": "debug"}
    )
    sandbox.client(network, "hello", "server")
    engine_handle(server).stop(timeout=20)
    out, err = server.get_logs()
    assert err == b""
    events = [fields["event"] for fields in lines(out.decode())]
    assert {
        "server.ready",
        "connection.closed",
        "run.finished",
        "server.stopped",
    } <= set(events)
    assert lines(client.err)


@pytest.mark.parametrize("service", ["server", "client"])
def test_image_runs_without_privileges(sandbox: Sandbox, service: str) -> None:
    """A numeric user, no capabilities, and nothing that is writable."""
    image = sandbox.images.server if service == "server" else sandbox.images.client
    asked = sandbox.start(
        image,
        entrypoint=["python3", "-c", ASK_INSIDE],
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
    )
    assert asked.wait() == 0, asked.get_logs()
    answer = json.loads(asked.get_logs()[0])
    assert answer == {
        "uid": 65532,
        "gid": 65532,
        "capabilities": ["0" * 16] * 3,
        "no_new_privileges": "1",
        "writable": [],
    }


@pytest.mark.parametrize("service", ["server", "client"])
def test_image_has_only_its_own_commands(sandbox: Sandbox, service: str) -> None:
    """A command of the other image names that image, and exits with 2."""
    image, words = (
        (sandbox.images.server, ["check", "server"])
        if service == "server"
        else (sandbox.images.client, ["serve"])
    )
    asked = sandbox.start(image, command=words)
    assert asked.wait() == 2
    out, err = asked.get_logs()
    assert out == b""
    assert err.count(b"\n") == 1
    assert b"netduet-client" in err or b"netduet-server" in err


def test_kubernetes_service_links_are_ignored(sandbox: Sandbox) -> None:
    """Variables that Kubernetes sets for a Service of our name are ignored."""
    links = {}
    for prefix in ("NETDUET_SERVER", "NETDUET_CLIENT"):
        links |= {
            f"{prefix}_SERVICE_HOST": "198.18.0.9",
            f"{prefix}_SERVICE_PORT": "12345",
            f"{prefix}_SERVICE_PORT_TCP": "12345",
            f"{prefix}_PORT": "tcp://198.18.0.9:12345",
            f"{prefix}_PORT_12345_TCP": "tcp://198.18.0.9:12345",
            f"{prefix}_PORT_12345_TCP_PROTO": "tcp",
            f"{prefix}_PORT_12345_TCP_PORT": "12345",
            f"{prefix}_PORT_12345_TCP_ADDR": "198.18.0.9",
        }
    network = sandbox.network()
    server = sandbox.server(network, env=links)
    assert passed(sandbox.client(network, "check", "server", env=links))
    logged = lines(server.get_logs()[0].decode())
    assert [fields["event"] for fields in logged].count("settings.ignored") == 1


def test_several_targets_are_each_judged(sandbox: Sandbox) -> None:
    """Two targets, one of them absent: both are reported and the worst counts."""
    network = sandbox.network()
    sandbox.server(network, alias="here")
    result = sandbox.client(network, "check", "here", "nowhere")
    assert result.status == 1, result.out
    assert "here" in result.out
    assert "nowhere" in result.out
