"""What the check ``load`` measures: bulk transfers, and echoes meanwhile.

Times are monotonic seconds, sizes are bytes of payload, rates are bit/s of payload.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Self

from netduet.client.stats.percentiles import percentile
from netduet.net.time_span import Timed, TimeSpan

if TYPE_CHECKING:
    from netduet.client.net.dial import Address
    from netduet.client.net.handshake import Handshake
    from netduet.client.results.instance import Instance
    from netduet.client.results.location import Direction
    from netduet.wire.messages import TcpInfo

SLICE_COUNT: Final = 5
"""Parts of a transfer whose rates are compared."""

_MIN_RATED_SHARE: Final = 0.3
"""Share of the time that must remain after the warm-up to measure the rate from it."""


@dataclass(frozen=True, slots=True)
class SenderTcpInfo:
    """The sender's TCP_INFO of a connection at a time.

    Times are in seconds. ``busy`` is how long data was in flight or waiting; meanwhile,
    ``limited_by_receiver`` is how long the receiver's window was the limit, and
    ``limited_by_buffer`` how long the sender's buffer was (include/uapi/linux/tcp.h,
    tcpi_busy_time and the next two). ``segments`` were sent, the ``retransmits``
    included, of which the receiver reported ``duplicates`` as needless (RFC 2883).
    ``window`` is the receiver's, in bytes, as the sender knows it; None if unknown.
    """

    at: float
    connection: int
    rtt: float
    min_rtt: float
    retransmits: int
    busy: float
    limited_by_receiver: float
    limited_by_buffer: float
    segments: int = 0
    duplicates: int = 0
    window: int | None = None

    @classmethod
    def from_tcp_info(cls, at: float, connection: int, info: TcpInfo) -> Self | None:
        """Convert it; None if an older kernel reports only a part."""
        values = (
            info.rtt,
            info.min_rtt,
            info.busy_time,
            info.rwnd_limited,
            info.sndbuf_limited,
        )
        times = [value / 1e6 for value in values if value is not None]
        if len(times) < len(values):
            return None
        rtt, min_rtt, busy, by_receiver, by_buffer = times
        segments = info.data_segs_out
        if segments is None:
            sent = info.bytes_acked + info.bytes_retrans
            segments = sent // max(1, info.snd_mss) + info.unacked
        return cls(
            at,
            connection,
            rtt,
            min_rtt,
            info.total_retrans,
            busy,
            by_receiver,
            by_buffer,
            segments,
            info.dsack_dups or 0,
            info.snd_wnd,
        )


@dataclass(frozen=True, slots=True)
class TransferStall:
    """No progress in this window, and what both kernels reported afterwards.

    ``unacked`` packets of the sender were not acknowledged, ``undelivered`` bytes had
    not reached the receiver's kernel, ``unsent`` bytes waited to be sent; None if
    unknown.
    """

    window: TimeSpan
    unacked: int | None = None
    unsent: int | None = None
    undelivered: int | None = None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class AfterStall:
    """What passed after a transfer had stalled: new connections, and datagrams."""

    connections: int
    connected: int
    datagrams_pass: bool


@dataclass(frozen=True, slots=True)
class TransferFlow(Timed):
    """A transfer in one direction, over several connections.

    ``arrivals`` are (time, bytes arrived by then) after the warm-up; ``total`` includes
    the warm-up. ``exhausted``: it ended because its bytes were used up.
    ``connection_error`` is why a connection ended unexpectedly; ``server_refusal`` is
    the server's reason if it ended the transfer. ``carried`` are the bytes that each
    connection delivered, and ``repeated`` those that one more connection delivered
    until it stopped, too (None: it did not stop, or was not tried). ``after_stall`` is
    None if it did not stall, or from the start.
    """

    direction: Direction
    connections: int
    start: float
    end: float
    arrivals: tuple[tuple[float, int], ...] = ()
    sender_infos: tuple[SenderTcpInfo, ...] = ()
    total: int = 0
    exhausted: bool = False
    changed: bool = False
    connection_error: str = ""
    server_refusal: str = ""
    stall: TransferStall | None = None
    carried: tuple[int, ...] = ()
    repeated: int | None = None
    after_stall: AfterStall | None = None

    @property
    def rate(self) -> float | None:
        """Bits per second after the warm-up; None if nothing arrived.

        Over the whole time if the bytes were used up early: the few that came after the
        warm-up may have come at once, and a high rate would be a guess.
        """
        whole = self.end - self.start
        if not self.total or whole <= 0:
            return None
        if not self.arrivals or self.exhausted:
            return 8 * self.total / whole
        (start, first), (end, last) = self.arrivals[0], self.arrivals[-1]
        if end - start < whole * _MIN_RATED_SHARE:
            return 8 * self.total / whole
        return 8 * (last - first) / (end - start)

    @property
    def slices(self) -> tuple[float, ...]:
        """The rates of equal parts of the time; empty if they are too short."""
        if len(self.arrivals) <= 2 * SLICE_COUNT:
            return ()
        start, end = self.arrivals[0][0], self.arrivals[-1][0]
        step = (end - start) / SLICE_COUNT
        if step <= 0:
            return ()
        boundaries = [
            self._arrived_by(start + number * step) for number in range(SLICE_COUNT + 1)
        ]
        return tuple(8 * (late - early) / step for early, late in pairwise(boundaries))

    @property
    def max_deviation(self) -> float | None:
        """The largest deviation of a part's rate from the mean, as a share of it."""
        rates = self.slices
        mean = statistics.fmean(rates) if rates else 0.0
        if not mean:
            return None
        return max(abs(slice_rate - mean) for slice_rate in rates) / mean

    def _arrived_by(self, instant: float) -> float:
        """Return how many bytes had arrived at a time, interpolated."""
        before = self.arrivals[0]
        for arrival in self.arrivals:
            if arrival[0] >= instant:
                span = arrival[0] - before[0]
                share = (instant - before[0]) / span if span > 0 else 1.0
                return before[1] + share * (arrival[1] - before[1])
            before = arrival
        return before[1]

    @property
    def rtt(self) -> float | None:
        """The median RTT of the sender's kernel while the path was full."""
        late = [
            sender.rtt for sender in self.sender_infos if sender.at >= self.settled_at
        ]
        return statistics.median(late) if late else None

    @property
    def min_rtt(self) -> float | None:
        """The minimum RTT of the sender's kernel."""
        return min(
            (sender.min_rtt for sender in self.sender_infos),
            default=None,
        )

    @property
    def settled_at(self) -> float:
        """The time from which the path counts as full: half of the transfer."""
        return (self.start + self.end) / 2

    @property
    def retransmits(self) -> int:
        """Packets that the sender's kernel retransmitted."""
        last = {sender.connection: sender.retransmits for sender in self.sender_infos}
        return sum(last.values())

    @property
    def wait_shares(self) -> tuple[float, float, float] | None:
        """Shares of the time in which (network, receiver, sender) delayed the data."""
        return self.wait_shares_since(self.start)

    def wait_shares_since(self, instant: float) -> tuple[float, float, float] | None:
        """Return the same of the time since then."""
        first: dict[int, SenderTcpInfo] = {}
        last: dict[int, SenderTcpInfo] = {}
        for sender in self.sender_infos:
            if sender.at < instant:
                continue
            first.setdefault(sender.connection, sender)
            last[sender.connection] = sender
        span = sum(last[key].at - sender.at for key, sender in first.items())
        if span <= 0:
            return None
        pairs = [(sender, last[key]) for key, sender in first.items()]
        busy = sum(end.busy - start.busy for start, end in pairs)
        receiver = sum(
            last.limited_by_receiver - first.limited_by_receiver
            for first, last in pairs
        )
        buffer = sum(
            last.limited_by_buffer - first.limited_by_buffer for first, last in pairs
        )
        network = busy - receiver - buffer
        return (
            _share(network, span),
            _share(receiver, span),
            _share(span - busy + buffer, span),
        )


