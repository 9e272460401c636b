"""What both kernels report of a transfer that has stalled."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from netduet.client.checks.load.results import TransferStall
from netduet.client.net.server_evidence import ServerView, server_view
from netduet.client.results.location import Direction

if TYPE_CHECKING:
    from netduet.client.net.dial import Address
    from netduet.client.net.framed_connection import FramedConnection
    from netduet.client.net.timeouts import Timeouts
    from netduet.net.time_span import TimeSpan

_EVIDENCE_SECONDS: Final = 2.0


async def stall_evidence(
    direction: Direction,
    first: FramedConnection,
    window: TimeSpan,
    address: Address,
    timeouts: Timeouts,
) -> TransferStall:
    """Ask both kernels about a connection without progress in that time."""
    up = direction is Direction.UP
    server = ServerView(missing="no response in time")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_EVIDENCE_SECONDS):
            server = await server_view(address, first.welcome, timeouts, record=False)
    local, view = first.info(), server.view
    if view is None or local is None:
        missing = server.missing or "the server does not report this connection"
        unacked = None if local is None else local.unacked
        return TransferStall(window, unacked if up else None, missing=missing)
    if up:
        # The SYN counts as one byte (RFC 9293 §3.4).
        acked, arrived = local.bytes_acked - 1, view.bytes_received
        unacked, unsent = local.unacked, local.notsent_bytes
        sent = first.wire.bytes_sent - unsent
    else:
        acked, arrived = view.bytes_acked - 1, local.bytes_received
        unacked, unsent = view.unacked, view.notsent_bytes
        sent = acked + unacked * view.snd_mss
    undelivered = max(0, sent - arrived) if unacked else 0
    if arrived > acked:
        undelivered = 0  # the data arrived; its acknowledgements did not
    return TransferStall(window, unacked, unsent, undelivered)
