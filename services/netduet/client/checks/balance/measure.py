"""Opens many connections to each address, counted by the instance that answers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from netduet.client.checks.balance.initial_run import initial_run
from netduet.client.checks.balance.results import (
    AddressTrials,
    BalanceResult,
    BalanceTrial,
    ConnectionOutcome,
)
from netduet.client.checks.identity.results import ANY_NETDUET, IdentityResult
from netduet.client.checks.reach.results import ReachResult
from netduet.client.net.dial import Address, Cause
from netduet.client.net.framed_connection import open_connection
from netduet.client.net.handshake import Handshake
from netduet.client.net.path_rate import CONNECTION_BYTES, spacing
from netduet.client.net.server_evidence import own_addresses
from netduet.net import kernel
from netduet.wire.errors import Code

if TYPE_CHECKING:
    from netduet.client.checks.base import CheckContext
    from netduet.client.net.timeouts import Timeouts

CONNECTIONS_BY_PROFILE: Final = {"quick": 60, "full": 300, "soak": 300}
"""Connections per profile, divided among the addresses."""
INTERVAL_SECONDS: Final = {"quick": 0.008, "full": 0.02, "soak": 0.02}
"""Seconds between two connections."""
MAX_ADDRESSES: Final = 4
"""Maximum addresses."""
MAX_CONCURRENT: Final = 64
"""Maximum number of concurrent connections to an address, if there are descriptors for them."""
MAX_TIMEOUTS: Final = 30
"""Timeouts after which no more connections are made, because they take long."""
MAX_DIRECT_TRIALS: Final = 16
"""Maximum instances that are tried at their own address."""
PATH_SHARE: Final = 0.5
"""Share of a slow path's rate that the connections take."""
SLOW_PATH_SECONDS: Final = 4.0
"""Time for all connections on a slow path, unless they are too few then."""
MIN_SLOW_CONNECTIONS: Final = 16
"""Connections that are made on the slowest path."""
_DIRECT_TIMEOUT_SECONDS: Final = 1.0

_SYN_SECONDS: Final = 3.0
"""Seconds after which the third SYN leaves (RFC 6298 §2.1 and §5.5): the fourth one, after
7 s, would be too late for the default timeout of 5 s as well."""
_MIN_ANSWER_SECONDS: Final = 0.5
_ANSWER_ROUND_TRIPS: Final = 4
"""Least wait for the answer to the third SYN, and the same as a multiple of the RTT."""

_LATER_COUNT: Final = 4
"""Connections that are made slowly after the others have failed."""
_LATER_SECONDS: Final = 0.5
"""Seconds between them: a limit of two a second and more lets them pass."""
_LATER_CONNECT_SECONDS: Final = 1.5
"""Seconds for each: one lost SYN is sent again meanwhile."""

_BUSY_CODES: Final = frozenset(
    {Code.TOO_MANY_CONNECTIONS.value, Code.OVERLOADED.value, Code.DRAINING.value}
)


async def measure(context: CheckContext) -> BalanceResult:
    """Measure each address concurrently, then each instance at its own address."""
    if not context.earlier(IdentityResult).known:
        return BalanceResult((), (), "", needs_server=True)
    answered = context.earlier(ReachResult).accepted[:MAX_ADDRESSES]
    each = CONNECTIONS_BY_PROFILE[context.profile] // max(1, len(answered))
    pace = INTERVAL_SECONDS[context.profile] * max(1, len(answered))
    rates = context.earlier(IdentityResult).rates
    all_trials = await asyncio.gather(
        *(
            _try_address(
                attempt.address,
                *fit_pace(each, pace, rates[attempt.address] / len(answered)),
                fit_timeouts(context.timeouts, attempt.seconds),
            )
            for attempt in answered
        )
    )
    direct = await _try_instances(tuple(all_trials), context.timeouts)
    bounds = context.options
    return BalanceResult(
        tuple(all_trials),
        direct,
        "" if context.expect_service == ANY_NETDUET else context.expect_service,
        bounds.expect_instances,
        bounds.max_uneven,
    )


def fit_pace(count: int, pace: float, rate: float) -> tuple[int, float]:
    """Return a number of connections and their interval that do not fill a path.

    ``rate`` is in bit/s. Fewer are made where that would take long.
    """
    slower = max(pace, spacing(CONNECTION_BYTES, rate, PATH_SHARE))
    fewer = int(max(count * pace, SLOW_PATH_SECONDS) / slower)
    return min(count, max(MIN_SLOW_CONNECTIONS, fewer)), slower


def fit_timeouts(timeouts: Timeouts, connect_seconds: float) -> Timeouts:
    """Return timeouts that wait for the answer to the third SYN, and no longer.

    ``connect_seconds`` is how long a connection took before. Dead ports then cost less
    time, and random loss is no likelier to look like one.
    """
    answer = max(_MIN_ANSWER_SECONDS, _ANSWER_ROUND_TRIPS * connect_seconds)
    return replace(timeouts, connect=min(timeouts.connect, _SYN_SECONDS + answer))


