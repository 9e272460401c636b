"""Rates that are bounded per client address and over all: token buckets. Pure.

A bucket holds what may be used at once and is refilled at a steady rate, so a check may
take what it needs in a burst, and nobody can take it for ever.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

MAX_CLIENTS: Final = 8192
"""Addresses that are remembered; the one that was quiet longest is forgotten first."""

BURST_SECONDS: Final = 10.0
"""Seconds whose connections or datagrams may come at once: a client may open all
that a server holds by default (10,000)."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What refills a bucket per second, and its size. A rate of 0 is no limit."""

    per_second: float
    burst: float


class _Bucket:
    __slots__ = ("at", "left")

    def __init__(self, burst: float, now: float) -> None:
        self.left = burst
        self.at = now

    def refill(self, rate: Rate, now: float) -> float:
        """Return what is left at a monotonic second."""
        self.left = min(rate.burst, self.left + (now - self.at) * rate.per_second)
        self.at = now
        return self.left


class RateLimit:
    """One bucket for each client, by its address, and one for all."""

    def __init__(self, per_client: Rate, total: Rate) -> None:
        self.per_client = per_client
        self.total = total
        self._all = _Bucket(total.burst, 0.0)
        self._by_client: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_client)

    def take(self, client: str, now: float, amount: float = 1.0) -> Rate | None:
        """Take an amount if both buckets hold it; return the rate that refuses it."""
        per_client, total = self.per_client, self.total
        if per_client.per_second:
            bucket = self._bucket(client, now)
            if bucket.refill(per_client, now) < amount:
                return per_client
        if total.per_second:
            if self._all.refill(total, now) < amount:
                return total
            self._all.left -= amount
        if per_client.per_second:
            bucket.left -= amount
        return None

    def spend(self, client: str, now: float, amount: float) -> bool:
        """Take an amount that is used already; return whether the client's is empty."""
        if not self.per_client.per_second:
            return False
        bucket = self._bucket(client, now)
        bucket.refill(self.per_client, now)
        bucket.left -= amount
        return bucket.left < 0

    def spend_total(self, now: float, amount: float) -> bool:
        """Take what all clients have used; return whether the common bucket is empty."""
        if not self.total.per_second:
            return False
        self._all.refill(self.total, now)
        self._all.left -= amount
        return self._all.left < 0

    def _bucket(self, client: str, now: float) -> _Bucket:
        bucket = self._by_client.get(client)
        if bucket is None:
            bucket = self._by_client[client] = _Bucket(self.per_client.burst, now)
            if len(self._by_client) > MAX_CLIENTS:
                self._by_client.popitem(last=False)
        else:
            self._by_client.move_to_end(client)
        return bucket
