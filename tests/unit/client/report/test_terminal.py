"""Where words go: in colour where that was wanted, plain everywhere else."""

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
    """On a terminal an outcome is coloured without being asked for."""
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
def test_terminal_that_wants_no_colour_gets_none(
    monkeypatch: pytest.MonkeyPatch,
    color: str,
    variables: dict[str, str],
) -> None:
    """The setting, NO_COLOR with any value, and a dumb terminal each say no."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert on_terminal(color) == "FAIL: [bold]it[/bold] :smile:\r\n"


def test_empty_no_color_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR counts when it is not empty (no-color.org)."""
    monkeypatch.setenv("NO_COLOR", "")
    assert on_terminal("auto").startswith(RED)


@pytest.mark.parametrize("color", ["auto", "never"])
def test_pipe_gets_plain_text(capsys: pytest.CaptureFixture[str], color: str) -> None:
    """What is no terminal gets the words alone, without spaces at the ends of lines."""
    writer(color)(LINES)
    assert capsys.readouterr().out == ("FAIL: [bold]it[/bold] :smile:\n\nlast words\n")


@pytest.mark.parametrize(
    "variables", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}]
)
def test_colour_that_is_demanded_is_always_given(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
) -> None:
    """``always`` counts over what is no terminal, over NO_COLOR, over TERM."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    writer("always")(LINES)
    assert capsys.readouterr().out.startswith(RED)


def test_words_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets, emoji names and numbers in words are shown as they are."""
    writer("always")([(("", "[red]7[/red] :smile: 192.0.2.1 'x' True"),)])
    assert capsys.readouterr().out == "[red]7[/red] :smile: 192.0.2.1 'x' True\n"


def test_long_line_is_not_broken(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines are broken by those who write the words, and by nobody after them."""
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
def test_terminal_gives_the_width(width: int, expected: tuple[int, int]) -> None:
    """Tables use all of a terminal, and sentences up to 120 columns."""
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
def test_columns_counts_over_the_width_of_a_pipe(
    monkeypatch: pytest.MonkeyPatch, variable: str, expected: int
) -> None:
    """A pipe is 80 columns wide unless COLUMNS holds a number."""
    assert columns() == 80
    monkeypatch.setenv("COLUMNS", variable)
    assert columns() == expected
