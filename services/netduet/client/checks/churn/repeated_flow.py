"""Connections from chosen ports: is it the flow, or what a SYN carries?

A device that sets up state for each flow, and loses the packet that made it, passes a
second connection from the same port. A device that drops SYNs for what they carry does
not. A device whose table of flows is full passes only flows that it knows.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Final

from netduet.client.checks.churn.results import BudgetTrial, RepeatedFlow
from netduet.client.net.dial import Address, lost_syns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netduet.client.checks.churn.results import Attempt

_CONNECT_SECONDS: Final = 3.3
"""Seconds for each connection: enough for two lost SYNs."""

_RESET_AT_CLOSE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of zero seconds: the close resets, so the port is free at once."""

PAUSE_SECONDS: Final = 2.0
"""Seconds without new connections, in which a limit by rate lets more pass again."""

TRIAL_COUNT: Final = 6
"""Connections from new ports, and from known ones: that all of one kind fail and all of
the other pass is chance once in 924 times (R. A. Fisher's exact test)."""

_TRIAL_SECONDS: Final = 0.9
"""Seconds for each of these: less than the time to a second SYN."""


async def repeat_flow(address: Address) -> RepeatedFlow | None:
    """Connect twice from one port; None if one of the two is not made."""
    first = await _connect(address, None, _CONNECT_SECONDS)
    if first is None:
        return None
    lost, local = first
    second = await _connect(address, local, _CONNECT_SECONDS)
    return None if second is None else RepeatedFlow(lost, second[0])


async def try_budget(address: Address, attempts: Sequence[Attempt]) -> BudgetTrial:
    """Pause, and connect from new ports and from some that passed before."""
    used = {attempt.local for attempt in attempts if attempt.local is not None}
    known = [
        attempt.local
        for attempt in attempts
        if attempt.passed_cleanly and attempt.local is not None
    ][-TRIAL_COUNT:]
    await asyncio.sleep(PAUSE_SECONDS)
    fresh = await asyncio.gather(
        *(_connect(address, None, _TRIAL_SECONDS) for _ in range(TRIAL_COUNT))
    )
    again = await asyncio.gather(
        *(_connect(address, local, _TRIAL_SECONDS) for local in known)
    )
    # A port that the kernel happened to choose again is not a new one.
    passed = [made for made in fresh if made is not None and made[1] not in used]
    return BudgetTrial(
        PAUSE_SECONDS,
        TRIAL_COUNT,
        len(passed),
        len(known),
        sum(made is not None for made in again),
    )


async def _connect(
    address: Address, local: tuple[str, int] | None, timeout: float
) -> tuple[int, tuple[str, int]] | None:
    """Connect, from a local address and port if given; return lost SYNs and these."""
    loop = asyncio.get_running_loop()
    try:
        with socket.socket(address.family, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
            if local is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind(local)
            async with asyncio.timeout(timeout):
                await loop.sock_connect(sock, address.sockaddr)
            host, port = sock.getsockname()[:2]
            return lost_syns(sock), (host, port)
    except OSError:
        return None
