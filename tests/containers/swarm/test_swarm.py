"""The stack on a real swarm: scaling, an update, a killed task, an unusable VIP."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from tests.containers.between.conftest import between
from tests.containers.sandbox import HARDENED, PORT, ContainerResult, Images
from tests.containers.swarm.stack import (
    Stack,
    require_no_other_swarm,
    wait_for_end,
    wait_until,
)

pytestmark = pytest.mark.timeout(300)

# Looks the name up and asks anew, without pause, until it is told to end.
STORM = f"""
import json, signal, socket, time
ended, answered, lost, longest = [], 0, [], 0.0
signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
while not ended:
    start = time.monotonic()
    try:
        with socket.create_connection(("server", {PORT}), 5) as sock:
            sock.sendall(b"Hello, server!")
            answer = sock.recv(1024)
        if answer != b"Hello, client!":
            raise OSError(repr(answer))
        answered += 1
        if answered == 1:
            print("storm", flush=True)
    except OSError as error:
        lost.append(repr(error))
    longest = max(longest, time.monotonic() - start)
    time.sleep(0.005)
print(json.dumps({{"answered": answered, "lost": lost[:9], "longest": longest}}))
"""


def check(
    stack: Stack, target: str, *words: str
) -> tuple[ContainerResult, dict[str, Any]]:
    """Check a target from the stack's network; return its checks by name, too."""
    done = stack.client("check", "--json", *words, target)
    assert done.out, done.err
    [found] = done.document["targets"]
    return done, {entry["name"]: entry for entry in found["checks"]}


def instances(checks: dict[str, Any]) -> int:
    """Return how many servers answered."""
    number: int = checks["identity"]["figures"]["instances"]
    return number


def ids(stack: Stack) -> set[str]:
    """Return the servers' containers."""
    return {str(container.id) for container in stack.containers("server")}


def test_deployed_stack_is_watched_from_the_start(stack: Stack) -> None:
    """The client on the node names its peers and its node, and saw no outage."""
    service = stack.engine.services.get(f"{stack.name}_client")
    assert "Global" in service.attrs["Spec"]["Mode"]
    [client] = stack.containers("client")
    node = stack.engine.info()["Name"]
    wait_until("watched", lambda: b" now watching " in client.logs())
    wait_until("named", lambda: f" on {node}\n".encode() in client.logs())
    client.kill("SIGTERM")
    assert client.wait()["StatusCode"] == 0
    log = client.logs(stderr=False).decode()
    assert "Watched 1 peer for" in log
    assert "availability 100.000 %, no outages" in log
    assert f", from {node}\n" in log


def test_scaled_stack_has_each_of_its_servers(stack: Stack) -> None:
    """One, five, two: all are in DNS, on their node, and pass every check."""
    for replicas in (1, 5, 2):
        stack.scale(replicas)
        done, checks = check(stack, "tasks.server")
        assert done.status == 0, done.out
        assert instances(checks) == replicas
        node = stack.engine.info()["Name"]
        assert f" on {node}, responded" in checks["identity"]["summary"]


def test_pair_is_put_beside_tasks(stack: Stack) -> None:
    """By the names of the services, and of a task without its id."""
    stack.scale(1)
    [server] = stack.containers("server")
    assert server.name is not None
    task = server.name.rpartition(".")[0]
    for word in (f"{stack.name}_server", task):
        done = between(f"{stack.name}_client", f"{word}:12345", "--checks", "path")
        assert done.status == 0, done.out + done.err
        assert f"{stack.name}_client → 10." in done.out
        assert f"port 12345 is taken beside {stack.name}_server" in done.conclusion


def test_rolling_update_loses_nothing(stack: Stack) -> None:
    """The only server is replaced under continuous requests without a loss."""
    stack.scale(1)
    before = ids(stack)
    storm = stack.start(
        stack.images.python, ["python3", "-c", STORM], init=True, mem_limit="256m"
    )
    wait_until("asking", lambda: b"storm" in storm.logs())
    stack.update()
    stack.settle(1)
    storm.kill("SIGTERM")
    done = wait_for_end(storm)
    report = json.loads(done.out.splitlines()[-1])
    assert not ids(stack) & before
    assert report["lost"] == [], report
    assert report["answered"] > 100
    done, checks = check(stack, "server")
    assert (done.status, instances(checks)) == (0, 1), done.out


def test_killed_task_is_replaced(stack: Stack) -> None:
    """Another server takes over, and the checks pass again."""
    stack.scale(2)
    [victim, other] = stack.containers("server")
    victim.kill()
    wait_until("gone", lambda: victim.id not in ids(stack))
    stack.settle(2)
    assert victim.id not in ids(stack)
    assert other.id in ids(stack)
    done, checks = check(stack, "server")
    assert (done.status, instances(checks)) == (0, 2), done.out


