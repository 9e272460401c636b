"""The budget of buffered bytes: what all connections together may make the server keep.

Buffered are frames that have not arrived in full, answers that the kernel does not
take, and answers that are still to be made. A connection alone is bounded by the size
of a frame, which times the number of connections is more than a container has. When the
budget is used up, the address that holds most pays with its largest connections, so
that nobody else notices.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, Protocol

from netduet.wire.errors import Code, RemoteError

if TYPE_CHECKING:
    from netduet.server.limit_log import LimitLog

LIMIT_NAME: Final = "buffered"

_FREED_SHARE: Final = 1 / 16
"""Share of the budget that is freed at a time, so that the search for the largest
connections is rare."""

_CONTAINER_SHARE: Final = 4
"""The budget is at most the memory limit of the container divided by this."""


def max_buffered(wanted: int, memory_limit: int | None) -> int:
    """Return the budget that fits into this container, None: of unlimited memory."""
    if memory_limit is None:
        return wanted
    return min(wanted, memory_limit // _CONTAINER_SHARE)


class Holder(Protocol):
    """A connection, as the budget sees it."""

    @property
    def client(self) -> str:
        """The client's address."""

    def end_for_limit(self, name: str, error: RemoteError) -> None:
        """End the connection; release what is buffered, at the latest when it is lost."""


class BufferBudget:
    """Counts what is buffered, by connection. A connection without buffers costs nothing."""

    def __init__(self, total: int, log: LimitLog) -> None:
        """Allow ``total`` bytes."""
        self.total = total
        self.used = 0
        self.is_full = False
        """Whether nothing more is to be made: answers wait until something is free."""
        self._log = log
        self._held: dict[Holder, int] = {}
        # Those that are being reset, which takes the loop a few turns.
        self._ending: dict[Holder, int] = {}
        self._ending_size = 0

    def charge(self, holder: Holder, size: int) -> None:
        """Set how many bytes a connection holds; end the largest ones if too many.

        A connection that is lost holds none.
        """
        if holder in self._ending:
            if size:
                return
            freed = self._ending.pop(holder)
            self._ending_size -= freed
            self.used -= freed
        else:
            self.used += size - self._held.pop(holder, 0)
        if size:
            self._held[holder] = size
            if self.used - self._ending_size > self.total:
                self._shed()
        self.is_full = self.used > self.total

    def _shed(self) -> None:
        message = f"the limit of {self.total} bytes buffered in total is reached"
        facts: dict[str, int | str] = {"limit": self.total}
        used = self.used - self._ending_size
        for holder in self._largest(used - self.total * (1 - _FREED_SHARE)):
            self._log.reached(LIMIT_NAME, self.total, holder.client)
            error = RemoteError(Code.OVERLOADED, message, facts)
            holder.end_for_limit(LIMIT_NAME, error)
            if size := self._held.pop(holder, 0):  # until the connection is lost
                self._ending[holder] = size
                self._ending_size += size

    def _largest(self, wanted: float) -> list[Holder]:
        """Return connections that hold so many bytes: of each address the largest first.

        The addresses that hold most come first, so one that holds little is spared.
        """
        by_client: defaultdict[str, list[tuple[int, Holder]]] = defaultdict(list)
        for holder, size in self._held.items():
            by_client[holder.client].append((size, holder))
        totals = {
            client: sum(size for size, _ in held) for client, held in by_client.items()
        }
        chosen: list[Holder] = []
        for client in sorted(totals, key=lambda client: -totals[client]):
            for size, holder in sorted(by_client[client], key=lambda pair: -pair[0]):
                if wanted <= 0:
                    return chosen
                chosen.append(holder)
                wanted -= size
        return chosen
