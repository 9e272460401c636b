"""The growth of a socket's drop counter within a time."""

from __future__ import annotations

from netduet.client.outages.socket_drops import SocketDrops


def test_growth_covers_the_time_since_the_last_reading() -> None:
    """The exact time is unknown, so every overlapping time span may have it."""
    drops = SocketDrops()
    for total, at in ((7, 1.0), (7, 2.0), (12, 3.0), (12, 4.0)):
        drops.record(total, at)
    assert drops.between(2.9, 3.5) == 5
    assert drops.between(0.0, 2.1) == 5
    assert drops.between(0.0, 2.0) == 0
    assert drops.between(3.0, 9.0) == 0


def test_first_reading_is_no_growth() -> None:
    """Earlier drops and another socket's counter do not count."""
    drops = SocketDrops()
    drops.record(1000, 1.0)
    drops.record(None, 2.0)
    drops.record(1001, 3.0)
    drops.reset()
    drops.record(5000, 4.0)
    assert drops.between(0.0, 9.0) == 1
