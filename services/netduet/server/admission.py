"""Admission: the limits on connections in total and per client address.

The total stays below the descriptor limit, so descriptors never run out, and leaves
room for a small lobby in which refused peers are sent the reason. Beyond the lobby a
connection is reset at once.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from netduet.server.rate_limit import Rate, RateLimit
from netduet.wire.errors import Code, RemoteError

LOBBY: Final = 64
"""Connections above the limits that are still sent the reason for their refusal."""

RESERVED: Final = 80
"""Descriptors kept for what is no client's connection.

About 20 for listeners, logs and the loop, 33 for the admin port, and those for local
clients; the rest is for evidence and for connections that are being turned away."""

LOCAL_CLIENTS: Final = 8
"""Connections of this host that are never turned away: the health check's.

They are still refused, with the reason, where others are."""

_LOCAL_ADDRESSES: Final = frozenset({"127.0.0.1", "::1"})


class AdmissionDecision(Enum):
    """The decision about a new connection."""

    SERVED = auto()
    REFUSED_TOTAL = auto()
    REFUSED_CLIENT = auto()
    REFUSED_RATE = auto()
    REFUSED_CLIENT_RATE = auto()
    TURNED_AWAY = auto()


_BY_RATE: Final = frozenset(
    {AdmissionDecision.REFUSED_RATE, AdmissionDecision.REFUSED_CLIENT_RATE}
)


class Admission:
    """Counts open connections, in all and by client address."""

    def __init__(
        self,
        total: int,
        per_client: int,
        descriptors: int,
        rates: RateLimit | None = None,
    ) -> None:
        """Apply the settings and this process's descriptor limit.

        ``rates`` are those of new connections per second.
        """
        self._rates = rates
        reasons = Rate(LOBBY, LOBBY)
        self._reasons = RateLimit(Rate(0, 0), reasons)
        usable = max(2, descriptors - RESERVED)
        self.lobby = min(LOBBY, usable // 2)
        self.total = min(total, usable - self.lobby)
        self.per_client = min(per_client, self.total)
        self._descriptors = descriptors if self.total < total else None
        self.open = 0
        self._by_client: dict[str, int] = {}

    def enter(self, address: str, now: float = 0.0) -> AdmissionDecision:
        """Count a connection in, at a monotonic second; ``leave`` counts it out."""
        self.open += 1
        count = self._by_client.get(address, 0) + 1
        self._by_client[address] = count
        is_local = address in _LOCAL_ADDRESSES and count <= LOCAL_CLIENTS
        is_crowded = self.open > self.total + self.lobby
        if (is_crowded and not is_local) or count > self.per_client + self.lobby:
            return AdmissionDecision.TURNED_AWAY
        if self.open > self.total:
            return AdmissionDecision.REFUSED_TOTAL
        if count > self.per_client:
            return AdmissionDecision.REFUSED_CLIENT
        if self._rates is None:
            return AdmissionDecision.SERVED
        exceeded = self._rates.take(address, now)
        if exceeded is None:
            return AdmissionDecision.SERVED
        if self._reasons.take("", now) is not None:
            return AdmissionDecision.TURNED_AWAY
        if exceeded is self._rates.total:
            return AdmissionDecision.REFUSED_RATE
        return AdmissionDecision.REFUSED_CLIENT_RATE

    def leave(self, address: str) -> None:
        """Count a connection out."""
        self.open -= 1
        left = self._by_client[address] - 1
        if left:
            self._by_client[address] = left
        else:
            del self._by_client[address]

    def refusal(self, admitted: AdmissionDecision) -> RemoteError | None:
        """Return the error for a refused framed peer; None when it is served."""
        if admitted is AdmissionDecision.SERVED:
            return None
        if self._rates is not None and admitted in _BY_RATE:
            by_client = admitted is AdmissionDecision.REFUSED_CLIENT_RATE
            rate = self._rates.per_client if by_client else self._rates.total
            limit_name = "from this address" if by_client else "in total"
            message = (
                f"the limit of {rate.per_second:g} new connections a second "
                f"{limit_name} is reached"
            )
            rate_facts: dict[str, int | str] = {"limit": int(rate.per_second)}
            return RemoteError(Code.TOO_MANY_CONNECTIONS, message, rate_facts)
        by_client = admitted is AdmissionDecision.REFUSED_CLIENT
        limit = self.per_client if by_client else self.total
        limit_name = "from this address" if by_client else "in total"
        message = f"the limit of {limit} connections {limit_name} is reached"
        facts: dict[str, int | str] = {"limit": limit}
        if self._descriptors is not None and limit == self.total:
            message += (
                f": this process may have {self._descriptors} open files (nofile)"
            )
            facts["descriptors"] = self._descriptors
        return RemoteError(Code.TOO_MANY_CONNECTIONS, message, facts)
