"""Log lines: format, the closed list of events, levels, and terminals."""

from __future__ import annotations

import ast
import contextlib
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import netduet
from netduet.runtime import logs
from tests.unit.log_capture import FIELDS, logged_bytes, logged_lines, logging_to


def say(value: object) -> Callable[[], object]:
    """Return what logs a line with a value."""
    return lambda: logs.logger().info("server.ready", **{"netduet.value": value})


def shown(value: object) -> object:
    """Return a value as it stands in the log."""
    [line] = logged_lines(say(value))
    return line["netduet.value"]


# The form of a line


def test_line_is_an_object_with_the_common_fields() -> None:
    """Time, level, event and the bound fields come before the event's own."""
    [line] = logged_lines(say(1))
    fixed = {"level": "info", "event": "server.ready", **FIELDS, "netduet.value": 1}
    assert line == {"timestamp": line["timestamp"], **fixed}
    assert list(line) == ["timestamp", *fixed]


def test_time_is_rfc_3339_in_utc() -> None:
    """The time of a line is that of its event, in UTC, to the microsecond."""
    before = datetime.now(UTC)
    [line] = logged_lines(say(1))
    stamp = line["timestamp"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", stamp)
    assert before <= datetime.fromisoformat(stamp) <= datetime.now(UTC)


def test_lines_keep_their_order() -> None:
    """A thousand lines are written in the order in which they were logged."""

    def act() -> None:
        for number in range(1000):
            say(number)()

    assert [line["netduet.value"] for line in logged_lines(act)] == list(range(1000))


def test_bound_fields_are_those_of_the_latest_start() -> None:
    """Fields and descriptor of an earlier start are no longer used."""
    second = os.memfd_create("second")

    def act() -> None:
        say(1)()
        with logging_to(second, fields={"service.name": "other"}):
            say(2)()

    [line] = logged_lines(act)
    other = json.loads(os.pread(second, 4096, 0))
    os.close(second)
    assert (line["netduet.value"], other["netduet.value"]) == (1, 2)
    assert other["service.name"] == "other"
    assert "service.instance.id" not in other


# The closed list of events


def test_unknown_event_raises() -> None:
    """An event that is not in the list raises where it is logged."""

    def act() -> None:
        with pytest.raises(ValueError, match=r"'server\.raedy' is not in logs\.EVENTS"):
            logs.logger().info("server.raedy")

    assert logged_bytes(act) == []


def _logged(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield what stands for the event in each call of a logger's method."""
    methods = {"debug", "info", "warning", "error", "critical", "exception"}
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=name), args=args) if (
                name in methods and args
            ):
                yield args[0]
            case ast.Call(func=ast.Attribute(attr="log"), args=[_, event, *_]):
                yield event
            case ast.Dict(keys=[ast.Constant(value="event"), *_], values=[event, *_]):
                yield event


def test_events_in_the_source_equal_the_list() -> None:
    """Each logged event is in the list, and the reverse."""
    found = set()
    package = Path(netduet.__file__).parent
    for path in package.rglob("*.py"):
        if package / "between" in path.parents:
            continue  # it logs nothing, and kubectl has a command "debug"
        for event in _logged(ast.parse(path.read_text())):
            assert isinstance(event, ast.Constant), f"{path}:{event.lineno}"
            found.add(event.value)
    assert found == set(logs.EVENTS)


# Levels


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_less_severe_lines_are_left_out(level: str) -> None:
    """The level of a start is the least severe one that is written."""
    names = ["debug", "info", "warning", "error"]

    def act() -> None:
        for name in names:
            getattr(logs.logger(), name)("server.ready")

    found = [line["level"] for line in logged_lines(act, level=level)]
    assert found == names[names.index(level) :]


# Text from outside

