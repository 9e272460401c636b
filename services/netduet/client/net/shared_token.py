"""The token that servers may demand: of this task, and of those that it starts.

Like a run's id it belongs to all connections, wherever they are made.
"""

from __future__ import annotations

from contextvars import ContextVar

_token: ContextVar[bytes] = ContextVar("token", default=b"")


def use_token(token: str) -> None:
    """Prove this token on the connections of this task; "" proves none."""
    _token.set(token.encode())


def shared_token() -> bytes:
    """Return the token of this task, empty if there is none."""
    return _token.get()
