"""What the check ``size`` measures: trials of sizes, to each address and back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from netduet.client.net.dial import Address, Cause
from netduet.client.results.location import Direction
from netduet.net.time_span import TimeSpan

if TYPE_CHECKING:
    from netduet.wire.messages import LedgerEntry, TcpInfo


class TrialOutcome(StrEnum):
    """The outcome of a trial."""

    PASSED = "passed"
    CHANGED = "changed"
    STALLED = "stalled"
    SLOW = "slow"
    ENDED = "ended"
    UNOPENED = "unopened"


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """What to try: a direction and a size, None for exactly one full packet.

    ``one_packet``: reduce a size that would need two packets to one; ``brief``: wait
    less, because the stall is known and only its limit is searched. ``seed`` is that of
    the bytes, None for new ones.
    """

    direction: Direction
    size: int | None = None
    one_packet: bool = False
    brief: bool = False
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class SizeTrial:
    """One trial of a size.

    ``before`` and ``after`` are the counters of the sender's kernel; ``arrived`` is how many
    of the bytes the receiver's kernel has, None if it could not be queried; ``ack_gap`` how
    many bytes it acknowledged that the sender does not know of; ``missing`` why the server's
    kernel could not be queried; ``refusal_code`` the code of the server's refusal;
    ``request_unacked``: not even the request for the bytes was acknowledged; ``record`` is
    the server's ledger entry of the connection; ``instance`` is the server's. ``window`` is the time without progress, or
    the whole trial; ``changed_at`` counts from the start of the payload. ``seed`` is that
    of the bytes.
    """

    plan: TrialPlan
    size: int
    outcome: TrialOutcome
    window: TimeSpan
    before: TcpInfo | None = None
    after: TcpInfo | None = None
    arrived: int | None = None
    changed_at: int | None = None
    detail: str = ""
    missing: str = ""
    cause: Cause | None = None
    ack_gap: int = 0
    refusal_code: str = ""
    request_unacked: bool = False
    record: LedgerEntry | None = None
    instance: str = ""
    seed: int = 0

    @property
    def stopped_at(self) -> int:
        """How many bytes had arrived in order when it stopped, as far as is known."""
        if self.plan.direction is Direction.DOWN or self.after is None:
            return self.arrived or 0
        return self.after.bytes_acked

    @property
    def seconds(self) -> float:
        """The time without progress, or of the whole trial."""
        return self.window.end - self.window.start

    @property
    def delivered(self) -> bool:
        """Whether all bytes arrived, changed or not."""
        return self.outcome in (TrialOutcome.PASSED, TrialOutcome.CHANGED)

    @property
    def is_full_packet(self) -> bool:
        """Whether it was one packet, as long as the sender's kernel makes them."""
        return self.plan.size is None

    @property
    def is_one_packet(self) -> bool:
        """Whether it fitted into one packet."""
        return self.before is not None and self.size <= self.before.snd_mss

    @property
    def retransmits(self) -> int:
        """The packets that the sender retransmitted."""
        if self.before is None or self.after is None:
            return 0
        return max(0, self.after.total_retrans - self.before.total_retrans)


@dataclass(frozen=True, slots=True)
class SizeResult:
    """The trials to and from one address; none from a service other than netduet-server.

    ``needs_server``: its protocol has no question that can be made long. ``replays`` are
    further trials of a transfer that stopped: with its own bytes, and with new ones.
    """

    address: Address
    up: tuple[SizeTrial, ...]
    down: tuple[SizeTrial, ...]
    needs_server: bool = False
    replays: tuple[SizeTrial, ...] = ()

    @property
    def directions(self) -> tuple[tuple[Direction, tuple[SizeTrial, ...]], ...]:
        """The directions that were tried, with their trials."""
        both = (Direction.UP, self.up), (Direction.DOWN, self.down)
        return tuple((direction, trials) for direction, trials in both if trials)
