"""A real Prometheus scrapes a real server, and alerts fire for real faults."""

from __future__ import annotations

import re

import yaml

from tests.containers.prometheus.conftest import RULES, StartPrometheus
from tests.containers.sandbox import (
    PORT,
    ContainerResult,
    Sandbox,
    engine_handle,
    wait_for_end,
    wait_for_output,
)

CLIENT = {"NETDUET_CLIENT_ADMIN_HOST": "*", "NETDUET_CLIENT_ADMIN_PORT": "12347"}
ADMIN = {"NETDUET_SERVER_ADMIN_HOST": "*", "NETDUET_SERVER_ADMIN_PORT": "12346"}

# Three that come and stay: two too many.
CROWD = f"""
import socket, time
crowd = [socket.create_connection(("server", {PORT}), 5) for _ in range(3)]
print("crowd", flush=True)
time.sleep(60)
"""


def promtool(sandbox: Sandbox, image: str, *words: str) -> ContainerResult:
    """Run promtool, where the rules are."""
    return wait_for_end(sandbox.start(image, command=["promtool", *words]))


def test_promtool_accepts_rules_and_configuration(
    sandbox: Sandbox, prometheus_image: str
) -> None:
    """The rules and the example configuration are valid; the rules' tests pass."""
    for words in (
        ("check", "rules", "netduet.rules.yaml"),
        ("check", "config", "prometheus.yaml"),
        ("test", "rules", "netduet.rules.test.yaml"),
    ):
        done = promtool(sandbox, prometheus_image, *words)
        assert done.status == 0, done.out + done.err


def test_each_alert_fires_in_a_rule_test() -> None:
    """An alert that never fired in promtool may never fire."""
    rules = yaml.safe_load((RULES / "netduet.rules.yaml").read_text())
    named = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    tested = yaml.safe_load((RULES / "netduet.rules.test.yaml").read_text())
    fired = {
        case["alertname"]
        for group in tested["tests"]
        for case in group.get("alert_rule_test", ())
        if case["exp_alerts"]
    }
    assert fired == named


def test_paused_server_fires_alerts_until_it_is_back(
    sandbox: Sandbox, start_prometheus: StartPrometheus
) -> None:
    """A healthy server fires none; a paused one is down and missing."""
    network = sandbox.network()
    server = sandbox.server(network, env=ADMIN)
    prometheus = start_prometheus(network)
    prometheus.wait_until("scraped", lambda prometheus: prometheus.values("up") == [1])
    checked = sandbox.client(network, "check", "server")
    assert checked.status == 0, checked.out
    ended = 'sum(netduet_connections_ended_total{dialect="framed"})'
    prometheus.wait_until(
        "counted", lambda prometheus: sum(prometheus.values(ended)) > 0
    )
    # On a busy machine it may be starved, and then that is told, and rightly.
    assert not {"NetduetDown", "NetduetGone"} & set(prometheus.firing())
    engine_handle(server).pause()
    try:
        prometheus.wait_until(
            "down",
            lambda prometheus: (
                {"NetduetDown", "NetduetGone"} <= set(prometheus.firing())
            ),
        )
        annotations = prometheus.firing()["NetduetDown"]
        assert annotations["summary"] == "server:12346 of netduet cannot be scraped"
    finally:
        engine_handle(server).unpause()
    prometheus.wait_until(
        "up again",
        lambda prometheus: (
            not {"NetduetDown", "NetduetGone"} & set(prometheus.firing())
        ),
    )


def test_reached_connection_limit_fires_an_alert(
    sandbox: Sandbox, start_prometheus: StartPrometheus
) -> None:
    """A server with room for one refuses two of three clients."""
    network = sandbox.network()
    sandbox.server(network, env=ADMIN | {"NETDUET_SERVER_MAX_CONNECTIONS": "1"})
    prometheus = start_prometheus(network)
    none_yet = "sum(netduet_connections_refused_total)"
    prometheus.wait_until(
        "scraped", lambda prometheus: prometheus.values(none_yet) == [0]
    )
    crowd = sandbox.python(network, CROWD)
    wait_for_output(crowd, "crowd")
    prometheus.wait_until(
        "refused", lambda prometheus: "NetduetConnectionsRefused" in prometheus.firing()
    )
    description = prometheus.firing()["NetduetConnectionsRefused"]["description"]
    assert "max_connections" in description


def test_outage_seen_by_watch_fires_an_alert(
    sandbox: Sandbox, start_prometheus: StartPrometheus
) -> None:
    """A paused peer is out; when it is back, the past outage still fires."""
    network = sandbox.network()
    server = sandbox.server(network)
    sandbox.start_client(network, "watch", "server", alias="client", env=CLIENT)
    prometheus = start_prometheus(network, "client:12347")
    prometheus.wait_until(
        "watched", lambda prometheus: prometheus.values("netduet_peer_up") == [1]
    )
    engine_handle(server).pause()
    try:
        prometheus.wait_until(
            "out", lambda prometheus: "NetduetPeerOut" in prometheus.firing()
        )
    finally:
        engine_handle(server).unpause()
    prometheus.wait_until(
        "counted", lambda prometheus: "NetduetOutages" in prometheus.firing()
    )
    prometheus.wait_until(
        "back", lambda prometheus: "NetduetPeerOut" not in prometheus.firing()
    )


def test_metrics_of_rules_exist(
    sandbox: Sandbox, start_prometheus: StartPrometheus
) -> None:
    """Prometheus has each metric of the rules from a real server."""
    network = sandbox.network()
    # Only a process with a limit of the CPU tells on every kernel how it was held back.
    sandbox.server(network, env=ADMIN, cpu_period=100_000, cpu_quota=200_000)
    sandbox.start_client(network, "watch", "server", alias="client", env=CLIENT)
    prometheus = start_prometheus(network, "server:12346", "client:12347")
    prometheus.wait_until(
        "scraped", lambda prometheus: prometheus.values("up") == [1, 1]
    )
    prometheus.wait_until(
        "watched", lambda prometheus: prometheus.values("netduet_peer_up") == [1]
    )
    rules = yaml.safe_load((RULES / "netduet.rules.yaml").read_text())
    asked = {
        name
        for group in rules["groups"]
        for rule in group["rules"]
        for name in re.findall(r"\b(?:netduet|process)_\w+", rule["expr"])
    }
    assert len(asked) >= 14
    # Its series come with the first outage of a kind.
    for name in sorted(asked - {"netduet_outages_total"}):
        assert prometheus.values(f"count({name})") != [], name
