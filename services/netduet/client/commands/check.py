"""The command ``check``: runs the checks of each target and reports the verdict."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

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
    start_logs,
)
from netduet.client.commands.signals import SignalScope
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
    from netduet.client.checks.runner import CheckRunner
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
        from netduet.client.checks.runner import CheckRunner  # noqa: PLC0415 - after the first words

        settings, write, resume = self.settings, self.write, self.resume
        verdicts: dict[int, Verdict] = {}
        progress = Progress() if erasable() and not settings.json_report else None

        def result(result: CheckResult) -> None:
            if result.follows is not None or result.needs_server:
                return  # the verdict has one line for all of them
            if progress is not None:
                progress.clear()
            write(text.result(result, text_columns()))

        for number in order(self.targets):
            target = self.targets[number]
            if verdicts:
                write([()])
            write(text.heading(str(target)))
            check_runner = CheckRunner(
                check_context(settings, target, _control(verdicts.values())),
                self.stalls,
                result,
                settings.checks,
                None if resume is None else resume.for_target(number),
            )
            start_run()
            await self.signals.run(_run(check_runner, progress))
            verdicts[number] = _conclude(
                check_runner, write, client_instance(settings), verdicts.values()
            )
        in_order = [verdicts[number] for number in range(len(self.targets))]
        if resume is not None and not any(verdict.interrupted for verdict in in_order):
            resume.complete()
        return in_order


def _control(verdicts: Iterable[Verdict]) -> str:
    """Return a target that was reached, "" if none was."""
    rows = map(compare_expectation, verdicts)
    return next((row.target for row in rows if row.found == "open"), "")


async def _run(check_runner: CheckRunner, progress: Progress | None) -> None:
    if progress is None:
        await check_runner.run()
        return
    shown = asyncio.create_task(progress.show(lambda: check_runner.running))
    try:
        await check_runner.run()
    finally:
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
