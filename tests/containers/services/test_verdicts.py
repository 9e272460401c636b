"""``netduet check`` of real services: up, frozen, blocked, stopped, misconfigured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from netduet.client.protocols import find_protocol
from tests.containers.sandbox import ContainerResult, Sandbox, engine_handle
from tests.containers.services import catalogue
from tests.containers.services.catalogue import Service
from tests.containers.services.conftest import StartService

SOON = ("--connect-timeout=1s", "--answer-timeout=1s")

SERVICES = [
    catalogue.NGINX,
    catalogue.NGINX_TLS,
    catalogue.REDIS,
    catalogue.POSTGRES,
    catalogue.MARIADB,
    catalogue.OPENSSH,
    catalogue.MOSQUITTO,
    catalogue.RABBITMQ,
    catalogue.DNSMASQ,
]

_ACCEPT = "import socket; s = socket.create_server(('', {port})); k = []\nwhile True: "
PLAINEST = _ACCEPT + "c, _ = s.accept(); c.recv(99); c.sendall(b'Hello, client!')"
MUTE = _ACCEPT + "k.append(s.accept())"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """What runs clients on the network of a running service."""

    sandbox: Sandbox
    network: Network
    target: str
    container: DockerContainer

    def check(self, *words: str) -> ContainerResult:
        """Run a client that checks the service."""
        words = ("check", "--json", *SOON, *words, self.target)
        return self.sandbox.client(self.network, *words)


def target(done: ContainerResult) -> dict[str, Any]:
    """Return the only target of a report."""
    [found] = done.document["targets"]
    assert isinstance(found, dict)
    return found


def root(done: ContainerResult) -> str:
    """Return the class of the root finding."""
    found = target(done)["root"]
    return "" if found is None else str(found["class"])


def block(neighbour: Neighbour, image: str, rule: str) -> None:
    """Add a rule for what enters the service's container."""
    done = neighbour.sandbox.start(
        image,
        network_mode=f"container:{neighbour.container.get_container_id()}",
        cap_add=["NET_ADMIN"],
        command=["sh", "-c", f"iptables -I INPUT {rule}"],
    )
    assert done.wait() == 0, done.get_logs()


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_verdict_follows_the_state_of_a_service(
    start_service: StartService, services_image: str, sandbox: Sandbox, service: Service
) -> None:
    """Up it passes as what it is; frozen, blocked and stopped it fails as such."""
    running = start_service(service)
    protocol = find_protocol(service.protocol)
    assert protocol is not None
    demand = f"/{service.protocol}" if service.transport == "udp" else ""
    found = Neighbour(
        sandbox,
        running.network,
        f"{service.name}:{service.port}{demand}",
        running.container,
    )
    up = found.check()
    assert up.status == 0, up.out
    [identity] = [each for each in target(up)["checks"] if each["name"] == "identity"]
    assert identity["figures"]["service"] == protocol.title

    engine_handle(running.container).pause()
    frozen = found.check()
    engine_handle(running.container).unpause()
    silent = {"tcp": "identity.silent", "udp": "reach.no_response"}
    assert (frozen.status, root(frozen)) == (1, silent[service.transport]), frozen.out

    block(
        found, services_image, f"-p {service.transport} --dport {service.port} -j DROP"
    )
    blocked = found.check()
    dropped = {"tcp": "reach.timeout", "udp": "reach.no_response"}
    assert (blocked.status, root(blocked)) == (1, dropped[service.transport])

    engine_handle(running.container).stop(timeout=1)
    stopped = found.check()
    assert (stopped.status, root(stopped)) == (1, "name.not_found"), stopped.out


@pytest.mark.parametrize(
    ("service", "failure"),
    [
        (catalogue.NGINX_BAD_GATEWAY, "identity.not_ready"),
        (catalogue.HAPROXY_NO_BACKEND, "identity.not_ready"),
        (catalogue.REDIS_PROTECTED, "identity.denied"),
        (catalogue.NGINX_EXPIRED, "identity.certificate_expired"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_misconfigured_service_fails_with_its_class(
    start_service: StartService, sandbox: Sandbox, service: Service, failure: str
) -> None:
    """It runs, and does not serve this client."""
    running = start_service(service)
    where = f"{service.name}:{service.port}"
    found = Neighbour(sandbox, running.network, where, running.container)
    done = found.check("--checks=identity")
    assert (done.status, root(done)) == (1, failure), done.out


@pytest.mark.parametrize(
    "service",
    [
        catalogue.NGINX_LOCAL,
        catalogue.REDIS_LOCAL,
        catalogue.POSTGRES_LOCAL,
        catalogue.MARIADB_LOCAL,
        catalogue.OPENSSH_LOCAL,
        catalogue.MOSQUITTO_LOCAL,
        catalogue.RABBITMQ_LOCAL,
        catalogue.DNSMASQ_LOCAL,
    ],
    ids=lambda service: service.name,
)
def test_service_bound_to_loopback_refuses_others(
    start_service: StartService, sandbox: Sandbox, service: Service
) -> None:
    """It listens in its container, where nobody else can reach it."""
    running = start_service(service)
    demand = f"/{service.protocol}" if service.transport == "udp" else ""
    where = f"{service.name}:{service.port}{demand}"
    found = Neighbour(sandbox, running.network, where, running.container)
    failure = {"tcp": "reach.refused", "udp": "reach.port_unreachable"}
    done = found.check("--checks=identity")
    assert (done.status, root(done)) == (1, failure[service.transport]), done.out


@pytest.mark.parametrize("program", [PLAINEST, MUTE], ids=["plainest", "mute"])
def test_plain_server_bound_to_loopback_refuses_others(
    sandbox: Sandbox, program: str
) -> None:
    """Neither the plainest server nor a mute one is reached."""
    network = sandbox.network()
    local = program.format(port=7000).replace("('',", "('127.0.0.1',")
    is_listening = "grep -q ':1B58 .* 0A ' /proc/net/tcp"  # port 7000, LISTEN
    wait = ["sh", "-c", is_listening]
    container = sandbox.python(network, local, alias="other", wait=wait)
    found = Neighbour(sandbox, network, "other:7000", container)
    done = found.check("--checks=identity")
    assert (done.status, root(done)) == (1, "reach.refused"), done.out


@pytest.mark.parametrize(
    ("program", "port", "text"),
    [
        (PLAINEST, 12345, "accepts connections and answers as plain greeting"),
        (PLAINEST, 7000, "accepts connections and answers as plain greeting"),
        (MUTE, 7000, "accepts connections; what it serves was not tested"),
    ],
)
def test_plainest_and_mute_servers_pass_as_what_they_show(
    sandbox: Sandbox, program: str, port: int, text: str
) -> None:
    """The plainest socket pair passes, and silence is not taken for more."""
    network = sandbox.network()
    container = sandbox.python(network, program.format(port=port), alias="other")
    found = Neighbour(sandbox, network, f"other:{port}", container)
    done = found.sandbox.client(network, "check", *SOON, found.target)
    assert done.status == 0, done.out
    assert text in " ".join(done.out.split())


@pytest.mark.parametrize(
    "service",
    [catalogue.MARIADB_STRICT, catalogue.OPENSSH],
    ids=lambda service: service.name,
)
def test_checks_do_not_get_their_client_blocked(
    start_service: StartService, sandbox: Sandbox, service: Service
) -> None:
    """MariaDB counts aborted handshakes, OpenSSH connections without a login."""
    running = start_service(service)
    where = f"{service.name}:{service.port}"
    found = Neighbour(sandbox, running.network, where, running.container)
    for _ in range(4):
        done = found.check()
        assert done.status == 0, done.out
