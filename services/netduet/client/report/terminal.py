"""Write text to stdout: in colour on a terminal, plain elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import Final

from netduet.client.report.text import WIDTH, Line, plain

_STYLES: Final = {
    "PASS": "bold green",
    "FAIL": "bold red",
    "SKIP": "dim",
    "INCONCLUSIVE": "bold yellow",
    "strong": "bold",
    "faint": "dim",
    "": "",
}


_PROGRESS_SECONDS: Final = 0.5
_MIN_COLUMNS: Final = 40
_MAX_TEXT_COLUMNS: Final = 120
_CLEAR: Final = "\x1b[K"
"""Erases to the end of the line (ECMA-48, EL)."""


def writer(color: str) -> Callable[[Iterable[Line]], None]:
    """Return a function that writes lines to stdout at once.

    Colour is used when the setting says ``always``, or ``auto`` on a terminal
    where NO_COLOR (no-color.org) is unset; rich is imported only then.
    """
    in_color = color == "always" or (
        color == "auto" and erasable() and not os.environ.get("NO_COLOR")
    )
    return _coloured() if in_color else _plain


def columns() -> int:
    """Return the width of the output: COLUMNS, the terminal's, or 80 for a pipe."""
    with contextlib.suppress(ValueError):
        width = int(os.environ.get("COLUMNS", ""))
        if width > 0:
            return max(_MIN_COLUMNS, width)
    if not sys.stdout.isatty():
        return WIDTH
    width = os.get_terminal_size(sys.stdout.fileno()).columns
    return max(_MIN_COLUMNS, width or WIDTH)


def text_columns() -> int:
    """Return the width for sentences, which are hard to read in very long lines."""
    return min(_MAX_TEXT_COLUMNS, columns())


def erasable() -> bool:
    """Tell whether stdout is a terminal that supports escape sequences."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


class Progress:
    """A line that lists the running checks; it is erased before any other output."""

    def __init__(self) -> None:
        self._shown = False

    async def show(self, running: Callable[[], dict[str, float]]) -> None:
        """Show what is running and for how long, until cancelled.

        ``running`` gives the monotonic start time of each check.
        """
        try:
            while True:
                await asyncio.sleep(_PROGRESS_SECONDS)
                now = time.monotonic()
                checks = ", ".join(
                    f"{name} {now - start:.0f} s" for name, start in running().items()
                )
                if checks:
                    width = os.get_terminal_size(sys.stdout.fileno()).columns
                    line = f"  … {checks}"[: width - 1]
                    sys.stdout.write(f"{line}{_CLEAR}\r")
                    sys.stdout.flush()
                    self._shown = True
        finally:
            self.clear()

    def clear(self) -> None:
        """Erase the line."""
        if self._shown:
            sys.stdout.write(_CLEAR)
            sys.stdout.flush()
            self._shown = False


def _plain(lines: Iterable[Line]) -> None:
    for line in lines:
        sys.stdout.write(plain(line) + "\n")
    sys.stdout.flush()


def _coloured() -> Callable[[Iterable[Line]], None]:
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    # The decision is made: rich must not look at NO_COLOR and TERM again.
    console = Console(
        force_terminal=True,
        color_system="standard",
        no_color=False,
        highlight=False,
        soft_wrap=True,
    )

    def write(lines: Iterable[Line]) -> None:
        for line in lines:
            console.print(
                Text.assemble(*((text, _STYLES[style]) for style, text in line))
            )

    return write
