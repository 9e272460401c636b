"""What the check ``balance`` measures: many connections to the addresses of a name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from netduet.client.net.dial import Address
from netduet.client.results.instance import instance_named
from netduet.net.time_span import Timed


class ConnectionOutcome(StrEnum):
    """The outcome of a connection, as it is shown."""

    ANSWERED = "answered"
    CONNECT_TIMEOUT = "timed out while connecting"
    ANSWER_TIMEOUT = "were accepted but got no response in time"
    REFUSED = "were refused"
    UNREACHABLE = "failed because the host is unreachable"
    RESET = "were reset"
    CLOSED = "were closed without a response"
    FOREIGN = "were answered by something other than netduet"
    BUSY = "were rejected by a netduet server that is full or draining"
    OTHER = "failed in other ways"


@dataclass(frozen=True, slots=True)
class BalanceTrial(Timed):
    """One connection; the texts come from the server, "" without one."""

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
        """The instance and its location, for lists."""
        return instance_named(self.instance, self.node, self.zone).brief


@dataclass(frozen=True, slots=True)
class AddressTrials:
    """All connections to one address, in the order of their start.

    ``later`` are a few that were made slowly afterwards, if failures followed a run of
    answers.
    """

    address: Address
    trials: tuple[BalanceTrial, ...]
    later: tuple[BalanceTrial, ...] = ()

    @property
    def passes_slowly(self) -> bool:
        """Whether connections that are made slowly are all answered."""
        answered = (each.outcome is ConnectionOutcome.ANSWERED for each in self.later)
        return bool(self.later) and all(answered)

    @property
    def outcomes(self) -> Counter[ConnectionOutcome]:
        """How many connections had each outcome."""
        return Counter(trial.outcome for trial in self.trials)

    @property
    def instances(self) -> Counter[str]:
        """How many connections each instance answered, by its boot_id."""
        return Counter(trial.boot_id for trial in self.trials if trial.boot_id)


@dataclass(frozen=True, slots=True)
class BalanceResult:
    """The trials; ``direct_trials`` are boot id, address and trial of each instance.

    ``expected_service`` is "" for any, ``expected_instances`` 0 for any; ``max_uneven``
    is a multiple of the other instances' average. ``needs_server``: no netduet server
    answers, which alone could say who it is.
    """

    by_address: tuple[AddressTrials, ...]
    direct_trials: tuple[tuple[str, Address, BalanceTrial], ...] = ()
    expected_service: str = ""
    expected_instances: int = 0
    max_uneven: float = 2.0
    needs_server: bool = False

    @property
    def trials(self) -> tuple[BalanceTrial, ...]:
        """The connections to all addresses."""
        return tuple(trial for found in self.by_address for trial in found.trials)
