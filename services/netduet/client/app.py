"""The client: wires settings to checks, heeds signals, tells the verdict."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

from netduet import __version__, kernel, logs
from netduet.client.checks import CHECKS
from netduet.client.checks.declaration import Context, Patience
from netduet.client.failures import CATALOGUE
from netduet.client.report import words
from netduet.client.report.terminal import erasable, writer
from netduet.client.verdict import Starvation, Verdict, exit_status

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
            logs.logger().info("settings.ignored", **{"netduet.names": list(ignored)})
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
    """Hold the plain conversation; return 0 when something came back, else 1."""
    from netduet.client.hello import say_hello  # noqa: PLC0415

    patience = _patience(settings)
    family = _FAMILIES[settings.family]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(
            _until_told(say_hello(target, settings.greeting, family, patience), 1)
        )


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
        known = ", ".join(CATALOGUE)
        print(f"netduet: explain {name!r}: the classes are {known}", file=sys.stderr)
        return 2
    tell(words.explanation(failure))
    return 0


async def _check(settings: ClientSettings, targets: tuple[Target, ...]) -> int:
    from netduet.client.battery import Battery  # noqa: PLC0415 - after the first words
    from netduet.stalls import StallWatch  # noqa: PLC0415

    tell = writer(settings.color)
    verdicts: list[Verdict] = []
    async with StallWatch() as stalls:
        told_to_stop = False
        for number, target in enumerate(targets):
            context = _context(settings, target)
            if settings.json_report:
                battery = Battery(context, stalls, lambda _: None, settings.checks)
            else:
                if number:
                    tell([()])
                tell(words.heading(str(target)))
                battery = Battery(
                    context,
                    stalls,
                    lambda one: tell(words.result(one)),
                    settings.checks,
                )
            if not told_to_stop:
                told_to_stop = await _until_told(_ran(battery, settings), 1) == 1
            verdicts.append(_conclude(battery, settings, tell))
        _finish(settings, verdicts, stalls, tell)
    return exit_status(verdicts)


async def _ran(battery: Battery, settings: ClientSettings) -> int:
    if settings.json_report or not erasable():
        await battery.run()
        return 0
    from netduet.client.report.terminal import progress  # noqa: PLC0415

    shown = asyncio.create_task(progress(lambda: battery.running))
    try:
        await battery.run()
    finally:
        shown.cancel()
    return 0


def _context(settings: ClientSettings, target: Target) -> Context:
    return Context(
        target,
        _FAMILIES[settings.family],
        settings.expect_service,
        _patience(settings),
        settings.profile,
        settings.max_loss,
        settings.idle_rungs,
    )


def _conclude(battery: Battery, settings: ClientSettings, tell: Tell) -> Verdict:
    verdict = battery.verdict()
    if not settings.json_report:
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


async def _until_told(work: Coroutine[None, None, int], status: int) -> int:
    """Run the work; return ``status`` when SIGTERM or SIGINT comes before its end.

    The handlers are needed even by a one-shot command: as PID 1 of a container,
    Python ignores SIGTERM without one.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return status


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
