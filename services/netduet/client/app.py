"""The client: wires settings to checks, heeds signals, tells the verdict."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import signal
import socket
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

from netduet import __version__, kernel, logs
from netduet.client.checks import CHECKS
from netduet.client.checks.declaration import Bounds, Context, Patience
from netduet.client.failures import CATALOGUE
from netduet.client.report import words
from netduet.client.report.terminal import Progress, erasable, writer
from netduet.client.verdict import Result, Starvation, Verdict, exit_status

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from netduet.client.battery import Battery
    from netduet.client.settings import ClientSettings
    from netduet.client.target import Target
    from netduet.stalls import StallWatch

    Tell = Callable[[Iterable[words.Line]], None]

_FAMILIES: Final = {
    "any": socket.AF_UNSPEC,
    "4": socket.AF_INET,
    "6": socket.AF_INET6,
}


_INTERRUPTED: Final = 3


def check(
    settings: ClientSettings,
    targets: tuple[Target, ...],
    ignored: tuple[str, ...] = (),
) -> int:
    """Check each target and tell the verdict; return the exit status.

    0 passed, 1 a check failed, 3 inconclusive, all skipped or interrupted.
    ``ignored`` names variables that look like settings and are Kubernetes' own.
    """
    log_writer = _start_logs(settings)
    try:
        if ignored:
            names = {"netduet.names": list(ignored)}
            logs.logger().warning("settings.ignored", **names)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            logs.attach(runner.get_loop())
            return runner.run(_check(settings, targets))
    finally:
        log_writer.close()


def unusable(settings: ClientSettings) -> list[str]:
    """Return a line for each setting that only now is seen to be unusable."""
    known = [check.name for check in CHECKS]
    lines = [
        f"check {name!r}: there is none of this name; the checks are {', '.join(known)}"
        for name in settings.checks
        if name not in known
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

        await Until().told(talk())
        return status

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def explain(name: str | None) -> int:
    """Tell what is known about a class of failure, or list all; return the status."""
    tell = writer("auto")
    if name is None:
        width = max(map(len, CATALOGUE)) + 2
        tell(
            (("strong", one.name.ljust(width)), ("", one.title))
            for one in CATALOGUE.values()
        )
        return 0
    failure = CATALOGUE.get(name)
    if failure is None:
        close = difflib.get_close_matches(name, CATALOGUE, 1)
        remedy = f"did you mean {close[0]}?" if close else "`netduet explain` lists all"
        print(f"netduet: explain {name!r}: no such class; {remedy}", file=sys.stderr)
        return 2
    tell(words.explanation(failure))
    return 0


async def _check(settings: ClientSettings, targets: tuple[Target, ...]) -> int:
    from netduet.client.battery import Battery  # noqa: PLC0415 - after the first words
    from netduet.stalls import StallWatch  # noqa: PLC0415

    tell: Tell = _silent if settings.json_report else writer(settings.color)
    verdicts: list[Verdict] = []
    until = Until()
    progress = Progress() if erasable() and not settings.json_report else None

    def result(one: Result) -> None:
        if progress is not None:
            progress.clear()
        tell(words.result(one))

    async with StallWatch() as stalls:
        for number, target in enumerate(targets):
            if number:
                tell([()])
            tell(words.heading(str(target)))
            battery = Battery(
                _context(settings, target),
                stalls,
                result,
                settings.checks,
            )
            await until.told(_ran(battery, progress))
            verdicts.append(_conclude(battery, tell))
        _finish(settings, verdicts, stalls, tell)
    return exit_status(verdicts)


def _silent(_: Iterable[words.Line]) -> None:
    """Tell nothing: the report is one document, at the end."""


async def _ran(battery: Battery, progress: Progress | None) -> None:
    if progress is None:
        await battery.run()
        return
    shown = asyncio.create_task(progress.show(lambda: battery.running))
    try:
        await battery.run()
    finally:
        shown.cancel()
        await asyncio.gather(shown, return_exceptions=True)


def _context(settings: ClientSettings, target: Target) -> Context:
    return Context(
        target,
        _FAMILIES[settings.family],
        settings.expect_service,
        _patience(settings),
        settings.profile,
        Bounds(**{one.name: getattr(settings, one.name) for one in fields(Bounds)}),
    )


def _conclude(battery: Battery, tell: Tell) -> Verdict:
    verdict = battery.verdict()
    tell(words.verdict(verdict))
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
    stalls: StallWatch,
    tell: Tell,
) -> None:
    if settings.junit:
        from netduet.client.report import junit  # noqa: PLC0415

        Path(settings.junit).write_text(junit.document(verdicts), "utf-8")
    if settings.json_report:
        from netduet.client.report.jsondoc import document  # noqa: PLC0415

        starvation = Starvation(
            stalls.count, stalls.total, stalls.throttled(), *kernel.socket_limits()
        )
        sys.stdout.write(document(verdicts, starvation))
        sys.stdout.flush()
    elif len(verdicts) > 1:
        tell(words.overall(verdicts))


class Until:
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

    async def told(self, work: Coroutine[None, None, None]) -> None:
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


def _patience(settings: ClientSettings) -> Patience:
    return Patience(
        settings.resolve_timeout, settings.connect_timeout, settings.answer_timeout
    )


def _start_logs(settings: ClientSettings) -> logs.LogWriter:
    return logs.start(
        sys.stderr.fileno(),
        level=settings.log_level,
        style=settings.log_format,
        queue=settings.log_queue,
        fields={
            "service.name": "netduet-client",
            "service.instance.id": socket.gethostname(),
            "service.version": __version__,
        },
    )
