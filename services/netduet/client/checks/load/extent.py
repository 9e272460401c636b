"""How long a transfer lasts, and how much it carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_MAX_EXTENSION_SECONDS: Final = 0.9
"""Seconds by which a transfer may be longer to carry its least number of bytes."""


@dataclass(frozen=True, slots=True)
class TransferExtent:
    """Maximum duration and bytes of a transfer.

    It is a little longer if it then carries ``least_bytes``: devices that cut connections
    after a number of bytes must show on a busy host, too.
    """

    seconds: float
    max_bytes: int
    least_bytes: int = 0

    def is_worth_longer(self, carried: int, seconds: float) -> bool:
        """Whether the rest of the least bytes would follow soon at the rate so far."""
        if not 0 < carried < self.least_bytes:
            return False
        needed = seconds * self.least_bytes / carried
        return needed <= self.seconds + _MAX_EXTENSION_SECONDS
