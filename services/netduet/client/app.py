"""The client: wires settings to checks, heeds signals, tells the verdict."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import signal
import socket
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

from netduet import __version__
from netduet.client.catalogue import CATALOGUE
from netduet.client.checks import CHECKS
from netduet.client.checks.base import CheckContext, CheckOptions, Timeouts
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
from netduet.client.results.instance import instance_named
from netduet.client.results.target import Expect, turns
from netduet.client.results.verdict import CheckResult, Starvation, Verdict, exit_status
from netduet.net import kernel
from netduet.runtime import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from netduet.client.checks.checkpoint import Checkpoint
    from netduet.client.checks.runner import CheckRunner
    from netduet.client.results.instance import Instance
    from netduet.client.results.target import Target
    from netduet.client.settings import ClientSettings
    from netduet.runtime.stall_monitor import StallMonitor

    Tell = Callable[[Iterable[text.Line]], None]

_FAMILIES: Final = {
    "any": socket.AF_UNSPEC,
    "4": socket.AF_INET,
    "6": socket.AF_INET6,
}


_INTERRUPTED: Final = 3
_UNUSABLE: Final = 2


def check(
    settings: ClientSettings,
    targets: tuple[Target, ...],
    ignored: tuple[str, ...] = (),
) -> int:
    """Check each target and tell the verdict; return the exit status.

    0 passed, 1 a check failed, 2 the file of ``resume`` cannot be used, 3
    inconclusive, all skipped or interrupted. ``ignored`` names variables that look
    like settings and are Kubernetes' own.
    """
    try:
        resume = _resume(settings, targets)
    except ValueError as error:
        print(f"netduet: {error}", file=sys.stderr)
        return _UNUSABLE
    log_writer = _start_logs(settings)
    try:
        if ignored:
            names = {"netduet.names": list(ignored)}
            logs.logger().warning("settings.ignored", **names)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            logs.attach(runner.get_loop())
            return runner.run(_check(settings, targets, resume))
    finally:
        log_writer.close()


def watch(
    settings: ClientSettings,
    targets: tuple[Target, ...],
    ignored: tuple[str, ...] = (),
) -> int:
    """Watch the targets until a signal, then tell what it came to; return the exit status.

    0 after a signal, 2 when the admin port cannot be listened on. ``ignored`` as for
    ``check``. With ``json_report`` nothing but log lines tell, from level info on.
    """
    from netduet.client.watch import app as watching  # noqa: PLC0415
    from netduet.client.watch.monitor import Intervals  # noqa: PLC0415
    from netduet.net.bind import BindError, bind  # noqa: PLC0415

    log_writer = _start_logs(settings, chatty=settings.json_report)
    try:
        if ignored:
            names = {"netduet.names": list(ignored)}
            logs.logger().warning("settings.ignored", **names)
        admin = []
        if settings.admin_port:
            admin = bind(settings.admin_host, settings.admin_port, udp=False).tcp
            import netduet.runtime.admin_http  # noqa: F401, PLC0415 - before the loop runs, or it stalls
        kernel.raise_descriptor_limit()
        write: Tell = _silent if settings.json_report else writer(settings.color)
        wanted = watching.WatchOptions(
            _asker(settings),
            targets,
            settings.watch_neighbours,
            Intervals(
                settings.watch_interval,
                settings.watch_checks_interval,
                settings.watch_resolve_interval,
            ),
            settings.watch_history,
            words=not settings.json_report,
        )

        async def run() -> None:
            context = _context(settings, targets[0], "")
            # Each address has a turn of its own: how many are behind it nobody has said.
            bounds = replace(context.options, expect_instances=0)
            context = replace(context, profile="quick", options=bounds)
            await watching.watch(wanted, context, write, admin, SignalScope().run)

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            logs.attach(runner.get_loop())
            runner.run(run())
    except BindError as error:
        print(f"netduet: {error}", file=sys.stderr)
        return _UNUSABLE
    finally:
        log_writer.close()
    return 0


def _resume(settings: ClientSettings, targets: tuple[Target, ...]) -> Checkpoint | None:
    """Return what an earlier run has done, None when nothing is to be kept.

    Raises:
        ValueError: the file cannot be used; the message is a line.

    """
    if not settings.resume:
        return None
    from netduet.client.checks.checkpoint import Checkpoint  # noqa: PLC0415

    same = (
        "profile",
        "family",
        "expect_service",
        *(field.name for field in fields(CheckOptions)),
    )
    run = {
        "version": __version__,
        "targets": " ".join(f"{target}={target.expect.value}" for target in targets),
        **{name.replace("_", "-"): str(getattr(settings, name)) for name in same},
    }
    return Checkpoint(Path(settings.resume), run)


def unusable(settings: ClientSettings, targets: tuple[Target, ...] = ()) -> list[str]:
    """Return a line for each setting that only now is seen to be unusable."""
    known = [check.name for check in CHECKS]
    lines = [
        f"check {name!r}: there is none of this name; the checks are {', '.join(known)}"
        for name in settings.checks
        if name not in known
    ]
    judging = [one for one in CHECKS if Expect.OPEN in one.judges]
    if settings.checks and not lines:
        none = not {one.name for one in judging} & set(settings.checks)
        lines += [
            f"checks {','.join(settings.checks)}: none of them judges {target}, which is "
            f"expected to be open; expect it to be blocked: {target}=blocked"
            for target in targets
            if none and target.expect is Expect.OPEN
        ]
    if settings.junit:
        try:
            Path(settings.junit).touch()
        except OSError as error:
            lines.append(f"junit {settings.junit}: cannot be written: {error.strerror}")
    return lines


def hello(settings: ClientSettings, target: Target) -> int:
    """Hold the plain conversation; return 0 when something came back, else 1.

    3 when a signal came first.
    """
    from netduet.client.hello import say_hello  # noqa: PLC0415

    patience = _patience(settings)
    family = _FAMILIES[settings.family]

    async def run() -> int:
        status = _INTERRUPTED

        async def talk() -> None:
            nonlocal status
            status = await say_hello(target, settings.greeting, family, patience)

        await SignalScope().run(talk())
        return status

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def explain(name: str | None) -> int:
    """Tell what is known about a class of failure, or list all; return the status."""
    tell = writer("auto")
    if name is None:
        width = max(map(len, CATALOGUE)) + 2
        tell(
            (("strong", failure.name.ljust(width)), ("", failure.title))
            for failure in CATALOGUE.values()
        )
        return 0
    failure = CATALOGUE.get(name)
    if failure is None:
        close = difflib.get_close_matches(name, CATALOGUE, 1)
        remedy = f"did you mean {close[0]}?" if close else "`netduet explain` lists all"
        print(f"netduet: explain {name!r}: no such class; {remedy}", file=sys.stderr)
        return 2
    tell(text.explanation(failure, text_columns()))
    return 0


async def _check(
    settings: ClientSettings, targets: tuple[Target, ...], resume: Checkpoint | None
) -> int:
    until = (
        SignalScope()
    )  # before all that takes time: a signal gives a verdict from now on
    from netduet.client.checks.runner import CheckRunner  # noqa: PLC0415 - after the first words
    from netduet.runtime.stall_monitor import StallMonitor  # noqa: PLC0415

    tell: Tell = _silent if settings.json_report else writer(settings.color)
    verdicts: dict[int, Verdict] = {}
    progress = Progress() if erasable() and not settings.json_report else None

    def result(result: CheckResult) -> None:
        if result.follows is not None:
            return  # one line for all of them comes with the verdict
        if progress is not None:
            progress.clear()
        tell(text.result(result, text_columns()))

    async with StallMonitor() as stalls:
        for number in turns(targets):
            if verdicts:
                tell([()])
            tell(text.heading(str(targets[number])))
            battery = CheckRunner(
                _context(settings, targets[number], _control(verdicts.values())),
                stalls,
                result,
                settings.checks,
                None if resume is None else resume.part(number),
            )
            await until.run(_ran(battery, progress))
            verdicts[number] = _conclude(battery, tell, _asker(settings))
        in_order = [verdicts[number] for number in range(len(targets))]
        if resume is not None and not any(verdict.interrupted for verdict in in_order):
            resume.complete()
        _finish(settings, in_order, stalls, tell, resume)
    return exit_status(in_order)


def _control(verdicts: Iterable[Verdict]) -> str:
    """Return a target that was reached, "" when none was."""
    rows = map(compare_expectation, verdicts)
    return next((row.target for row in rows if row.found == "open"), "")


def _silent(_: Iterable[text.Line]) -> None:
    """Tell nothing: the report is one document, at the end."""


async def _ran(battery: CheckRunner, progress: Progress | None) -> None:
    if progress is None:
        await battery.run()
        return
    shown = asyncio.create_task(progress.show(lambda: battery.running))
    try:
        await battery.run()
    finally:
        shown.cancel()
        await asyncio.gather(shown, return_exceptions=True)


def _context(settings: ClientSettings, target: Target, control: str) -> CheckContext:
    return CheckContext(
        target,
        _FAMILIES[settings.family],
        settings.expect_service,
        _patience(settings),
        settings.profile,
        CheckOptions(
            **{
                field.name: getattr(settings, field.name)
                for field in fields(CheckOptions)
            }
        ),
        control=control,
    )


def _asker(settings: ClientSettings) -> Instance:
    """Return which client this is, and where."""
    return instance_named(socket.gethostname(), settings.node, settings.zone)


def _conclude(battery: CheckRunner, tell: Tell, asker: Instance) -> Verdict:
    verdict = replace(battery.verdict(), asked_by=str(asker) if asker.place else "")
    tell(text.skipped(verdict.results, text_columns()))
    tell(text.verdict(verdict, width=text_columns()))
    fields = {
        "netduet.target": verdict.target,
        "netduet.outcome": verdict.outcome.value,
    }
    if verdict.root is not None:
        fields["error.type"] = verdict.root.failure
    logs.logger().info("verdict.reached", **fields)
    return verdict


def _finish(
    settings: ClientSettings,
    verdicts: list[Verdict],
    stalls: StallMonitor,
    tell: Tell,
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
        sys.stdout.write(document(verdicts, starvation, _asker(settings)))
        sys.stdout.flush()
        return
    if any(verdict.interrupted for verdict in verdicts):
        if resume is not None:
            tell(text.resumable(resume.path, resume.trouble, text_columns()))
        elif settings.profile != "quick":
            tell(text.resumable("", "", text_columns()))
    if len(verdicts) > 1:
        tell(tables(verdicts, columns()))
        tell(text.overall(verdicts))


class SignalScope:
    """Runs work until SIGTERM or SIGINT; whatever is still to run then, does not.

    The handlers are needed even by a one-shot command: as PID 1 of a container,
    Python ignores SIGTERM without one.
    """

    def __init__(self) -> None:
        """Heed both signals from now on."""
        self.stopped = False
        self._task: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)

    async def run(self, work: Coroutine[None, None, None]) -> None:
        """Run the work, to its end or until a signal comes."""
        self._task = asyncio.ensure_future(work)
        if self.stopped:
            self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def _stop(self) -> None:
        self.stopped = True
        if self._task is not None:
            self._task.cancel()


def _patience(settings: ClientSettings) -> Timeouts:
    return Timeouts(
        settings.resolve_timeout, settings.connect_timeout, settings.answer_timeout
    )


def _start_logs(settings: ClientSettings, *, chatty: bool = False) -> logs.LogWriter:
    """Begin to log; ``chatty``: what is of level info too, whatever the settings say."""
    quiet = settings.log_level in {"warning", "error"}
    return logs.start(
        sys.stderr.fileno(),
        level="info" if chatty and quiet else settings.log_level,
        style=settings.log_format,
        queue=settings.log_queue,
        fields={
            "service.name": "netduet-client",
            "service.instance.id": socket.gethostname(),
            "service.version": __version__,
            **logs.place(settings.node, settings.zone),
        },
    )
