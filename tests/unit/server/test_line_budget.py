"""The budget of log lines: per client, in total, and renewed."""

from __future__ import annotations

from netduet.server.line_budget import INTERVAL_SECONDS, LineBudget


def test_client_has_its_lines_and_no_more() -> None:
    """One client's flood leaves the lines of another."""
    budget = LineBudget(per_client=2, total=10)
    assert [budget.take("a", 1.0) for _ in range(3)] == [True, True, False]
    assert budget.take("b", 1.0)


def test_total_bounds_all_clients() -> None:
    """Addresses beyond the total have no line, and are not remembered."""
    budget = LineBudget(per_client=2, total=3)
    assert [budget.take(str(number), 1.0) for number in range(5)] == [True] * 3 + [
        False
    ] * 2
    assert len(budget._by_client) == 3


def test_budget_is_renewed_after_the_interval() -> None:
    """The interval starts with the first line."""
    budget = LineBudget(per_client=1, total=1)
    assert budget.take("a", 5.0)
    assert not budget.take("a", 5.0 + INTERVAL_SECONDS - 0.1)
    assert budget.take("a", 5.0 + INTERVAL_SECONDS)
