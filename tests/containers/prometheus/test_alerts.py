"""Each alert fires once, with the shipped scrape configuration and the shipped rules.

Real servers and clients, at the names that the stack gives them, are brought into the
condition of each alert. What takes minutes by the rules is judged by
``netduet.rules.test.yaml``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from tests.containers.prometheus.api import Prometheus
from tests.containers.prometheus.conftest import (
    ADMIN,
    CLIENTS,
    SERVERS,
    StartPrometheus,
    alert_names,
)
from tests.containers.sandbox import PORT, Sandbox, address, engine_handle

MISSED_SCRAPES: Final = 18
"""Scrapes, one a second, that a server must miss to have been stalled for more than 5 %
of the five minutes that the rule looks at."""

FLOOD: Final = """
import os, socket
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(2000):
    sender.sendto(bytes(1000), (os.environ["TARGET"], {port}))
"""
"""More than a socket's receive buffer takes."""

CROWD: Final = """
import os, socket, time
crowd = []
while True:
    try:
        crowd.append(socket.create_connection((os.environ["TARGET"], {port}), 2))
    except OSError:
        pass
    time.sleep(0.05)
"""

HAMMER: Final = """
import os, socket
while True:
    try:
        with socket.create_connection((os.environ["TARGET"], {port}), 2) as connection:
            connection.sendall(b"Hello, server!")
            connection.recv(100)
    except OSError:
        pass
"""

HALF: Final = """
import itertools, os, socket, threading
def carry(source, sink):
    while data := source.recv(65536):
        sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)
listener = socket.create_server(("", {port}))
for number in itertools.count():
    client, _ = listener.accept()
    if number % 3:
        client.close()
        continue
    server = socket.create_connection((os.environ["TARGET"], {port}))
    for ends in ((client, server), (server, client)):
        threading.Thread(target=carry, args=ends, daemon=True).start()
"""
"""A load balancer of which two of three backends are dead."""

RESTARTS: Final = """
import subprocess, sys
serve = "import netduet; netduet.__version__ = '0.0.9'; import netduet.__main__ as main; main.main()"
while True:
    subprocess.run([sys.executable, "-c", serve, "serve"])
"""
"""Runs a server of another version, again and again."""


@dataclass
class Scene:
    """A network with a Prometheus, and the alerts that have fired in it."""

    sandbox: Sandbox
    network: Network
    prometheus: Prometheus
    fired: set[str] = field(default_factory=set)

    def server(self, options: dict[str, Any] | None = None, **env: str) -> str:
        """Start a server at the name that is scraped; return its address."""
        return address(self.start_server(options, **env), self.network)

    def start_server(
        self, options: dict[str, Any] | None = None, **env: str
    ) -> DockerContainer:
        """Start a server at the name that is scraped."""
        settings = ADMIN | {f"NETDUET_SERVER_{key}": env[key] for key in env}
        return self.sandbox.server(
            self.network, SERVERS, env=settings, **(options or {})
        )

    def watch(self, *targets: str) -> DockerContainer:
        """Start a client that watches, at the name that is scraped."""
        return self.sandbox.start_client(
            self.network, "watch", *targets, alias=CLIENTS, env=ADMIN
        )

    def run(self, program: str, target: str) -> str:
        """Start a program that is given an address; return its own."""
        started = self.sandbox.python(
            self.network, program.format(port=PORT), env={"TARGET": target}
        )
        return address(started, self.network)

    def wait_until(self, query: str, *values: float) -> None:
        """Wait until a query has these values."""
        self.prometheus.wait_until(
            query, lambda prometheus: sorted(prometheus.values(query)) == list(values)
        )

    def wait_until_firing(self, *alerts: str) -> None:
        """Wait until all of these fire at the same time."""
        self.prometheus.wait_until(
            ", ".join(alerts),
            lambda prometheus: set(alerts) <= set(prometheus.firing()),
        )
        self.fired |= set(alerts)


