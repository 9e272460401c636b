"""What came of many connections to the addresses of a name."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from netduet.client.net.dial import Address
from netduet.client.results.instance import instance_named
from netduet.net.time_span import Timed


class ConnectionOutcome(StrEnum):
    """What came of a connection, in the words that are shown."""

    ANSWERED = "answered"
    CONNECT_TIMEOUT = "did not accept in time"
    ANSWER_TIMEOUT = "accepted, and did not answer in time"
    REFUSED = "were refused"
    UNREACHABLE = "found the host unreachable"
    RESET = "were reset"
    CLOSED = "were accepted and closed without an answer"
    FOREIGN = "were answered by something that is no netduet"
    BUSY = "were turned away by a netduet that is full or stops"
    OTHER = "failed in other ways"


@dataclass(frozen=True, slots=True)
class BalanceTrial(Timed):
    """One connection; the texts are a netduet's own, "" without one."""

    outcome: ConnectionOutcome
    boot_id: str = ""
    instance: str = ""
    service: str = ""
    software: str = ""
    own_address: Address | None = None
    start: float = 0.0
    end: float = 0.0
    node: str = ""
    zone: str = ""

    @property
    def label(self) -> str:
        """The instance, and where it is, as lists show it."""
        return instance_named(self.instance, self.node, self.zone).brief


@dataclass(frozen=True, slots=True)
class AddressTrials:
    """All connections to one address of the name, in the order in which they began."""

    address: Address
    trials: tuple[BalanceTrial, ...]


@dataclass(frozen=True, slots=True)
class BalanceResult:
    """What was counted; ``direct`` is boot_id asked, address, what came of it.

    ``expected`` is the service ("" for any), ``instances`` how many must answer (0:
    not said), ``uneven`` how many times the others' average one of them may get.
    """

    by_address: tuple[AddressTrials, ...]
    direct_trials: tuple[tuple[str, Address, BalanceTrial], ...] = ()
    expected_service: str = ""
    expected_instances: int = 0
    max_uneven: float = 2.0
