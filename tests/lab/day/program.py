"""The healthy day in miniature, and the same day with five faults."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from tests.lab.day import faults
from tests.lab.day.judgement import Fault
from tests.lab.day.scene import EACH_NAME, VIRTUAL_NAME, Scene

CYCLES: Final = 20
"""Each scales up and down."""
_UPDATE_CYCLES: Final = 2
_RESTART_CYCLES: Final = 4
"""A rolling update in every second one, a restart of the mesh in every fourth."""
_BLOCKED_SECONDS: Final = 30.0
"""A third of the connections fail: after some 15 s that is certain."""
_REPLICAS: Final = 3


Play = Callable[[], Awaitable[Fault]]


@dataclass(slots=True)
class Day:
    """A day of a cluster. ``with_faults``: five of them, each while nothing else changes."""

    scene: Scene
    cycles: int = CYCLES
    with_faults: bool = False
    happened: list[Fault] = field(default_factory=list)

    async def play(self) -> list[Fault]:
        """Play the day; return its faults."""
        scene = self.scene
        await scene.servers.scale(_REPLICAS)
        await scene.mesh.start()
        await scene.watch("each", EACH_NAME)
        await scene.watch("vip", VIRTUAL_NAME)
        due = self._faults() if self.with_faults else []
        for cycle in range(1, self.cycles + 1):
            await scene.servers.scale(_REPLICAS + 1 + cycle % 2)
            await scene.servers.scale(_REPLICAS)
            if cycle % _UPDATE_CYCLES == 0:
                await scene.servers.update()
            if cycle % _RESTART_CYCLES == 0:
                await scene.mesh.restart()
            if due and cycle % (self.cycles // 5) == 0:
                await scene.names_are_known()
                self.happened.append(await due.pop(0)())
                await scene.names_are_known()
        await scene.names_are_known()
        return self.happened

    def _faults(self) -> list[Play]:
        return [
            self._kill_server,
            self._cut_both,
            self._cut_one_way,
            self._kill_node,
            self._block_endpoint,
        ]

    async def _kill_server(self) -> Fault:
        scene = self.scene
        pod = scene.servers.pods[-1]
        return await faults.kill_server(scene.cluster, pod, scene.watchers)

    async def _cut_both(self) -> Fault:
        return await self._cut(both=True)

    async def _cut_one_way(self) -> Fault:
        return await self._cut(both=False)

    async def _cut(self, *, both: bool) -> Fault:
        scene = self.scene
        first, second, _ = scene.cluster.nodes
        return await faults.cut_link(
            scene.cluster, (first, second), scene.pods, scene.watchers, both=both
        )

    async def _kill_node(self) -> Fault:
        """Kill a node; its server is replaced elsewhere, and it boots again."""
        scene = self.scene
        node = scene.cluster.nodes[2]
        fault = await faults.kill_node(scene.cluster, node, scene.pods, scene.watchers)
        for pod in [pod for pod in scene.servers.pods if pod.node is node]:
            await scene.servers.replace_lost(pod)
        await scene.names_are_known()
        await faults.revive_node(scene.cluster, node)
        await (await scene.mesh.add(node)).wait_until_ready()
        return fault

    async def _block_endpoint(self) -> Fault:
        scene = self.scene
        pod = scene.servers.pods[-1]
        return await faults.block_endpoint(
            scene.cluster, pod, scene.watchers, _BLOCKED_SECONDS
        )