def pause_all_servers(scene: Scene) -> None:
    """Pause three servers, flood one of them, let them go on, and kill it."""
    servers = [scene.start_server() for _ in range(3)]
    scene.watch(SERVERS)
    scene.wait_until("up", 1, 1, 1, 1)
    # The streams run: a peer that never answered is up, too, at first.
    passed = 'netduet_peer_datagrams_total{direction="from_server"} > bool 20'
    scene.wait_until(passed, 1, 1, 1)
    # On a busy machine one may be starved, which is then reported rightly.
    quiet = {"NetduetDown", "NetduetGone", "NetduetPeerOut"}
    assert not quiet & set(scene.prometheus.firing())
    for server in servers:
        engine_handle(server).pause()
    flooded = address(servers[0], scene.network)
    scene.run(FLOOD, flooded)
    scene.wait_until_firing("NetduetDown", "NetduetPeerOut", "NetduetAlone")
    missed = 'count_over_time((up{job="netduet"} == 0)[5m:1s])'
    scene.prometheus.wait_until(
        "down for long enough",
        lambda prometheus: min(prometheus.values(missed)) >= MISSED_SCRAPES,
    )
    for server in servers:
        engine_handle(server).unpause()
    scene.wait_until_firing("NetduetSocketDrops", "NetduetStarved", "NetduetLoss")
    scene.prometheus.wait_until(
        "back", lambda prometheus: not quiet & set(prometheus.firing())
    )
    # A pause is at the server's end and proves nothing of the network; this does.
    engine_handle(servers[0]).kill()
    scene.wait_until_firing("NetduetOutages")


def reach_limits(scene: Scene) -> None:
    """Give one server more clients than it has room for, and the other none."""
    limited = scene.server(MAX_STREAMS="1", MAX_CONNECTIONS="4")
    scene.server()
    for _ in range(2):
        scene.watch(limited)
    scene.wait_until_firing("NetduetStreamsNearlyFull", "NetduetStreamsRefused")
    scene.run(CROWD, limited)
    scene.wait_until_firing(
        "NetduetConnectionsRefused", "NetduetNearlyFull", "NetduetUnreached"
    )
    alerts = scene.prometheus.firing()
    assert f"{limited}:12346" in alerts["NetduetConnectionsRefused"]["summary"]
    assert "max_connections" in alerts["NetduetConnectionsRefused"]["description"]


def kill_backends(scene: Scene) -> None:
    """Watch through a load balancer with dead backends: no outage, and no silence."""
    scene.watch(scene.run(HALF, scene.server()))
    scene.wait_until_firing("NetduetPeerPartial")
    assert "NetduetPeerOut" not in scene.prometheus.firing()


def watch_an_unknown_name(scene: Scene) -> None:
    """Let a client look for nobody; then pause it, so that nothing responds."""
    client = scene.watch("nobody.invalid")
    scene.wait_until_firing("NetduetNameUnresolved", "NetduetWatchesNobody")
    engine_handle(client).pause()
    scene.wait_until_firing("NetduetDown", "NetduetGone")
    summary = scene.prometheus.firing()["NetduetDown"]["summary"]
    assert summary.endswith(":12347 of netduet-client cannot be scraped")
    engine_handle(client).unpause()


def run_servers_badly(scene: Scene) -> None:
    """Restart one server of another version again and again; throttle another."""
    scene.server(
        {"entrypoint": ["python3", "-c", RESTARTS], "init": True}, TIME_LIMIT="1s"
    )
    throttled = scene.server({"cpu_period": 100_000, "cpu_quota": 20_000})
    scene.run(HAMMER, throttled)
    scene.wait_until_firing("NetduetMixedVersions")
    scene.wait_until_firing("NetduetThrottled", "NetduetRestarts")


SCENARIOS: Final[dict[Callable[[Scene], None], set[str]]] = {
    pause_all_servers: {
        "NetduetAlone",
        "NetduetDown",
        "NetduetLoss",
        "NetduetOutages",
        "NetduetPeerOut",
        "NetduetSocketDrops",
        "NetduetStarved",
    },
    reach_limits: {
        "NetduetConnectionsRefused",
        "NetduetNearlyFull",
        "NetduetStreamsNearlyFull",
        "NetduetStreamsRefused",
        "NetduetUnreached",
    },
    kill_backends: {"NetduetPeerPartial"},
    watch_an_unknown_name: {
        "NetduetDown",
        "NetduetGone",
        "NetduetNameUnresolved",
        "NetduetWatchesNobody",
    },
    run_servers_badly: {
        "NetduetMixedVersions",
        "NetduetRestarts",
        "NetduetThrottled",
    },
}
"""What is done, and the alerts that must fire for it."""


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda item: item.__name__)
def test_alerts_fire(
    sandbox: Sandbox,
    start_prometheus: StartPrometheus,
    scenario: Callable[[Scene], None],
) -> None:
    """The condition of each alert is produced, and it fires."""
    network = sandbox.network()
    scene = Scene(sandbox, network, start_prometheus(network))
    scenario(scene)
    assert scene.fired == SCENARIOS[scenario]


def test_no_alert_is_left_out() -> None:
    """A new alert needs a scenario here."""
    assert set().union(*SCENARIOS.values()) == alert_names()
