"""The normal operations and the faults, each in a cluster of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from tests.lab.day import faults
from tests.lab.day.judgement import Expected, Fault
from tests.lab.day.scene import EACH_NAME, VIRTUAL_NAME, Scene
from tests.lab.day.watcher import Watcher

Row = Callable[[Scene], Awaitable[list[Fault]]]
"""Plays what it is named after; returns the faults that must be reported."""

PARTIAL_SECONDS: Final = 44.0
_METRICS: Final = (
    "netduet_outage",
    "netduet_peer_up",
    "netduet_peer_outage",
    "netduet_peer_down",
    "netduet_peer_avail",
)


async def scale_down(scene: Scene) -> list[Fault]:
    """Scale from 5 to 2, gracefully."""
    await scene.servers.scale(5)
    await _watch_all(scene, "each", EACH_NAME)
    scene.cluster.fill_caches()
    await scene.servers.scale(2)
    await scene.names_are_known()
    return []


async def scale_up(scene: Scene) -> list[Fault]:
    """Scale from 2 to 5: when are the new pods seen?"""
    await scene.servers.scale(2)
    watcher = await _watch_all(scene, "each", EACH_NAME)
    scaled = asyncio.create_task(scene.servers.scale(5))
    while not any(pod.is_ready for pod in scene.servers.pods[2:]):
        scene.cluster.fill_caches()
        await asyncio.sleep(0.05)
    await scaled
    await scene.names_are_known()
    _print_delays(scene, [watcher])
    return []


async def rolling_update(scene: Scene) -> list[Fault]:
    """Replace both servers, watched through the virtual address and by name."""
    await scene.servers.scale(2)
    await _watch_virtual(scene)
    await _watch_all(scene, "each", EACH_NAME)
    scene.cluster.fill_caches()
    await scene.servers.update()
    await scene.names_are_known()
    return []


async def mesh_restart(scene: Scene) -> list[Fault]:
    """Restart the mesh, one node after the other."""
    await _start_mesh(scene)
    scene.cluster.fill_caches()
    await scene.mesh.restart()
    await scene.names_are_known()
    return []


async def drain(scene: Scene) -> list[Fault]:
    """Drain a node: its server moves, the mesh stays."""
    await scene.servers.scale(3)
    await _watch_virtual(scene)
    await _watch_all(scene, "each", EACH_NAME)
    scene.cluster.fill_caches()
    await scene.servers.evict(scene.cluster.nodes[2])
    await scene.names_are_known()
    return []


async def first_start(scene: Scene) -> list[Fault]:
    """Start the mesh: when does each client see the others?"""
    await scene.mesh.start()
    await scene.names_are_known()
    _print_delays(scene, scene.watchers)
    return []


async def partial(scene: Scene) -> list[Fault]:
    """Have one of two endpoints behind the virtual address unreachable for 44 s."""
    await scene.servers.scale(3)
    await scene.servers.scale(2)
    watcher = await _watch_virtual(scene)
    pod = scene.servers.pods[-1]
    fault = await faults.block_endpoint(scene.cluster, pod, (watcher,), PARTIAL_SECONDS)
    await scene.names_are_known()
    return [fault]


async def node_killed(scene: Scene) -> list[Fault]:
    """Kill a node with a server and a mesh pod; it becomes NotReady."""
    await scene.servers.scale(3)
    await _start_mesh(scene)
    watcher = await _watch_all(scene, "each", EACH_NAME)
    node = scene.cluster.nodes[2]
    fault = await faults.kill_node(scene.cluster, node, scene.pods, scene.watchers)
    await scene.names_are_known()
    await _print_metrics(scene, watcher)
    return [fault]


async def server_killed(scene: Scene) -> list[Fault]:
    """Kill a server, which kubelet restarts on the same address."""
    await scene.servers.scale(2)
    await _watch_virtual(scene)
    await _watch_all(scene, "each", EACH_NAME)
    pod = scene.servers.pods[-1]
    fault = await faults.kill_server(scene.cluster, pod, scene.watchers)
    await scene.names_are_known()
    return [fault]


async def pod_deleted(scene: Scene) -> list[Fault]:
    """Delete a pod without grace; another one replaces it."""
    await scene.servers.scale(2)
    await _watch_all(scene, "each", EACH_NAME)
    pod = scene.servers.pods[-1]
    fault = await faults.force_delete(scene.cluster, pod, scene.watchers)
    await scene.servers.replace_lost(pod)
    await scene.names_are_known()
    return [fault]


async def link_cut(scene: Scene) -> list[Fault]:
    """Cut the link between two nodes of the mesh, both ways."""
    return await _cut(scene, both=True)


async def link_cut_one_way(scene: Scene) -> list[Fault]:
    """Cut the link between two nodes of the mesh, one way."""
    return await _cut(scene, both=False)


async def brief(scene: Scene) -> list[Fault]:
    """Watch before a server is ready, have one leave, cut a link: what the suite plays."""
    watcher = await scene.watch("each", EACH_NAME)
    await watcher.wait_for("NAME")
    await scene.servers.scale(3)
    await _see_all(scene, watcher)
    scene.cluster.fill_caches()
    await scene.servers.scale(2)
    await scene.cluster.settled()
    first, second, _ = scene.cluster.nodes
    fault = await faults.cut_link(
        scene.cluster, (first, second), scene.pods, scene.watchers, both=True
    )
    await scene.names_are_known()
    return [fault]


async def dns_dead(scene: Scene) -> list[Fault]:
    """Have DNS dead for 15 s."""
    await scene.servers.scale(2)
    await _watch_all(scene, "each", EACH_NAME)
    fault = await faults.stop_names(scene.cluster, scene.watchers, faults.DNS_SECONDS)
    await scene.names_are_known()
    return [fault]


async def open_at_stop(scene: Scene) -> list[Fault]:
    """Stop a watch while an outage lasts; another peer of it never answered."""
    await scene.servers.scale(2)
    pod = scene.servers.pods[-1]
    nobody = f"198.18.{pod.node.number}.250"
    watcher = await scene.watch("both", pod.address, nobody)
    await watcher.wait_for(f"{pod.address}:12345 is instance", f"OUT   {nobody}")
    fault_start = scene.cluster.started
    pod.kill_processes()
    scene.cluster.log(f"FAULT: {pod.name} ({pod.address}) is gone for ever")
    await watcher.wait_for(f"OUT   {pod.address}")
    for _ in range(2):
        await _print_metrics(scene, watcher)
        await asyncio.sleep(3.0)
    await scene.stop()
    for event in watcher.events:
        if event["event"] not in ("peer.added", "peer.identified", "watch.started"):
            print(event)
    expected = tuple(
        Expected(watcher.name, address) for address in (pod.address, nobody)
    )
    end = scene.cluster.started + 600
    return [Fault("gone for ever", fault_start, end, expected)]


ROWS: Final[dict[str, Row]] = {
    row.__name__.replace("_", "-"): row
    for row in (
        scale_down,
        rolling_update,
        mesh_restart,
        drain,
        first_start,
        scale_up,
        partial,
        node_killed,
        open_at_stop,
        server_killed,
        pod_deleted,
        link_cut,
        link_cut_one_way,
        dns_dead,
        brief,
    )
}


async def _watch_all(scene: Scene, name: str, target: str) -> Watcher:
    """Watch a headless name; return when each server's instance is known."""
    watcher = await scene.watch(name, target)
    await _see_all(scene, watcher)
    return watcher


