"""The command ``watch``: wires the monitor, its output and the admin port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from netduet.client.commands.setup import (
    UNUSABLE,
    WriteLines,
    check_context,
    client_instance,
    log_ignored,
    no_output,
    prove_token,
    start_logs,
)
from netduet.client.commands.signals import SignalScope
from netduet.client.commands.tls import client_tls
from netduet.client.net.client_tls import use_tls
from netduet.client.net.run_id import start_run
from netduet.client.report.terminal import writer
from netduet.client.watch.discovery import ResolvedTarget, TargetSet
from netduet.client.watch.monitor import Intervals, Monitor
from netduet.client.watch.notifier import Notifier
from netduet.net import kernel
from netduet.net.bind import BindError, bind
from netduet.runtime import logs
from netduet.runtime.stall_monitor import StallMonitor

if TYPE_CHECKING:
    from netduet.client.results.instance import Instance
    from netduet.client.results.target import Target
    from netduet.client.settings import ClientSettings
    from netduet.client.watch.endpoint_lookup import EndpointLookup


def watch(
    settings: ClientSettings,
    targets: tuple[Target, ...],
    ignored: tuple[str, ...] = (),
) -> int:
    """Watch the targets until a signal, then print a summary; return the exit status.

    0 after a signal, 2 when the admin port cannot be listened on. ``ignored`` as for
    ``check``. With ``json_report`` the only output is log lines, from level info on.
    """
    prove_token(settings)
    log_writer = start_logs(settings, verbose=settings.json_report)
    try:
        log_ignored(ignored)
        admin = []
        if settings.admin_port:
            admin = bind(settings.admin_host, settings.admin_port, udp=False).tcp
            import netduet.runtime.admin_http  # noqa: F401, PLC0415 - before the loop runs, or it stalls
        kernel.raise_descriptor_limit()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            logs.attach(runner.get_loop())
            runner.run(_watch(settings, targets, admin))
    except BindError as error:
        print(f"netduet: {error}", file=sys.stderr)
        return UNUSABLE
    finally:
        log_writer.close()
    return 0


async def _watch(
    settings: ClientSettings, targets: tuple[Target, ...], admin: list[socket.socket]
) -> None:
    """Watch until a signal; ``admin`` are the sockets of the admin port, if any."""
    context = check_context(settings, targets[0], "")
    # Each address is checked separately, so the number of instances is not known.
    options = replace(context.options, expect_instances=0)
    context = replace(context, profile="quick", options=options)
    client = client_instance(settings)
    start_run()
    use_tls(client_tls(settings, targets[0].host))
    signals = SignalScope()
    write: WriteLines = no_output if settings.json_report else writer(settings.color)
    notifier = Notifier(write, words=not settings.json_report)
    target_set = TargetSet(
        tuple(ResolvedTarget(target) for target in targets),
        # A node's name is more stable than a container's, and so are the choices.
        client.node or client.instance,
        settings.watch_neighbours,
        endpoints=_endpoint_lookup(settings, notifier),
    )
    async with StallMonitor() as stalls:
        monitor = Monitor(
            target_set,
            Intervals(
                settings.watch_interval,
                settings.watch_checks_interval,
                settings.watch_resolve_interval,
                settings.watch_start_delay,
            ),
            context,
            stalls,
            notifier=notifier,
            history=settings.watch_history,
        )
        names = [str(target) for target in targets]
        notifier.started(names, settings.watch_neighbours, client.node_and_zone)
        async with _admin_port(admin, monitor, stalls, signals, client):
            await signals.run(monitor.run())
            notifier.summary(monitor.summary())


def _endpoint_lookup(
    settings: ClientSettings, notifier: Notifier
) -> EndpointLookup | None:
    if not settings.watch_service_account:
        return None
    from netduet.client.net.endpoint_slices import ServiceAccount  # noqa: PLC0415
    from netduet.client.watch.endpoint_lookup import EndpointLookup  # noqa: PLC0415

    account = ServiceAccount.at(Path(settings.watch_service_account))
    return EndpointLookup(account, notifier.lookup_source)


@contextlib.asynccontextmanager
async def _admin_port(
    sockets: list[socket.socket],
    monitor: Monitor,
    stalls: StallMonitor,
    signals: SignalScope,
    client: Instance,
) -> AsyncIterator[None]:
    if not sockets:
        yield
        return
    from netduet.client.watch.metrics import WatchMetrics  # noqa: PLC0415
    from netduet.runtime.admin_http import Page, admin_port, metrics, probe, version  # noqa: PLC0415

    pages: dict[str, Page] = {
        "/livez": probe(lambda: True, "ok", ""),
        "/readyz": probe(
            lambda: monitor.ready and not signals.stopped,
            "watching",
            "a name has not resolved yet, or the watch is ending",
        ),
        "/metrics": metrics(WatchMetrics(monitor, stalls, client)),
        "/version": version("netduet-client", client.instance),
    }
    async with admin_port(sockets, pages):
        for sock in sockets:
            address, port = sock.getsockname()[:2]
            fields = {"server.address": address, "server.port": port}
            logs.logger().info("admin.listening", **fields)
        yield
