"""What the parts of the measurement tell. Times are seconds of our monotonic clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from netduet.client.results.location import Location
from netduet.wire.messages import Welcome


@dataclass(frozen=True, slots=True)
class LossRun:
    """Datagrams of one direction that were lost one behind the other.

    ``where`` is the direction, or unknown; it is out from when the first lost one was
    sent until the first one that arrived again was sent. ``slipped`` is for how long of
    that the sender itself did not run, ``deaf`` the receiver; ``dropped`` are datagrams,
    of whoever, that the receiver's own socket had no room for meanwhile; ``ended`` False:
    it was still out when the measurement ended. ``precision`` is how far off start and
    end may be.
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
    def seconds(self) -> float:
        """How long it lasted."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class ServerRestart:
    """The server's stream began anew: ``begin`` is when the last of the old one came.

    ``boots`` are the starts of a server before and after, in hex, the same where it
    went on running; ``said`` is the server's word for the end of the old one.
    """

    start: float
    end: float
    boot_ids: tuple[str, str]
    end_reason: str = ""


@dataclass(frozen=True, slots=True)
class ConnectFailureRun:
    """So many fresh connections begun one behind the other did not work at once.

    ``start`` and ``end`` are when the first of them was begun, and the first behind
    them that worked; ``last`` when the last of them was. ``before`` is when the last
    one before them was begun. ``turned_away``: one of them was refused, had
    no route, or was answered by something else, which no loss does.
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
    def seconds(self) -> float:
        """How long it lasted."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class ConnectionStall:
    """The old connection stood still: from a question's sending to its late answer.

    ``broken`` says how it ended, when it did not go on; ``stalled`` is for how long of
    that this end did not run.
    """

    start: float
    end: float
    broken: str = ""
    ended: bool = True
    client_stalled: float = 0.0

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.end - self.start


ProbeEvent = LossRun | ServerRestart | ConnectFailureRun | ConnectionStall
EventHandler = Callable[[ProbeEvent], None]
WelcomeHandler = Callable[[Welcome], None]


def covered_seconds(
    spans: Iterable[tuple[float, float]], start: float, end: float
) -> float:
    """Return how many seconds of a time the spans cover."""
    return sum(max(0.0, min(end, upto) - max(start, at)) for at, upto in spans)
