"""What the server counts: plain integers, read by metrics and the access log."""

from __future__ import annotations


class Counters:
    """Totals since the server started."""

    __slots__ = (
        "accepted",
        "bytes_received",
        "bytes_sent",
        "datagrams_answered",
        "datagrams_failed",
        "datagrams_ignored",
        "drained",
        "ended",
        "framed",
        "frames_received",
        "frames_sent",
        "limits",
        "plain",
        "refused",
        "reset",
        "turned_away",
    )

    def __init__(self) -> None:
        self.accepted = 0
        self.plain = 0
        self.framed = 0
        self.refused = 0
        self.turned_away = 0
        self.drained = 0
        self.reset = 0
        self.bytes_received = 0
        self.bytes_sent = 0
        self.frames_received = 0
        self.frames_sent = 0
        self.datagrams_answered = 0
        self.datagrams_ignored = 0
        self.datagrams_failed = 0
        self.ended: dict[tuple[str, str, str], int] = {}
        """Connections served, by dialect, how they ended, and by whom."""
        self.limits: dict[str, int] = {}

    def limit(self, name: str) -> None:
        """Count a connection that a limit ended."""
        self.limits[name] = self.limits.get(name, 0) + 1
