"""Which clients came lately."""

from __future__ import annotations

from netduet.server.recent_clients import WINDOW, RecentClients


def test_client_counts_for_a_while_and_once() -> None:
    """It counts once however often it comes, and no more when the window is over."""
    lately = RecentClients()
    lately.heard("10.0.0.1", 0.0)
    lately.heard("10.0.0.2", 1.0)
    lately.heard("10.0.0.1", 2.0)
    assert lately.count(2.0) == 2
    assert lately.count(1.5 + WINDOW) == 1
    assert lately.count(2.5 + WINDOW) == 0


def test_memory_of_clients_is_bounded() -> None:
    """The one that was silent for longest is forgotten first."""
    lately = RecentClients(most=3)
    for number in range(5):
        lately.heard(f"10.0.0.{number}", float(number))
    lately.heard("10.0.0.2", 5.0)
    lately.heard("10.0.0.9", 6.0)
    assert lately.count(3.0 + WINDOW + 0.5) == 3
