"""Watches which MAC address this kernel uses for an address, for as long as it takes."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from netduet.net.neighbours import link_address

_LOOK_SECONDS: Final = 0.05
"""Seconds between two looks at this kernel's neighbours."""

_MAX_LINK_ADDRESSES: Final = 64


class NeighbourWatch:
    """The MAC addresses of a host, whenever they changed; none of one behind a router."""

    def __init__(self, host: str, before: tuple[str, ...] = ()) -> None:
        """Look once; ``before`` are those seen earlier."""
        self._host = host
        self._found = list(before)
        self._look()

    @property
    def link_addresses(self) -> tuple[str, ...]:
        """The addresses in the order in which the kernel used them."""
        return tuple(self._found)

    async def watch(self, seconds: float) -> None:
        """Look again and again for so long."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            await asyncio.sleep(min(left, _LOOK_SECONDS))
            self._look()

    def _look(self) -> None:
        now = link_address(self._host)
        is_new = now is not None and self._found[-1:] != [now]
        if is_new and now is not None and len(self._found) < _MAX_LINK_ADDRESSES:
            self._found.append(now)
