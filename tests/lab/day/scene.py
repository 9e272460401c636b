"""A cluster with the workloads of the manifests, and watches in it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from tests.lab.day.cluster import Cluster, Service, running_cluster
from tests.lab.day.judgement import (
    Fault,
    Judgement,
    judge,
    reports,
    taken_back,
    unproven,
)
from tests.lab.day.pace import DNS_TTL_SECONDS, RESOLVE_SECONDS, Pace
from tests.lab.day.pods import Pod
from tests.lab.day.watcher import Watcher
from tests.lab.day.workloads import Deployment, Mesh

VIRTUAL_NAME: Final = "netduet"
EACH_NAME: Final = "netduet-each"
MESH_NAME: Final = "netduet-mesh"
VIRTUAL: Final = "198.19.0.1"


@dataclass(slots=True)
class Scene:
    """Everything that there is; make it by ``scene``."""

    cluster: Cluster
    servers: Deployment
    mesh: Mesh
    clients: list[Pod] = field(default_factory=list)

    async def watch(self, name: str, *targets: str, node: int = 1) -> Watcher:
        """Start a pod that watches names; return its watch."""
        pod = Pod(name, self.cluster.nodes[node - 1], watches=targets)
        self.clients.append(pod)
        await pod.start(self.cluster)
        assert pod.watcher is not None
        await pod.watcher.wait_for("WATCH")
        return pod.watcher

    @property
    def pods(self) -> list[Pod]:
        """The pods with servers."""
        return [*self.servers.pods, *self.mesh.pods.values()]

    @property
    def all_watchers(self) -> tuple[Watcher, ...]:
        """Every watch that there has been."""
        pods = (*self.clients, *self.mesh.past)
        return tuple(pod.watcher for pod in pods if pod.watcher is not None)

    @property
    def watchers(self) -> tuple[Watcher, ...]:
        """The watches that run."""
        return tuple(
            watcher for watcher in self.all_watchers if watcher.stopped_at is None
        )

    async def names_are_known(self) -> None:
        """Wait until nothing runs in the background and no cache is out of date."""
        await self.cluster.settled()
        await self.cluster.sleep(DNS_TTL_SECONDS + RESOLVE_SECONDS)
        await asyncio.sleep(QUIET_SECONDS)

    async def stop(self) -> None:
        """Stop the watches, whose summaries are printed one after the other."""
        await self.cluster.settled()
        for watcher in self.watchers:
            watcher.stop()
            await watcher.ended()

    def judge(self, faults: list[Fault]) -> Judgement:
        """Compare what all watches reported with what happened."""
        made = [
            report
            for watcher in self.all_watchers
            for report in (
                *reports(watcher.name, watcher.events),
                *taken_back(watcher.name, watcher.events, self.cluster.left),
            )
        ]
        return judge(made, faults)

    def unproven(self) -> int:
        """Count the outages that proved nothing."""
        return sum(unproven(watcher.events) for watcher in self.all_watchers)


QUIET_SECONDS: Final = 2.0
"""What a watch waits after the last event of an outage, which is not scaled."""


@contextlib.asynccontextmanager
async def scene(pace: Pace) -> AsyncIterator[Scene]:
    """Make a cluster of three nodes without pods; end everything at the end."""
    virtual, each = Service(VIRTUAL_NAME, VIRTUAL), Service(EACH_NAME)
    mesh = Service(MESH_NAME)
    async with running_cluster(pace, (virtual, each, mesh)) as cluster:
        made = Scene(
            cluster,
            Deployment(cluster, "netduet-server", (virtual, each)),
            Mesh(cluster, mesh),
        )
        try:
            yield made
        finally:
            for pod in (*made.pods, *made.clients):
                pod.kill_processes()
