"""What connections carry over time, and how long they last: judged once a second.

Nothing is counted per request: the bytes of each connection are counted anyway, and a
bucket of many gigabytes may be overdrawn by a second.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Protocol

from netduet.wire.errors import Code, RemoteError

if TYPE_CHECKING:
    from netduet.server.limit_log import LimitLog
    from netduet.server.rate_limit import Rate, RateLimit

TRAFFIC: Final = "traffic"
TRAFFIC_PER_CLIENT: Final = "traffic_per_client"
LIFETIME: Final = "lifetime"


class Carrier(Protocol):
    """A connection, as the limits see it."""

    @property
    def client(self) -> str:
        """The client's address."""

    @property
    def opened_at(self) -> float:
        """When it was accepted, in monotonic seconds."""

    def carried(self) -> int:
        """Return the bytes carried since the last call, both ways."""

    def end_for_limit(self, name: str, error: RemoteError) -> None:
        """End the connection."""


class TrafficLimit:
    """Ends connections that carry more than the rates allow, or last too long."""

    def __init__(self, rates: RateLimit, lifetime: float, log: LimitLog) -> None:
        """Allow bytes by ``rates``, and connections ``lifetime`` seconds; 0: for ever."""
        self._rates = rates
        self._lifetime = lifetime
        self._log = log
        self._closed: defaultdict[str, int] = defaultdict(int)
        self._swept_at: float | None = None

    def closed(self, carrier: Carrier) -> None:
        """Count what a connection carried that is lost."""
        self._closed[carrier.client] += carrier.carried()

    def sweep(self, carriers: Iterable[Carrier], now: float) -> None:
        """Count what was carried since the last call; end what exceeds a limit."""
        seconds = 0.0 if self._swept_at is None else now - self._swept_at
        self._swept_at = now
        by_client: defaultdict[str, list[tuple[int, Carrier]]] = defaultdict(list)
        for carrier in carriers:
            if self._lifetime and now - carrier.opened_at > self._lifetime:
                self._end(carrier, LIFETIME, self._lifetime)
            elif carried := carrier.carried():
                by_client[carrier.client].append((carried, carrier))
        closed, self._closed = self._closed, defaultdict(int)
        everything = sum(closed.values())
        rates = self._rates
        rest: list[tuple[int, Carrier]] = []
        for client in by_client.keys() | closed.keys():
            moving = by_client[client]
            amount = sum(carried for carried, _ in moving)
            everything += amount
            if rates.spend(client, now, amount + closed[client]):
                moving = self._end_largest(
                    moving, TRAFFIC_PER_CLIENT, rates.per_client, seconds
                )
            rest += moving
        if rates.spend_total(now, everything):
            self._end_largest(rest, TRAFFIC, rates.total, seconds)

    def _end_largest(
        self, moving: list[tuple[int, Carrier]], name: str, rate: Rate, seconds: float
    ) -> list[tuple[int, Carrier]]:
        """End the largest connections until the rest stays within the rate."""
        moving = sorted(moving, key=lambda pair: pair[0])
        amount = sum(carried for carried, _ in moving)
        while moving and amount > rate.per_second * seconds:
            carried, carrier = moving.pop()
            amount -= carried
            self._end(carrier, name, rate.per_second)
        return moving

    def _end(self, carrier: Carrier, name: str, limit: float) -> None:
        self._log.reached(name, limit, carrier.client)
        facts: dict[str, int | str] = {"limit": int(limit)}
        if name == LIFETIME:
            message = f"connections may last {limit:g} s here: connect again"
            error = RemoteError(Code.EXPIRED, message, facts)
        else:
            where = "in total" if name == TRAFFIC else "from this address"
            message = (
                f"more than {limit:,.0f} bytes a second {where}, for longer than the "
                "server allows"
            )
            error = RemoteError(Code.OVERLOADED, message, facts)
        carrier.end_for_limit(name, error)
