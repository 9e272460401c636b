"""Who is let in: the bounds on connections in all and per client address.

The descriptors a process may open are never used up: the bound in all lies
below that limit, and a small lobby above it lets a refused peer hear why. Beyond
the lobby a connection is reset at once.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from netduet.wire.errors import Code, RemoteError

LOBBY: Final = 64
"""Connections beyond the bounds that are still told why they are refused."""

RESERVED: Final = 64
"""Descriptors kept for listeners, logs, evidence and the interpreter."""


class AdmissionDecision(Enum):
    """What becomes of a new connection."""

    SERVED = auto()
    REFUSED_TOTAL = auto()
    REFUSED_CLIENT = auto()
    TURNED_AWAY = auto()


class Admission:
    """Counts open connections, in all and by client address."""

    def __init__(self, total: int, per_client: int, descriptors: int) -> None:
        """Bound by the settings and by the descriptors this process may open."""
        self.total = max(1, min(total, descriptors - RESERVED - LOBBY))
        self.per_client = min(per_client, self.total)
        self.open = 0
        self._by_client: dict[str, int] = {}

    def enter(self, address: str) -> AdmissionDecision:
        """Count a connection in; pair every call with one of ``leave``."""
        self.open += 1
        mine = self._by_client.get(address, 0) + 1
        self._by_client[address] = mine
        if self.open > self.total + LOBBY or mine > self.per_client + LOBBY:
            return AdmissionDecision.TURNED_AWAY
        if self.open > self.total:
            return AdmissionDecision.REFUSED_TOTAL
        if mine > self.per_client:
            return AdmissionDecision.REFUSED_CLIENT
        return AdmissionDecision.SERVED

    def leave(self, address: str) -> None:
        """Count a connection out."""
        self.open -= 1
        left = self._by_client[address] - 1
        if left:
            self._by_client[address] = left
        else:
            del self._by_client[address]

    def refusal(self, admitted: AdmissionDecision) -> RemoteError | None:
        """Return what a framed peer is told that is not served; None when it is."""
        if admitted is AdmissionDecision.SERVED:
            return None
        mine = admitted is AdmissionDecision.REFUSED_CLIENT
        limit = self.per_client if mine else self.total
        whose = "from this address" if mine else "in all"
        return RemoteError(
            Code.TOO_MANY_CONNECTIONS,
            f"{limit} connections {whose} are open: no more are served",
            {"limit": limit},
        )
