"""The events that the probes report. Times are seconds of our monotonic clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from netduet.client.results.location import Location
from netduet.net.time_span import Timed
from netduet.wire.messages import Welcome

OVERFLOW_SHARE: Final = 0.5
"""Share of a run's losses that full-buffer drops must reach to explain the run."""


@dataclass(frozen=True, slots=True)
class LossRun(Timed):
    """Consecutive datagrams of one direction that were lost.

    ``where`` is the direction, or unknown. It starts when the first lost datagram was
    sent and ends when the first one that arrived again was sent. ``sender_stalled`` and
    ``receiver_stalled`` are for how many seconds of that an end was not running;
    ``dropped`` counts the datagrams, from any sender, that the receiver's own socket had
    no room for meanwhile; ``ended`` False: it was ongoing when the measurement ended.
    ``precision`` is how far off start and end may be, in seconds.
    """

    where: Location
    start: float
    end: float
    lost: int
    sender_stalled: float = 0.0
    receiver_stalled: float = 0.0
    ended: bool = True
    precision: float = 0.02
    dropped: int = 0

    @property
    def overflowed(self) -> bool:
        """The receiver's own socket had no room for at least half as many as were lost."""
        return self.dropped >= OVERFLOW_SHARE * self.lost > 0


@dataclass(frozen=True, slots=True)
class ServerRestart(Timed):
    """The server began a new stream: ``start`` is when the last datagram of the old came.

    ``boot_ids`` identify the server process before and after, in hex; they are equal
    where the process went on. ``end_reason`` is why the server ended the old stream, ""
    where it did not say.
    """

    start: float
    end: float
    boot_ids: tuple[str, str]
    end_reason: str = ""

    @property
    def is_new_process(self) -> bool:
        """Another server process answers than before."""
        return self.boot_ids[0] != self.boot_ids[1]


@dataclass(frozen=True, slots=True)
class ConnectFailureRun(Timed):
    """Consecutive new connections that did not work at once.

    ``start`` and ``end`` are when the first of them was started, and the first one
    after them that worked; ``last_start`` when the last of them was.
    ``previous_start`` is when the last one before them was started. ``rejected``: one
    of them was refused, had no route, or got a foreign answer, which loss cannot cause.
    """

    start: float
    end: float
    previous_start: float
    last_start: float
    failed: int
    reason: str
    ended: bool = True
    rejected: bool = False

    @property
    def min_seconds(self) -> float:
        """How long it lasted at least."""
        return self.last_start - self.start

    @property
    def max_seconds(self) -> float:
        """How long it lasted at most."""
        return self.end - self.previous_start


@dataclass(frozen=True, slots=True)
class ConnectionStall(Timed):
    """The long-lived connection stalled: from a request's sending to its late answer.

    ``broken`` is the error with which the connection ended, "" where it went on;
    ``client_stalled`` is for how many seconds of it this client was not running.
    """

    start: float
    end: float
    broken: str = ""
    ended: bool = True
    client_stalled: float = 0.0


ProbeEvent = LossRun | ServerRestart | ConnectFailureRun | ConnectionStall
EventHandler = Callable[[ProbeEvent], None]
WelcomeHandler = Callable[[Welcome], None]
