"""What the check ``close`` measures: connections closed in different ways."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from netduet.client.net.dial import Address
from netduet.client.net.handshake import ConnectionEnd, Handshake
from netduet.client.net.server_evidence import ServerView
from netduet.net.time_span import TimeSpan
from netduet.wire.messages import TcpInfo


class CloseMethod(StrEnum):
    """The way a connection is closed."""

    AT_ONCE = "at_once"
    """This end sends a FIN; the answer follows at once."""
    PAUSED = "paused"
    """The same, but the answer follows after a pause."""
    FINISH = "finish"
    """The server answers and sends a FIN; this end sends more data."""
    RESET = "reset"
    """The server resets."""
    OWN_RESET = "own_reset"
    """This end resets."""


@dataclass(frozen=True, slots=True)
class CloseTrial:
    """One connection, and how its close arrived.

    ``open_failure`` is why data did not pass even before the close. ``late``: the
    pushed data may have arrived after the server's linger. ``answered`` is how many of
    the ``size`` bytes of the answer arrived, ``changed`` whether they were altered;
    ``pushed`` is how many bytes were sent after the server's FIN, ``sent`` is all bytes
    that this end sent.
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
        """Whether the whole answer arrived."""
        return self.answered == self.size and not self.changed


@dataclass(frozen=True, slots=True)
class CloseResult:
    """The trials at one address.

    ``repeated`` are further trials of ways that failed, if several instances answer.
    """

    address: Address
    trials: tuple[CloseTrial, ...]
    repeated: tuple[CloseTrial, ...] = ()