HOSTILE = [
    "\x1b[2J\x1b]0;title\x07",
    'a\n{"event":"server.stopped"}',
    "a\r\nb",
    "\x9b31m",
    "\x85",
    "\u2028",
    "\u2029",
    "\u202e",
    "\u2066",
    "\x7f",
    "\\\x7f",
    "\x00",
    "\U000e0001",
    "안녕\x1b\x7f",
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_text_is_escaped_and_parses_to_itself(text: str) -> None:
    """A line is printable whatever it contains, and a parser restores the text."""
    values: list[object] = [text, [text], {"name": [text]}, {text: 1}]
    for value, fields in itertools.product(values, (FIELDS, {})):  # Korean, and ASCII
        [line] = logged_bytes(say(value), fields=fields)
        assert line.decode().isprintable()
        assert json.loads(line)["netduet.value"] == value


@pytest.mark.parametrize("text", [*HOSTILE, "\ud800", "안녕\udcff"], ids=ascii)
def test_hostile_text_stays_in_its_line_in_console_form(text: str) -> None:
    """In console form, too, nothing moves the cursor or reorders words."""
    for value in (text, [text], {text: 1}):
        [line] = logged_bytes(say(value), style="console")
        assert line.decode().isprintable()
        assert b"server.ready" in line


def test_printable_text_is_unchanged() -> None:
    """Letters of any language are written as they are."""
    [line] = logged_bytes(say("안녕, client! 🙂"))
    assert "안녕, client! 🙂" in line.decode()
    [line] = logged_bytes(say("안녕, client! 🙂"), style="console")
    assert "안녕, client! 🙂" in line.decode()


@pytest.mark.parametrize("text", ["\ud800", "a\udcff\x1b", "안녕\udfff\u202e\x7f"])
def test_lone_surrogate_is_escaped(text: str) -> None:
    """Invalid Unicode is escaped; the rest of the line is unaffected."""
    escaped = re.sub("[\ud800-\udfff]", lambda match: rf"\u{ord(match[0]):04x}", text)
    for value, expected in (
        (text, escaped),
        ({text: [text, 1, None, 0.5]}, {escaped: [escaped, 1, None, 0.5]}),
    ):
        [line] = logged_bytes(say(value))
        assert line.decode().isprintable()
        assert json.loads(line)["netduet.value"] == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (2**64 - 1, 2**64 - 1),
        (-(2**63), -(2**63)),
        (2**64, "0x10000000000000000"),
        (-(2**63) - 1, "-0x8000000000000001"),
    ],
)
def test_integer_beyond_64_bits_is_written_in_hexadecimal(
    number: int, expected: object
) -> None:
    """A larger integer becomes text; others stay numbers."""
    assert shown(number) == expected
    assert shown([{"n": number}, 2**70]) == [{"n": expected}, hex(2**70)]


class Odd:
    """A value with a representation that would forge a line."""

    def __repr__(self) -> str:
        """Return text with a line break and a lone surrogate."""
        return "odd\n\ud800"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"\xff\x1b", r"b'\xff\x1b'"),
        (Path("/a"), "PosixPath('/a')"),
        (Odd(), "odd\n\\ud800"),
        ((1, "a"), [1, "a"]),
        (frozenset([1]), "frozenset({1})"),
        (float("nan"), None),
    ],
    ids=ascii,
)
def test_value_of_any_type_is_logged(value: object, expected: object) -> None:
    """No value makes a line fail."""
    assert shown(value) == expected


# Terminals


def on_terminal(**changes: Any) -> str:
    """Return what a terminal is sent when hostile text is logged."""
    master, terminal = os.openpty()
    with logging_to(terminal, **changes):
        say("\x9bforged")()
    os.close(terminal)
    data = b""
    with contextlib.suppress(OSError):  # EIO: the other end is closed, all is read
        while piece := os.read(master, 4096):
            data += piece
    os.close(master)
    return data.decode()


def test_terminal_gets_coloured_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal lines are in console form, and foreign text is escaped."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = on_terminal()
    assert "\x1b[" in text
    assert "server.ready" in text
    assert r"\u009bforged" in text
    assert not text.startswith("{")


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR there are no escape sequences."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert on_terminal().removesuffix("\r\n").isprintable()


def test_json_is_written_to_a_terminal_on_request() -> None:
    """The chosen style overrides the kind of descriptor."""
    line = json.loads(on_terminal(style="json"))
    assert line["netduet.value"] == "\x9bforged"


def test_console_without_a_terminal_has_no_colours() -> None:
    """Console text in a file has no escape sequences."""
    [line] = logged_bytes(say("x"), style="console")
    assert line.decode().isprintable()
    assert not line.startswith(b"{")


# The start


def test_rich_is_not_imported() -> None:
    """Logging starts without importing rich where it is installed."""
    code = "import sys, netduet.runtime.logs; assert 'rich' not in sys.modules; import rich"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
