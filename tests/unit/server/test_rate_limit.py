"""Token buckets, per client and for all, and what carries too much."""

from __future__ import annotations

from structlog.testing import LogCapture

from netduet.server.counters import Counters
from netduet.server.limit_log import LimitLog
from netduet.server.rate_limit import MAX_CLIENTS, Rate, RateLimit
from netduet.server.traffic_limit import TrafficLimit
from netduet.wire.errors import Code, RemoteError
from tests.unit.server.test_buffer_budget import log_to

NO_LIMIT = Rate(0, 0)


def test_burst_is_refilled_at_the_rate() -> None:
    """After a burst, as many as the rate allows."""
    limit = RateLimit(Rate(10, 30), NO_LIMIT)
    assert [limit.take("a", 0.0) for _ in range(31)] == [None] * 30 + [limit.per_client]
    assert limit.take("b", 0.0) is None
    assert [limit.take("a", 0.5) for _ in range(6)] == [None] * 5 + [limit.per_client]
    assert [limit.take("a", 99.0) for _ in range(31)].count(None) == 30


def test_total_is_shared_and_a_refusal_costs_nothing() -> None:
    """What is refused for one client leaves the tokens of all untouched."""
    limit = RateLimit(Rate(1, 2), Rate(1, 3))
    outcomes = [limit.take(client, 0.0) for client in "aaabbb"]
    client, total = limit.per_client, limit.total
    assert outcomes == [None, None, client, None, total, total]


def test_no_limit_remembers_nothing() -> None:
    """A rate of 0 never refuses."""
    limit = RateLimit(NO_LIMIT, NO_LIMIT)
    assert {limit.take("a", 0.0, 10**9) for _ in range(100)} == {None}
    assert not limit.spend("a", 0.0, 10**12)
    assert not limit.spend_total(0.0, 10**12)
    assert len(limit) == 0


def test_number_of_addresses_is_bounded() -> None:
    """The one that was quiet longest is forgotten first."""
    limit = RateLimit(Rate(1, 1), NO_LIMIT)
    for number in range(MAX_CLIENTS + 10):
        limit.take("busy", float(number))
        limit.take(str(number), float(number))
    assert len(limit) == MAX_CLIENTS
    assert limit.take("busy", float(MAX_CLIENTS + 9)) is limit.per_client


class Carrier:
    """A connection that carries what a test says."""

    def __init__(self, client: str, *, opened_at: float = 0.0) -> None:
        self.client = client
        self.opened_at = opened_at
        self.bytes = 0
        self.ended: list[tuple[str, RemoteError]] = []

    def carried(self) -> int:
        """Return the bytes since the last call."""
        since, self.bytes = self.bytes, 0
        return since

    def end_for_limit(self, name: str, error: RemoteError) -> None:
        """Remember why."""
        self.ended.append((name, error))


def traffic(
    per_client: Rate, total: Rate = NO_LIMIT, lifetime: float = 0.0
) -> TrafficLimit:
    """Return a limit whose first second has begun."""
    log = LimitLog(log_to(LogCapture()), Counters())
    limit = TrafficLimit(RateLimit(per_client, total), lifetime, log)
    limit.sweep([], 0.0)
    return limit


def test_largest_connections_end_once_the_burst_is_used_up() -> None:
    """Those that together stay within the rate go on, and so do other clients."""
    limit = traffic(Rate(100, 1000))
    large, small, other = Carrier("a"), Carrier("a"), Carrier("b")
    carriers = [large, small, other]
    for second in range(1, 9):
        large.bytes, small.bytes, other.bytes = 500, 50, 90
        limit.sweep(carriers, float(second))
        if large.ended:
            carriers.remove(large)
            break
    assert second == 3  # 1,000 at first, and 100 more each second
    [(name, error)] = large.ended
    assert (name, error.code) == ("traffic_per_client", Code.OVERLOADED)
    for second in range(4, 60):
        small.bytes, other.bytes = 50, 90
        limit.sweep(carriers, float(second))
    assert (small.ended, other.ended) == ([], [])


def test_closed_connections_count() -> None:
    """Short connections between two sweeps are no way around the limit."""
    limit = traffic(Rate(100, 1000))
    for _ in range(10):
        short = Carrier("a")
        short.bytes = 500
        limit.closed(short)
    large = Carrier("a")
    large.bytes = 101
    limit.sweep([large], 1.0)
    assert large.ended


def test_total_ends_the_largest_of_all() -> None:
    """However many addresses share in it."""
    limit = traffic(NO_LIMIT, Rate(100, 1000))
    carriers = [Carrier(str(number)) for number in range(20)]
    for carrier in carriers:
        carrier.bytes = 60
    carriers[7].bytes = 1000
    limit.sweep(carriers, 20.0)
    assert [carrier.ended != [] for carrier in carriers].count(True) == 1
    assert carriers[7].ended[0][0] == "traffic"


def test_lifetime_ends_what_lasts_too_long() -> None:
    """Idle or not."""
    limit = traffic(NO_LIMIT, lifetime=10.0)
    old, young = Carrier("a"), Carrier("a", opened_at=5.0)
    limit.sweep([old, young], 11.0)
    assert [(name, error.code) for name, error in old.ended] == [
        ("lifetime", Code.EXPIRED)
    ]
    assert young.ended == []