async def _try_address(
    address: Address, count: int, pace: float, timeouts: Timeouts
) -> AddressTrials:
    descriptors, _, _ = kernel.socket_limits()
    # The other half is for the other checks and everything else.
    room = asyncio.Semaphore(
        max(1, min(MAX_CONCURRENT, descriptors // (2 * MAX_ADDRESSES)))
    )
    trials: dict[int, BalanceTrial] = {}

    async def try_numbered(number: int) -> None:
        try:
            trials[number] = await try_connection(address, timeouts)
        finally:
            room.release()

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            await room.acquire()
            waited = {
                ConnectionOutcome.CONNECT_TIMEOUT,
                ConnectionOutcome.ANSWER_TIMEOUT,
            }
            if sum(trial.outcome in waited for trial in trials.values()) > MAX_TIMEOUTS:
                break
            group.create_task(try_numbered(number))
            await asyncio.sleep(pace)
    made = AddressTrials(address, tuple(trials[number] for number in sorted(trials)))
    if not initial_run(made):
        return made
    return replace(made, later=await _try_slowly(address, timeouts))


async def _try_slowly(address: Address, timeouts: Timeouts) -> tuple[BalanceTrial, ...]:
    """Find out whether connections pass at a slow pace; stop at one that does not."""
    patient = replace(timeouts, connect=min(_LATER_CONNECT_SECONDS, timeouts.connect))
    later: list[BalanceTrial] = []
    while len(later) < _LATER_COUNT:
        await asyncio.sleep(_LATER_SECONDS)
        later.append(await try_connection(address, patient))
        if later[-1].outcome is not ConnectionOutcome.ANSWERED:
            break
    return tuple(later)


async def _try_instances(
    all_trials: tuple[AddressTrials, ...], timeouts: Timeouts
) -> tuple[tuple[str, Address, BalanceTrial], ...]:
    """Try each of several instances at the address that it says it answers from."""
    known = {
        trial.boot_id: trial
        for address_trials in all_trials
        for trial in address_trials.trials
    }
    known.pop("", None)
    if len(known) < 2:  # noqa: PLR2004 - nothing is balanced
        return ()
    # An address of the name is the load balancer's, even if an instance names it as its own.
    listed = {address_trials.address for address_trials in all_trials}
    timeouts_direct = replace(
        timeouts,
        connect=min(_DIRECT_TIMEOUT_SECONDS, timeouts.connect),
        answer=min(_DIRECT_TIMEOUT_SECONDS, timeouts.answer),
    )
    instances = [
        (boot_id, trial.own_address)
        for boot_id, trial in known.items()
        if trial.own_address is not None and trial.own_address not in listed
    ][:MAX_DIRECT_TRIALS]
    trials = await asyncio.gather(
        *(try_connection(own_address, timeouts_direct) for _, own_address in instances)
    )
    return tuple(
        (boot_id, own_address, trial)
        for (boot_id, own_address), trial in zip(instances, trials, strict=True)
    )


async def try_connection(address: Address, timeouts: Timeouts) -> BalanceTrial:
    """Open one connection, and end it at once."""
    async with open_connection(address, timeouts) as (handshake, connection):
        if connection is not None:
            await connection.end(min(1.0, timeouts.answer))
    return _trial(handshake)


def _trial(handshake: Handshake) -> BalanceTrial:
    start, end = handshake.start, handshake.end
    welcome = handshake.welcome
    if welcome is None:
        return BalanceTrial(_failed_outcome(handshake), start=start, end=end)
    own_address = next(iter(own_addresses(welcome)), None)
    return BalanceTrial(
        ConnectionOutcome.ANSWERED,
        welcome.boot_id,
        welcome.instance,
        welcome.service,
        welcome.software,
        own_address,
        start,
        end,
        welcome.node,
        welcome.zone,
    )


def _failed_outcome(handshake: Handshake) -> ConnectionOutcome:
    if handshake.refused is not None:
        return (
            ConnectionOutcome.BUSY
            if handshake.refused.code in _BUSY_CODES
            else ConnectionOutcome.OTHER
        )
    if handshake.foreign:
        return ConnectionOutcome.FOREIGN
    if handshake.closed:
        return ConnectionOutcome.CLOSED
    if handshake.cause is Cause.TIMEOUT:
        return (
            ConnectionOutcome.ANSWER_TIMEOUT
            if handshake.accepted
            else ConnectionOutcome.CONNECT_TIMEOUT
        )
    by_cause = {
        Cause.REFUSED: ConnectionOutcome.REFUSED,
        Cause.UNREACHABLE: ConnectionOutcome.UNREACHABLE,
        Cause.RESET: ConnectionOutcome.RESET,
    }
    return by_cause.get(handshake.cause or Cause.OTHER, ConnectionOutcome.OTHER)
