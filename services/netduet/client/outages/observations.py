"""What is measured at an address. Times are monotonic seconds."""

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
from netduet.wire.messages import ServerReport


@dataclass(frozen=True, slots=True)
class DatagramObservations:
    """The streams of datagrams: ``period`` is the seconds from one to the next.

    ``asked`` False: the server cannot stream. ``answered`` False: none came through;
    ``refused`` is the server's word for not streaming. ``unsent`` of ours did not
    leave, ``dropped`` found no room in this end's buffer (None: not known);
    ``server_stalls`` are when the server's stream shows that it did not run, and
    ``withheld`` when this end's own kernel sent nothing, for the reason ``error``.
    """

    period: float = 0.02
    supported: bool = True
    answered: bool = True
    refused: str = ""
    error: str = ""
    notice: str = ""
    round_trip: float = 0.0
    up: LossCounts = field(default_factory=LossCounts)
    down: LossCounts = field(default_factory=LossCounts)
    unsent: int = 0
    stalled: float = 0.0
    dropped: int | None = 0
    lateness: float = 0.0
    server_stalls: tuple[tuple[float, float], ...] = ()
    send_blocked: tuple[tuple[float, float], ...] = ()

    @property
    def passed(self) -> bool:
        """The server's stream came: direction and length can be told."""
        return self.answered and self.down.sent > 0


@dataclass(frozen=True, slots=True)
class NewConnections:
    """The fresh connections, one each ``period`` seconds.

    ``started`` are those that prove something; ``void`` ones failed by this end itself,
    for ``longest_void`` seconds one behind the other.
    """

    period: float = 0.1
    started: int = 0
    failed: int = 0
    void: int = 0
    skipped: int = 0
    longest_void: float = 0.0


@dataclass(frozen=True, slots=True)
class LongLivedConnection:
    """The old connection (``connections``, where it broke and was made again).

    ``sent_again`` are the segments that our kernel sent again, ``report`` what the
    server said in the end of its own part.
    """

    asked: int = 0
    answered: int = 0
    connections: int = 1
    connect_error: str = ""
    retransmits: int = 0
    server_report: ServerReport | None = None


@dataclass(frozen=True, slots=True)
class Observations:
    """What came of one address.

    ``clock`` is what to add to our monotonic seconds to have those since 1970, UTC;
    None: not known.
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

    @property
    def seconds(self) -> float:
        """How long it was watched."""
        return self.end - self.start