def _share(slice_bytes: float, whole: float) -> float:
    return min(1.0, max(0.0, slice_bytes / whole))


@dataclass(frozen=True, slots=True)
class EchoTiming:
    """A small request: when it was due and sent, and when its answer arrived.

    ``arrived`` is the kernel's time if available. None: no answer.
    """

    due: float
    sent: float
    arrived: float | None = None


@dataclass(frozen=True, slots=True)
class LatencySpread:
    """Percentiles of latencies, in seconds."""

    p50: float
    p90: float
    p99: float
    max: float

    @classmethod
    def from_times(cls, times: Sequence[float]) -> Self | None:
        """Return them by nearest rank; None without times."""
        if not times:
            return None
        rank = sorted(times)
        p50, p90, p99 = (percentile(rank, share) for share in (0.5, 0.9, 0.99))
        return cls(p50, p90, p99, rank[-1])


@dataclass(frozen=True, slots=True)
class Phase(Timed):
    """A phase of the check, with the echoes that were due in it.

    ``cpu_share`` is this process's share of one CPU.
    """

    name: str
    start: float
    end: float
    flows: tuple[TransferFlow, ...] = ()
    echoes: tuple[EchoTiming, ...] = ()
    cpu_share: float = 0.0

    @property
    def latency(self) -> LatencySpread | None:
        """From the due time to the arrival: a stall delays all that were due in it."""
        times = [
            echo.arrived - echo.due for echo in self.echoes if echo.arrived is not None
        ]
        return LatencySpread.from_times(times)

    @property
    def send_delay(self) -> LatencySpread | None:
        """How late this process sent: its own part of the latency."""
        return LatencySpread.from_times(
            [max(0.0, echo.sent - echo.due) for echo in self.echoes]
        )

    @property
    def path_latency(self) -> LatencySpread | None:
        """From the sending to the arrival, without this process's delay."""
        times = [
            echo.arrived - echo.sent for echo in self.echoes if echo.arrived is not None
        ]
        return LatencySpread.from_times(times)


@dataclass(frozen=True, slots=True)
class BurstCount:
    """Packets that were sent ``size`` at a time after a pause, and lost ones of them."""

    direction: Direction
    size: int
    sent: int
    lost: int

    @property
    def share(self) -> float:
        """The share that was lost."""
        return self.lost / self.sent if self.sent else 0.0


@dataclass(frozen=True, slots=True)
class InstanceTransfer:
    """A short transfer on a single connection, and the instance that answered it."""

    instance: Instance
    flow: TransferFlow


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What was measured at one address; ``skipped`` is why nothing was.

    ``latency_error`` is why the latency probe ended early, "" if it did not. ``failed``
    is the opening of a connection that failed, unless the server refused it.
    ``bursts`` were tried in the directions whose transfers lost many packets.
    ``scaling_removed`` is the direction in which window scaling was removed.
    ``repeated`` are short transfers on single connections, in a direction with a
    failure, if several instances answer.
    """

    address: Address
    phases: tuple[Phase, ...] = ()
    skipped: str = ""
    latency_error: str = ""
    failed: Handshake | None = None
    bursts: tuple[BurstCount, ...] = ()
    scaling_removed: Direction | None = None
    repeated: tuple[InstanceTransfer, ...] = ()
