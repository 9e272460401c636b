"""A small cluster: nodes, pods and Services, as network namespaces of one host.

    POD eth0 —— cni0 NODE eth0 —— bridge, in WIRE —— eth0 NODE … and eth0 DNS

Each node routes to the pods of the others, and leads virtual addresses to endpoints by
iptables, as kube-proxy does. All addresses are of 198.18.0.0/15 (RFC 2544).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from tests.lab.day import host, names
from tests.lab.day.pace import DNS_TTL_SECONDS, PROXY_SECONDS, Pace
from tests.lab.namespace_loop import loop_in_namespace

PORT: Final = 12345
_WIRE: Final = "wire"
_DNS: Final = "dns"
_RESOLVERS: Final = Path("/etc/netns")
_FIRST_POD_NUMBER: Final = 10
_SYSCTLS: Final = (
    "net.ipv4.ip_forward=1",
    # Pods of a node reach each other by way of it, so that it can translate addresses.
    "net.ipv4.conf.all.send_redirects=0",
    "net.ipv4.conf.default.send_redirects=0",
)


State = Literal["ready", "terminating", "unready", "gone"]
"""Of an endpoint; ``terminating`` is no longer ready, but still responds."""


@dataclass(slots=True)
class Node:
    """A node; its pods have the addresses 198.18.NUMBER.0/24."""

    number: int
    schedulable: bool = True
    is_dead: bool = False
    next_address: int = _FIRST_POD_NUMBER

    @property
    def name(self) -> str:
        """The name, which is its namespace's as well."""
        return f"node{self.number}"

    @property
    def pods(self) -> str:
        """The network of its pods."""
        return f"198.18.{self.number}.0/24"

    @property
    def gateway(self) -> str:
        """The address that its pods send everything to."""
        return f"198.18.{self.number}.1"

    @property
    def address(self) -> str:
        """The address that other nodes know."""
        return f"198.18.0.{self.number}"


