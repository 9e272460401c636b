"""The port of the pair's server: free in the namespace of the service. Pure."""

from __future__ import annotations

import random
from collections.abc import Set as AbstractSet
from typing import Final

from netduet.between.errors import BetweenError
from netduet.between.options import DEFAULT_PORT

_NEXT_PORTS: Final = range(DEFAULT_PORT + 1, DEFAULT_PORT + 101)
_ANY_PORTS: Final = range(20_000, 32_000)
"""Below the local ports of outgoing connections (ip(7), ip_local_port_range)."""


def choose_port(
    requested: int | None, taken: AbstractSet[int], service: str
) -> tuple[int, str]:
    """Return the port of the pair's server, and a note if it is not the usual one.

    Raises:
        BetweenError: the requested port is taken, or none is free.
    """
    if requested:
        if requested in taken:
            raise BetweenError(
                f"--port {requested}: {service} listens there already: choose another, "
                "or 0 for any free port"
            )
        return requested, ""
    if requested is None and DEFAULT_PORT not in taken:
        return DEFAULT_PORT, ""
    candidates = [port for port in _NEXT_PORTS if port not in taken]
    if requested == 0:
        candidates = [port for port in _ANY_PORTS if port not in taken]
        random.shuffle(candidates)
    if not candidates:
        raise BetweenError(f"no port is free beside {service}: name one with --port")
    if requested == 0:
        return candidates[0], ""
    return candidates[0], (
        f"port {DEFAULT_PORT} is taken beside {service}: the pair used {candidates[0]}"
    )
