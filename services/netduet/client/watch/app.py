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

    asker: Instance
    targets: tuple[Target, ...]
    neighbours: int
    paces: Intervals
    history: int
    words: bool = True


async def watch(
    wanted: WatchOptions,
    context: CheckContext,
    write: Write,
    admin: list[socket.socket],
    told: Callable[[Coroutine[None, None, None]], Coroutine[None, None, None]],
) -> None:
    """Watch until ``told``, which runs the work, returns; then say what it came to.

    ``admin`` are listening sockets of the admin port, none for no such port.
    """
    telling = Notifier(write, words=wanted.words)
    whom = TargetSet(
        tuple(ResolvedTarget(target) for target in wanted.targets),
        # A node's name outlives the container on it: choices do not change with each.
        wanted.asker.node or wanted.asker.instance,
        wanted.neighbours,
    )
    async with StallMonitor() as stalls:
        watching = Monitor(
            whom, wanted.paces, context, stalls, telling=telling, history=wanted.history
        )
        targets = [str(target) for target in wanted.targets]
        telling.started(targets, wanted.neighbours, wanted.asker.place)
        state = _State()
        async with _admin(admin, watching, stalls, state, wanted.asker):
            await told(watching.run())
            state.stopping = True
            telling.summary(watching.account.summary(time.monotonic()))


@dataclass(slots=True)
class _State:
    stopping: bool = False


@contextlib.asynccontextmanager
async def _admin(
    sockets: list[socket.socket],
    watching: Monitor,
    stalls: StallMonitor,
    state: _State,
    asker: Instance,
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
            lambda: watching.ready and not state.stopping,
            "watching",
            "a name has not resolved yet, or the watch ends",
        ),
        "/metrics": metrics(WatchMetrics(watching, stalls, asker)),
        "/version": version("netduet-client", asker.instance),
    }
    async with admin_port(sockets, pages):
        for sock in sockets:
            where, port = sock.getsockname()[:2]
            fields = {"server.address": where, "server.port": port}
            logs.logger().info("admin.listening", **fields)
        yield
