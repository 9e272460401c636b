"""Runs the checks of a target in order, and concludes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from netduet import logs
from netduet.client.checks import CHECKS
from netduet.client.verdict import (
    Finding,
    Judgement,
    Result,
    Side,
    Verdict,
    conclude,
    following,
    result,
)

if TYPE_CHECKING:
    from typing import Any

    from netduet.client.checks.declaration import Check, Context
    from netduet.stalls import StallWatch

Tell = Callable[[Result], None]


class Battery:
    """The checks of one target. After ``run``, or in the middle of it, ``verdict``."""

    def __init__(self, context: Context, stalls: StallWatch, tell: Tell) -> None:
        """Prepare; ``tell`` is called with each result as it comes."""
        self._context = context
        self._stalls = stalls
        self._tell = tell
        self._results: list[Result] = []
        self._finished = False

    async def run(self) -> None:
        """Run all checks; one whose ground is gone is skipped and says so."""
        for check in CHECKS:
            blocked = next(
                (
                    one.follows or one.check
                    for one in self._results
                    if one.check in check.needs and one.blocks
                ),
                None,
            )
            if blocked is not None:
                done = following(check.name, check.question, blocked)
            else:
                done = await self._one(check)
            self._results.append(done)
            self._log(done)
            self._tell(done)
        self._finished = True

    def verdict(self) -> Verdict:
        """Return what is known so far; interrupted when a check is still to come."""
        target = str(self._context.target)
        return conclude(target, self._results, interrupted=not self._finished)

    async def _one(self, check: Check[Any]) -> Result:
        begin = time.monotonic()
        try:
            measurement = await check.measure(self._context)
            self._context.measured[type(measurement)] = measurement
            judgement = check.judge(measurement)
        except Exception as error:  # noqa: BLE001 - a defect of ours ends one check, not the report
            fields = logs.exception_fields(error)
            logs.logger().error("runtime.exception", **fields)
            said = f"{type(error).__name__}: {error}"
            defect = Finding("check.defect", said, ((Side.CLIENT, said),))
            judgement = Judgement("the check itself failed", (defect,), blocks=True)
        seconds = time.monotonic() - begin
        stalled = self._stalls.stalled
        return result(check.name, check.question, judgement, seconds, stalled)

    def _log(self, done: Result) -> None:
        fields: dict[str, Any] = {
            "server.address": self._context.target.host,
            "server.port": self._context.target.port,
            "netduet.check": done.check,
            "netduet.outcome": done.outcome.value,
            "netduet.duration_s": round(done.seconds, 6),
        }
        if done.findings:
            fields["error.type"] = done.findings[0].failure
        logs.logger().info("check.finished", **fields)
