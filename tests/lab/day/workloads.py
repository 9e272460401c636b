"""What ``kubectl`` does to the pods of a Deployment and a DaemonSet."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from tests.lab.day.cluster import Cluster, Node, Service
from tests.lab.day.pods import Pod


@dataclass(slots=True)
class Deployment:
    """Servers behind Services; maxUnavailable 0 and maxSurge 1, as shipped."""

    cluster: Cluster
    name: str
    services: tuple[Service, ...]
    pods: list[Pod] = field(default_factory=list)
    _count: int = 0

    async def scale(self, replicas: int) -> None:
        """Add pods, and wait until they are ready; or have the newest terminate."""
        self.cluster.log(f"kubectl scale {self.name}: {len(self.pods)} to {replicas}")
        added = [await self._add() for _ in range(replicas - len(self.pods))]
        for pod in added:
            await pod.wait_until_ready()
        for pod in sorted(self.pods, key=lambda pod: pod.created)[replicas:]:
            self._terminate(pod)

    async def update(self) -> None:
        """Replace all pods: a rolling update."""
        self.cluster.log(f"kubectl rollout restart {self.name}")
        for old in list(self.pods):
            await (await self._add()).wait_until_ready()
            self._terminate(old)

    async def evict(self, node: Node) -> None:
        """Move the pods of a node to others, one at a time: ``kubectl drain``."""
        self.cluster.log(f"kubectl drain {node.name}")
        node.schedulable = False
        for pod in [pod for pod in self.pods if pod.node is node]:
            self._terminate(pod)
            await (await self._add()).wait_until_ready()

    async def replace_lost(self, pod: Pod) -> None:
        """Start a pod instead of one that is gone already."""
        self.pods.remove(pod)
        await (await self._add()).wait_until_ready()

    async def _add(self) -> Pod:
        self._count += 1
        nodes = [
            node for node in self.cluster.nodes if node.schedulable and not node.is_dead
        ]
        used = Counter(pod.node.number for pod in self.pods)
        node = min(nodes, key=lambda node: (used[node.number], node.number))
        pod = Pod(f"{self.name}-{self._count}", node, self.services)
        self.pods.append(pod)
        await pod.start(self.cluster)
        return pod

    def _terminate(self, pod: Pod) -> None:
        self.cluster.log(f"pod {pod.name} ({pod.address}) terminates")
        self.pods.remove(pod)
        work = pod.terminate(self.cluster)
        self.cluster.in_background(asyncio.create_task(work))


@dataclass(slots=True)
class Mesh:
    """A DaemonSet: on each node a pod with a server and a client that watches them all."""

    cluster: Cluster
    service: Service
    pods: dict[int, Pod] = field(default_factory=dict)
    past: list[Pod] = field(default_factory=list)
    """All pods that there have been."""
    _count: int = 0

    async def start(self) -> None:
        """Start a pod on each node, all at the same time."""
        self.cluster.log("kubectl apply mesh")
        nodes = [node for node in self.cluster.nodes if not node.is_dead]
        await asyncio.gather(*(self.add(node) for node in nodes))
        for pod in self.pods.values():
            await pod.wait_until_ready()

    async def restart(self) -> None:
        """Replace the pods one node after the other: maxUnavailable 1."""
        self.cluster.log("kubectl rollout restart mesh")
        for number, pod in sorted(self.pods.items()):
            self.cluster.log(f"pod {pod.name} ({pod.address}) terminates")
            await pod.terminate(self.cluster)
            await self.add(self.cluster.nodes[number - 1])
            await self.pods[number].wait_until_ready()

    async def add(self, node: Node) -> Pod:
        """Start the pod of a node."""
        self._count += 1
        name = f"mesh-{self._count}"
        pod = Pod(name, node, (self.service,), (self.service.name,))
        self.pods[node.number] = pod
        self.past.append(pod)
        await pod.start(self.cluster)
        return pod