@contextmanager
def watch(stack: Stack, *words: str) -> Iterator[WatchContainer]:
    """Watch the servers by hand."""
    command = ["watch", "tasks.server", *words]
    container = stack.start(stack.images.client, command, **HARDENED)
    try:
        yield WatchContainer(container)
    finally:
        container.remove(force=True)


@dataclass
class WatchContainer:
    """A running `netduet watch`."""

    container: Container

    def wait_for_peers(self, number: int) -> None:
        """Wait until it watches this number of peers."""

        def all_watched() -> bool:
            added = self._count(r" \+ +now watching (?:(\d+) addresses: )?")
            return added - self.removed() == number

        wait_until(f"{number} watched", all_watched)

    def removed(self) -> int:
        """Return how many peers it no longer watches."""
        return self._count(r" - +(?:(\d+) peers are )?.*no longer watched: ")

    def _count(self, pattern: str) -> int:
        """Return the number of peers in these lines, each about one or several."""
        text = self.container.logs(stderr=False).decode()
        return sum(int(number or 1) for number in re.findall(pattern, text))

    def stop(self) -> str:
        """Stop it; return its output."""
        self.container.kill("SIGTERM")
        assert self.container.wait()["StatusCode"] == 0
        return self.container.logs(stderr=False).decode()


def assert_nothing_lost(summary: str, peers: int) -> None:
    """Assert that this number of peers was watched without an outage."""
    assert f"Watched {peers} peers for" in summary, summary
    assert "availability 100.000 %, no outages" in summary, summary
    assert not re.search(r" (OUT|BACK|LEFT|\?) ", summary), summary
    assert " × " not in summary, summary


def test_watch_sees_no_outage_while_scaling(stack: Stack) -> None:
    """One, five, two: new peers are watched, removed ones announced their drain."""
    stack.scale(1)
    with watch(stack) as watch_container:
        for replicas in (1, 5, 2):
            stack.scale(replicas)
            watch_container.wait_for_peers(replicas)
        summary = watch_container.stop()
    assert_nothing_lost(summary, 5)
    assert summary.count(", no longer watched") == 3


def test_watch_sees_no_outage_in_a_rolling_update(stack: Stack) -> None:
    """Both are replaced, and neither ended before its name dropped it."""
    stack.scale(2)
    before = ids(stack)
    with watch(stack) as watch_container:
        watch_container.wait_for_peers(2)
        stack.update()
        stack.settle(2)
        assert not ids(stack) & before
        wait_until("all watched", lambda: watch_container.removed() == 2)
        watch_container.wait_for_peers(2)
        summary = watch_container.stop()
    assert_nothing_lost(summary, 4)
    assert summary.count(", no longer watched") == 2


def test_watch_reports_the_outage_of_a_killed_task(stack: Stack) -> None:
    """One outage of one server; the other's availability is 100 %."""
    stack.scale(2)
    # It looks names up by itself when one is out; by chance it would have just before.
    with watch(stack, "--watch-resolve-interval", "1h") as watch_container:
        watch_container.wait_for_peers(2)
        wait_until(
            "named",
            lambda: watch_container.container.logs().count(b" is instance ") == 2,
        )
        victim, _ = stack.containers("server")
        victim.kill()
        wait_until("over", lambda: b" LEFT " in watch_container.container.logs())
        summary = watch_container.stop()
    assert len(re.findall(r" OUT .*, #1\)\n", summary)) == 1, summary
    assert "[watch.stale_dns; the server's end]" in summary
    assert " BACK " not in summary
    found = re.search(r"availability ([\d.]+) %, 1 outage of", summary)
    assert found is not None, summary
    assert 0 < float(found[1]) < 100
    assert "1 × watch.stale_dns, at the server's end:" in summary
    assert len(re.findall(r"\): 100\.000 %, no outages\n", summary)) == 1, summary


def test_unreachable_virtual_ip_is_explained(
    swarm: docker.DockerClient, images: Images
) -> None:
    """Without IPVS the VIP does not answer, and the reason is given; the tasks do."""
    stack = Stack(swarm, images)
    try:
        stack.deploy(NETDUET_REPLICAS="1", NETDUET_ENDPOINT_MODE="vip")
        stack.settle(1)
        done, _ = check(stack, "tasks.server")
        assert done.status == 0, done.out
        done, checks = check(stack, "server")
        if Path("/proc/net/ip_vs").exists():
            assert done.status == 0, done.out
            return
        [finding] = checks["reach"]["findings"]
        assert (done.status, finding["class"]) == (1, "reach.unreachable")
        assert any("lacks IPVS" in text for text in finding["causes"])
        assert any("endpoint_mode: dnsrr" in text for text in finding["next"])
    finally:
        stack.remove()


def test_existing_swarm_is_one_clear_error() -> None:
    """The test does not touch a swarm that it did not make."""
    with pytest.raises(RuntimeError, match="part of a swarm already"):
        require_no_other_swarm({"Swarm": {"LocalNodeState": "active"}})
