"""A snapshot in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from netduet.net.namespace.snapshot import ListenerPart, Snapshot

_MAX_LISTENERS: Final = 50
_MAX_ROUTES: Final = 20


def lines(snapshot: Snapshot) -> Iterator[str]:
    """Yield the lines that ``netduet namespace`` prints."""
    yield "listeners"
    yield from _table([_listener(each) for each in snapshot.listeners], _MAX_LISTENERS)
    overflows, drops = snapshot.listen_overflows, snapshot.listen_drops
    if overflows is not None and drops is not None:
        yield f"  accept queues: {overflows} overflows, {drops} drops"
    yield ""
    yield "interfaces"
    yield from _table(
        [
            (
                each.name,
                "MTU unknown" if each.mtu is None else f"MTU {each.mtu}",
                f"dropped {each.received_drops} received, {each.sent_drops} sent",
                f"errors {each.received_errors} received, {each.sent_errors} sent",
                " ".join(each.addresses),
            )
            for each in snapshot.interfaces
        ]
    )
    yield ""
    yield "routes"
    yield from _table(
        [
            (
                each.destination,
                f"via {each.gateway}" if each.gateway else "on the link",
                "rejected" if each.rejects else each.interface,
            )
            for each in snapshot.routes
        ],
        _MAX_ROUTES,
    )


def _listener(listener: ListenerPart) -> tuple[str, ...]:
    if listener.is_loopback:
        scope = "this namespace alone"
    elif listener.is_wildcard:
        scope = "every address"
    else:
        scope = "this address"
    if listener.transport == "tcp":
        queue = f"accept queue {listener.queue}"
    else:
        queue = f"{listener.queue} bytes queued, {listener.drops or 0} dropped"
    return listener.transport, str(listener), scope, queue


def _table(rows: Sequence[tuple[str, ...]], most: int = 1000) -> Iterator[str]:
    if not rows:
        yield "  none"
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows[:most]:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield ("  " + "  ".join(cells)).rstrip()
    if len(rows) > most:
        yield f"  … and {len(rows) - most} more: --json lists all"
