"""Where words go: a terminal, in colour, or anything else, as plain text."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import Final

from netduet.client.report.words import Line, plain

_STYLES: Final = {
    "PASS": "bold green",
    "FAIL": "bold red",
    "SKIP": "dim",
    "INCONCLUSIVE": "bold yellow",
    "strong": "bold",
    "faint": "dim",
    "": "",
}


def writer(color: str) -> Callable[[Iterable[Line]], None]:
    """Return what writes lines to stdout, each as soon as it is there.

    Colour is used when the setting says ``always``, or ``auto`` on a terminal
    where NO_COLOR (no-color.org) is unset; rich is imported only then.
    """
    wanted = color == "always" or (
        color == "auto"
        and sys.stdout.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )
    return _coloured() if wanted else _plain


def _plain(lines: Iterable[Line]) -> None:
    for line in lines:
        sys.stdout.write(plain(line) + "\n")
    sys.stdout.flush()


def _coloured() -> Callable[[Iterable[Line]], None]:
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(force_terminal=True, highlight=False, soft_wrap=True)

    def write(lines: Iterable[Line]) -> None:
        for line in lines:
            console.print(
                Text.assemble(*((text, _STYLES[style]) for style, text in line))
            )

    return write
