"""Which clients count as recent, and how many are remembered."""

from __future__ import annotations

from netduet.server.recent_clients import WINDOW_SECONDS, RecentClients


def test_client_counts_once_until_the_window_is_over() -> None:
    """However often a client is active, it counts once within the window."""
    clients = RecentClients()
    clients.add("10.0.0.1", 0.0)
    clients.add("10.0.0.2", 1.0)
    clients.add("10.0.0.1", 2.0)
    assert clients.count(2.0) == 2
    assert clients.count(1.5 + WINDOW_SECONDS) == 1
    assert clients.count(2.5 + WINDOW_SECONDS) == 0


def test_least_recent_client_is_forgotten_first() -> None:
    """The number of clients is bounded."""
    clients = RecentClients(max_clients=3)
    for number in range(5):
        clients.add(f"10.0.0.{number}", float(number))
    clients.add("10.0.0.2", 5.0)
    clients.add("10.0.0.9", 6.0)
    assert clients.count(3.0 + WINDOW_SECONDS + 0.5) == 3
