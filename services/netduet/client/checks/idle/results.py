"""What came of connections that were held idle."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from netduet.client.net.dial import Address, Cause
from netduet.client.net.handshake import ConnectionEnd, Handshake
from netduet.client.net.server_evidence import ServerView
from netduet.client.results.location import Side
from netduet.net.time_span import TimeSpan
from netduet.wire.messages import TcpInfo


class HoldOutcome(StrEnum):
    """What became of a connection."""

    ALIVE = "lived"
    RESET = "reset"
    CLOSED = "closed"
    SILENT = "silent"
    NOT_HELD = "unheld"
    """It could not even be held."""
    ENDED_BY_SERVER = "ended by the server"


@dataclass(frozen=True, slots=True)
class HoldPlan:
    """A silence of ``rung`` seconds; ``keepalive`` is the interval of its probes."""

    rung: float
    waker: Side
    keepalive: int | None = None


@dataclass(frozen=True, slots=True)
class HeldConnection:
    """A connection that was held; or was not, and then ``refused`` may say why.

    ``ended_after`` is how long the silence lasted when it ended early; ``wait``
    is from the wake-up to the end; ``tcp_info`` this kernel's view at the end of it, and
    ``retrans`` how many segments it sent again meanwhile.
    """

    plan: HoldPlan
    handshake: Handshake
    refused: str = ""
    answered: bool = False
    ending: ConnectionEnd | None = None
    ended_after: float | None = None
    wait: TimeSpan | None = None
    sent: int = 0
    received: int = 0
    tcp_info: TcpInfo | None = None
    retrans: int = 0
    server: ServerView = field(default_factory=ServerView)

    @property
    def outcome(self) -> HoldOutcome:
        """What became of it; an end that the server made itself is no middlebox's."""
        how = "" if self.ending is None else self.ending.how
        entry = self.server.entry
        by_server = entry is not None and entry.ended_by == Side.SERVER
        if self.answered:
            return HoldOutcome.ALIVE
        if self.handshake.refused is not None or how == "error":
            return HoldOutcome.ENDED_BY_SERVER
        if self.handshake.welcome is None or self.refused:
            return HoldOutcome.NOT_HELD
        if entry is not None and entry.ended == "drained":
            return HoldOutcome.ENDED_BY_SERVER
        if how in (Cause.RESET, "eof", "broken"):
            if by_server:
                return HoldOutcome.ENDED_BY_SERVER
            return HoldOutcome.RESET if how == Cause.RESET else HoldOutcome.CLOSED
        if entry is not None and entry.ended is not None and not by_server:
            return HoldOutcome.RESET if entry.ended == "reset" else HoldOutcome.CLOSED
        return HoldOutcome.SILENT

    @property
    def unacknowledged(self) -> bool:
        """Whether the kernel at the waker's end says that nothing was acknowledged.

        Then the silence is no matter of either program's lateness.
        """
        if self.plan.waker is Side.CLIENT:
            unacked = 0 if self.tcp_info is None else self.tcp_info.unacked
            return bool(unacked) and self.retrans > 0
        view = self.server.view
        return view is not None and view.unacked > 0 and view.total_retrans > 0

    @property
    def lost_on_path(self) -> bool:
        """Whether one kernel's bytes were acknowledged, and the other never had them.

        Then something in between took them. A kernel counts whatever its program does.
        """
        ours, view = self.tcp_info, self.server.view
        if ours is None or view is None:
            return False
        took, came = ours.bytes_acked, ours.bytes_received
        # The SYN counts as one byte (RFC 9293 §3.4).
        return took - 1 > view.bytes_received or view.bytes_acked - 1 > came


@dataclass(frozen=True, slots=True)
class IdleResult:
    """What was held at one address; ``beyond`` are the rungs above what it holds."""

    address: Address
    limit: float | None = None
    beyond: tuple[float, ...] = ()
    held: tuple[HeldConnection, ...] = ()
