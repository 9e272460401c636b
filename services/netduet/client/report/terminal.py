"""Where words go: a terminal, in colour, or anything else, as plain text."""

from __future__ import annotations

import asyncio
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


_PROGRESS: Final = 0.5
_NARROWEST: Final = 40
_CLEAR: Final = "\x1b[K"
"""Erases to the end of the line (ECMA-48, EL)."""


def writer(color: str) -> Callable[[Iterable[Line]], None]:
    """Return what writes lines to stdout, each as soon as it is there.

    Colour is used when the setting says ``always``, or ``auto`` on a terminal
    where NO_COLOR (no-color.org) is unset; rich is imported only then.
    """
    wanted = color == "always" or (
        color == "auto" and erasable() and not os.environ.get("NO_COLOR")
    )
    return _coloured() if wanted else _plain


def columns() -> int:
    """Return how many columns there are: of the terminal, or as many as words take."""
    if not sys.stdout.isatty():
        return WIDTH
    return max(_NARROWEST, os.get_terminal_size(sys.stdout.fileno()).columns or WIDTH)


def erasable() -> bool:
    """Tell whether stdout is a terminal that heeds escape sequences."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


class Progress:
    """A line that says which checks are under way, and is gone before any other."""

    def __init__(self) -> None:
        """Show nothing yet."""
        self._shown = False

    async def show(self, running: Callable[[], dict[str, float]]) -> None:
        """Show what runs, and since when (monotonic seconds), until cancelled."""
        try:
            while True:
                await asyncio.sleep(_PROGRESS)
                now = time.monotonic()
                told = ", ".join(
                    f"{name} {now - start:.0f} s" for name, start in running().items()
                )
                if told:
                    width = os.get_terminal_size(sys.stdout.fileno()).columns
                    line = f"  … {told}"[: width - 1]
                    sys.stdout.write(f"{line}{_CLEAR}\r")
                    sys.stdout.flush()
                    self._shown = True
        finally:
            self.clear()

    def clear(self) -> None:
        """Take the line away."""
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

    # Whether to colour is decided: rich does not ask NO_COLOR and TERM once more.
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
