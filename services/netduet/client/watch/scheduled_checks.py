"""The checks on a schedule: who answers, how it is shared out, and a little load.

They find what the streams do not see: another service, a dead backend behind one
address, a path on which a connection can be had and carries nothing.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from netduet.client.checks.runner import CheckRunner
from netduet.client.net.framed_connection import open_connection
from netduet.client.results.target import Target
from netduet.client.results.verdict import (
    CheckResult,
    Finding,
    Outcome,
    Side,
    Window,
    weigh_starvation,
)
from netduet.wire.frames import Kind

if TYPE_CHECKING:
    from netduet.client.checks.base import CheckContext, Timeouts
    from netduet.client.net.dial import Address
    from netduet.runtime.stall_monitor import StallMonitor

CHECKS: Final = ("identity", "balance")

AT_ONCE: Final = 2
"""Peers whose turn it is at the same time: a bound on what the schedule costs."""

JITTER: Final = 0.2
"""Share of the interval by which a turn comes early or late: clients must not march in step."""

QUESTIONS: Final = 16
SIZE: Final = 16 * 1024
"""Questions of the light load, and bytes of each; the same comes back."""

_PATIENTLY: Final = 3.0


class ScheduledChecks:
    """Gives each peer its turn."""

    def __init__(
        self, context: CheckContext, stalls: StallMonitor, interval: float
    ) -> None:
        """Say what all checks share, who watches us, and the seconds between two turns."""
        self._context = context
        self._stalls = stalls
        self._interval = interval
        self._room = asyncio.Semaphore(AT_ONCE)

    async def run(
        self,
        address: Address,
        well: Callable[[float], bool],
        found: Callable[[list[Finding]], None],
    ) -> None:
        """Check a peer again and again.

        ``well`` tells whether it was, since a monotonic second: what the checks find
        in an outage follows from it. ``found`` hears of the findings of each turn.
        """
        wait = random.uniform(0.1, 1.0)  # noqa: S311 - a spread, no secret
        while True:
            await asyncio.sleep(self._interval * wait)
            wait = random.uniform(1.0 - JITTER, 1.0 + JITTER)  # noqa: S311
            async with self._room:
                start = time.monotonic()
                if not well(start):
                    continue
                findings = await self._turn(address)
                if well(start):
                    found(findings)

    async def _turn(self, address: Address) -> list[Finding]:
        scope = f"%{address.scope}" if address.scope else ""
        host = address.host.partition("%")[0] + scope
        target = Target(host, address.port)
        context = replace(self._context, target=target, measured={})
        results: list[CheckResult] = []
        await CheckRunner(context, self._stalls, results.append, CHECKS).run()
        findings = [finding for result in results for finding in result.findings]
        if not findings:
            loaded = await carry(address, context.timeouts)
            findings += (
                [weigh_starvation(loaded, self._stalls.stalled)] if loaded else []
            )
        return [finding for finding in findings if finding.outcome is Outcome.FAIL]


async def carry(address: Address, patience: Timeouts) -> Finding | None:
    """Have a fresh connection carry a little both ways; return what is wrong with it."""
    bound = _PATIENTLY * patience.answer
    async with open_connection(address, patience) as (_, talk):
        if talk is None:
            return None  # for the fresh connections to tell
        start = time.monotonic()
        size = min(SIZE, talk.welcome.limits.max_frame)
        for _ in range(QUESTIONS):
            talk.send(Kind.ECHO, bytes(size))
        back = 0
        while back < QUESTIONS and (left := start + bound - time.monotonic()) > 0:
            back += await talk.echoes(left) or 0
            if talk.ending is not None:
                break
        end = time.monotonic()
        info = talk.info() or {}
        ending = talk.ending
        await talk.end(patience.answer if back == QUESTIONS else 0.0)
    if back == QUESTIONS:
        return None
    seen = (
        f"{address}: of {QUESTIONS} questions of {size} bytes, sent at once, {back} came "
        f"back in {end - start:.1f} s"
    )
    how = "the connection stood" if ending is None else ending.detail
    again = info.get("total_retrans", "an unknown number of")
    said = f"{how}; this kernel sent {again} segments again"
    missed = Window(start, end) if ending is None else None
    return Finding("watch.load", seen, ((Side.CLIENT, said),), missed_deadline=missed)
