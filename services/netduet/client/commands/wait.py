"""Waits until every target is reached and identified, before the checks run."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from netduet.client.checks.catalogue import CATALOGUE
from netduet.client.checks.runner import CheckRunner
from netduet.client.commands.setup import check_context
from netduet.client.commands.tls import client_tls
from netduet.client.net.client_tls import use_tls
from netduet.client.results.needs import Requirements
from netduet.client.results.target import Expect
from netduet.client.results.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netduet.client.results.target import Target
    from netduet.client.results.verdict import Verdict
    from netduet.client.settings import ClientSettings
    from netduet.runtime.stall_monitor import StallMonitor

RETRY_SECONDS: Final = 0.5
"""Seconds between two attempts, at least."""

_LAST_CHECK: Final = "identity"


async def wait_for_targets(
    settings: ClientSettings,
    targets: Iterable[Target],
    stalls: StallMonitor,
    deadline: float,
) -> None:
    """Wait until each target that should be open is identified, or the deadline.

    ``deadline`` is a monotonic second. Why a target is waited for goes to stderr,
    whenever it changes.
    """
    await asyncio.gather(
        *(
            _wait_for_target(settings, target, stalls, deadline)
            for target in targets
            if target.expect is Expect.OPEN
        )
    )


async def _wait_for_target(
    settings: ClientSettings, target: Target, stalls: StallMonitor, deadline: float
) -> None:
    reason = ""
    use_tls(client_tls(settings, target.host))  # in the task of this target alone
    while True:
        start = time.monotonic()
        verdict = await _identify(settings, target, stalls)
        now = time.monotonic()
        if verdict.outcome is Outcome.PASS or now >= deadline:
            return
        if (latest := _reason(verdict)) != reason:
            reason = latest
            print(f"netduet: waiting for {target}: {reason}", file=sys.stderr)
        pause = max(0.0, start + RETRY_SECONDS - now)
        await asyncio.sleep(min(pause, max(0.0, deadline - now)))


async def _identify(
    settings: ClientSettings, target: Target, stalls: StallMonitor
) -> Verdict:
    context = replace(check_context(settings, target, ""), requirements=Requirements())
    check_runner = CheckRunner(context, stalls, lambda _: None, (_LAST_CHECK,))
    await check_runner.run()
    return check_runner.verdict()


def _reason(verdict: Verdict) -> str:
    root = verdict.root
    if root is None:
        return "no verdict yet"
    return f"{CATALOGUE[root.failure].title} ({root.failure})"
