"""What came of connections that were closed in different ways."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from netduet.client.net.dial import Address
from netduet.client.net.handshake import ConnectionEnd, Handshake
from netduet.client.net.server_evidence import ServerView
from netduet.net.time_span import TimeSpan
from netduet.wire.messages import TcpInfo


class CloseMethod(StrEnum):
    """How a connection is ended."""

    AT_ONCE = "at_once"
    """This end ends its sending; the answer follows at once."""
    PAUSED = "paused"
    """The same, and the answer follows after a pause."""
    FINISH = "finish"
    """The server answers and ends its sending; this end goes on sending."""
    RESET = "reset"
    """The server resets."""
    OWN_RESET = "own_reset"
    """This end resets."""


@dataclass(frozen=True, slots=True)
class CloseTrial:
    """One connection, and how its close arrived.

    ``open_failure`` says why data did not pass even while both ends were open.
    ``late``: what was pushed was still on its way when the server may have been done
    waiting. ``answered`` is how many of the ``size`` bytes of the answer came, ``changed``
    whether they were others; ``pushed`` how many bytes were sent after the server's
    end, ``sent`` all bytes that this end has sent.
    """

    method: CloseMethod
    handshake: Handshake
    pause: float = 0.0
    open_failure: str = ""
    size: int = 0
    answered: int = 0
    changed: bool = False
    ending: ConnectionEnd | None = None
    wait: TimeSpan | None = None
    pushed: int = 0
    late: bool = False
    sent: int = 0
    tcp_info: TcpInfo | None = None
    server: ServerView = field(default_factory=ServerView)

    @property
    def whole(self) -> bool:
        """Whether the answer came, every byte of it."""
        return self.answered == self.size and not self.changed


@dataclass(frozen=True, slots=True)
class CloseResult:
    """The ends at one address."""

    address: Address
    trials: tuple[CloseTrial, ...]
