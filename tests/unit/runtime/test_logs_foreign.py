"""Records of the standard library's logging, and warnings, become log lines."""

from __future__ import annotations

import json
import logging
import warnings
from typing import Any

import pytest

from netduet.runtime import logs
from tests.unit.log_capture import FIELDS, logged_bytes, logged_lines

FOREIGN = "sample.library"


@pytest.mark.parametrize(
    ("number", "level"),
    [
        (logging.INFO, "info"),
        (25, "info"),
        (logging.WARNING, "warning"),
        (logging.ERROR, "error"),
        (logging.CRITICAL, "error"),
    ],
)
def test_library_record_is_a_line(number: int, level: str) -> None:
    """A record has its logger, its message, and the nearest level of ours below."""
    [line] = logged_lines(
        lambda: logging.getLogger(FOREIGN).log(number, "took %d s", 3)
    )
    fixed = {
        "level": level,
        "event": "runtime.message",
        **FIELDS,
        "netduet.logger": FOREIGN,
        "netduet.message": "took 3 s",
    }
    assert line == {"timestamp": line["timestamp"], **fixed}


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_records_are_filtered_by_level(level: str) -> None:
    """Records below the level are dropped, and debug records of libraries always."""
    names = ["debug", "info", "warning", "error"]

    def act() -> None:
        for name in names:
            getattr(logging.getLogger(FOREIGN), name)("x")

    found = [line["level"] for line in logged_lines(act, level=level)]
    assert found == names[max(1, names.index(level)) :]


@pytest.mark.parametrize(
    ("message", "arguments"),
    [("%d and %d", ("a",)), ("%d", ("a",)), ("none", ("a",)), ("%(x)s", ({},))],
)
def test_record_with_bad_arguments_is_a_line(
    message: str, arguments: tuple[Any, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    """The message is logged unformatted, with the reason."""
    [line] = logged_lines(lambda: logging.getLogger(FOREIGN).error(message, *arguments))
    assert line["netduet.message"].startswith(f"{message!r} (")
    assert "Error: " in line["netduet.message"]
    assert capfd.readouterr() == ("", "")


def test_hostile_record_forges_no_line() -> None:
    """A long message with a line break and an escape sequence is cut and escaped."""
    text = "\x1b[2J\n{}\u2028\ud800" + "x" * 10_000
    [line] = logged_bytes(lambda: logging.getLogger(FOREIGN).error("%s", text))
    assert line.decode().isprintable()
    message = json.loads(line)["netduet.message"]
    assert message == "\x1b[2J\n{}\u2028\\ud800" + "x" * 2039


def test_warning_is_a_line() -> None:
    """A warning has its category and location, and is not written to stderr."""

    def act() -> None:
        warnings.warn_explicit("old\nways", DeprecationWarning, "/some/file.py", 7)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        [line] = logged_lines(act)
    fixed = {
        "level": "warning",
        "event": "runtime.warning",
        **FIELDS,
        "netduet.category": "DeprecationWarning",
        "netduet.message": "old\nways",
        "code.file.path": "/some/file.py",
        "code.line.number": 7,
    }
    assert line == {"timestamp": line["timestamp"], **fixed}


class Mute(Exception):  # noqa: N818 - what it is called is of no interest
    """What cannot be turned into text."""

    def __str__(self) -> str:
        """Fail."""
        raise ValueError("no words")

    __repr__ = __str__


NO_TEXT = "<Mute: ValueError for a text>"


def test_object_with_failing_str_is_logged() -> None:
    """A message, warning or exception without text raises nothing."""
    mute = Mute()

    def act() -> None:
        logging.getLogger(FOREIGN).error("gave up", exc_info=mute)
        logging.getLogger(FOREIGN).error(mute)
        logging.getLogger(FOREIGN).error("%s", mute)
        warnings.showwarning(mute, UserWarning, "/some/file.py", 7)  # type: ignore[arg-type]
        logs.logger().error("runtime.exception", **{"netduet.value": mute})

    for style in ("json", "console"):
        with warnings.catch_warnings(record=True):
            found = logged_bytes(act, style=style)
        assert len(found) == 5
        for line in found[:2] + found[3:]:
            assert NO_TEXT in line.decode()
        assert b"no words" in found[2]
