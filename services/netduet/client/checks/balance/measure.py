"""Many fresh connections to each address, counted by who answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from netduet.client.checks.reach import ReachResult
from netduet.client.net.dial import Address, Cause
from netduet.client.net.framed_connection import open_connection
from netduet.client.net.handshake import Handshake
from netduet.client.net.server_evidence import own_addresses
from netduet.client.results.instance import instance_named
from netduet.net import kernel
from netduet.wire.errors import Code

if TYPE_CHECKING:
    from netduet.client.checks.base import CheckContext, Timeouts

ASKED: Final = {"quick": 60, "full": 300, "soak": 300}
"""Connections of a profile, shared between the addresses."""
PACES: Final = {"quick": 0.008, "full": 0.02, "soak": 0.02}
"""Seconds between one connection and the next."""
PLACES: Final = 4
"""Addresses that are asked."""
AT_ONCE: Final = 64
"""Connections to an address under way at once, where there are descriptors for them."""
ENOUGH: Final = 30
"""Connections without an answer after which no more are made: they cost time."""
DIRECT: Final = 16
"""Instances that are asked at their own address."""
_BRIEF: Final = 1.0

_BUSY: Final = frozenset({Code.TOO_MANY_CONNECTIONS.value, Code.DRAINING.value})


class ConnectionOutcome(StrEnum):
    """What came of a connection, in the words that are shown."""

    ANSWERED = "answered"
    SILENT = "did not accept in time"
    MUTE = "accepted, and did not answer in time"
    REFUSED = "were refused"
    UNREACHABLE = "found the host unreachable"
    RESET = "were reset"
    CLOSED = "were accepted and closed without an answer"
    STRANGER = "were answered by something that is no netduet"
    BUSY = "were turned away by a netduet that is full or stops"
    OTHER = "failed in other ways"


@dataclass(frozen=True, slots=True)
class BalanceTrial:
    """One connection; the texts are a netduet's own, "" without one."""

    outcome: ConnectionOutcome
    boot_id: str = ""
    instance: str = ""
    service: str = ""
    software: str = ""
    own: Address | None = None
    start: float = 0.0
    end: float = 0.0
    node: str = ""
    zone: str = ""

    @property
    def who(self) -> str:
        """The instance, and where it is, as lists show it."""
        return instance_named(self.instance, self.node, self.zone).brief


@dataclass(frozen=True, slots=True)
class AddressTrials:
    """All connections to one address of the name, in the order in which they began."""

    address: Address
    trials: tuple[BalanceTrial, ...]


@dataclass(frozen=True, slots=True)
class Balance:
    """What was counted; ``direct`` is boot_id asked, address, what came of it.

    ``expected`` is the service ("" for any), ``instances`` how many must answer (0:
    not said), ``uneven`` how many times the others' average one of them may get.
    """

    places: tuple[AddressTrials, ...]
    direct: tuple[tuple[str, Address, BalanceTrial], ...] = ()
    expected: str = ""
    instances: int = 0
    uneven: float = 2.0


async def measure(context: CheckContext) -> Balance:
    """Ask each address side by side, then each instance at its own address."""
    alive = context.earlier(ReachResult).alive[:PLACES]
    each = ASKED[context.profile] // max(1, len(alive))
    pace = PACES[context.profile] * max(1, len(alive))
    places = await asyncio.gather(
        *(_ask(attempt.address, each, pace, context.timeouts) for attempt in alive)
    )
    direct = await _directly(tuple(places), context.timeouts)
    bounds = context.options
    return Balance(
        tuple(places),
        direct,
        context.expect_service,
        bounds.expect_instances,
        bounds.max_uneven,
    )


async def _ask(
    address: Address, count: int, pace: float, patience: Timeouts
) -> AddressTrials:
    descriptors, _, _ = kernel.socket_limits()
    # Half of them are for the other checks, and for all else.
    room = asyncio.Semaphore(max(1, min(AT_ONCE, descriptors // (2 * PLACES))))
    trials: dict[int, BalanceTrial] = {}

    async def one(number: int) -> None:
        try:
            trials[number] = await try_once(address, patience)
        finally:
            room.release()

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            await room.acquire()
            waited = {ConnectionOutcome.SILENT, ConnectionOutcome.MUTE}
            if sum(trial.outcome in waited for trial in trials.values()) > ENOUGH:
                break
            group.create_task(one(number))
            await asyncio.sleep(pace)
    return AddressTrials(address, tuple(trials[number] for number in sorted(trials)))


async def _directly(
    places: tuple[AddressTrials, ...], patience: Timeouts
) -> tuple[tuple[str, Address, BalanceTrial], ...]:
    """Ask each of several instances where it says that it answered from."""
    known = {
        trial.boot_id: trial
        for address_trials in places
        for trial in address_trials.trials
    }
    known.pop("", None)
    if len(known) < 2:  # noqa: PLR2004 - nothing is balanced
        return ()
    # An address of the name is the balancer's, whoever says that it is its own.
    named = {asked.address for asked in places}
    brief = replace(
        patience,
        connect=min(_BRIEF, patience.connect),
        answer=min(_BRIEF, patience.answer),
    )
    asked = [
        (boot_id, trial.own)
        for boot_id, trial in known.items()
        if trial.own is not None and trial.own not in named
    ][:DIRECT]
    came = await asyncio.gather(*(try_once(own, brief) for _, own in asked))
    return tuple(
        (boot_id, own, trial) for (boot_id, own), trial in zip(asked, came, strict=True)
    )


async def try_once(address: Address, patience: Timeouts) -> BalanceTrial:
    """Open one connection, and end it at once."""
    async with open_connection(address, patience) as (opening, conversation):
        if conversation is not None:
            await conversation.end(min(1.0, patience.answer))
    return _counted(opening)


def _counted(opening: Handshake) -> BalanceTrial:
    start, end = opening.start, opening.end
    welcome = opening.welcome
    if welcome is None:
        return BalanceTrial(_failed(opening), start=start, end=end)
    own = next(iter(own_addresses(welcome)), None)
    return BalanceTrial(
        ConnectionOutcome.ANSWERED,
        welcome.boot_id,
        welcome.instance,
        welcome.service,
        welcome.software,
        own,
        start,
        end,
        welcome.node,
        welcome.zone,
    )


def _failed(opening: Handshake) -> ConnectionOutcome:
    if opening.refused is not None:
        return (
            ConnectionOutcome.BUSY
            if opening.refused.code in _BUSY
            else ConnectionOutcome.OTHER
        )
    if opening.foreign:
        return ConnectionOutcome.STRANGER
    if opening.closed:
        return ConnectionOutcome.CLOSED
    if opening.cause is Cause.TIMEOUT:
        return ConnectionOutcome.MUTE if opening.accepted else ConnectionOutcome.SILENT
    by_cause = {
        Cause.REFUSED: ConnectionOutcome.REFUSED,
        Cause.UNREACHABLE: ConnectionOutcome.UNREACHABLE,
        Cause.RESET: ConnectionOutcome.RESET,
    }
    return by_cause.get(opening.cause or Cause.OTHER, ConnectionOutcome.OTHER)
