"""Pods: real ``netduet serve`` and ``netduet watch`` processes on addresses of their own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import dataclass, field
from typing import Final

from tests.lab.day import host
from tests.lab.day.cluster import PORT, Cluster, Node, Service, State
from tests.lab.day.pace import PRE_STOP_SECONDS, PROBE_SECONDS, READINESS_SECONDS
from tests.lab.day.watcher import Watcher

_START_SECONDS: Final = 60.0
_RESTART_SECONDS: Final = 1.0
"""How long kubelet needs to notice a dead container."""
_GRACE_SECONDS: Final = 30.0
"""The terminationGracePeriodSeconds of the manifests; never scaled."""


def environment() -> dict[str, str]:
    """Return what every process needs to know."""
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}


@dataclass(slots=True, eq=False)
class Pod:
    """A pod of a workload: a server, a client, or both.

    ``services`` are those whose endpoint its server is, none without a server;
    ``watches`` are the names that its client watches, none without a client.
    """

    name: str
    node: Node
    services: tuple[Service, ...] = ()
    watches: tuple[str, ...] = ()
    address: str = ""
    is_leaving: bool = False
    created: float = 0.0
    ready_at: float = 0.0
    watcher: Watcher | None = None
    _server: Process | None = None
    _ready: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def is_ready(self) -> bool:
        """Whether its server is an endpoint."""
        return self._ready.is_set() and not self.is_leaving

    async def start(self, cluster: Cluster) -> None:
        """Make the namespace and start the containers; do not wait until it is ready."""
        self.created = time.time()
        self.address = await cluster.add_pod_namespace(self.name, self.node)
        self._set_endpoint(cluster, "unready")
        if self.watches:
            self.watcher = Watcher(self.name, self.node.name)
            times = cluster.pace.client_environment()
            if self.services:
                times |= cluster.pace.mesh_environment()
            await self.watcher.start(self.name, times, *self.watches)
        if self.services:
            await self._start_server(cluster)

    async def wait_until_ready(self) -> None:
        """Wait until the pod is an endpoint."""
        async with asyncio.timeout(_START_SECONDS):
            await self._ready.wait()

    async def _start_server(self, cluster: Cluster) -> None:
        settings = {
            "NETDUET_SERVER_SERVICE": self.services[0].name,
            "NETDUET_SERVER_INSTANCE": self.name,
            "NETDUET_SERVER_NODE": self.node.name,
            "NETDUET_SERVER_PORT": str(PORT),
        }
        command = host.inside_unprivileged(
            self.name, sys.executable, "-m", "netduet", "serve"
        )
        self._server = await asyncio.create_subprocess_exec(
            *command,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=DEVNULL,
            env=environment() | settings | cluster.pace.server_environment(),
        )
        follow = self._follow_server(cluster, self._server)
        self._tasks.append(asyncio.create_task(follow))

    async def _follow_server(self, cluster: Cluster, server: Process) -> None:
        """Read what the server logs; once it listens, the pod is ready."""
        assert server.stdout is not None
        async for line in server.stdout:
            if b'"server.ready"' in line:
                if self.watcher is not None:
                    # A real client starts faster than kubelet probes, also if scaled.
                    await self.watcher.wait_for("WATCH")
                await cluster.sleep(PROBE_SECONDS)
                if self.is_leaving:
                    continue
                self.ready_at = time.time()
                self._set_endpoint(cluster, "ready")
                self._ready.set()

    async def terminate(self, cluster: Cluster) -> None:
        """Delete the pod as ``kubectl delete`` does; return when it is gone.

        It leaves the endpoints, the client gets SIGTERM, and the server gets it after
        preStop.
        """
        self.is_leaving = True
        cluster.left[self.address] = time.time()
        self._set_endpoint(cluster, "terminating")
        if self.watcher is not None:
            self.watcher.stop()
        if self._server is not None:
            await cluster.sleep(PRE_STOP_SECONDS)
            self._signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(cluster.pace.seconds(READINESS_SECONDS)):
                    await self._server.wait()
            self._set_endpoint(cluster, "unready")
        await self._remove(cluster)

    async def kill(self, cluster: Cluster) -> None:
        """Kill all processes at once: a force-deleted pod."""
        self.is_leaving = True
        self.kill_processes()
        self._set_endpoint(cluster, "gone")
        await self._remove(cluster)

    async def lose(self, cluster: Cluster) -> None:
        """Take a pod of a dead node, whose processes are gone, out of everything."""
        self._set_endpoint(cluster, "gone")
        self.is_leaving = True
        await self._ended()
        await cluster.delete_pod_namespace(self.name)

    async def restart_server(self, cluster: Cluster) -> None:
        """Kill the server alone, and start it again, as kubelet does after a crash."""
        assert self._server is not None
        self._ready.clear()
        self._signal(signal.SIGKILL)
        await self._server.wait()
        await asyncio.sleep(_RESTART_SECONDS)
        self._set_endpoint(cluster, "unready")
        await self._start_server(cluster)

    def kill_processes(self) -> None:
        """Kill all processes; namespace and endpoint stay."""
        self._signal(signal.SIGKILL)
        if self.watcher is not None:
            self.watcher.stop(signal.SIGKILL)

    def _set_endpoint(self, cluster: Cluster, state: State) -> None:
        for service in self.services:
            cluster.set_endpoint(service, self.address, state)

    def _signal(self, number: int) -> None:
        if self._server is not None and self._server.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._server.send_signal(number)

    async def _remove(self, cluster: Cluster) -> None:
        try:
            async with asyncio.timeout(_GRACE_SECONDS):
                await self._ended()
        except TimeoutError:
            self.kill_processes()
            await self._ended()
        self._set_endpoint(cluster, "gone")
        await cluster.delete_pod_namespace(self.name)

    async def _ended(self) -> None:
        if self._server is not None:
            await self._server.wait()
        if self.watcher is not None:
            await self.watcher.ended()
        await asyncio.gather(*self._tasks)
