"""What the check ``idle`` measures: connections that were held idle."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from netduet.client.net.dial import Address, Cause
from netduet.client.net.handshake import ConnectionEnd, Handshake
from netduet.client.net.server_evidence import ServerView
from netduet.client.results.location import Side
from netduet.net.time_span import Timed, TimeSpan
from netduet.wire.messages import TcpInfo

KEEPALIVE_PROBES: Final = 4
"""Keep-alive probes within a rung."""

WAKE_SECONDS: Final = 2.0
"""Wait for the datagrams that the server sends after the silence of a UDP flow."""

_MAX_INTERVAL_SECONDS: Final = 60.0


def keepalive_interval(rung: float) -> int:
    """Return the seconds between the keep-alive probes of a rung."""
    return max(1, int(min(rung / KEEPALIVE_PROBES, _MAX_INTERVAL_SECONDS)))


class HoldOutcome(StrEnum):
    """The outcome of a held connection."""

    ALIVE = "lived"
    RESET = "reset"
    CLOSED = "closed"
    SILENT = "silent"
    NOT_HELD = "unheld"
    """It could not be held."""
    ENDED_BY_SERVER = "ended by the server"


@dataclass(frozen=True, slots=True)
class HoldPlan:
    """``rung`` seconds of idle time; ``keepalive`` is the interval of its probes."""

    rung: float
    waker: Side
    keepalive: int | None = None


@dataclass(frozen=True, slots=True)
class HeldConnection:
    """A held connection; if it could not be held, ``refused`` may be why.

    ``ended_after`` is the idle time if it ended early; ``wait`` is from the wake-up to
    the end; ``tcp_info`` is this kernel's view at the end of it, and ``retrans`` is how
    many segments it retransmitted meanwhile.
    """

    plan: HoldPlan
    handshake: Handshake
    refused: str = ""
    answered: bool = False
    ending: ConnectionEnd | None = None
    ended_after: float | None = None
    wait: TimeSpan | None = None
    sent: int = 0
    tcp_info: TcpInfo | None = None
    retrans: int = 0
    server: ServerView = field(default_factory=ServerView)

    @property
    def outcome(self) -> HoldOutcome:
        """The outcome; an end by the server itself is not a middlebox's."""
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
        is_closed = entry is not None and entry.ended not in {None, "unreachable"}
        if entry is not None and is_closed and not by_server:
            return HoldOutcome.RESET if entry.ended == "reset" else HoldOutcome.CLOSED
        return HoldOutcome.SILENT

    @property
    def is_dead(self) -> bool:
        """Whether it died, and not by the server itself."""
        return self.outcome in {
            HoldOutcome.RESET,
            HoldOutcome.CLOSED,
            HoldOutcome.SILENT,
        }

    @property
    def unacknowledged(self) -> bool:
        """Whether the kernel at the waking end received no acknowledgement.

        Then the silence is not due to a late program.
        """
        if self.plan.waker is Side.CLIENT:
            unacked = 0 if self.tcp_info is None else self.tcp_info.unacked
            return bool(unacked) and self.retrans > 0
        view = self.server.view
        return view is not None and view.unacked > 0 and view.total_retrans > 0

    @property
    def lost_on_path(self) -> bool:
        """Whether one kernel's bytes were acknowledged, but never reached the other one.

        Then a middlebox accepted them. Kernels count independently of their programs.
        """
        client, view = self.tcp_info, self.server.view
        if client is None or view is None:
            return False
        # The SYN counts as one byte (RFC 9293 §3.4).
        return client.bytes_acked - 1 > view.bytes_received or (
            view.bytes_acked - 1 > client.bytes_received
        )


@dataclass(frozen=True, slots=True)
class BusyConnection(Timed):
    """A connection that was used all the time, from ``start`` to ``end``.

    ``is_alive``: it was still alive when the check ended. Otherwise ``ending`` is how it
    ended, None for silence, and ``server`` is the server's record of it.
    """

    start: float
    end: float
    is_alive: bool = False
    ending: ConnectionEnd | None = None
    server: ServerView = field(default_factory=ServerView)

    @property
    def is_dead(self) -> bool:
        """Whether it ended, and not by the server itself."""
        how = "" if self.ending is None else self.ending.how
        entry = self.server.entry
        by_server = entry is not None and (
            entry.ended_by == Side.SERVER or entry.ended == "drained"
        )
        return not (self.is_alive or by_server or how == "error")


@dataclass(frozen=True, slots=True)
class UdpSilence(Timed):
    """A UDP flow on which both ends were silent for ``rung`` seconds.

    ``is_held``: the server agreed to wait. ``is_alive``: what it sent after that, until
    ``end``, arrived. If not, this client asked again: ``answers_again``, then from another
    address outside (``is_moved``); ``unheard`` is how many datagrams the server had sent
    meanwhile, None if unknown.
    """

    rung: int
    is_held: bool = False
    is_alive: bool = False
    answers_again: bool = False
    is_moved: bool = False
    unheard: int | None = None
    start: float = 0.0
    end: float = 0.0


@dataclass(frozen=True, slots=True)
class UdpSilences:
    """The silent UDP flows to an address, and when datagrams of a busy one arrived."""

    address: Address
    flows: tuple[UdpSilence, ...] = ()
    busy_arrivals: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class IdleResult:
    """The connections at one address; ``beyond`` are rungs above the server's limit.

    ``busy`` are connections that were used meanwhile. ``udp`` are silent UDP flows, None
    if the server cannot wait on them. ``repeated`` were held afterwards for the shortest
    time after which one died, if several instances answer.
    """

    address: Address
    limit: float | None = None
    beyond: tuple[float, ...] = ()
    held: tuple[HeldConnection, ...] = ()
    busy: tuple[BusyConnection, ...] = ()
    udp: UdpSilences | None = None
    repeated: tuple[HeldConnection, ...] = ()
