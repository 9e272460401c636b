"""Real faults of the cluster, and who must report each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator

from tests.lab.day import host
from tests.lab.day.cluster import Cluster, Node
from tests.lab.day.judgement import Expected, Fault
from tests.lab.day.pace import NODE_GRACE_SECONDS, PROXY_SECONDS
from tests.lab.day.pods import Pod
from tests.lab.day.watcher import Watcher

CUT_SECONDS = 3.0
_CUT_TOLERANCE_SECONDS = 0.4
_RESTART_TOLERANCE_SECONDS = 1.5
"""A server listens a little before it says so, and is found a second later."""
DNS_SECONDS = 15.0
NAMES_KIND = "name"


def watching(watchers: Iterable[Watcher], pods: Iterable[Pod]) -> Iterator[Expected]:
    """Yield an expectation for each watcher of each pod, but not for a pod's own."""
    for pod in pods:
        for watcher in watchers:
            if pod.address in watcher.peers and watcher.name != pod.name:
                yield Expected(watcher.name, pod.address)


def behind_virtual_address(
    cluster: Cluster, watchers: Iterable[Watcher]
) -> tuple[Expected, ...]:
    """Return an expectation for each watched virtual address."""
    virtual = {service.virtual for service in cluster.services.values()} - {""}
    return tuple(
        Expected(watcher.name, address)
        for watcher in watchers
        for address in sorted(virtual & watcher.peers)
    )


async def kill_server(
    cluster: Cluster, pod: Pod, watchers: tuple[Watcher, ...]
) -> Fault:
    """Kill a server; it is started again on the same address, as after a crash."""
    cluster.fill_caches()  # a lookup at this very moment would see that it left
    start = time.time()
    cluster.log(f"FAULT: SIGKILL of the server of {pod.name} ({pod.address})")
    expected = tuple(watching(watchers, [pod]))
    await pod.restart_server(cluster)
    await pod.wait_until_ready()
    end = time.time()
    cluster.log(f"END: {pod.name} is ready again after {end - start:.2f} s")
    permitted = behind_virtual_address(cluster, watchers)
    expected = tuple(
        Expected(
            each.watcher,
            each.address,
            seconds=end - start,
            tolerance=_RESTART_TOLERANCE_SECONDS,
        )
        for each in expected
    )
    return Fault("server killed", start, end, expected, permitted)


async def force_delete(
    cluster: Cluster, pod: Pod, watchers: tuple[Watcher, ...]
) -> Fault:
    """Delete a pod without grace."""
    start = time.time()
    cluster.log(f"FAULT: force-deletion of {pod.name} ({pod.address})")
    expected = tuple(watching(watchers, [pod]))
    await pod.kill(cluster)
    permitted = behind_virtual_address(cluster, watchers)
    return Fault("pod force-deleted", start, time.time(), expected, permitted)


async def cut_link(
    cluster: Cluster,
    nodes: tuple[Node, Node],
    pods: Iterable[Pod],
    watchers: tuple[Watcher, ...],
    *,
    both: bool,
) -> Fault:
    """Drop what goes from the first node's pods to the second's, or both ways, for 3 s."""
    first, second = nodes
    ways = [(first, second), (second, first)][: 1 + both]
    name = "link cut both ways" if both else "link cut one way"
    cluster.log(f"FAULT: {name}, {first.name} to {second.name}")
    start = await _cut(ways, "-I")
    await asyncio.sleep(CUT_SECONDS - (time.time() - start))
    end = await _cut(ways, "-D")
    cluster.log(f"END: {name}, after {end - start:.2f} s")
    expected = []
    for watcher in watchers:
        for pod in pods:
            ends = watcher.node, pod.node.name
            if pod.address not in watcher.peers or {*ends} != {
                first.name,
                second.name,
            }:
                continue
            up = "to_server" if ends[0] == first.name else "from_server"
            expected.append(
                Expected(
                    watcher.name,
                    pod.address,
                    ("both",) if both else (up,),
                    end - start,
                    _CUT_TOLERANCE_SECONDS,
                )
            )
    permitted = behind_virtual_address(cluster, watchers)
    return Fault(name, start, end, tuple(expected), permitted)


