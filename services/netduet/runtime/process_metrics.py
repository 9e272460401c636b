"""The metrics that both services have: what runs here, and how it fares itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from netduet import __version__

if TYPE_CHECKING:
    from netduet.runtime.stall_monitor import StallMonitor


def build_info(service: str, instance: str, **place: str) -> Metric:
    """Return what runs here as labels of a metric that is always 1; and where."""
    labels = {"version": __version__, "service": service, "instance_name": instance}
    labels |= place
    build = GaugeMetricFamily(
        "netduet_build_info", "What runs here; always 1.", labels=list(labels)
    )
    build.add_metric(list(labels.values()), 1)
    return build


def starvation(stalls: StallMonitor) -> Iterator[Metric]:
    """Give for how long this process could not run, or was held back."""
    yield CounterMetricFamily(
        "netduet_stalls", "Times that the event loop could not run.", value=stalls.count
    )
    yield CounterMetricFamily(
        "netduet_stalled_seconds",
        "Seconds for which the event loop could not run.",
        value=stalls.total,
    )
    throttled = stalls.throttled()
    if throttled is not None:
        yield CounterMetricFamily(
            "netduet_throttled_seconds",
            "Seconds for which a CPU limit held this process back.",
            value=throttled,
        )
