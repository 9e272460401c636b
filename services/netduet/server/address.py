"""The address of one end of a connection or datagram."""

from __future__ import annotations

Address = tuple[str, int]
"""IP address and port."""
