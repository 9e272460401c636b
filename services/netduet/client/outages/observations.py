"""What the probes measured at one address. Times are monotonic seconds."""

from __future__ import annotations

from dataclasses import dataclass, field

from netduet.client.net.dial import Address
from netduet.client.outages.events import (
    ConnectFailureRun,
    ConnectionStall,
    LossRun,
    ServerRestart,
)
from netduet.client.outages.loss_tracker import LossCounts
from netduet.client.stats.instances import InstanceTrial
from netduet.net.time_span import Timed, TimeSpan
from netduet.wire.messages import ServerReport


@dataclass(frozen=True, slots=True)
class DatagramObservations:
    """The UDP streams, one datagram each ``period`` seconds.

    ``supported`` False: the server cannot stream; ``of_service``: because it is a service
    other than netduet-server. ``answered`` False: no answer came;
    ``refused`` is why the server does not stream. ``unsent`` of our datagrams were not
    sent, ``dropped`` found no room in this client's buffer (None: unknown).
    ``server_stalls`` are the times in which the server was not running, as its stream
    shows, and ``send_blocked`` those in which this client's kernel sent nothing,
    because of ``error``.
    """

    period: float = 0.02
    supported: bool = True
    of_service: bool = False
    answered: bool = True
    refused: str = ""
    error: str = ""
    notice: str = ""
    up: LossCounts = field(default_factory=LossCounts)
    down: LossCounts = field(default_factory=LossCounts)
    unsent: int = 0
    stalled: float = 0.0
    dropped: int | None = 0
    lateness: float = 0.0
    server_stalls: tuple[TimeSpan, ...] = ()
    send_blocked: tuple[TimeSpan, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the server's stream arrived, so direction and length are known."""
        return self.answered and self.down.sent > 0


@dataclass(frozen=True, slots=True)
class NewConnections:
    """The new connections, one each ``period`` seconds.

    ``started`` are those that prove something; ``void`` ones failed because of this
    client, for up to ``longest_void`` seconds in a row. ``trials`` are those that were
    welcomed, by instance.
    """

    period: float = 0.1
    started: int = 0
    failed: int = 0
    void: int = 0
    longest_void: float = 0.0
    trials: tuple[InstanceTrial, ...] = ()


@dataclass(frozen=True, slots=True)
class LongLivedConnection:
    """The long-lived connection.

    ``retransmits`` are the segments that this kernel retransmitted (None: unknown),
    ``server_report`` is the server's evidence.
    """

    asked: int = 0
    answered: int = 0
    connect_error: str = ""
    retransmits: int | None = 0
    server_report: ServerReport | None = None


@dataclass(frozen=True, slots=True)
class Observations(Timed):
    """All events and counts of one address from ``start`` to ``end``.

    ``utc_offset`` is Unix time minus our monotonic seconds; None if unknown.
    """

    address: Address
    start: float
    end: float
    datagrams: DatagramObservations = field(default_factory=DatagramObservations)
    new_connections: NewConnections = field(default_factory=NewConnections)
    long_lived: LongLivedConnection = field(default_factory=LongLivedConnection)
    loss_runs: tuple[LossRun, ...] = ()
    restarts: tuple[ServerRestart, ...] = ()
    failure_runs: tuple[ConnectFailureRun, ...] = ()
    stalls: tuple[ConnectionStall, ...] = ()
    utc_offset: float | None = None

    def starved_seconds(self, event: ConnectionStall | ConnectFailureRun) -> float:
        """Return for how many seconds of an event, at most, an end was not running."""
        client = event.client_stalled if isinstance(event, ConnectionStall) else 0.0
        stalls = self.datagrams.server_stalls
        return min(event.seconds, client + event.covered_seconds(stalls))
