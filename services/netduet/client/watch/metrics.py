"""The watch's metrics, read from its counters on request.

Names and units follow Prometheus's conventions. The label ``peer`` has one value per
watched peer, so ``--watch-neighbours`` bounds the number of series.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from netduet.client.results.instance import UNKNOWN_INSTANCE
from netduet.client.stats.histogram import BUCKET_SECONDS
from netduet.runtime.process_metrics import build_info, starvation

if TYPE_CHECKING:
    from netduet.client.results.instance import Instance
    from netduet.client.watch.monitor import Monitor
    from netduet.runtime.stall_monitor import StallMonitor

_PEER: Final = ("target", "peer")


class WatchMetrics(Collector):
    """The collector of all metrics of a watch."""

    def __init__(
        self, watching: Monitor, stalls: StallMonitor, client: Instance
    ) -> None:
        self._monitor = watching
        self._stalls = stalls
        self._client = client

    def collect(self) -> Iterator[Metric]:
        """Read all counters now."""
        client = self._client
        yield build_info(
            "netduet-client", client.instance, node=client.node, zone=client.zone
        )
        yield from self._state()
        yield from self._outages()
        yield from self._datagrams()
        yield from self._connections()
        yield self._round_trips()
        yield from starvation(self._stalls)

    def _state(self) -> Iterator[Metric]:
        watching = self._monitor
        yield GaugeMetricFamily(
            "netduet_watched_peers", "Peers watched now.", value=len(watching.peers)
        )
        up = GaugeMetricFamily(
            "netduet_peer_up",
            "Whether a peer is up: 1, or 0 during an outage.",
            labels=_PEER,
        )
        for peer in watching.peers.values():
            well = peer.outage_tracker.ongoing is None
            up.add_metric([peer.target, str(peer.address)], float(well))
        yield up
        yield self._peer_info()
        failed = GaugeMetricFamily(
            "netduet_target_resolves",
            "Whether the last lookup of a target's name succeeded.",
            labels=["target"],
        )
        for resolved in watching.targets.targets:
            failed.add_metric([str(resolved.target)], float(not resolved.error))
        yield failed

    def _peer_info(self) -> Metric:
        """Return the identity of each peer: one series each, so that joins work."""
        info = GaugeMetricFamily(
            "netduet_peer_info",
            (
                "The instance, node and zone of a peer; empty where unknown, or where "
                "several instances respond. Always 1."
            ),
            labels=[*_PEER, "instance_name", "node", "zone"],
        )
        for peer in self._monitor.peers.values():
            identity = peer.instance or UNKNOWN_INSTANCE
            named = [identity.instance, identity.node, identity.zone]
            info.add_metric([peer.target, str(peer.address), *named], 1)
        return info

    def _outages(self) -> Iterator[Metric]:
        tracker = self._monitor.availability
        labels = ["class", "direction"]
        count = CounterMetricFamily(
            "netduet_outages", "Ended outages of all peers.", labels=labels
        )
        for kind, value in tracker.totals.counts.items():
            count.add_metric(kind, value)
        yield count
        seconds = CounterMetricFamily(
            "netduet_outage_seconds",
            "Total duration of these outages, in seconds; netduet_ongoing_outage_seconds has the others.",
            labels=labels,
        )
        for kind, length in tracker.totals.seconds_out.items():
            seconds.add_metric(kind, length)
        yield seconds
        yield CounterMetricFamily(
            "netduet_outages_unproven",
            (
                "Outages that prove nothing about the network, because one end was suspended or starved of CPU."
            ),
            value=tracker.totals.unproven,
        )
        findings = CounterMetricFamily(
            "netduet_findings",
            "Findings of scheduled checks, counted when they begin.",
            labels=["class"],
        )
        for failure, value in tracker.findings.items():
            findings.add_metric([failure], value)
        yield findings
        yield from self._peer_outages()
        yield from self._target_outages()

    def _peer_outages(self) -> Iterator[Metric]:
        tracker, now = self._monitor.availability, time.monotonic()
        each = CounterMetricFamily(
            "netduet_peer_outages",
            "Ended outages of a peer; also of the latest peers that left after one.",
            labels=_PEER,
        )
        down = CounterMetricFamily(
            "netduet_peer_down_seconds",
            "Seconds without new work for a peer, those of an ongoing outage included; UDP alone does not count.",
            labels=_PEER,
        )
        for peer in (*tracker.peers.values(), *tracker.remembered()):
            each.add_metric([peer.target, peer.peer], peer.totals.outages)
            down.add_metric([peer.target, peer.peer], peer.count_down(now))
        yield each
        yield down
        yield from self._peer_partial_failures(now)
        ongoing = GaugeMetricFamily(
            "netduet_ongoing_outage_seconds",
            "Duration so far of ongoing outages, as classified now, in seconds.",
            labels=["class", "direction"],
        )
        for kind, seconds in tracker.ongoing(now).items():
            ongoing.add_metric(kind, seconds)
        yield ongoing

    def _peer_partial_failures(self, now: float) -> Iterator[Metric]:
        tracker = self._monitor.availability
        ratio = GaugeMetricFamily(
            "netduet_peer_failing_ratio",
            "Share of new connections that fail now, during a partial failure; otherwise 0.",
            labels=_PEER,
        )
        for peer in self._monitor.peers.values():
            values = [peer.target, str(peer.address)]
            ratio.add_metric(values, peer.partial_failures.share)
        yield ratio
        seconds = CounterMetricFamily(
            "netduet_peer_partial_seconds",
            "Seconds in which part of the new connections failed, up to now.",
            labels=_PEER,
        )
        for row in (*tracker.peers.values(), *tracker.remembered()):
            seconds.add_metric([row.target, row.peer], row.count_partial(now))
        yield seconds

    def _target_outages(self) -> Iterator[Metric]:
        """Return what remains when the peers are gone: a series for each target."""
        tracker = self._monitor.availability
        each = CounterMetricFamily(
            "netduet_target_outages",
            "Ended outages of all addresses of a target, of those that have left too.",
            labels=["target"],
        )
        down = CounterMetricFamily(
            "netduet_target_down_seconds",
            "Seconds without new work for addresses of a target, of those that have left too, and those of ongoing outages.",
            labels=["target"],
        )
        partial = CounterMetricFamily(
            "netduet_target_partial_failures",
            "Times in which part of the new connections failed, counted when they begin.",
            labels=["target"],
        )
        partial_seconds = CounterMetricFamily(
            "netduet_target_partial_seconds", "Their seconds.", labels=["target"]
        )
        for target, totals in tracker.by_target(time.monotonic()).items():
            each.add_metric([target], totals.outages)
            down.add_metric([target], totals.down_seconds)
            partial.add_metric([target], totals.partial_failures)
            partial_seconds.add_metric([target], totals.partial_seconds)
        yield from (each, down, partial, partial_seconds)

    def _datagrams(self) -> Iterator[Metric]:
        labels = [*_PEER, "direction"]
        sent = CounterMetricFamily(
            "netduet_peer_datagrams",
            "Datagrams that the streams sent, by direction.",
            labels=labels,
        )
        lost = CounterMetricFamily(
            "netduet_peer_datagrams_lost",
            "Datagrams that the streams lost, by direction.",
            labels=labels,
        )
        for peer in self._monitor.peers.values():
            totals = peer.totals()
            for direction, counts in (
                ("to_server", totals.up),
                ("from_server", totals.down),
            ):
                values = [peer.target, str(peer.address), direction]
                sent.add_metric(values, counts.sent)
                lost.add_metric(values, counts.lost)
        yield sent
        yield lost

    def _connections(self) -> Iterator[Metric]:
        connections = CounterMetricFamily(
            "netduet_peer_connections",
            (
                "New connections by result: succeeded in time, failed, or void because this end was suspended or starved of CPU."
            ),
            labels=[*_PEER, "result"],
        )
        for peer in self._monitor.peers.values():
            connect_tracker = peer.connect_probe.tracker
            for result, value in (
                ("worked", connect_tracker.started - connect_tracker.failed),
                ("failed", connect_tracker.failed),
                ("void", connect_tracker.void),
            ):
                connections.add_metric([peer.target, str(peer.address), result], value)
        yield connections

    def _round_trips(self) -> Metric:
        histogram = HistogramMetricFamily(
            "netduet_peer_round_trip_seconds",
            "Round-trip times of small requests on the long-lived connection.",
            labels=_PEER,
        )
        bounds = [*map(str, BUCKET_SECONDS), "+Inf"]
        for peer in self._monitor.peers.values():
            counts = itertools.accumulate(peer.round_trips.counts)
            buckets = list(zip(bounds, map(float, counts), strict=True))
            values = [peer.target, str(peer.address)]
            histogram.add_metric(values, buckets, peer.round_trips.sum)
        return histogram
