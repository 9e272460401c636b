"""What the check ``flows`` measures: what passes from each source port."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

from netduet.client.net.dial import Address, ConnectResult
from netduet.client.net.path_rate import spacing
from netduet.client.results.instance import UNKNOWN_INSTANCE, Instance
from netduet.net.time_span import Timed


class FlowTransport(StrEnum):
    """The transport of a flow."""

    TCP = "TCP"
    UDP = "UDP"


@dataclass(frozen=True, slots=True)
class FlowPlan:
    """How much is tried: ``ports`` per transport, and ``packets`` of each port again.

    ``interval`` is the seconds between two connections, ``hold`` how long connections are
    held open. ``rate`` is that of a slow path in bit/s, infinity for any other.
    """

    ports: int
    packets: int
    interval: float
    hold: float
    rate: float = math.inf

    @property
    def is_slow(self) -> bool:
        """Whether the path is so slow that one transport at a time is tried."""
        return self.rate < math.inf

    def transit_seconds(self, size: int, share: float) -> float:
        """Return the seconds for these bytes at a share of the rate, 0 if it is fast."""
        return spacing(size, self.rate, share)


@dataclass(frozen=True, slots=True)
class PortTrial:
    """A connection, or an exchange of datagrams, from one source port.

    ``passed``: an answer came. ``full``: whether packets of full size passed, None if
    not tried; ``full_arrived``: whether they did on the way to the server, None if
    unknown. ``lost_up`` and ``lost_down`` of ``sent`` packets were lost on the way to the
    server and back, of those that were answered otherwise. ``instance`` is the server's.
    """

    passed: bool
    full: bool | None = None
    full_arrived: bool | None = None
    sent: int = 0
    lost_up: int = 0
    lost_down: int = 0
    instance: Instance = UNKNOWN_INSTANCE
    detail: str = ""

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, packets of full size apart."""
        return self.passed and not self.lost

    @property
    def lost(self) -> int:
        """The packets that were lost in either direction."""
        return self.lost_up + self.lost_down


@dataclass(frozen=True, slots=True)
class SourcePort:
    """All trials from one source port.

    ``first`` is the trial that all ports get. ``again`` are those of the second stage,
    which the suspicious ones get, and as many others as controls. ``packets`` is the
    exchange of many packets at its end.
    """

    port: int
    first: PortTrial
    again: tuple[PortTrial, ...] = ()
    packets: PortTrial | None = None

    @property
    def is_suspicious(self) -> bool:
        """Whether anything was lost in its first trial."""
        return not self.first.is_clean or self.first.full is False

    @property
    def trials(self) -> tuple[PortTrial, ...]:
        """All trials."""
        more = () if self.packets is None else (self.packets,)
        return (self.first, *self.again, *more)

    @property
    def passed(self) -> bool:
        """Whether anything has ever passed."""
        return any(trial.passed for trial in self.trials)

    @property
    def full_passed(self) -> bool:
        """Whether a packet of full size has ever passed."""
        return any(trial.full for trial in self.trials)


@dataclass(frozen=True, slots=True)
class FirstDatagrams:
    """What became of the first datagrams of flows, new ones and known ones by turns.

    Of ``new`` ports, not used before, the first datagram of ``new_lost`` was lost and the
    second one passed; that first one reached the server from ``new_arrived`` of these. Of
    ``known`` ports, that of ``known_lost`` was lost.
    """

    new: int
    new_lost: int
    new_arrived: int
    known: int
    known_lost: int


@dataclass(frozen=True, slots=True)
class TransportFlows(Timed):
    """The source ports of one transport, in the order in which they were tried.

    ``full_size`` is the largest packet's payload in bytes, 0 if none was tried;
    ``planned`` is how many ports were to be tried; ``path_mtus`` are those that the kernel
    assumed, the largest and the smallest, 0 if unknown. ``start`` and ``end`` are those of the
    second stage, in monotonic seconds; the first one began at ``first_start`` (TCP alone).
    ``first_datagrams`` is None if it was not looked into.
    """

    transport: FlowTransport
    ports: tuple[SourcePort, ...]
    planned: int
    full_size: int = 0
    path_mtus: tuple[int, int] = (0, 0)
    start: float = 0.0
    end: float = 0.0
    first_datagrams: FirstDatagrams | None = None
    first_start: float = 0.0


@dataclass(frozen=True, slots=True)
class HeldFlow:
    """A connection that was held open.

    ``error`` is how it ended, "" if it did not, at ``end``; ``announced`` if the server
    gave a reason for it. ``answered_at`` is when it was last answered. ``instance_after``
    answered a new connection from the same source port afterwards, None if none did.
    ``returned`` if its first instance answered once more, after another one had. Times
    are monotonic seconds.
    """

    port: int
    instance: Instance
    boot_id: str
    error: str = ""
    answered_at: float = 0.0
    end: float = 0.0
    instance_after: Instance | None = None
    boot_id_after: str = ""
    announced: bool = False
    returned: bool = False

    @property
    def was_interrupted(self) -> bool:
        """Whether it ended without a reason, though its instance still answers."""
        same = self.boot_id_after == self.boot_id
        return bool(self.error) and same and not self.announced

    @property
    def has_moved(self) -> bool:
        """Whether it ended, and its source port then led to another instance."""
        return bool(self.error and self.boot_id_after) and (
            self.boot_id_after != self.boot_id
        )


@dataclass(frozen=True, slots=True)
class FlowsResult:
    """What was measured at one address.

    ``link_addresses`` are the MAC addresses at which this kernel has seen it, in order,
    whenever they changed. ``failed_ports`` are failed attempts of earlier checks.
    ``held_seconds`` is how long connections were held open.
    """

    address: Address
    tcp: TransportFlows | None = None
    udp: TransportFlows | None = None
    held: tuple[HeldFlow, ...] = ()
    held_seconds: float = 0.0
    link_addresses: tuple[str, ...] = ()
    failed_ports: tuple[ConnectResult, ...] = ()
    instances: frozenset[str] = field(default_factory=frozenset)

    @property
    def flows(self) -> tuple[TransportFlows, ...]:
        """The transports that were tried."""
        return tuple(each for each in (self.tcp, self.udp) if each is not None)
