"""The server: wires everything, handles signals, drains."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Final

import uvloop

from netduet import __version__
from netduet.net import kernel
from netduet.net.bind import BindError, Sockets, bind
from netduet.runtime import logs
from netduet.runtime.stall_monitor import StallMonitor
from netduet.server.access_log import SWEEP_SECONDS, AccessLog
from netduet.server.admission import Admission
from netduet.server.buffer_budget import BufferBudget, max_buffered
from netduet.server.context import ServerContext
from netduet.server.counters import Counters
from netduet.server.drain import drain, wait_for_event
from netduet.server.handlers import Handlers, ServerIdentity, new_id
from netduet.server.holds import HoldBudget
from netduet.server.ledger import Ledger
from netduet.server.limit_log import LimitLog
from netduet.server.limits import connection_limits, rates, traffic_rates
from netduet.server.listener import Listener
from netduet.server.recent_clients import RecentClients
from netduet.server.tcp_connection import TcpConnection
from netduet.server.tls import (
    ReloadedCertificate,
    TlsFileError,
    tls_files,
    watch_files,
)
from netduet.server.traffic_limit import TrafficLimit
from netduet.server.udp_endpoint import UdpEndpoint
from netduet.server.udp_flow_counters import UdpFlowCounters
from netduet.server.udp_streams import UdpStreams
from netduet.server.watchdog import FatalExit, Watchdog

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from netduet.server.settings import ServerSettings

_ACCEPT_QUEUE_SECONDS: Final = 0.8
"""Seconds to empty the accept queues while new connections still arrive.

Below one second, after which a dropped SYN is retransmitted: else the listener would
close during the handshakes of the connections that it held off."""

_WRITE_TIMEOUT_MARGIN_SECONDS: Final = 2.0
"""Seconds by which the kernel's limit exceeds ``write_timeout``, which says more."""

_MIN_WRITE_BUFFER: Final = 4096
"""Bytes of the smallest write buffer, however many connections share the memory."""

_LOBBY_SECONDS: Final = 1.0
"""Seconds for a refused peer's first bytes, which decide in which protocol it gets the reason."""


def serve(settings: ServerSettings, ignored: tuple[str, ...] = ()) -> int:
    """Serve until SIGTERM, SIGINT or the time limit; return the exit status.

    0 after a drain, 2 when the address cannot be listened on, or a file of TLS cannot be
    used. A server that can no longer serve does not return: it ends the process with
    ``EXIT_FAILED``. ``ignored`` names
    environment variables that look like settings but are set by Kubernetes.
    """
    instance = settings.instance or socket.gethostname()
    writer = logs.start(
        sys.stdout.fileno(),
        level=settings.log_level,
        style=settings.log_format,
        queue=settings.log_queue,
        fields={
            "service.name": settings.service,
            "service.instance.id": instance,
            "service.version": __version__,
            **logs.node_and_zone(settings.node, settings.zone),
        },
    )
    log = logs.logger()
    fatal_exit = FatalExit(log, writer)
    try:
        if ignored:
            log.info("settings.ignored", **{"netduet.names": list(ignored)})
        sockets = bind(settings.host, settings.port, udp=settings.udp)
        admin = None
        if settings.admin_port:
            admin = bind(settings.admin_host, settings.admin_port, udp=False)
            # Import uvicorn only if needed, and before the loop runs, which it would
            # stall.
            import netduet.runtime.admin_http  # noqa: F401, PLC0415
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            logs.attach(runner.get_loop(), fatal_exit.out_of_memory)
            server = Server(settings, instance, log, fatal_exit.end)
            runner.run(server.run(sockets, admin))
    except MemoryError:
        fatal_exit.out_of_memory()
    except (BindError, TlsFileError) as error:
        print(f"netduet: {error}", file=sys.stderr)
        return 2
    finally:
        writer.close()
    return 0


