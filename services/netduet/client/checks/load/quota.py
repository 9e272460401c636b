"""Did connections stop after a number of bytes, each or all together? Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from netduet.client.checks.load.results import TransferFlow
from netduet.client.results.location import Side
from netduet.client.results.verdict import Finding
from netduet.config.units import MIB

MIN_QUOTA_BYTES: Final = 64 * 1024
"""Least number of bytes that is taken for a limit: less may be one lost flight."""

MAX_DIFFERENCE_SHARE: Final = 0.2
"""Share by which the numbers of bytes may differ.

What is in flight when a connection stops is at most a window, and what a device counts
includes headers and acknowledgements."""

_HEADER_FACTOR: Final = 1500 / 1448
"""Bytes on the wire for each byte of data in full segments with timestamps."""


def byte_limit(carried: Sequence[int]) -> int | None:
    """Return the number of bytes after which connections stopped; None if it differs."""
    most = max(carried, default=0)
    if most < MIN_QUOTA_BYTES or min(carried) < (1 - MAX_DIFFERENCE_SHARE) * most:
        return None
    return most


def quota_finding(flow: TransferFlow) -> Finding | None:
    """Return the finding that connections stop after the same number of bytes.

    Connections that run side by side stop together in an outage, too. One that was made
    afterwards, and stopped after as many bytes, shows that bytes count and not time.
    """
    if flow.repeated is None or not (flow.stall or flow.connection_error):
        return None
    counts = (*flow.carried, flow.repeated)
    limit = byte_limit(counts)
    if limit is None:
        return None
    mebibytes = ", ".join(f"{count / MIB:.2f}" for count in flow.carried)
    seen = (
        f"{flow.direction}: each connection stopped after the same number of bytes, "
        f"about {_HEADER_FACTOR * limit / MIB:.1f} MiB with headers"
    )
    evidence = (
        (
            Side.CLIENT,
            f"{len(flow.carried)} connections carried {mebibytes} MiB of data",
        ),
        (
            Side.CLIENT,
            f"one more, made afterwards, stopped after {flow.repeated / MIB:.2f} MiB",
        ),
    )
    figures = {"bytes": limit}
    return Finding("load.quota", seen, evidence, {**figures})


def shared_quota_finding(flow: TransferFlow) -> Finding | None:
    """Return the finding that TCP stops altogether after a number of bytes.

    Datagrams that pass rule out an outage of the path. An outage of TCP alone would look
    the same, which the likely causes say.
    """
    after = flow.after_stall
    if flow.stall is None or after is None or flow.total < MIN_QUOTA_BYTES:
        return None
    if after.connected or not after.datagrams_pass:
        return None
    seen = (
        f"{flow.direction}: after {_HEADER_FACTOR * flow.total / MIB:.1f} MiB of this "
        f"transfer, nothing of TCP passes any more: {flow.connections} connections "
        f"stopped, and none of {after.connections} new ones was made"
    )
    text = (
        f"{flow.stall.window.seconds:.1f} s later, datagrams pass, and "
        f"{after.connections} connection attempts got no response"
    )
    return Finding(
        "load.shared_quota",
        seen,
        ((Side.CLIENT, text),),
        {"bytes": flow.total},
        missed_deadline=flow.stall.window,
    )
