"""Waiting for a condition that callbacks of the loop change."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_LATE_SECONDS: Final = 0.25
_GRACE_SECONDS: Final = 0.1


class Wakeup:
    """Wakes the one task that waits for a condition."""

    def __init__(self) -> None:
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        """Have the waiting task look at its condition again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait_until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait for the condition for ``timeout`` seconds; return whether it holds.

        A process that was not running at the deadline gets a moment more, to read what
        has arrived meanwhile.
        """
        deadline = time.monotonic() + timeout
        while not condition():
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    await self._waiter
            except TimeoutError:
                if time.monotonic() - deadline < _LATE_SECONDS:
                    break
                deadline = time.monotonic() + _GRACE_SECONDS
            finally:
                self._waiter = None
        return condition()
