"""The command ``explain``: what is known about a failure class."""

from __future__ import annotations

import difflib
import sys

from netduet.client.checks.catalogue import CATALOGUE, current_name, local_catalogue
from netduet.client.report import text
from netduet.client.report.terminal import text_columns, writer


def explain(name: str | None) -> int:
    """Print what is known about a failure class, or list all; return the exit status."""
    write = writer("auto")
    if name is None:
        width = max(map(len, CATALOGUE)) + 2
        write(
            (("strong", failure.name.ljust(width)), ("", failure.title))
            for failure in CATALOGUE.values()
        )
        return 0
    failure = local_catalogue().get(current_name(name))
    if failure is None:
        close = difflib.get_close_matches(name, CATALOGUE, 1)
        remedy = f"did you mean {close[0]}?" if close else "`netduet explain` lists all"
        print(f"netduet: explain {name!r}: no such class; {remedy}", file=sys.stderr)
        return 2
    write(text.explanation(failure, text_columns()))
    return 0
