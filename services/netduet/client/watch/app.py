"""The command ``watch``: settings to a watch, its admin port, its end by a signal."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netduet.client.watch.discovery import ResolvedTarget, TargetSet
from netduet.client.watch.monitor import Intervals, Monitor
from netduet.client.watch.notifier import Notifier, Write
from netduet.runtime import logs
from netduet.runtime.stall_monitor import StallMonitor

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from netduet.client.checks.base import CheckContext
    from netduet.client.results.instance import Instance
    from netduet.client.results.target import Target


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What a watch is to do, and who does it. ``neighbours`` 0: all addresses of a name.

    ``words`` False: nothing but log lines tell.
    """

    client: Instance
    targets: tuple[Target, ...]
    neighbours: int
    intervals: Intervals
    history: int
    words: bool = True


async def watch(
    options: WatchOptions,
    context: CheckContext,
    write: Write,
    admin: list[socket.socket],
    run: Callable[[Coroutine[None, None, None]], Coroutine[None, None, None]],
) -> None:
    """Watch until ``run``, which runs the work, returns; then say what it came to.

    ``admin`` are listening sockets of the admin port, none for no such port.
    """
    notifier = Notifier(write, words=options.words)
    targets = TargetSet(
        tuple(ResolvedTarget(target) for target in options.targets),
        # A node's name outlives the container on it: choices do not change with each.
        options.client.node or options.client.instance,
        options.neighbours,
    )
    async with StallMonitor() as stalls:
        monitor = Monitor(
            targets,
            options.intervals,
            context,
            stalls,
            notifier=notifier,
            history=options.history,
        )
        names = [str(target) for target in options.targets]
        notifier.started(names, options.neighbours, options.client.place)
        state = _State()
        async with _admin(admin, monitor, stalls, state, options.client):
            await run(monitor.run())
            state.stopping = True
            notifier.summary(monitor.availability.summary(time.monotonic()))


@dataclass(slots=True)
class _State:
    stopping: bool = False


@contextlib.asynccontextmanager
async def _admin(
    sockets: list[socket.socket],
    monitor: Monitor,
    stalls: StallMonitor,
    state: _State,
    client: Instance,
) -> AsyncIterator[None]:
    """Serve the admin port, if there is one."""
    if not sockets:
        yield
        return
    from netduet.client.watch.metrics import WatchMetrics  # noqa: PLC0415
    from netduet.runtime.admin_http import Page, admin_port, metrics, probe, version  # noqa: PLC0415

    pages: dict[str, Page] = {
        "/livez": probe(lambda: True, "the loop turns", ""),
        "/readyz": probe(
            lambda: monitor.ready and not state.stopping,
            "watching",
            "a name has not resolved yet, or the watch ends",
        ),
        "/metrics": metrics(WatchMetrics(monitor, stalls, client)),
        "/version": version("netduet-client", client.instance),
    }
    async with admin_port(sockets, pages):
        for sock in sockets:
            where, port = sock.getsockname()[:2]
            fields = {"server.address": where, "server.port": port}
            logs.logger().info("admin.listening", **fields)
        yield
