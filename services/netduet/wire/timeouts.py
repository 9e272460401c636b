"""Which limit a passed deadline means, and what a late peer hears."""

from __future__ import annotations

from netduet.wire.errors import Code, RemoteError
from netduet.wire.state_machine import Limits, State


def judge(
    state: State, limits: Limits, received: int, *, plain: bool, started: bool
) -> tuple[str, RemoteError | None]:
    """Return the name of the limit, and the error that tells the peer, if one does.

    Args:
        state: where the connection stood when its deadline passed.
        limits: its bounds.
        received: bytes of the opening or frame that did come.
        plain: whether it speaks plain.
        started: whether a frame had begun.

    """
    if state is State.START:
        return "first_byte", None
    if state is State.PARTING:  # the end of stream that CLOSE waits for
        return "frame", None
    if state not in (State.OPENING, State.OPEN):
        return ("plain_linger" if plain else "linger"), None
    if state is State.OPEN and not started:
        return "idle", RemoteError(Code.IDLE, f"nothing came for {limits.idle:g} s")
    if state is State.OPENING:
        name, message = "opening", f"no whole opening within {limits.opening:g} s"
    else:
        name = "frame"
        message = f"a frame begun was not whole within {limits.frame:g} s"
    return name, RemoteError(Code.TOO_SLOW, message, {"received": received})
