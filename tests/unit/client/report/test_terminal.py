"""Output in colour where it is wanted, plain everywhere else."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import termios

import pytest

from netduet.client.report.terminal import columns, text_columns, writer

LINES = [
    (("FAIL", "FAIL"), ("", ": [bold]it[/bold] :smile:")),
    (),
    (("strong", "last "), ("faint", "words  ")),
]
RED = "\x1b[1;31mFAIL\x1b[0m: "


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start each test on a terminal that can do colour."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


def on_terminal(color: str) -> str:
    """Return the first line that a terminal shows."""
    ours, theirs = os.openpty()
    with os.fdopen(ours, newline="") as screen, os.fdopen(theirs, "w") as stdout:
        with contextlib.redirect_stdout(stdout):
            writer(color)(LINES)
        return screen.readline()


def test_terminal_gets_colour() -> None:
    """On a terminal outcomes are coloured by default."""
    assert on_terminal("auto").startswith(RED)


@pytest.mark.parametrize(
    ("color", "variables"),
    [
        ("never", {}),
        ("auto", {"NO_COLOR": "1"}),
        ("auto", {"NO_COLOR": "0"}),
        ("auto", {"TERM": "dumb"}),
    ],
)
def test_colour_is_off_for_setting_no_color_and_dumb_terminal(
    monkeypatch: pytest.MonkeyPatch,
    color: str,
    variables: dict[str, str],
) -> None:
    """The setting, NO_COLOR with any value, and TERM=dumb each turn it off."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert on_terminal(color) == "FAIL: [bold]it[/bold] :smile:\r\n"


def test_empty_no_color_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR counts if it is not empty (no-color.org)."""
    monkeypatch.setenv("NO_COLOR", "")
    assert on_terminal("auto").startswith(RED)


@pytest.mark.parametrize("color", ["auto", "never"])
def test_pipe_gets_plain_text(capsys: pytest.CaptureFixture[str], color: str) -> None:
    """A pipe gets text without escape sequences and trailing spaces."""
    writer(color)(LINES)
    assert capsys.readouterr().out == ("FAIL: [bold]it[/bold] :smile:\n\nlast words\n")


@pytest.mark.parametrize(
    "variables", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}]
)
def test_colour_always_overrides_everything(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
) -> None:
    """``always`` overrides pipes, NO_COLOR and TERM."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    writer("always")(LINES)
    assert capsys.readouterr().out.startswith(RED)


def test_markup_in_text_is_not_interpreted(capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets, emoji names and numbers are shown unchanged."""
    writer("always")([(("", "[red]7[/red] :smile: 192.0.2.1 'x' True"),)])
    assert capsys.readouterr().out == "[red]7[/red] :smile: 192.0.2.1 'x' True\n"


def test_long_line_is_not_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    """The writer of a text wraps it, not the terminal."""
    writer("always")([(("", "x" * 500),)])
    assert capsys.readouterr().out == "x" * 500 + "\n"


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (60, (60, 60)),
        (80, (80, 80)),
        (120, (120, 120)),
        (200, (200, 120)),
        (9, (40, 40)),
    ],
)
def test_terminal_width_is_used(width: int, expected: tuple[int, int]) -> None:
    """Tables use the whole width, sentences up to 120 columns."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    with (
        os.fdopen(ours),
        os.fdopen(theirs, "w") as stdout,
        contextlib.redirect_stdout(stdout),
    ):
        assert (columns(), text_columns()) == expected


@pytest.mark.parametrize(
    ("variable", "expected"), [("60", 60), ("120", 120), ("0", 80), ("wide", 80)]
)
def test_columns_variable_overrides_pipe_width(
    monkeypatch: pytest.MonkeyPatch, variable: str, expected: int
) -> None:
    """A pipe is 80 columns wide unless COLUMNS is a number."""
    assert columns() == 80
    monkeypatch.setenv("COLUMNS", variable)
    assert columns() == expected
