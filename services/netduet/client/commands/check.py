"""The command ``check``: runs the checks of each target and reports the verdict."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

from netduet import __version__
from netduet.client.checks import CHECKS
from netduet.client.checks.base import CheckOptions
from netduet.client.checks.catalogue import local_catalogue
from netduet.client.commands.setup import (
    UNUSABLE,
    WriteLines,
    check_context,
    client_instance,
    log_ignored,
    no_output,
    prove_token,
    start_logs,
)
from netduet.client.commands.signals import SignalScope
from netduet.client.commands.tls import client_tls, unusable_files
from netduet.client.net.client_tls import use_tls
from netduet.client.net.run_id import run_fields, start_run
from netduet.client.report import text
from netduet.client.report.tables import tables
from netduet.client.report.terminal import (
    Progress,
    columns,
    erasable,
    text_columns,
    writer,
)
from netduet.client.results.expectation import compare_expectation
from netduet.client.results.starvation import Starvation
from netduet.client.results.target import Expect, order
from netduet.client.results.verdict import CheckResult, Verdict, exit_status
from netduet.net import kernel
from netduet.runtime import logs

if TYPE_CHECKING:
    from netduet.client.checks.checkpoint import Checkpoint
    from netduet.client.checks.runner import CheckRunner, SharedPath
    from netduet.client.results.instance import Instance
    from netduet.client.results.target import Target
    from netduet.client.settings import ClientSettings
    from netduet.runtime.stall_monitor import StallMonitor


def check(
    settings: ClientSettings,
    targets: tuple[Target, ...],
    ignored: tuple[str, ...] = (),
    *,
    program: bool = False,
) -> int:
    """Check each target and print the verdict; return the exit status.

    With ``wait``, keep trying until all pass. Before a ``program``, which will have
    stdout to itself, everything is printed on stderr.

    0: passed, 1: a check failed, 2: the file of ``resume`` is unusable, 3:
    inconclusive, all skipped, or interrupted. ``ignored`` names environment variables
    that look like settings but are set by Kubernetes.
    """
    try:
        resume = _resume(settings, targets)
    except ValueError as error:
        print(f"netduet: {error}", file=sys.stderr)
        return UNUSABLE
    prove_token(settings)
    log_writer = start_logs(settings)
    try:
        log_ignored(ignored)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            logs.attach(runner.get_loop())
            output = sys.stderr if program else sys.stdout
            with contextlib.redirect_stdout(output):
                return runner.run(_check(settings, targets, resume))
    finally:
        log_writer.close()


def unusable(settings: ClientSettings, targets: tuple[Target, ...] = ()) -> list[str]:
    """Return a line for each setting that proves to be unusable at this point."""
    known = [check.name for check in CHECKS]
    lines = [
        f"check {name!r}: no such check; the checks are {', '.join(known)}"
        for name in settings.checks
        if name not in known
    ]
    judging = [check for check in CHECKS if Expect.OPEN in check.judges]
    if settings.checks and not lines:
        none = not {check.name for check in judging} & set(settings.checks)
        lines += [
            f"checks {','.join(settings.checks)}: none of them applies to {target}, "
            "which is expected to be open; to expect it to be blocked, use "
            f"{target}=blocked"
            for target in targets
            if none and target.expect is Expect.OPEN
        ]
    lines += unusable_files(settings)
    if settings.junit:
        try:
            Path(settings.junit).touch()
        except OSError as error:
            lines.append(f"junit {settings.junit}: cannot be written: {error.strerror}")
    return lines


def _resume(settings: ClientSettings, targets: tuple[Target, ...]) -> Checkpoint | None:
    """Return the progress of an earlier run; None if none is kept.

    Raises:
        ValueError: the file cannot be used; the message is one line.
    """
    if not settings.resume:
        return None
    from netduet.client.checks.checkpoint import Checkpoint  # noqa: PLC0415

    same = (
        "profile",
        "family",
        "expect_service",
        "expect_protocol",
        "need",
        "purpose",
        "tls_name",
        *(field.name for field in fields(CheckOptions)),
    )
    run = {
        "version": __version__,
        "targets": " ".join(f"{target}={target.expect.value}" for target in targets),
        **{name.replace("_", "-"): str(getattr(settings, name)) for name in same},
    }
    return Checkpoint(Path(settings.resume), run)


async def _check(
    settings: ClientSettings, targets: tuple[Target, ...], resume: Checkpoint | None
) -> int:
    signals = (
        SignalScope()
    )  # before anything slow: from now on a signal leads to a verdict
    from netduet.client.commands.wait import wait_for_targets  # noqa: PLC0415 - after the first words
    from netduet.runtime.stall_monitor import StallMonitor  # noqa: PLC0415

    write: WriteLines = no_output if settings.json_report else writer(settings.color)
    deadline = time.monotonic() + settings.wait
    async with StallMonitor() as stalls:
        session = _Session(settings, targets, resume, stalls, signals, write)
        while True:
            if settings.wait:
                waiting = wait_for_targets(settings, targets, stalls, deadline)
                await signals.run(waiting)
            verdicts = await session.run()
            passed = exit_status(verdicts) == 0
            if passed or signals.stopped or time.monotonic() >= deadline:
                break
            write([(), (("faint", f"trying again: --wait {settings.wait:g} s"),), ()])
        _finish(settings, verdicts, stalls, write, resume)
    return exit_status(verdicts)


_MAX_CONCURRENT_TARGETS: Final = 4
"""Targets that are checked side by side: more would starve this process of CPU."""


@dataclass(frozen=True, slots=True)
class _Session:
    """What all attempts at the targets share."""

    settings: ClientSettings
    targets: tuple[Target, ...]
    resume: Checkpoint | None
    stalls: StallMonitor
    signals: SignalScope
    write: WriteLines

    async def run(self) -> list[Verdict]:
        """Run the checks of all targets, and write them; return the verdicts in order."""
        from netduet.client.checks.runner import SharedPath  # noqa: PLC0415 - after the first words

        path, resume = SharedPath(), self.resume
        slots = asyncio.Semaphore(_MAX_CONCURRENT_TARGETS)
        verdicts: dict[int, Verdict] = {}
        runs: dict[int, _TargetRun] = {}
        try:
            for number in order(self.targets):
                if number not in runs:
                    control = _control(verdicts.values())
                    expect = self.targets[number].expect
                    for other, target in enumerate(self.targets):
                        blocked = Expect.BLOCKED in {target.expect, expect}
                        if not blocked or target.expect is expect:
                            runs[other] = _TargetRun(self, other, control, path, slots)
                if verdicts:
                    self.write([()])
                verdicts[number] = await runs[number].report(verdicts.values())
        finally:
            for run in runs.values():
                run.cancel()
        in_order = [verdicts[number] for number in range(len(self.targets))]
        if resume is not None and not any(verdict.interrupted for verdict in in_order):
            resume.complete()
        return in_order


class _TargetRun:
    """The checks of one target, beside those of others; the results wait for their turn."""

    def __init__(
        self,
        session: _Session,
        number: int,
        control: str,
        path: SharedPath,
        slots: asyncio.Semaphore,
    ) -> None:
        """Start the checks, as soon as one of the slots is free."""
        from netduet.client.checks.runner import CheckRunner  # noqa: PLC0415

        settings, resume = session.settings, session.resume
        self._session = session
        self._target = session.targets[number]
        self._results: list[CheckResult] = []
        self._shown = False
        interactive = erasable() and not settings.json_report
        self._progress = Progress() if interactive else None
        self._runner = CheckRunner(
            check_context(settings, self._target, control),
            session.stalls,
            self._handle,
            settings.checks,
            None if resume is None else resume.for_target(number),
            path=path,
        )
        self._context = contextvars.copy_context()
        self._context.run(start_run)
        self._context.run(use_tls, client_tls(settings, self._target.host))
        self._task = asyncio.get_running_loop().create_task(
            self._run(slots), context=self._context
        )

    async def report(self, earlier: Iterable[Verdict]) -> Verdict:
        """Write the results, wait for those that are missing, and conclude."""
        session = self._session
        session.write(text.heading(str(self._target)))
        self._shown = True
        for done in self._results:
            self._write(done)
        await session.signals.run(_wait(self._task, self._runner, self._progress))
        if session.signals.stopped:
            self.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        instance = client_instance(session.settings)
        return self._context.run(
            _conclude, self._runner, session.write, instance, earlier
        )

    def cancel(self) -> None:
        """End the checks, if they are running."""
        self._task.cancel()

    async def _run(self, slots: asyncio.Semaphore) -> None:
        async with slots:
            await self._runner.run()

    def _handle(self, done: CheckResult) -> None:
        self._results.append(done)
        if self._shown:
            self._write(done)

    def _write(self, done: CheckResult) -> None:
        if done.follows is not None or done.needs_server:
            return  # the verdict has one line for all of them
        if self._progress is not None:
            self._progress.clear()
        self._session.write(text.result(done, text_columns()))


def _control(verdicts: Iterable[Verdict]) -> str:
    """Return a target that was reached, "" if none was."""
    rows = map(compare_expectation, verdicts)
    return next((row.target for row in rows if row.found == "open"), "")


async def _wait(
    checks: asyncio.Task[None], check_runner: CheckRunner, progress: Progress | None
) -> None:
    """Wait for running checks; cancelled, end them."""
    shown = None
    if progress is not None:
        shown = asyncio.create_task(progress.show(lambda: check_runner.running))
    try:
        await checks
    finally:
        if shown is not None:
            shown.cancel()
            await asyncio.gather(shown, return_exceptions=True)


def _conclude(
    check_runner: CheckRunner,
    write: WriteLines,
    client: Instance,
    above: Iterable[Verdict],
) -> Verdict:
    """Write a target's verdict below the verdicts ``above``, and return it."""
    verdict = replace(
        check_runner.verdict(), asked_by=str(client) if client.node_and_zone else ""
    )
    write(text.skipped(verdict.results, text_columns()))
    write(text.verdict(verdict, local_catalogue(), text_columns(), tuple(above)))
    fields = {
        "netduet.target": verdict.target,
        "netduet.outcome": verdict.outcome.value,
        **run_fields(),
    }
    if verdict.root is not None:
        fields["error.type"] = verdict.root.failure
    logs.logger().info("verdict.reached", **fields)
    return verdict


def _finish(
    settings: ClientSettings,
    verdicts: list[Verdict],
    stalls: StallMonitor,
    write: WriteLines,
    resume: Checkpoint | None,
) -> None:
    if settings.junit:
        from netduet.client.report import junit  # noqa: PLC0415

        Path(settings.junit).write_text(junit.document(verdicts), "utf-8")
    if settings.json_report:
        from netduet.client.report.json_report import document  # noqa: PLC0415

        starvation = Starvation(
            stalls.count, stalls.total, stalls.throttled(), *kernel.socket_limits()
        )
        sys.stdout.write(document(verdicts, starvation, client_instance(settings)))
        sys.stdout.flush()
        return
    if any(verdict.interrupted for verdict in verdicts):
        if resume is not None:
            write(text.resumable(resume.path, resume.write_error, text_columns()))
        elif settings.profile != "quick":
            write(text.resumable("", "", text_columns()))
    if len(verdicts) > 1:
        write(tables(verdicts, columns()))
        write(text.overall(verdicts))
