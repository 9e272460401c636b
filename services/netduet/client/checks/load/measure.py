"""The phases of the check ``load``: idle, then upload, download, and both at once.

A latency probe runs throughout (the idea of draft-ietf-ippm-responsiveness: what
counts is what load does to small exchanges, not the rate alone).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from netduet.client.checks.identity.results import IdentityAnswer
from netduet.client.checks.load.burst_probe import count_bursts
from netduet.client.checks.load.extent import TransferExtent
from netduet.client.checks.load.findings import find_crawling, find_failures
from netduet.client.checks.load.ill_instance import transfer_by_instance
from netduet.client.checks.load.latency_probe import LatencyProbe
from netduet.client.checks.load.losses import lossy_part
from netduet.client.checks.load.quota import byte_limit
from netduet.client.checks.load.results import (
    AfterStall,
    BurstCount,
    InstanceTransfer,
    LoadResult,
    Phase,
    TransferFlow,
)
from netduet.client.checks.load.transfer import Transfer
from netduet.client.checks.tcp_options import HandshakeViews, scaling_removed
from netduet.client.net.dial import Address, in_thread
from netduet.client.net.framed_connection import FramedConnection, open_connection
from netduet.client.net.path_rate import (
    ECHO_BYTES,
    FULL_PACKET_BYTES,
    spacing,
    transit_seconds,
)
from netduet.client.net.port_probe import Response, probe_tcp, probe_udp
from netduet.client.results.location import Direction
from netduet.config.units import MIB
from netduet.net.tcp_info import tcp_settings

if TYPE_CHECKING:
    from netduet.client.checks.base import CheckContext
    from netduet.client.checks.identity.results import IdentityAnswer
    from netduet.client.net.handshake import Handshake
    from netduet.client.net.timeouts import Timeouts


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """Seconds of idle time, extents of the transfers, seconds between two echoes."""

    idle_seconds: float
    each_way: TransferExtent
    both_ways: TransferExtent | None
    connections: int
    echo_interval: float


PLANS: Final = {
    "quick": LoadPlan(0.25, TransferExtent(0.4, 24 * MIB, 20 * MIB), None, 2, 0.01),
    "full": LoadPlan(
        2.0, TransferExtent(4.0, 512 * MIB), TransferExtent(3.0, 256 * MIB), 4, 0.02
    ),
    "soak": LoadPlan(
        10.0,
        TransferExtent(20.0, 2048 * MIB),
        TransferExtent(20.0, 1024 * MIB),
        4,
        0.02,
    ),
}
"""By profile; quick takes about a second and at most 48 MiB."""

_MIN_PACKETS: Final = 64
"""Packets that a slow path must carry in a transfer, if it does not take too long."""
_MAX_SLOW_SECONDS: Final = 6.0
"""Seconds up to which a transfer is longer on a slow path."""
_ECHO_PATH_SHARE: Final = 0.1
"""Share of a slow path's rate that the latency probe takes."""

_MAX_DRAIN_SECONDS: Final = 1.0
"""Seconds to wait, at most, until queues have drained before the next transfer."""

_POLL_SECONDS: Final = 0.02
_REPEAT_BYTES_FACTOR: Final = 1.25
"""Factor by which a repeated transfer may exceed the bytes at which others stopped."""

_MAX_REPEAT_SECONDS: Final = 10.0
_CONNECTIONS_AFTER_STALL: Final = 4
"""Connections that are tried after a stall, each with two SYNs."""
_AFTER_STALL_SECONDS: Final = 2.5
_DRAINED_SLACK_SECONDS: Final = 0.005
"""Seconds by which an echo may exceed twice its idle delay on a drained path."""


async def measure(context: CheckContext, answer: IdentityAnswer) -> LoadResult:
    """Load one address: at rest, then up, down, and both ways at once."""
    plan = fit_plan(PLANS[context.profile], answer.rate)
    timeouts = context.timeouts
    address = answer.address
    with LatencyProbe(address, plan.echo_interval, timeouts.answer) as probe:
        load_run = _LoadRun(address, timeouts, plan, probe, context.options.min_rate)
        await load_run.run()
        await in_thread(probe.finish)
        return load_run.result()


