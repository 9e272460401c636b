"""Exceptions and warnings become log lines, without local variables."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import re
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable

import pytest
import uvloop

from netduet.runtime import logs
from netduet.runtime.logs import exception_fields
from tests.unit.log_capture import FIELDS, logged_bytes, logged_lines, logging_to

SECRET = f"hunter-{len(__name__)}"
"""Made when it runs, so that no line of source holds it."""

FOREIGN = "sample.library"


def fail(message: str = "it broke") -> None:
    """Raise, from a function that holds a secret."""
    password = SECRET
    assert password
    raise RuntimeError(message)


class Unraisable:
    """An object that raises where nothing can catch it."""

    def __del__(self) -> None:
        """Fail."""
        fail()


def in_library() -> None:
    """Have a library log an exception that it caught."""
    try:
        fail()
    except RuntimeError:
        logging.getLogger(FOREIGN).exception("gave up on %s", "x")


def in_thread() -> None:
    """Have a thread end by an exception."""
    thread = threading.Thread(target=fail, name="worker")
    thread.start()
    thread.join()


def in_finaliser() -> None:
    """Have an object fail as it is deleted."""
    unraisable = Unraisable()
    del unraisable
    gc.collect()


def in_callback(factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Have a callback of a loop fail."""

    async def turn() -> None:
        asyncio.get_running_loop().call_soon(fail)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=factory) as runner:
        logs.attach(runner.get_loop())
        runner.run(turn())


def in_our_own() -> None:
    """Log an exception that our own code caught."""
    try:
        fail()
    except RuntimeError:
        logs.logger().exception("runtime.exception")


RAISED: dict[str, tuple[Callable[[], None], str, str | None]] = {
    "library": (in_library, "runtime.message", "gave up on x"),
    "thread": (in_thread, "runtime.exception", "in thread worker"),
    "finaliser": (in_finaliser, "runtime.exception", "unraisable|Exception ignored"),
    "asyncio": (
        lambda: in_callback(asyncio.new_event_loop),
        "runtime.exception",
        "Exception in callback",
    ),
    "uvloop": (
        lambda: in_callback(uvloop.new_event_loop),
        "runtime.exception",
        "Exception in callback",
    ),
    "own": (in_our_own, "runtime.exception", None),
}
raised = pytest.mark.parametrize("way", RAISED)


@raised
def test_exception_is_logged_as_fields(
    way: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Wherever an exception is caught, its line has one form; stderr is empty."""
    act, event, fields = RAISED[way]
    [line] = logged_lines(act)
    assert (line["level"], line["event"]) == ("error", event)
    assert line.items() >= FIELDS.items()
    assert line["exception.type"] == "RuntimeError"
    assert line["exception.message"] == "it broke"
    assert line["exception.stacktrace"][-1].startswith(f"{__file__}:")
    assert line["exception.stacktrace"][-1].endswith(" fail")
    if fields is None:
        assert "netduet.message" not in line
    else:
        assert re.match(fields, line["netduet.message"])
    assert capfd.readouterr() == ("", "")


@raised
@pytest.mark.parametrize("style", ["json", "console"])
def test_traceback_shows_no_local_variables(way: str, style: str) -> None:
    """The values of variables are in no line."""
    act, event, _ = RAISED[way]
    [line] = logged_bytes(act, style=style)
    assert event.encode() in line
    assert b"fail" in line
    assert b"password" not in line
    assert SECRET.encode() not in line


def test_uncaught_exception_is_logged() -> None:
    """A process that dies of an exception logs it, and keeps its exit status."""
    code = f"""
from netduet.runtime import logs
from netduet.runtime.logs import exception_fields
logs.start(1, level="info", style="auto", queue=10, fields={FIELDS!r})
def fail():
    raise RuntimeError("it broke")
fail()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=30, check=False
    )
    line = json.loads(done.stdout)
    assert (line["event"], line["netduet.message"]) == (
        "runtime.exception",
        "unhandled",
    )
    assert line["exception.message"] == "it broke"
    assert (done.returncode, done.stderr) == (1, b"")


def test_deep_traceback_keeps_its_end() -> None:
    """Of a deep recursion only the innermost frames are shown."""

    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        fail("x" * 100_000)

    def act() -> None:
        try:
            deep(100)
        except RuntimeError:
            logs.logger().exception("runtime.exception")

    [line] = logged_lines(act)
    names = [frame.rpartition(" ")[2] for frame in line["exception.stacktrace"]]
    assert names == ["deep"] * 19 + ["fail"]
    assert line["exception.message"] == "x" * 2048


def test_sys_exit_in_a_thread_is_not_logged() -> None:
    """It ends silently, as without our hooks."""

    def act() -> None:
        thread = threading.Thread(target=sys.exit)
        thread.start()
        thread.join()

    assert logged_lines(act) == []


# The end


def hooks() -> tuple[object, ...]:
    """Return all that logging takes over."""
    root = logging.getLogger()
    return (
        root.handlers[:],
        root.level,
        warnings.showwarning,
        sys.excepthook,
        sys.unraisablehook,
        threading.excepthook,
    )


def test_close_restores_the_hooks() -> None:
    """After the close each hook is the previous one."""
    before = hooks()
    with open("/dev/null", "wb") as first, open("/dev/null", "wb") as second:  # noqa: PTH123
        with logging_to(first.fileno(), level="error"):
            assert not any(
                mine == theirs for mine, theirs in zip(hooks(), before, strict=True)
            )
            with logging_to(
                second.fileno(), level="error"
            ):  # a second start closes the first
                pass
            assert hooks() == before
        assert hooks() == before


def test_causes_and_groups_are_logged() -> None:
    """The line has the cause of an exception and the members of a group."""
    try:
        try:
            raise OSError(5, "disk")  # noqa: TRY301 - what it comes from is the subject
        except OSError as error:
            raise RuntimeError("wrapped") from error
    except RuntimeError as error:
        fields = exception_fields(error)
        group = exception_fields(ExceptionGroup("two", [error, ValueError("x")]))
    assert fields["netduet.causes"] == ["OSError: [Errno 5] disk"]
    assert group["netduet.causes"] == [
        "RuntimeError: wrapped",
        "OSError: [Errno 5] disk",
        "ValueError: x",
    ]
    assert "netduet.causes" not in exception_fields(ValueError("x"))
