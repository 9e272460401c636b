"""Which limit a passed deadline means, and the error for the peer."""

from __future__ import annotations

from netduet.wire.errors import Code, RemoteError
from netduet.wire.state_machine import Limits, State


def expired_limit(
    state: State, limits: Limits, received: int, *, plain: bool, started: bool
) -> tuple[str, RemoteError | None]:
    """Return the name of the limit, and the error to send to the peer, if any.

    ``received`` bytes of the opening or frame have arrived; ``started``: a frame had
    started.
    """
    if state is State.START:
        return "first_byte", None
    if state is State.PARTING:  # waiting for the end of stream after CLOSE
        return "frame", None
    if state is State.CHALLENGED:
        message = f"no proof of the token within {limits.opening:g} s"
        return "opening", RemoteError(Code.TOO_SLOW, message, {"received": received})
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