@dataclass(slots=True)
class Service:
    """A name, its endpoints (addresses of pods), and its virtual address, if any.

    ``ready`` get new connections; ``serving`` are those and the ones that terminate but
    still respond, which keep the connections that they have. ``publishes_unready`` is
    publishNotReadyAddresses: every pod that exists is ready.
    """

    name: str
    virtual: str = ""
    publishes_unready: bool = False
    ready: set[str] = field(default_factory=set)
    serving: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Cluster:
    """What exists; make it by ``running_cluster``."""

    pace: Pace
    nodes: tuple[Node, ...]
    services: dict[str, Service]
    resolvers: tuple[names.CachingResolver, ...]
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    left: dict[str, float] = field(default_factory=dict)
    """When pods began to terminate, by their address, in seconds since 1970."""
    started: float = field(default_factory=time.time)
    _namespaces: set[str] = field(default_factory=set)
    _proxy_locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    def log(self, text: str) -> None:
        """Print what is done to the cluster."""
        now = time.time()
        clock = time.strftime("%H:%M:%S", time.gmtime(now))
        print(f"# {clock}.{int(now % 1 * 10)}Z {text}", flush=True)

    async def sleep(self, real: float) -> None:
        """Wait for so many seconds of a real cluster."""
        await asyncio.sleep(self.pace.seconds(real))

    def in_background(self, work: asyncio.Task[None]) -> asyncio.Task[None]:
        """Keep a task until it is done."""
        self.tasks.add(work)
        work.add_done_callback(self.tasks.discard)
        return work

    async def settled(self) -> None:
        """Wait for what runs in the background; raise what it raised."""
        while self.tasks:
            await asyncio.gather(*self.tasks)

    # Namespaces of pods

    async def add_pod_namespace(self, pod: str, node: Node) -> str:
        """Make a pod's namespace; return its address, which no pod had before."""
        address = f"198.18.{node.number}.{node.next_address}"
        link = f"p{node.next_address}"
        node.next_address += 1
        folder = _RESOLVERS / pod
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "resolv.conf").write_text(names.resolv_conf())
        self._namespaces.add(pod)
        await host.ip(
            "",
            f"netns add {pod}",
            f"link add eth0 netns {pod} type veth peer name {link} netns {node.name}",
        )
        await host.ip(node.name, f"link set {link} master cni0 up")
        await host.ip(
            pod,
            "link set lo up",
            "link set eth0 up",
            f"addr add {address}/32 dev eth0",
            f"route add {node.gateway} dev eth0",
            f"route add default via {node.gateway}",
        )
        return address

    async def delete_pod_namespace(self, pod: str) -> None:
        """Remove a pod's namespace; its address then belongs to nothing."""
        await asyncio.to_thread(host.run, ["ip", "netns", "del", pod], check=False)
        shutil.rmtree(_RESOLVERS / pod, ignore_errors=True)
        self._namespaces.discard(pod)

    # Services

    def set_endpoint(self, service: Service, address: str, state: State) -> None:
        """Change the state of an endpoint.

        DNS knows at once, for what it has not cached; the proxies of the nodes follow.
        """
        before = set(service.ready), set(service.serving)
        is_ready = state == "ready" or (service.publishes_unready and state != "gone")
        is_serving = is_ready or state == "terminating"
        for held, holds in ((service.ready, is_ready), (service.serving, is_serving)):
            (held.add if holds else held.discard)(address)
        if service.virtual and before != (service.ready, service.serving):
            ended = before[1] - service.serving
            for node in self.nodes:
                work = self._update_proxy(node, service, ended)
                self.in_background(asyncio.create_task(work))

    async def _update_proxy(
        self, node: Node, service: Service, ended: set[str]
    ) -> None:
        late = self.pace.seconds(PROXY_SECONDS) * random.uniform(0.3, 1.0)
        await asyncio.sleep(late)
        async with self._proxy_locks.setdefault(node.name, asyncio.Lock()):
            await host.iptables(node.name, "nat", *proxy_rules(service))
            for endpoint in sorted(ended):
                await host.forget_datagram_flows(node.name, service.virtual, endpoint)

    def records(self, name: str) -> tuple[str, ...] | None:
        """Return what DNS has for a service without its cache."""
        service = self.services.get(name)
        if service is None:
            return None
        if service.virtual:
            return (service.virtual,)
        return tuple(sorted(service.ready))

    def fill_caches(self) -> None:
        """Have the resolvers cache what is true now: one for a third of the time.

        For the rest of it they differ, if anything changes.
        """
        for service in self.services:
            for number, resolver in enumerate(self.resolvers):
                resolver.fill(service, resolver.ttl / (1 + 2 * number))

    # Making and removing

    async def create(self) -> None:
        """Make nodes, wire and DNS."""
        for name in (_WIRE, _DNS, *(node.name for node in self.nodes)):
            self._namespaces.add(name)
            await host.ip("", f"netns add {name}")
            await host.ip(name, "link set lo up")
        await host.ip(_WIRE, "link add br0 type bridge", "link set br0 up")
        ends: list[tuple[str, tuple[str, ...]]] = [(_DNS, names.RESOLVERS)]
        ends += [(node.name, (node.address,)) for node in self.nodes]
        for name, addresses in ends:
            await host.sysctl(name, *_SYSCTLS)
            link = (
                f"link add eth0 netns {name} type veth peer name {name} netns {_WIRE}"
            )
            await host.ip("", link)
            await host.ip(_WIRE, f"link set {name} master br0 up")
            lines = [f"addr add {address}/24 dev eth0" for address in addresses]
            routes = [
                f"route add {node.pods} via {node.address}"
                for node in self.nodes
                if node.name != name
            ]
            await host.ip(name, "link set eth0 up", *lines, *routes)
        for node in self.nodes:
            await self._create_node(node)

    async def _create_node(self, node: Node) -> None:
        await host.ip(
            node.name,
            "link add cni0 type bridge",
            "link set cni0 up",
            f"addr add {node.gateway}/24 dev cni0",
            "route add 198.19.0.0/16 dev eth0",
        )
        # What no rule has translated has no endpoint: kube-proxy refuses it.
        await host.iptables(
            node.name, "filter", "-A FORWARD -d 198.19.0.0/16 -j REJECT"
        )
        dns = f"-d {names.VIRTUAL} -p udp --dport 53"
        first, second = (f"-j DNAT --to-destination {each}" for each in names.RESOLVERS)
        half = "-m statistic --mode random --probability 0.5"
        rules = [f"-A PREROUTING {dns} {half} {first}", f"-A PREROUTING {dns} {second}"]
        for service in self.services.values():
            if service.virtual:
                rules += proxy_rules(service)
                rules += [
                    f"-A PREROUTING -d {service.virtual} -j {service.name.upper()}"
                ]
        await host.iptables(node.name, "nat", *rules)

    async def remove(self) -> None:
        """Remove all namespaces."""
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for name in list(self._namespaces):
            await self.delete_pod_namespace(name)


def proxy_rules(service: Service) -> list[str]:
    """Return the rules that lead a virtual address to its endpoints at random. Pure.

    As kube-proxy: those that terminate get new connections only if there are no others.
    """
    chain = service.name.upper()
    endpoints = sorted(service.ready or service.serving)
    rules = [f":{chain} - [0:0]"]
    for number, endpoint in enumerate(endpoints):
        left = len(endpoints) - number
        share = f"-m statistic --mode random --probability {1 / left:.5f} " * (left > 1)
        for protocol in ("tcp", "udp"):
            match = f"-p {protocol} --dport {PORT} {share}"
            rules.append(f"-A {chain} {match}-j DNAT --to-destination {endpoint}")
    return rules


@contextlib.asynccontextmanager
async def running_cluster(
    pace: Pace, services: tuple[Service, ...], nodes: int = 3
) -> AsyncIterator[Cluster]:
    """Make a cluster of so many nodes without pods; remove it at the end."""
    by_name = {service.name: service for service in services}
    made = tuple(Node(number) for number in range(1, nodes + 1))
    cluster = Cluster(pace, made, by_name, ())
    ttl = pace.seconds(DNS_TTL_SECONDS)
    cluster.resolvers = tuple(
        names.CachingResolver(cluster.records, ttl) for _ in names.RESOLVERS
    )
    try:
        await cluster.create()

        async def serve_names() -> None:
            await names.serve(cluster.resolvers)

        with loop_in_namespace(f"/run/netns/{_DNS}", serve_names):
            yield cluster
    finally:
        await cluster.remove()
