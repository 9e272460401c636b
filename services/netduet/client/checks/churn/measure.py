"""Short connections to each address, and the server's reports meanwhile."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Final

from netduet.client.checks.addresses import MAX_ADDRESSES
from netduet.client.checks.base import CheckContext
from netduet.client.checks.churn.budget import newest_fail
from netduet.client.checks.churn.constant_price import needed_syns
from netduet.client.checks.churn.counts import count_attempts
from netduet.client.checks.churn.fast_open import try_fast_open
from netduet.client.checks.churn.pacer import Pacer
from netduet.client.checks.churn.repeated_flow import repeat_flow, try_budget
from netduet.client.checks.churn.results import (
    BudgetTrial,
    ChurnPlan,
    ChurnResult,
    HoldResult,
    PacedRun,
    Ports,
    RepeatedFlow,
    Witness,
)
from netduet.client.checks.identity.results import IdentityAnswer, IdentityResult
from netduet.client.checks.tcp_options import ECN_REQUESTED
from netduet.client.net.dial import Address
from netduet.client.net.framed_connection import FramedConnection, open_connection
from netduet.client.net.path_rate import CONNECTION_BYTES, spacing
from netduet.client.net.timeouts import Timeouts
from netduet.client.results.instance import instance_of
from netduet.net import kernel
from netduet.net.tcp_info import tcp_settings
from netduet.wire.messages import ServerReport

PLANS: Final = {
    "quick": ChurnPlan(50, 1 / 50, 32, 2.3, extra_count=75),
    "full": ChurnPlan(1000, 1 / 100, 200, 5.0),
    "soak": ChurnPlan(6000, 1 / 100, 200, 5.0),
}
"""By profile: ``quick`` can wait for two lost SYNs, ``full`` for five."""

_MIN_CONNECT_SECONDS: Final = 1.3
"""Minimum timeout, whatever is set: a SYN is retransmitted after 1 s (RFC 6298 §2.1),
and a shorter timeout would not show that one was lost."""

_REPORT_INTERVAL_SECONDS: Final = 0.25
"""Seconds between two reports on the accept queue."""

_SHORT_SHARE: Final = 0.5
"""Share of the connections in a row that a protocol allows; ``hold`` and ``stream`` make
the others."""

_PATH_SHARE: Final = 0.5
"""Share of a slow path's rate that the connections take."""
_MIN_COUNT: Final = 20
"""Connections that are made at any rate."""
_MIN_HELD: Final = 4
"""Connections that are held open at once at any rate."""
_HOLD_SECONDS: Final = 1.0
"""Time in which a slow path must carry the connections that are opened at once."""

_REPEATED_FLOWS: Final = 5
"""Ports that are connected from twice."""

_MAX_TROUBLED_SHARE: Final = 0.5
"""Share of failing connections above which none are held open."""


async def measure(context: CheckContext, answer: IdentityAnswer) -> ChurnResult:
    """Measure one address."""
    addresses = len(context.earlier(IdentityResult).usable[:MAX_ADDRESSES])
    plan = fit_plan(PLANS[context.profile], context, addresses)
    if answer.is_service:
        return await _try_service(answer, _gentle_plan(plan, answer), context.timeouts)
    return await _try(answer, fit_rate(plan, answer.rate), context.timeouts)


