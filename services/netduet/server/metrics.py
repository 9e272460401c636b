"""The server's metrics, read from its counters on request.

Names and units follow Prometheus's conventions; every label has few values.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from netduet.net import kernel
from netduet.runtime.process_metrics import build_info, starvation
from netduet.server.recent_clients import WINDOW_SECONDS

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from netduet.net.bind import Sockets
    from netduet.runtime.stall_monitor import StallMonitor
    from netduet.server.context import ServerContext
    from netduet.server.tcp_connection import TcpConnection
    from netduet.server.udp_streams import UdpStreams


class ServerMetrics(Collector):
    """The collector of all server metrics."""

    def __init__(
        self,
        context: ServerContext,
        open_connections: AbstractSet[TcpConnection],
        streams: UdpStreams,
        stalls: StallMonitor,
        sockets: Sockets,
    ) -> None:
        self._context = context
        self._open_connections = open_connections
        self._streams = streams
        self._stalls = stalls
        self._sockets = sockets

    def collect(self) -> Iterator[Metric]:
        """Read all counters now."""
        identity = self._context.handlers.identity
        yield build_info(
            identity.service,
            identity.instance,
            node=identity.node,
            zone=identity.zone,
        )
        yield from self._connections()
        yield from self._datagram_streams()
        yield from self._traffic()
        yield from starvation(self._stalls)

    def _connections(self) -> Iterator[Metric]:
        context = self._context
        counters = context.counters
        yield _gauge("netduet_connections", "Open connections.", context.admission.open)
        yield _gauge(
            "netduet_connections_limit",
            "Maximum number of concurrent connections.",
            context.admission.total,
        )
        yield _gauge(
            "netduet_clients_recently",
            "Client addresses, other than this host's own, that connected as netduet "
            f"clients in the last {WINDOW_SECONDS:g} seconds; 1,024 at most.",
            context.recent_clients.count(time.monotonic()),
        )
        ended = CounterMetricFamily(
            "netduet_connections_ended",
            "Connections that were served and have ended.",
            labels=["dialect", "ended", "by"],
        )
        for labels, count in counters.ended.items():
            ended.add_metric(labels, count)
        yield ended
        refused = CounterMetricFamily(
            "netduet_connections_refused",
            "Connections rejected by a limit, with an error or a reset.",
            labels=["how"],
        )
        refused.add_metric(["told"], counters.refused)
        refused.add_metric(["reset"], counters.turned_away)
        yield refused
        limits = CounterMetricFamily(
            "netduet_limits_reached",
            "Connections ended, and requests and datagrams refused, by limit.",
            labels=["limit"],
        )
        for limit, count in counters.limits.items():
            limits.add_metric([limit], count)
        yield limits

    def _datagram_streams(self) -> Iterator[Metric]:
        streams = self._streams
        yield _gauge("netduet_streams", "Active UDP streams.", len(streams))
        yield _gauge(
            "netduet_streams_limit",
            "Maximum number of concurrent UDP streams.",
            streams.max_streams,
        )
        refused = CounterMetricFamily(
            "netduet_stream_requests_refused",
            (
                "Stream requests rejected, by limit; a client repeats its request "
                "with each datagram."
            ),
            labels=["limit"],
        )
        for limit, count in streams.refused.items():
            refused.add_metric([limit], count)
        yield refused

    def _traffic(self) -> Iterator[Metric]:
        counters = self._context.counters
        for name in ("bytes", "frames"):
            for direction in ("received", "sent"):
                field = f"{name}_{direction}"
                of_open = sum(
                    getattr(connection.wire, field)
                    for connection in self._open_connections
                )
                total = getattr(counters, field) + of_open
                text = f"{name.capitalize()} {direction} over TCP."
                yield CounterMetricFamily(
                    f"netduet_{direction}_{name}", text, value=total
                )
        datagrams = CounterMetricFamily(
            "netduet_datagrams",
            "Datagrams received, by outcome.",
            labels=["result"],
        )
        datagrams.add_metric(["answered"], counters.datagrams_answered)
        datagrams.add_metric(["ignored"], counters.datagrams_ignored)
        datagrams.add_metric(["failed"], counters.datagrams_failed)
        yield datagrams
        dropped = CounterMetricFamily(
            "netduet_socket_drops",
            (
                "Connection attempts and datagrams dropped because a socket's queue "
                "was full."
            ),
            labels=["transport"],
        )
        before = self._context.handlers.listen_drops_before
        openings = partial(kernel.openings_dropped, before=before)
        for transport, sockets, read in (
            ("tcp", self._sockets.tcp, openings),
            ("udp", self._sockets.udp, kernel.socket_drops),
        ):
            drops = [read(sock.fileno()) for sock in sockets]
            known = [count for count in drops if count is not None]
            if known:
                dropped.add_metric([transport], sum(known))
        yield dropped


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
