"""The budget of buffered bytes, and who pays when it is used up."""

from __future__ import annotations

import pytest
import structlog
from structlog.testing import LogCapture
from structlog.typing import FilteringBoundLogger

from netduet.server.buffer_budget import BufferBudget, max_buffered
from netduet.server.counters import Counters
from netduet.server.limit_log import LimitLog
from netduet.wire.errors import Code, RemoteError


class Connection:
    """A holder that releases what it holds when it is ended."""

    def __init__(self, budget: BufferBudget, client: str) -> None:
        self.client = client
        self.errors: list[RemoteError] = []
        self._budget = budget

    def hold(self, size: int) -> None:
        """Hold this many bytes."""
        self._budget.charge(self, size)

    def end_for_limit(self, name: str, error: RemoteError) -> None:
        """Release all."""
        assert name == "buffered"
        self.errors.append(error)
        self._budget.charge(self, 0)


def log_to(lines: LogCapture) -> FilteringBoundLogger:
    """Return a logger whose lines are captured."""
    logger: FilteringBoundLogger = structlog.wrap_logger(
        None,
        processors=[lines],
        wrapper_class=structlog.make_filtering_bound_logger(20),
    )
    return logger


@pytest.fixture
def lines() -> LogCapture:
    """Return what is logged."""
    return LogCapture()


@pytest.fixture
def budget(lines: LogCapture) -> BufferBudget:
    """Return a budget of 1,600 bytes; 1,500 remain after some are freed."""
    return BufferBudget(1600, LimitLog(log_to(lines), Counters()))


def test_nobody_pays_within_the_budget(budget: BufferBudget) -> None:
    """What grows, shrinks and ends is counted to the byte."""
    first, other = (Connection(budget, client) for client in ("a", "b"))
    for size in (100, 900, 0, 800):
        first.hold(size)
    other.hold(800)
    assert budget.used == 1600
    first.hold(0)
    assert (budget.used, first.errors, other.errors) == (800, [], [])


def test_largest_connection_of_the_largest_address_pays(
    budget: BufferBudget, lines: LogCapture
) -> None:
    """An address with many small connections counts by their sum."""
    victim = Connection(budget, "victim")
    victim.hold(400)
    hostile = [Connection(budget, "hostile") for _ in range(10)]
    for number, connection in enumerate(hostile):
        connection.hold(100 + number)
    assert budget.used == 1445
    victim.hold(600)
    assert victim.errors == []
    ended = [number for number, holder in enumerate(hostile) if holder.errors]
    assert ended == [8, 9]
    assert budget.used <= 1500
    [error] = hostile[9].errors
    assert (error.code, error.facts) == (Code.OVERLOADED, {"limit": 1600})
    [line] = lines.entries
    assert line["event"] == "limit.reached"
    assert line["client.address"] == "hostile"
    assert line["netduet.limit_name"] == "buffered"


def test_what_asks_for_more_may_itself_pay(budget: BufferBudget) -> None:
    """It is judged like the others."""
    hostile = Connection(budget, "hostile")
    hostile.hold(1601)
    assert (len(hostile.errors), budget.used) == (1, 0)


class Stuck(Connection):
    """A holder that is being reset, and releases nothing before it is lost."""

    def end_for_limit(self, name: str, error: RemoteError) -> None:
        """Only note it."""
        assert name == "buffered"
        self.errors.append(error)


def test_what_is_being_reset_counts_until_it_is_lost(budget: BufferBudget) -> None:
    """Meanwhile nothing more is to be made, and nobody else pays for it."""
    stuck, other = Stuck(budget, "a"), Connection(budget, "b")
    stuck.hold(1000)
    other.hold(601)
    assert (len(stuck.errors), budget.used, budget.is_full) == (1, 1601, True)
    stuck.hold(1000)  # more of it arrives
    other.hold(700)
    assert (len(stuck.errors), other.errors, budget.used) == (1, [], 1700)
    stuck.hold(0)
    assert (budget.used, budget.is_full) == (700, False)
    stuck.hold(0)
    assert budget.used == 700


@pytest.mark.parametrize(
    ("memory", "budget_bytes"), [(None, 64), (1000, 64), (256, 64), (100, 25)]
)
def test_budget_fits_into_the_container(memory: int | None, budget_bytes: int) -> None:
    """It is a quarter of the memory at most."""
    assert max_buffered(64, memory) == budget_bytes
