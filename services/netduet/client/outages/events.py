"""The events that the probes report. Times are monotonic seconds of this client."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from netduet.client.results.location import Location
from netduet.net.time_span import Timed
from netduet.wire.messages import Welcome

OVERFLOW_SHARE: Final = 0.5
"""Share of a run's losses that full-buffer drops must reach to explain the run."""


@dataclass(frozen=True, slots=True)
class LossRun(Timed):
    """Consecutive datagrams of one direction that were lost.

    ``where`` is the direction, or unknown. The run starts when the first lost datagram
    was sent and ends when the next one that arrived was sent. ``sender_stalled`` and
    ``receiver_stalled`` are for how many seconds of it that end was not running;
    ``dropped`` counts the datagrams, from any sender, that the receiver's socket buffer
    had no room for meanwhile; ``ended`` False: it was ongoing when the measurement
    ended. ``precision`` is the error of start and end, in seconds.
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
        """Whether the receiver's full buffer explains at least half of the losses."""
        return self.dropped >= OVERFLOW_SHARE * self.lost > 0


@dataclass(frozen=True, slots=True)
class ServerRestart(Timed):
    """The server started a new stream; ``start`` is the last arrival of the old one.

    ``boot_ids`` identify the server process before and after, in hex; they are equal if
    it is the same process. ``end_reason`` is why the server ended the old stream, "" if
    it gave no reason.
    """

    start: float
    end: float
    boot_ids: tuple[str, str]
    end_reason: str = ""

    @property
    def is_new_process(self) -> bool:
        """Whether another server process answers than before."""
        return self.boot_ids[0] != self.boot_ids[1]


@dataclass(frozen=True, slots=True)
class ConnectFailureRun(Timed):
    """Consecutive new connections that did not work at once.

    ``start`` is when the first of them was started, ``last_start`` when the last one
    was, ``end`` when the next one that worked was, and ``previous_start`` when the one
    before them was. ``rejected``: one of them was refused, had no route, or got a
    foreign answer, which loss cannot cause. ``late``: all were accepted, and the welcome
    was late or did not come, which a starved server causes as well.
    """

    start: float
    end: float
    previous_start: float
    last_start: float
    failed: int
    reason: str
    ended: bool = True
    rejected: bool = False
    late: bool = False

    @property
    def min_seconds(self) -> float:
        """Minimum duration."""
        return self.last_start - self.start

    @property
    def max_seconds(self) -> float:
        """Maximum duration."""
        return self.end - self.previous_start


@dataclass(frozen=True, slots=True)
class ConnectionStall(Timed):
    """A stall of the long-lived connection, from a request's sending to its late answer.

    ``broken`` is the error that closed the connection, "" if it survived;
    ``client_stalled`` is for how many seconds of it this client was not running;
    ``boot_id`` is that of the server process at the other end, "" if unknown.
    """

    start: float
    end: float
    broken: str = ""
    ended: bool = True
    client_stalled: float = 0.0
    boot_id: str = ""


ProbeEvent = LossRun | ServerRestart | ConnectFailureRun | ConnectionStall
EventHandler = Callable[[ProbeEvent], None]
WelcomeHandler = Callable[[Welcome], None]

EventKind = TypeVar("EventKind", bound=ProbeEvent)


def of_kind(
    events: Iterable[ProbeEvent], kind: type[EventKind]
) -> tuple[EventKind, ...]:
    """Return the events of one kind."""
    return tuple(event for event in events if isinstance(event, kind))