def fit_plan(plan: ChurnPlan, context: CheckContext, address_count: int) -> ChurnPlan:
    """Limit the plan to the settings and to the available descriptors.

    The other half of the descriptors is for other checks and everything else.
    """
    descriptors, _, _ = kernel.socket_limits()
    per_address = descriptors // (2 * max(1, address_count))
    return replace(
        plan,
        connect_timeout=min(
            plan.connect_timeout, max(_MIN_CONNECT_SECONDS, context.timeouts.connect)
        ),
        hold_count=min(plan.hold_count, per_address // 2),
        max_concurrent=min(plan.max_concurrent, per_address // 2),
    )


def fit_rate(plan: ChurnPlan, rate: float) -> ChurnPlan:
    """Return a plan that does not fill a path with this rate in bit/s.

    It makes and holds fewer connections where that would take long.
    """
    gap = max(plan.gap, spacing(CONNECTION_BYTES, rate, _PATH_SHARE))
    share = plan.gap / gap
    if share >= 1:
        return plan
    at_once = max(_MIN_HELD, int(_HOLD_SECONDS / gap / _PATH_SHARE))
    return replace(
        plan,
        gap=gap,
        count=min(plan.count, max(_MIN_COUNT, int(plan.count * share))),
        extra_count=int(plan.extra_count * share),
        hold_count=min(plan.hold_count, at_once),
    )


def _gentle_plan(plan: ChurnPlan, answer: IdentityAnswer) -> ChurnPlan:
    """Return a plan that a service does not take for an attack."""
    protocol = answer.protocol
    if protocol is None:
        return replace(plan, extra_count=0)
    short = max(1, int(protocol.max_connections * _SHORT_SHARE))
    return replace(
        plan,
        count=min(plan.count, short),
        extra_count=0,
        hold_count=min(plan.hold_count, protocol.max_open),
        max_concurrent=min(plan.max_concurrent, protocol.max_open),
    )


async def _try_service(
    answer: IdentityAnswer, plan: ChurnPlan, timeouts: Timeouts
) -> ChurnResult:
    """Try a service, which has no reports on its listening socket."""
    pacer = Pacer(answer.dialer, timeouts.answer, plan)
    run = await pacer.run()
    held = None if _is_failing(run) else await pacer.hold()
    witness = Witness(missing="only netduet-server reports on its listening socket")
    return ChurnResult(answer.address, run, held, witness, _local_ports())


def _is_failing(run: PacedRun) -> bool:
    failing = sum(not attempt.passed_cleanly for attempt in run.attempts)
    return failing > _MAX_TROUBLED_SHARE * len(run.attempts)


async def _try(
    answer: IdentityAnswer, plan: ChurnPlan, timeouts: Timeouts
) -> ChurnResult:
    address = answer.address
    async with open_connection(address, timeouts) as (handshake, connection):
        witness_watch = _WitnessWatch(connection, timeouts.answer, handshake.detail)
        await witness_watch.start()
        pacer = Pacer(answer.dialer, timeouts.answer, plan)
        try:
            run, fast_open = await asyncio.gather(pacer.run(), try_fast_open(address))
            held = None if _is_failing(run) else await pacer.hold()
            repeated = await _repeat_flows(address, run)
            budget = await _try_budget(address, run, held)
            ports = _local_ports()
            witness = await witness_watch.end()
        finally:
            witness_watch.stop()
    asks_for_ecn = tcp_settings().ecn in ECN_REQUESTED
    return ChurnResult(
        address, run, held, witness, ports, repeated, asks_for_ecn, budget, fast_open
    )


async def _try_budget(
    address: Address, run: PacedRun, held: HoldResult | None
) -> BudgetTrial | None:
    """Try whether new connections pass after a pause, if the newest ones failed."""
    if not newest_fail(run.attempts if held is None else held.run.attempts):
        return None
    return await try_budget(address, run.attempts)


async def _repeat_flows(address: Address, run: PacedRun) -> tuple[RepeatedFlow, ...]:
    """Connect twice from the same ports if each connection needs a second SYN."""
    counted = count_attempts(run.attempts)
    if needed_syns(run.attempts) is None or not counted.countable:
        return ()
    flows = await asyncio.gather(
        *(repeat_flow(address) for _ in range(_REPEATED_FLOWS))
    )
    return tuple(flow for flow in flows if flow is not None)


class _WitnessWatch:
    """A connection that stays open, to ask one instance before and after.

    New connections could reach two instances behind a load balancer, or none if new
    connections are what fails.
    """

    def __init__(
        self, connection: FramedConnection | None, timeout: float, missing: str
    ) -> None:
        """Prepare; without a connection, ``missing`` is why."""
        self._connection = connection
        self._timeout = timeout
        self._missing = missing or "no connection for queries could be opened"
        self._first_report: ServerReport | None = None
        self._max_backlog = 0
        self._answer_seconds: list[float] = []
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Send the first request, and continue periodically."""
        self._first_report = await self._request_report()
        if self._first_report is not None:
            self._task = asyncio.create_task(self._poll())

    def stop(self) -> None:
        """Stop at once, without ending the stream."""
        if self._task is not None:
            self._task.cancel()

    async def end(self) -> Witness:
        """Send the last request; return what changed."""
        self.stop()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        last = await self._request_report()
        connection, first = self._connection, self._first_report
        if connection is None or first is None:
            return Witness(missing=self._missing)
        await connection.end(self._timeout)
        welcome = connection.welcome
        witness = Witness(
            welcome.boot_id,
            instance_of(welcome),
            None,
            self._max_backlog,
            answer_seconds=tuple(self._answer_seconds[1:]),
        )
        if last is None:
            return replace(witness, missing="the connection for queries was lost")
        before, after = first.listener.drops, last.listener.drops
        if before is None or after is None:
            missing = "its kernel does not report drops of the listening socket"
            return replace(witness, survived=True, missing=missing)
        return replace(
            witness, drops=after - before, max_backlog=self._max_backlog, survived=True
        )

    async def _poll(self) -> None:
        while await self._request_report() is not None:  # noqa: ASYNC110 - the server is asked, no flag
            await asyncio.sleep(_REPORT_INTERVAL_SECONDS)

    async def _request_report(self) -> ServerReport | None:
        if self._connection is None:
            return None
        start = time.monotonic()
        report = await self._connection.report(self._timeout)
        if report is not None:
            self._answer_seconds.append(time.monotonic() - start)
            self._max_backlog = max(self._max_backlog, report.listener.backlog or 0)
        return report


def _local_ports() -> Ports | None:
    span = kernel.local_ports()
    return None if span is None else Ports(*span, kernel.time_wait())
