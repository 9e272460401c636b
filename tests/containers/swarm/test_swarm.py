"""The stack on a real swarm: scaled, updated, a task killed; and a VIP that is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.services import Service

from tests.containers.stage import HARDENED, PORT, Finished, Images
from tests.containers.swarm.playing import (
    Stack,
    finished,
    require_no_swarm,
    until,
)

pytestmark = pytest.mark.timeout(300)

# Looks the name up and asks anew, without pause, until it is told to end.
STORM = f"""
import json, signal, socket, time
ended, answered, lost, longest = [], 0, [], 0.0
signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
while not ended:
    begin = time.monotonic()
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
    longest = max(longest, time.monotonic() - begin)
    time.sleep(0.005)
print(json.dumps({{"answered": answered, "lost": lost[:9], "longest": longest}}))
"""


def check(stack: Stack, target: str, *words: str) -> tuple[Finished, dict[str, Any]]:
    """Check a target from the stack's network; return its checks by name, too."""
    done = stack.client("check", "--json", *words, target)
    assert done.out, done.err
    [found] = done.document["targets"]
    return done, {one["name"]: one for one in found["checks"]}


def instances(checks: dict[str, Any]) -> int:
    """Return how many servers answered."""
    number: int = checks["identity"]["figures"]["instances"]
    return number


def said(service: Service) -> bytes:
    """Return what a service has logged."""
    return b"".join(service.logs(stdout=True))


def ids(stack: Stack) -> set[str]:
    """Return the servers' containers."""
    return {str(one.id) for one in stack.containers("server")}


def test_scaled_stack_answers_with_each_of_its_servers(stack: Stack) -> None:
    """One, five, two: all are found by the name, on their node, and pass every check."""
    for replicas in (1, 5, 2):
        stack.scale(replicas)
        done, checks = check(stack, "tasks.server")
        assert done.status == 0, done.out
        assert instances(checks) == replicas
        node = stack.engine.info()["Name"]
        assert f" on {node}, answered" in checks["identity"]["summary"]


def test_rolling_update_costs_nobody_anything(stack: Stack) -> None:
    """The only server is replaced while somebody asks without pause: nothing is lost."""
    stack.scale(1)
    before = ids(stack)
    storm = stack.start(
        stack.images.python, ["python3", "-c", STORM], init=True, mem_limit="256m"
    )
    until("asking", lambda: b"storm" in storm.logs())
    stack.update()
    stack.settle(1)
    storm.kill("SIGTERM")
    done = finished(storm)
    told = json.loads(done.out.splitlines()[-1])
    assert not ids(stack) & before
    assert told["lost"] == [], told
    assert told["answered"] > 100
    done, checks = check(stack, "server")
    assert (done.status, instances(checks)) == (0, 1), done.out


def test_killed_task_is_replaced(stack: Stack) -> None:
    """A server that is killed is another one soon, and the network is as it was."""
    stack.scale(2)
    [victim, other] = stack.containers("server")
    victim.kill()
    until("gone", lambda: victim.id not in ids(stack))
    stack.settle(2)
    assert victim.id not in ids(stack)
    assert other.id in ids(stack)
    done, checks = check(stack, "server")
    assert (done.status, instances(checks)) == (0, 2), done.out


def test_client_of_each_node_watches(stack: Stack) -> None:
    """There is one on this node; its log says from where, whom it watches, and where they are."""
    service = stack.engine.services.get(f"{stack.name}_client")
    assert "Global" in service.attrs["Spec"]["Mode"]
    until(
        "watched",
        lambda: b":12345 (tasks.server:12345) is watched" in said(service),
    )
    node = stack.engine.info()["Name"]
    until(
        "named",
        lambda: f" on {node}" in said(service).decode().partition(" is instance ")[2],
    )
    assert f", from {node}" in said(service).decode()


def test_watch_tells_what_each_change_costs(stack: Stack) -> None:
    """Scaling and an update cost nothing; a killed task is one outage, the server's."""
    stack.scale(1)
    watch = stack.start(stack.images.client, ["watch", "tasks.server"], **HARDENED)

    def watched() -> int:
        lines = watch.logs().splitlines()
        added = sum(b") is watched" in one and b"no more" not in one for one in lines)
        return added - sum(b"is watched no more" in one for one in lines)

    for replicas in (1, 5, 2):
        stack.scale(replicas)
        until(f"{replicas} watched", lambda n=replicas: watched() == n)
    before = ids(stack)
    stack.update()
    stack.settle(2)
    assert not ids(stack) & before
    until("both new ones watched", lambda: watch.logs().count(b") is watched\n") >= 7)
    until("2 watched", lambda: watched() == 2)
    assert b" OUT " not in watch.logs(), watch.logs().decode()
    victim, _ = stack.containers("server")
    victim.kill()
    until("over", lambda: b" BACK " in watch.logs())
    watch.kill("SIGTERM")
    done = finished(watch)
    assert done.status == 0
    outages = [one for one in done.out.splitlines() if " OUT " in one]
    assert len(outages) == 1, done.out
    [over] = [one for one in done.out.splitlines() if " BACK " in one]
    assert "the server's end" in over, over


def test_virtual_address_is_shown_as_what_it_is(
    swarm: docker.DockerClient, images: Images
) -> None:
    """Without IPVS nobody answers there, and why is said; the tasks themselves do."""
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
        assert any("no IPVS" in one for one in finding["causes"])
        assert any("endpoint_mode: dnsrr" in one for one in finding["next"])
    finally:
        stack.remove()


def test_swarm_that_is_there_is_one_clear_error() -> None:
    """It belongs to somebody, and would be left in the end."""
    with pytest.raises(RuntimeError, match="part of a swarm already"):
        require_no_swarm({"Swarm": {"LocalNodeState": "active"}})