async def _see_all(scene: Scene, watcher: Watcher) -> None:
    """Wait until a watch knows each server's instance, and its probes are under way."""
    await watcher.wait_for(*(f"is instance {pod.name} " for pod in scene.servers.pods))
    await asyncio.sleep(2.0)


async def _watch_virtual(scene: Scene) -> Watcher:
    """Watch the virtual address; return when it has answered."""
    watcher = await scene.watch("vip", VIRTUAL_NAME)
    await watcher.wait_for(" IS ")
    await asyncio.sleep(2.0)
    return watcher


async def _start_mesh(scene: Scene) -> None:
    await scene.mesh.start()
    for pod in scene.mesh.pods.values():
        others = [
            f"is instance {other.name} "
            for other in scene.mesh.pods.values()
            if other is not pod
        ]
        assert pod.watcher is not None
        await pod.watcher.wait_for(*others)
    await asyncio.sleep(2.0)


async def _cut(scene: Scene, *, both: bool) -> list[Fault]:
    await _start_mesh(scene)
    first, second, _ = scene.cluster.nodes
    fault = await faults.cut_link(
        scene.cluster, (first, second), scene.pods, scene.watchers, both=both
    )
    await scene.names_are_known()
    return [fault]


def _print_delays(scene: Scene, watchers: tuple[Watcher, ...] | list[Watcher]) -> None:
    """Print how long after it was ready each pod was watched."""
    for watcher in watchers:
        for pod in scene.pods:
            for at in watcher.added_at(pod.address)[:1]:
                late = at - pod.ready_at
                real = late / scene.cluster.pace.scale
                scene.cluster.log(
                    f"{watcher.name}: {pod.name} is watched {late:.1f} s after it was"
                    f" ready (at real speed {real:.0f} s)"
                )


async def _print_metrics(scene: Scene, watcher: Watcher) -> None:
    for sample in await watcher.metrics(*_METRICS):
        scene.cluster.log(f"{watcher.name}: {sample}")
