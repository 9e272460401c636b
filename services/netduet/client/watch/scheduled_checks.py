"""The scheduled checks: identity, balance, and a light load.

They find what the streams miss: another service, a dead backend behind one address, a
path on which connections are accepted but carry nothing.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from netduet.client.checks.identity.results import IdentityResult
from netduet.client.checks.runner import CheckRunner
from netduet.client.net.framed_connection import open_connection
from netduet.client.outages.evidence import count_retransmits
from netduet.client.results.location import Side
from netduet.client.results.target import Target
from netduet.client.results.verdict import (
    CheckResult,
    Finding,
    Outcome,
    weigh_starvation,
)
from netduet.net.time_span import TimeSpan

if TYPE_CHECKING:
    from netduet.client.checks.base import CheckContext
    from netduet.client.net.dial import Address
    from netduet.client.net.timeouts import Timeouts
    from netduet.runtime.stall_monitor import StallMonitor

CHECKS: Final = ("identity", "balance")

MAX_CONCURRENT: Final = 2
"""Peers that are checked at the same time, which bounds the cost."""

JITTER_SHARE: Final = 0.2
"""Jitter as a share of the interval: clients must not run in step."""

QUESTIONS: Final = 16
QUESTION_BYTES: Final = 16 * 1024
"""Requests of the light load, and bytes of each; they are echoed."""

_TIMEOUT_FACTOR: Final = 3.0


class ScheduledChecks:
    """Runs the checks of all peers."""

    def __init__(self, stalls: StallMonitor, interval: float) -> None:
        """Prepare; ``interval`` is the seconds between two runs for a peer."""
        self._stalls = stalls
        self._interval = interval
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)

    async def run(
        self,
        address: Address,
        context: CheckContext,
        is_up: Callable[[float], bool],
        on_findings: Callable[[list[Finding]], None],
    ) -> None:
        """Check a peer periodically; the context names the target of its address.

        ``is_up`` returns whether the peer was up since a monotonic second: findings
        during an outage follow from it. ``on_findings`` gets the findings of each run.
        """
        wait = random.uniform(0.1, 1.0)  # noqa: S311 - a spread, no secret
        while True:
            await asyncio.sleep(self._interval * wait)
            wait = random.uniform(1.0 - JITTER_SHARE, 1.0 + JITTER_SHARE)  # noqa: S311
            async with self._slots:
                start = time.monotonic()
                if not is_up(start):
                    continue
                findings = await self._check(address, context)
                if is_up(start):
                    on_findings(findings)

    async def _check(self, address: Address, context: CheckContext) -> list[Finding]:
        scope = f"%{address.scope}" if address.scope else ""
        host = address.host.partition("%")[0] + scope
        protocol = context.target.protocol
        target = Target(host, address.port, protocol=protocol)
        context = replace(context, target=target, measured={})
        results: list[CheckResult] = []
        await CheckRunner(context, self._stalls, results.append, CHECKS).run()
        findings = [finding for result in results for finding in result.findings]
        identity = context.measured.get(IdentityResult)
        is_netduet = isinstance(identity, IdentityResult) and bool(identity.known)
        if is_netduet and not findings:
            finding = await check_load(address, context.timeouts)
            findings += (
                [weigh_starvation(finding, self._stalls.stalled)] if finding else []
            )
        return [finding for finding in findings if finding.outcome is Outcome.FAIL]


async def check_load(address: Address, timeouts: Timeouts) -> Finding | None:
    """Send a little data both ways over a new connection; return the finding, if any."""
    max_seconds = _TIMEOUT_FACTOR * timeouts.answer
    async with open_connection(address, timeouts) as (_, connection):
        if connection is None:
            return None  # the connect probe reports that
        start = time.monotonic()
        size = min(QUESTION_BYTES, connection.welcome.limits.max_frame)
        for _ in range(QUESTIONS):
            connection.ask(size)
        echoed = 0
        while (
            echoed < QUESTIONS and (left := start + max_seconds - time.monotonic()) > 0
        ):
            echoed += await connection.answers(left) or 0
            if connection.ending is not None:
                break
        end = time.monotonic()
        info = connection.info()
        ending = connection.ending
        await connection.end(timeouts.answer if echoed == QUESTIONS else 0.0)
    if echoed == QUESTIONS:
        return None
    summary = (
        f"{address}: {echoed} of {QUESTIONS} requests of {size} bytes, sent together, "
        f"were answered within {end - start:.1f} s"
    )
    state = "the connection stayed open" if ending is None else ending.detail
    evidence = f"{state}; this kernel retransmitted {count_retransmits(info)}"
    missed_deadline = TimeSpan(start, end) if ending is None else None
    return Finding(
        "watch.load",
        summary,
        ((Side.CLIENT, evidence),),
        missed_deadline=missed_deadline,
    )
