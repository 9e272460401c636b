"""The latest delay of the echoes during a load."""

from __future__ import annotations

import socket
import time

import pytest

from netduet.client.checks.load.latency_probe import LatencyProbe
from netduet.client.checks.load.results import EchoTiming
from netduet.client.net.dial import Address

NOW = 1000.0


@pytest.mark.parametrize(
    ("echoes", "latest"),
    [
        ([], None),
        ([(0.4, None), (0.3, None)], None),
        ([(0.4, 0.1)], 0.1),
        # A long way: several are always under way, and none of them is overdue.
        ([(0.21, 0.1), (0.09, None), (0.05, None)], 0.1),
        # A queue: the next one has been due for longer than the last one took.
        ([(0.9, 0.1), (0.7, None), (0.05, None)], 0.7),
    ],
)
def test_latest_delay_is_last_echo_or_overdue_time(
    monkeypatch: pytest.MonkeyPatch,
    echoes: list[tuple[float, float | None]],
    latest: float | None,
) -> None:
    """An echo that is overdue counts with the time it has been awaited."""
    monkeypatch.setattr(time, "monotonic", lambda: NOW)
    probe = LatencyProbe(Address(socket.AF_INET, "192.0.2.1", 12345), 0.01, 1.0)
    for ago, took in echoes:
        due = NOW - ago
        arrived = None if took is None else due + took
        probe._echoes.append(EchoTiming(due, due, arrived))
    delay = probe.current_delay()
    assert delay == (None if latest is None else pytest.approx(latest))
