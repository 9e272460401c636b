"""Is it a single instance to or from which bulk data does not move?"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from netduet.client.checks.load.extent import TransferExtent
from netduet.client.checks.load.findings import find_crawling, find_failures
from netduet.client.checks.load.results import InstanceTransfer, TransferFlow
from netduet.client.checks.load.transfer import Transfer
from netduet.client.net.framed_connection import open_connection
from netduet.client.results.instance import instance_of
from netduet.client.stats.instances import (
    REPEAT_COUNT,
    InstanceTrial,
    name_instance,
)
from netduet.config.units import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netduet.client.net.dial import Address
    from netduet.client.net.timeouts import Timeouts
    from netduet.client.results.location import Direction
    from netduet.client.results.verdict import Finding

_EXTENT: Final = TransferExtent(1.0, 4 * MIB)
"""Each of the transfers: all run at once."""

_MAX_OPEN_SECONDS: Final = 1.5
"""Seconds for each connection: on a path that is dead by now, none is waited for."""

_SLOW_FACTOR: Final = 3.0
"""Factor below the upper quartile of the rates from which a transfer counts as slow."""


async def transfer_by_instance(
    address: Address, timeouts: Timeouts, direction: Direction
) -> tuple[InstanceTransfer, ...]:
    """Transfer a little on each of several connections, if these meet several instances."""
    brief = replace(
        timeouts,
        connect=min(_MAX_OPEN_SECONDS, timeouts.connect),
        answer=min(_MAX_OPEN_SECONDS, timeouts.answer),
    )
    async with contextlib.AsyncExitStack() as stack:
        opened = await asyncio.gather(
            *(
                stack.enter_async_context(open_connection(address, brief))
                for _ in range(REPEAT_COUNT)
            )
        )
        connections = [connection for _, connection in opened if connection is not None]
        if len({connection.welcome.boot_id for connection in connections}) <= 1:
            return ()
        flows = await asyncio.gather(
            *(
                Transfer(direction, [connection], _EXTENT).run(address, timeouts)
                for connection in connections
            )
        )
        return tuple(
            InstanceTransfer(instance_of(connection.welcome), flow)
            for connection, flow in zip(connections, flows, strict=True)
        )


def add_instance(
    repeated: Sequence[InstanceTransfer], direction: Direction, finding: Finding
) -> Finding:
    """Return a finding about a direction with the instance at fault. Pure."""
    transfers = [each for each in repeated if each.flow.direction is direction]
    return name_instance(finding, _trials(transfers))


def _trials(transfers: Sequence[InstanceTransfer]) -> Iterator[InstanceTrial]:
    """Yield the transfers that stopped, crawled, or were slow beside the others."""
    rates = sorted(each.flow.rate or 0.0 for each in transfers)
    usual = rates[len(rates) * 3 // 4] if rates else 0.0
    for each in transfers:
        is_slow = (each.flow.rate or 0.0) * _SLOW_FACTOR < usual
        yield InstanceTrial(each.instance, is_slow or _is_faulty(each.flow))


def _is_faulty(flow: TransferFlow) -> bool:
    return bool(find_failures(flow) or find_crawling(flow, ()))