class Server:
    """One server process."""

    def __init__(
        self,
        settings: ServerSettings,
        instance: str,
        log: FilteringBoundLogger,
        fail: Callable[[str], None],
    ) -> None:
        """Prepare; ``fail`` is called with the reason when it can no longer serve."""
        limits = connection_limits(settings)
        self._settings = settings
        self._log = log
        self._fail = fail
        self._counters = Counters()
        self._stalls = StallMonitor()
        admission = Admission(
            settings.max_connections,
            settings.max_connections_per_client or settings.max_connections,
            kernel.raise_descriptor_limit(),
            rates(settings.connection_rate_per_client, settings.connection_rate),
        )
        buffered = max_buffered(settings.max_buffered, kernel.memory_limit())
        limit_log = LimitLog(log, self._counters)
        ledger = Ledger(settings.ledger_size)
        identity = ServerIdentity(
            settings.service, instance, new_id(), settings.node, settings.zone
        )
        self._context = ServerContext(
            limits=limits,
            refusal_limits=dataclasses.replace(
                limits,
                first_byte=min(limits.first_byte, _LOBBY_SECONDS),
                opening=min(limits.opening, _LOBBY_SECONDS),
                plain_linger=min(limits.plain_linger, _LOBBY_SECONDS),
            ),
            greeting=settings.greeting.encode(),
            write_buffer=min(
                settings.write_buffer,
                max(_MIN_WRITE_BUFFER, buffered // admission.total),
            ),
            write_timeout=settings.write_timeout,
            handlers=Handlers(
                identity,
                limits,
                ledger,
                self._stalls,
                demands_token=settings.token is not None,
            ),
            ledger=ledger,
            admission=admission,
            counters=self._counters,
            recent_clients=RecentClients(),
            access_log=AccessLog(
                log,
                self._counters,
                admission,
                settings.max_plain_text,
                stalled=lambda: self._stalls.total,
            ),
            buffers=BufferBudget(buffered, limit_log),
            holds=HoldBudget(settings.max_holds, settings.max_holds_per_connection),
            limit_log=limit_log,
            token=b""
            if settings.token is None
            else settings.token.get_secret_value().encode(),
            traffic=TrafficLimit(
                traffic_rates(settings), settings.connection_lifetime, limit_log
            ),
            datagram_rates=rates(
                settings.datagram_rate_per_client, settings.datagram_rate
            ),
        )
        self._identity = identity
        main, admin = tls_files(settings)
        self._tls = None if main is None else ReloadedCertificate(main, log)
        self._admin_tls = None if admin is None else ReloadedCertificate(admin, log)
        self._streams = UdpStreams(
            identity.boot_id,
            max_streams=settings.max_streams,
            max_per_client=min(settings.max_streams, settings.max_streams_per_client),
        )
        self._connections: set[TcpConnection] = set()
        self._listens = False
        self._stop = asyncio.Event()
        self._leave = asyncio.Event()

    async def run(self, sockets: Sockets, admin: Sockets | None = None) -> None:
        """Listen, serve until a signal or the time limit, drain.

        The admin port answers throughout.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        timeout = self._settings.write_timeout + _WRITE_TIMEOUT_MARGIN_SECONDS
        listener = Listener(sockets.tcp, self._accept, timeout)
        handlers = self._context.handlers
        flows = UdpFlowCounters()
        endpoints = [
            UdpEndpoint(
                sock,
                handlers,
                self._counters,
                flows,
                self._streams,
                context=self._context,
            )
            for sock in sockets.udp
        ]
        certificates = [each for each in (self._tls, self._admin_tls) if each]
        async with (
            self._stalls,
            self._admin(admin, sockets),
            self._sweeps(listener),
            watch_files(certificates, loop),
        ):
            await listener.start(self._settings.backlog)
            for endpoint in endpoints:
                endpoint.start(loop)
            self._listens = True
            self._say_listening(sockets)
            await wait_for_event(self._stop, self._settings.time_limit or None)
            self._stop.set()
            self._log.info(
                "server.draining", **{"netduet.open": len(self._connections)}
            )
            await wait_for_event(self._leave, self._settings.shutdown_delay)
            # First, so that each client that still streams is told again and again while
            # the accept queues are emptied: one datagram may be lost.
            self._streams.end()
            await drain(
                self._connections,
                self._counters,
                asyncio.create_task(self._close_sockets(listener, endpoints)),
                self._leave,
                self._settings.drain_timeout,
            )
            self._context.access_log.close(loop.time())
            self._say_stopped()

    def stop(self) -> None:
        """Drain, as after the first signal; called again, stop at once."""
        if self._stop.is_set():
            self._leave.set()
        self._stop.set()

    @contextlib.asynccontextmanager
    async def _admin(
        self, admin: Sockets | None, sockets: Sockets
    ) -> AsyncIterator[None]:
        if admin is None:
            yield
            return
        from netduet.runtime.admin_http import Page, admin_port, metrics, probe, version  # noqa: PLC0415
        from netduet.server.metrics import ServerMetrics  # noqa: PLC0415

        identity = self._identity
        metrics_collector = ServerMetrics(
            self._context, self._connections, self._streams, self._stalls, sockets
        )
        pages: dict[str, Page] = {
            "/livez": probe(lambda: True, "ok", ""),
            "/readyz": probe(self._ready, "listening", "not listening, or draining"),
            "/metrics": metrics(metrics_collector),
            "/version": version(
                identity.service,
                identity.instance,
                node=identity.node,
                zone=identity.zone,
            ),
        }
        wrap = None if self._admin_tls is None else self._admin_tls.wrap
        async with admin_port(admin.tcp, pages, wrap):
            for sock in admin.tcp:
                where = {"server.address": sock.getsockname()[0]}
                self._log.info(
                    "admin.listening", **where, **{"server.port": admin.port}
                )
            yield

    @contextlib.asynccontextmanager
    async def _sweeps(self, listener: Listener) -> AsyncIterator[None]:
        """Have the access log sum up what has ended, and the watchdog look."""
        loop = asyncio.get_running_loop()
        watchdog = Watchdog(self._log, listener, self._counters, self._fail)

        async def sweep() -> None:
            while True:
                await asyncio.sleep(SWEEP_SECONDS)
                try:
                    self._context.access_log.sweep(loop.time())
                    self._sweep_traffic()
                    watchdog.check()
                except MemoryError:  # nobody would hear of the error of this task
                    self._fail("out of memory")

        task = asyncio.create_task(sweep())
        try:
            yield
        finally:
            task.cancel()

    def _sweep_traffic(self) -> None:
        self._context.traffic.sweep(list(self._connections), time.monotonic())

    def _ready(self) -> bool:
        """Whether new connections are welcome: not after the first signal."""
        return self._listens and not self._stop.is_set()

    def _accept(self, descriptor: int | None) -> asyncio.Protocol:
        connection = TcpConnection(self._context, self._connections, descriptor)
        if self._tls is None:
            return connection
        return self._tls.wrap(connection, connection.refuse_plain, connection.fail_tls)

    async def _close_sockets(
        self, listener: Listener, endpoints: list[UdpEndpoint]
    ) -> None:
        """Accept what waits in the accept queues, then close all sockets."""
        try:
            await listener.stop(_ACCEPT_QUEUE_SECONDS)
        finally:
            for endpoint in endpoints:
                endpoint.stop(asyncio.get_running_loop())

    def _say_listening(self, sockets: Sockets) -> None:
        for sock in (*sockets.tcp, *sockets.udp):
            address = sock.getsockname()[0]
            udp = sock.type == socket.SOCK_DGRAM
            self._log.info(
                "server.listening",
                **{
                    "server.address": address,
                    "server.port": sockets.port,
                    "network.transport": "udp" if udp else "tcp",
                    "network.type": "ipv6" if ":" in address else "ipv4",
                },
            )
        for family in dict.fromkeys(sockets.absent):
            self._log.warning("server.family_absent", **{"netduet.family": family})
        self._log.info(
            "server.ready",
            **{
                "netduet.max_connections": self._context.admission.total,
                "netduet.clients": "with the token" if self._context.token else "any",
            },
        )

    def _say_stopped(self) -> None:
        counters = self._counters
        self._log.info(
            "server.stopped",
            **{
                f"netduet.{name}": getattr(counters, name)
                for name in counters.__slots__
                if name != "ended"  # logged as the sum of plain and framed connections
            },
        )
