"""Runs the trials, as ``make chaos`` does. Exits with 1 when a bound is missed.

Without names all rows run, and docs/reliability.md is written.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from datetime import UTC, datetime
from typing import Final

from tests.chaos import page, sandbox
from tests.chaos.row import Result
from tests.chaos.rows import ALL

PAGE: Final = sandbox.ROOT / "docs/reliability.md"


def main(words: list[str]) -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--row", action="append", choices=sorted(ALL), metavar="NAME", help="run a row"
    )
    parser.add_argument("--fast", action="store_true", help="the rows of make test")
    parser.add_argument("--list", action="store_true", help="print names and bounds")
    options = parser.parse_args(words)
    if options.list:
        _list()
        return 0
    rows = [ALL[name] for name in options.row or ALL]
    if options.fast and not options.row:
        rows = [row for row in rows if row.fast]
    start = time.monotonic()
    results = []
    for row in rows:
        result = sandbox.run(row, fast=options.fast)
        results.append(result)
        _print(result)
    seconds = time.monotonic() - start
    if not options.row and not options.fast:
        day = datetime.now(UTC).date()
        text = page.page(results, seconds, day, platform.release())
        PAGE.write_text(text, encoding="utf-8")
    run = [result for result in results if result.row.run is not None]
    missed = [result for result in run if not result.ok]
    print(f"{len(run) - len(missed)} of {len(run)} held, in {seconds:.0f} s")
    return 1 if missed else 0


def _list() -> None:
    width = max(map(len, ALL))
    for row in ALL.values():
        fast = "fast" if row.fast else "    "
        absent = f" (not here: {row.absent})" if row.absent else ""
        print(f"{row.name:{width}} {fast} {row.what}: {row.must}{absent}")


def _print(result: Result) -> None:
    if result.row.run is None:
        print(f"- {result.row.name}: {result.row.absent}")
        return
    mark = "ok" if result.ok else "✗"
    print(f"{mark} {result.row.name} ({result.seconds:.1f} s)")
    for entry in result.measurements:
        bound = f" (bound: {entry.bound})" if entry.bound else ""
        print(f"    {' ' if entry.ok else '✗'} {entry.what}: {entry.value}{bound}")
    if result.problem:
        print(f"    ✗ {result.problem}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