async def _cut(ways: list[tuple[Node, Node]], action: str) -> float:
    """Change the rules of the receiving nodes; return the middle of that time."""
    before = time.time()
    await asyncio.gather(
        *(
            host.iptables(
                receiver.name,
                "filter",
                f"{action} FORWARD -i eth0 -s {sender.pods} -d {receiver.pods} -j DROP",
            )
            for sender, receiver in ways
        )
    )
    return (before + time.time()) / 2


async def kill_node(
    cluster: Cluster, node: Node, pods: list[Pod], watchers: tuple[Watcher, ...]
) -> Fault:
    """Have a node vanish with its pods; return when it is NotReady.

    Its endpoints are gone by then, and DNS still has them in its caches.
    """
    victims = [pod for pod in pods if pod.node is node]
    expected = tuple(watching(watchers, victims))
    node.is_dead = True
    cluster.log(f"FAULT: {node.name} is dead")
    start = time.time()
    await host.iptables(node.name, "raw", "-I PREROUTING -i eth0 -j DROP")
    await host.iptables(node.name, "mangle", "-I POSTROUTING -o eth0 -j DROP")
    for pod in victims:
        pod.kill_processes()
    alive = [watcher for watcher in watchers if watcher.stopped_at is None]
    expected = tuple(
        each for each in expected if each.watcher in {watcher.name for watcher in alive}
    )
    await cluster.sleep(NODE_GRACE_SECONDS)
    cluster.log(f"{node.name} is NotReady")
    for pod in victims:
        await pod.lose(cluster)
    end = time.time() + cluster.pace.seconds(PROXY_SECONDS)
    permitted = behind_virtual_address(cluster, watchers)
    return Fault("node killed", start, end, expected, permitted)


async def revive_node(cluster: Cluster, node: Node) -> None:
    """Have a node work again, without pods."""
    await host.iptables(node.name, "raw", "-D PREROUTING -i eth0 -j DROP")
    await host.iptables(node.name, "mangle", "-D POSTROUTING -o eth0 -j DROP")
    node.is_dead = False
    cluster.log(f"{node.name} has booted")


async def block_endpoint(
    cluster: Cluster, pod: Pod, watchers: tuple[Watcher, ...], seconds: float
) -> Fault:
    """Drop what leads to a pod, which stays an endpoint: kubelet still reaches it."""
    rule = f"FORWARD -d {pod.address} -j DROP"
    name = "endpoint unreachable"
    cluster.log(f"FAULT: {pod.name} ({pod.address}) unreachable for {seconds:.0f} s")
    await host.iptables(pod.node.name, "filter", f"-I {rule}")
    start = time.time()
    await asyncio.sleep(seconds)
    await host.iptables(pod.node.name, "filter", f"-D {rule}")
    end = time.time()
    cluster.log(f"END: {pod.name} can be reached")
    through = behind_virtual_address(cluster, watchers)
    expected = tuple(
        Expected(each.watcher, each.address, seconds=end - start, tolerance=8.0)
        for each in (*through, *watching(watchers, [pod]))
    )
    return Fault(name, start, end, expected)


async def stop_names(
    cluster: Cluster, watchers: tuple[Watcher, ...], seconds: float
) -> Fault:
    """Have neither resolver respond."""
    cluster.log(f"FAULT: DNS is dead for {seconds:.0f} s")
    start = time.time()
    for resolver in cluster.resolvers:
        resolver.is_dead = True
    await asyncio.sleep(seconds)
    for resolver in cluster.resolvers:
        resolver.is_dead = False
    cluster.log("END: DNS responds")
    expected = tuple(Expected(watcher.name, "") for watcher in watchers)
    return Fault("DNS dead", start, time.time(), expected)