def fit_plan(plan: LoadPlan, rate: float) -> LoadPlan:
    """Return a plan for a path with this rate in bit/s, infinity for a fast one.

    On a slow path a transfer must be long enough for its slow start to be over, and
    has one connection: several would each have a packet or two in a short queue.
    """
    least = transit_seconds(_MIN_PACKETS * FULL_PACKET_BYTES, rate)
    seconds = min(_MAX_SLOW_SECONDS, least)
    each_way, both_ways = plan.each_way, plan.both_ways
    if not seconds:
        return plan
    if both_ways is not None:
        both_ways = replace(both_ways, seconds=max(both_ways.seconds, seconds))
    return replace(
        plan,
        each_way=replace(each_way, seconds=max(each_way.seconds, seconds)),
        both_ways=both_ways,
        connections=1,
        echo_interval=max(
            plan.echo_interval, spacing(ECHO_BYTES, rate, _ECHO_PATH_SHARE)
        ),
    )


class _LoadRun:
    """Runs the phases at one address."""

    def __init__(
        self,
        address: Address,
        timeouts: Timeouts,
        plan: LoadPlan,
        probe: LatencyProbe,
        min_rate: float,
    ) -> None:
        self._min_rate = min_rate
        self._address = address
        self._timeouts = timeouts
        self._plan = plan
        self._probe = probe
        self._phases: list[Phase] = []
        self._skipped = ""
        self._failed: Handshake | None = None
        self._bursts: tuple[BurstCount, ...] = ()
        self._scaling_removed: Direction | None = None
        self._repeated: tuple[InstanceTransfer, ...] = ()

    def result(self) -> LoadResult:
        """Return what was measured, with the echoes of each phase."""
        phases = [
            replace(phase, echoes=self._probe.echoes_between(phase.start, phase.end))
            for phase in self._phases
        ]
        return LoadResult(
            self._address,
            tuple(phases),
            self._skipped,
            self._probe.detail,
            self._failed,
            self._bursts,
            self._scaling_removed,
            self._repeated,
        )

    async def run(self) -> None:
        """Run all phases; stop after one that went wrong."""
        plan = self._plan
        steps: list[tuple[tuple[Direction, ...], TransferExtent]]
        steps = [((Direction.UP,), plan.each_way), ((Direction.DOWN,), plan.each_way)]
        if plan.both_ways is not None:
            steps.append(((Direction.UP, Direction.DOWN), plan.both_ways))
        async with contextlib.AsyncExitStack() as stack:
            # All at once, and early: each handshake takes two round trips.
            opened, _ = await asyncio.gather(
                self._open_connections(stack, [ways for ways, _ in steps]),
                self._measure_idle(),
            )
            for (directions, extent), connections in zip(steps, opened, strict=True):
                if not await self._run_phase(directions, extent, connections):
                    break
        await self._try_bursts()
        await self._compare_instances()

    async def _compare_instances(self) -> None:
        """Find out whether a direction fails with one of several instances alone."""
        for phase in self._phases[1:]:
            for flow in phase.flows:
                is_slow = flow.rate is not None and flow.rate < self._min_rate
                failed = is_slow or find_failures(flow) or find_crawling(flow, ())
                if failed and not self._repeated:
                    self._repeated = await transfer_by_instance(
                        self._address, self._timeouts, flow.direction
                    )

    async def _try_bursts(self) -> None:
        """Find out what drops packets, in the directions that lost many."""
        flows = {
            phase.flows[0].direction: phase.flows[0]
            for phase in self._phases
            if len(phase.flows) == 1
        }
        counts = await asyncio.gather(
            *(
                count_bursts(self._address, self._timeouts, direction, flow.rate)
                for direction, flow in flows.items()
                if lossy_part(flow) is not None
            )
        )
        self._bursts = tuple(burst for each in counts for burst in each)

    async def _measure_idle(self) -> None:
        start, cpu_before = time.monotonic(), time.process_time()
        until = start + self._timeouts.answer
        while self._probe.current_delay() is None and self._probe.running:
            if time.monotonic() >= until:
                break
            await asyncio.sleep(_POLL_SECONDS)
        start = time.monotonic()
        await asyncio.sleep(self._plan.idle_seconds)
        self._add_phase("idle", start, cpu_before)

    def _add_phase(
        self, name: str, start: float, cpu_before: float, *flows: TransferFlow
    ) -> None:
        now = time.monotonic()
        end = max((flow.end for flow in flows), default=now)
        cpu_share = (time.process_time() - cpu_before) / max(_POLL_SECONDS, now - start)
        self._phases.append(Phase(name, start, end, flows, cpu_share=cpu_share))

    async def _run_phase(
        self,
        directions: tuple[Direction, ...],
        extent: TransferExtent,
        connections: list[list[FramedConnection]],
    ) -> bool:
        """Fill the path in these directions; return whether all went well.

        ``connections`` are those of each direction.
        """
        if not all(connections):
            return False
        await self._wait_until_drained()
        transfers = [
            Transfer(direction, its_connections, extent)
            for direction, its_connections in zip(directions, connections, strict=True)
        ]
        start, cpu_before = time.monotonic(), time.process_time()
        flows = await asyncio.gather(
            *(transfer.run(self._address, self._timeouts) for transfer in transfers)
        )
        name = "both" if len(flows) > 1 else directions[0].value
        if len(flows) == 1:
            repeated = await self._repeat_stopped(flows[0])
            flows = [await self._try_after_stall(repeated)]
        self._add_phase(name, start, cpu_before, *flows)
        return all(
            not (flow.stall or flow.connection_error or flow.server_refusal)
            for flow in flows
        )

    async def _compare_handshakes(self, connection: FramedConnection) -> None:
        """Find out whether window scaling was removed on the way."""
        report = await connection.report(self._timeouts.answer)
        client = connection.info()
        if report is None or report.connection is None or client is None:
            return
        views = HandshakeViews(
            client, report.connection, tcp_settings(), report.tcp_settings
        )
        self._scaling_removed = scaling_removed(views)

    async def _repeat_stopped(self, flow: TransferFlow) -> TransferFlow:
        """Try one more connection if all stopped after the same number of bytes."""
        limit = byte_limit(flow.carried)
        if limit is None or not (flow.stall or flow.connection_error):
            return flow
        seconds = min(_MAX_REPEAT_SECONDS, 3 * flow.seconds)
        extent = TransferExtent(seconds, int(_REPEAT_BYTES_FACTOR * limit))
        async with open_connection(self._address, self._timeouts) as (_, connection):
            if connection is None:
                return flow
            transfer = Transfer(flow.direction, [connection], extent)
            repeated = await transfer.run(self._address, self._timeouts)
        if not (repeated.stall or repeated.connection_error):
            return flow
        return replace(flow, repeated=repeated.carried[0])

    async def _try_after_stall(self, flow: TransferFlow) -> TransferFlow:
        """Find out whether new connections pass, and datagrams, if it stalled."""
        if flow.stall is None or not flow.total:
            return flow
        connects = [
            in_thread(partial(probe_tcp, self._address, _AFTER_STALL_SECONDS))
            for _ in range(_CONNECTIONS_AFTER_STALL)
        ]
        datagrams, *probes = await asyncio.gather(
            in_thread(partial(probe_udp, self._address, _AFTER_STALL_SECONDS)),
            *connects,
        )
        connected = sum(probe.response is not Response.DROPPED for probe in probes)
        passes = datagrams.response is Response.OPEN
        after = AfterStall(len(probes), connected, passes)
        return replace(flow, after_stall=after)

    async def _open_connections(
        self, stack: contextlib.AsyncExitStack, steps: list[tuple[Direction, ...]]
    ) -> list[list[list[FramedConnection]]]:
        """Open the connections of each direction of each step, as many as can be."""
        opened = await asyncio.gather(
            *(
                asyncio.gather(
                    *(
                        self._open_for_transfer(stack, len(directions))
                        for _ in directions
                    )
                )
                for directions in steps
            )
        )
        first = opened[0][0]
        if first:
            await self._compare_handshakes(first[0])
        return [list(each) for each in opened]

    async def _open_for_transfer(
        self, stack: contextlib.AsyncExitStack, direction_count: int
    ) -> list[FramedConnection]:
        """Open the connections of one transfer."""
        opened = []
        count = max(1, self._plan.connections // direction_count)
        contexts = [
            open_connection(self._address, self._timeouts) for _ in range(count)
        ]
        for handshake, connection in await asyncio.gather(
            *(stack.enter_async_context(context) for context in contexts)
        ):
            if connection is not None:
                opened.append(connection)
            elif not opened:
                why = handshake.failure
                self._skipped = f"a connection for bulk data failed: {why}"
                self._failed = handshake if handshake.refused is None else None
        return opened

    async def _wait_until_drained(self) -> None:
        idle = self._phases[0]
        echoes = self._probe.echoes_between(idle.start, idle.end)
        times = sorted(echo.arrived - echo.due for echo in echoes if echo.arrived)
        idle_delay = times[len(times) * 9 // 10] if times else 0.0
        until = time.monotonic() + _MAX_DRAIN_SECONDS
        while time.monotonic() < until and self._probe.running:
            latest = self._probe.current_delay()
            if latest is not None and latest <= 2 * idle_delay + _DRAINED_SLACK_SECONDS:
                return
            await asyncio.sleep(_POLL_SECONDS)
