"""Runs the checks of a target, concurrently if they do not interfere."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from netduet.client.checks import CHECKS
from netduet.client.checks.base import PathUse, max_seconds
from netduet.client.checks.catalogue import CATALOGUE, severity
from netduet.client.checks.identity.results import IdentityResult
from netduet.client.checks.investigation import investigate
from netduet.client.checks.proxy_evidence import SOURCES, has_seen_proxy
from netduet.client.checks.reach.results import ReachResult
from netduet.client.net.server_evidence import server_health
from netduet.client.results.doubts import settle_doubts
from netduet.client.results.location import Side
from netduet.client.results.needs import unmet_needs, with_notes
from netduet.client.results.target import Expect
from netduet.client.results.verdict import (
    CheckResult,
    Finding,
    Judgement,
    Outcome,
    Verdict,
    conclude,
    result,
    skipped_because_of,
    weigh_starvation,
    worst_outcome,
)
from netduet.net import counters
from netduet.runtime import logs
from netduet.wire.untrusted import escape

if TYPE_CHECKING:
    from typing import Any

    from netduet.client.checks.base import Check, CheckContext
    from netduet.client.checks.checkpoint import TargetCheckpoint
    from netduet.runtime.stall_monitor import StallMonitor

ResultHandler = Callable[[CheckResult], None]


class SharedPath:
    """The path to targets that are checked side by side, as if it were one.

    Checks that fill it take turns. None of them begins while another target has a check
    that needs the path quiet, and the reverse.
    """

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._filled_by: object = None
        self._filling_together = ""
        self._fill_count = 0
        self._quiet_for: Counter[object] = Counter()

    @contextlib.asynccontextmanager
    async def filled(self, target: object, together: str = "") -> AsyncIterator[None]:
        """Wait until a check of this target may fill the path; then no other may.

        But for those of the same target with the same word ``together``, if it is not
        empty.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._may_fill(target, together))
            self._filled_by, self._filling_together = target, together
            self._fill_count += 1
        try:
            yield
        finally:
            self._fill_count -= 1
            if not self._fill_count:
                self._filled_by = None
            await self._notify()

    @contextlib.asynccontextmanager
    async def quiet(self, target: object) -> AsyncIterator[None]:
        """Wait until no other target's check fills the path; then none may."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._filled_by in {None, target})
            self._quiet_for[target] += 1
        try:
            yield
        finally:
            self._quiet_for[target] -= 1
            await self._notify()

    def _may_fill(self, target: object, together: str) -> bool:
        if self._filled_by is not None:
            joins = bool(together) and together == self._filling_together
            return joins and self._filled_by is target
        return not self._quiet_for.total() - self._quiet_for[target]

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class CheckRunner:
    """The checks of one target: ``run`` them, then take the ``verdict``."""

    def __init__(
        self,
        context: CheckContext,
        stalls: StallMonitor,
        on_result: ResultHandler,
        names: tuple[str, ...] = (),
        checkpoint: TargetCheckpoint | None = None,
        *,
        path: SharedPath | None = None,
    ) -> None:
        """Prepare; ``on_result`` is called with each result, in the order of the checks.

        ``names`` are the checks to run, besides those that they need; none means all.
        ``checkpoint`` has the results of an interrupted run, and saves new ones.
        ``path`` is shared with the runners of other targets.
        """
        self._context = context
        self._stalls = stalls
        self._on_result = on_result
        self._checkpoint = checkpoint
        self._earlier = {} if checkpoint is None else checkpoint.earlier
        self._names = names
        self._chosen = _with_needs(names, context.target.expect)
        self._requirements = context.requirements
        self._results: list[CheckResult] = []
        self._proxied = False
        self._running: dict[str, float] = {}
        self._path = path or SharedPath()

    @property
    def running(self) -> dict[str, float]:
        """The running checks, with the monotonic second at which each started."""
        return dict(self._running)

    async def run(self) -> None:
        """Run all checks; skip those whose needed checks failed."""
        tasks: dict[str, asyncio.Task[CheckResult]] = {}
        try:
            for check in self._chosen:
                needs = [
                    tasks[name]
                    for name in (*check.needs, *check.after)
                    if name in tasks
                ]
                earlier = [tasks[name] for name in check.following if name in tasks]
                tasks[check.name] = asyncio.create_task(
                    self._run_when_ready(check, needs, earlier)
                )
            for task in tasks.values():
                done = await task
                if done.left_out:
                    continue
                if self._depends_on_proxy(done):
                    await asyncio.gather(
                        *(
                            asyncio.shield(tasks[name])
                            for name in SOURCES
                            if name in tasks
                        )
                    )
                self._record(self._weigh_needs(done, tasks))
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
            reported = {check_result.check for check_result in self._results}
            for name, task in tasks.items():
                if name in reported or task.cancelled() or task.result().left_out:
                    continue
                self._record(self._weigh_needs(task.result(), tasks))

    def verdict(self) -> Verdict:
        """Return the verdict so far; it is interrupted if checks are missing."""
        done = {check_result.check for check_result in self._results}
        missing = [
            check.name
            for check in self._chosen
            if check.name not in done and self._applies(check)
        ]
        target = self._context.target
        return conclude(
            str(target),
            settle_doubts(self._results),
            interrupted=bool(missing),
            expected=target.expect,
            missing=missing,
            requested=self._names,
            severity=severity,
            requirements=self._requirements.words,
            unmet_needs=unmet_needs(self._results, self._requirements),
            proxied=self._proxied,
        )

    def _depends_on_proxy(self, done: CheckResult) -> bool:
        """Whether findings are failures or notes only a proxy in between decides."""
        return self._requirements.needs is None and any(
            CATALOGUE[finding.failure].by_proxy for finding in done.findings
        )

    def _weigh_needs(
        self, done: CheckResult, tasks: Mapping[str, asyncio.Task[CheckResult]]
    ) -> CheckResult:
        """Turn what no application needs into notes.

        If an interruption leaves open whether there is a proxy, what depends on it is
        inconclusive.
        """
        if self._depends_on_proxy(done):
            sources = [tasks[name] for name in SOURCES if name in tasks]
            if any(not task.done() or task.cancelled() for task in sources):
                return _left_open(done)
            self._proxied = has_seen_proxy(
                *(tasks[name].result() if name in tasks else None for name in SOURCES)
            )
        return with_notes(done, CATALOGUE, self._requirements, proxied=self._proxied)

    async def _run_when_ready(
        self,
        check: Check[Any],
        needs: list[asyncio.Task[CheckResult]],
        earlier: list[asyncio.Task[CheckResult]],
    ) -> CheckResult:
        """Wait for the needed checks, the earlier ones, and for other heavy ones."""
        if check.name in self._earlier:
            return self._earlier[check.name]
        blocked = await _first_blocking(needs)
        for task in earlier:
            await asyncio.shield(task)
        if not self._applies(check):
            return _left_out(check)
        if blocked is not None:
            return _skipped(check, blocked)
        async with self._turn(check.path_use):
            done = await self._run_check(check)
        if self._checkpoint is not None:
            self._checkpoint.save(done)
        return done

    def _applies(self, check: Check[Any]) -> bool:
        return check.name in self._names or check.applies(self._context)

    def _turn(self, use: PathUse) -> AbstractAsyncContextManager[None]:
        """Return the turn that a check waits for, and has while it runs."""
        if self._is_slow() and use is not PathUse.NEGLIGIBLE:
            return self._path.filled(self)
        match use:
            case PathUse.FULL:
                return self._path.filled(self)
            case PathUse.CONNECTIONS:
                return self._path.filled(self, use.value if self._is_quick() else "")
            case PathUse.SENSITIVE:
                return self._path.quiet(self)
            case PathUse.LIGHT | PathUse.NEGLIGIBLE:
                return contextlib.nullcontext()

    def _is_quick(self) -> bool:
        """Whether checks that open connections open few, to a server that can take them."""
        identity = self._context.measured.get(IdentityResult)
        known = isinstance(identity, IdentityResult) and identity.known
        return bool(known) and self._context.profile == "quick"

    def _is_slow(self) -> bool:
        """Whether a path to the target is so slow that two checks would share a queue."""
        identity = self._context.measured.get(IdentityResult)
        rates = identity.rates if isinstance(identity, IdentityResult) else {}
        return any(rate < math.inf for rate in rates.values())

    async def _run_check(self, check: Check[Any]) -> CheckResult:
        start = self._running[check.name] = time.monotonic()
        before = counters.read()
        limit = max_seconds(self._context)
        deadline = asyncio.timeout(limit)
        try:
            async with deadline:
                measurement = await check.measure(self._context)
                self._context.measured[type(measurement)] = measurement
                judgement = check.judge(measurement)
                judgement = await self._investigate(judgement, before)
        except Exception as error:  # noqa: BLE001 - a defect of ours ends one check, not the report
            fields = logs.exception_fields(error)
            logs.logger().error("runtime.exception", **fields)
            message = escape(f"{type(error).__name__}: {error}")
            defect = Finding("check.defect", message, ((Side.CLIENT, message),))
            if deadline.expired():
                defect = _unending(limit)
            judgement = Judgement("the check itself failed", (defect,), blocks=True)
        finally:
            del self._running[check.name]
        seconds = time.monotonic() - start
        stalled = self._stalls.stalled
        health = None
        doubts = () if judgement.doubt is None else (judgement.doubt,)
        deadlines = [
            finding.missed_deadline.start
            for finding in (*judgement.findings, *doubts)
            if finding.missed_deadline is not None
            and weigh_starvation(finding, stalled).outcome is Outcome.FAIL
        ]
        if deadlines:
            reach = self._context.measured.get(ReachResult)
            alive = reach.accepted if isinstance(reach, ReachResult) else ()
            addresses = [attempt.address for attempt in alive]
            health = await server_health(
                addresses, self._context.timeouts, min(deadlines)
            )
        return result(check.name, check.question, judgement, seconds, stalled, health)

    async def _investigate(
        self, judgement: Judgement, before: Mapping[str, int]
    ) -> Judgement:
        """Return the judgement with its findings looked into.

        A defect there is logged, and leaves the findings as they are.
        """
        try:
            findings = await investigate(self._context, judgement.findings, before)
        except Exception as error:  # noqa: BLE001 - a defect of ours must not hide a finding
            fields = logs.exception_fields(error)
            logs.logger().error("runtime.exception", **fields)
            return judgement
        return replace(judgement, findings=findings)

    def _record(self, done: CheckResult) -> None:
        self._results.append(done)
        fields: dict[str, Any] = {
            "server.address": self._context.target.host,
            "server.port": self._context.target.port,
            "netduet.check": done.check,
            "netduet.outcome": done.outcome.value,
            "netduet.duration_s": round(done.seconds, 6),
        }
        if done.findings:
            fields["error.type"] = done.findings[0].failure
        if done.notes:
            fields["netduet.notes"] = [note.failure for note in done.notes]
        logs.logger().info("check.finished", **fields)
        self._on_result(done)


def _unending(limit: float) -> Finding:
    seen = f"the check had not ended after {limit:g} s"
    evidence = ((Side.CLIENT, seen),)
    return Finding("check.timeout", seen, evidence, outcome=Outcome.INCONCLUSIVE)


async def _first_blocking(
    tasks: list[asyncio.Task[CheckResult]],
) -> CheckResult | None:
    """Wait for checks; return the first that others cannot do without, None for none."""
    results = [await asyncio.shield(task) for task in tasks]
    return next((each for each in results if each.blocks), None)


def _skipped(check: Check[Any], blocked: CheckResult) -> CheckResult:
    cause = blocked.follows or blocked.check
    return skipped_because_of(check.name, check.question, cause)


def _left_out(check: Check[Any]) -> CheckResult:
    return CheckResult(check.name, check.question, Outcome.SKIP, "", left_out=True)


def _left_open(done: CheckResult) -> CheckResult:
    """Return the result with what a proxy in between would excuse as inconclusive."""
    findings = tuple(
        replace(finding, outcome=Outcome.INCONCLUSIVE)
        if CATALOGUE[finding.failure].by_proxy
        else finding
        for finding in done.findings
    )
    outcome = worst_outcome(findings, done.outcome)
    return replace(done, findings=findings, outcome=outcome)


def _with_needs(names: tuple[str, ...], expect: Expect) -> tuple[Check[Any], ...]:
    """Return the checks of these names and those they need, in order.

    Only those that judge targets with this expectation. A target that is expected to be
    blocked gets all of them: they are few, and ``--checks`` names those that need a
    path.
    """
    judging = [check for check in CHECKS if expect in check.judges]
    wanted = set(names) if expect is Expect.OPEN else set()
    wanted = wanted or {check.name for check in judging}
    for check in reversed(judging):
        if check.name in wanted:
            wanted.update(check.needs)
    return tuple(check for check in judging if check.name in wanted)
