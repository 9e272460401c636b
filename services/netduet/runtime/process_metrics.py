"""The metrics that server and client share: build info and starvation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from netduet import __version__

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

    from netduet.runtime.stall_monitor import StallMonitor


def process_registry(collector: Collector) -> CollectorRegistry:
    """Return a registry of a service's metrics and of its process and platform."""
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


def build_info(service: str, instance: str, **node_and_zone: str) -> Metric:
    """Return a metric that is always 1, with the build and its location as labels."""
    labels = {"version": __version__, "service": service, "instance_name": instance}
    labels |= node_and_zone
    build = GaugeMetricFamily(
        "netduet_build_info",
        "Version and identity of this process; always 1.",
        labels=list(labels),
    )
    build.add_metric(list(labels.values()), 1)
    return build


def starvation(stalls: StallMonitor) -> Iterator[Metric]:
    """Yield how long this process could not run, or was throttled."""
    yield CounterMetricFamily(
        "netduet_stalls", "Number of event loop stalls.", value=stalls.count
    )
    yield CounterMetricFamily(
        "netduet_stalled_seconds",
        "Seconds for which the event loop was stalled.",
        value=stalls.total,
    )
    throttled = stalls.throttled()
    if throttled is not None:
        yield CounterMetricFamily(
            "netduet_throttled_seconds",
            "Seconds for which a CPU limit throttled this process.",
            value=throttled,
        )
