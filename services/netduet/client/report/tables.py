"""Several targets at a glance: a table of expectations, and a matrix of checks.

Pure: lines for ``text``, within a width. Columns that do not fit follow below, with the
targets repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netduet.client.results.expectation import ExpectationResult, compare_expectation
from netduet.client.results.target import Expect
from netduet.client.results.verdict import CheckResult, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netduet.client.report.text import Line

_MARKS: Final = {True: ("PASS", "✓"), False: ("FAIL", "✗"), None: ("INCONCLUSIVE", "?")}
_SHORT: Final = {Outcome.SKIP: "–", Outcome.INCONCLUSIVE: "?"}
_GAP: Final = "  "
_MIN_LINE_COLUMNS: Final = 30
"""Minimum columns for a target and its result on one line."""

_MIN_TARGET_COLUMNS: Final = 20
"""Columns that a target may take at least."""


def tables(verdicts: Sequence[Verdict], width: int) -> Iterator[Line]:
    """Yield the table of expectations and the matrix; nothing for a single target."""
    if len(verdicts) > 1:
        yield ()
        yield from expectation_table(verdicts, width)
        yield ()
        yield from matrix(verdicts, width)


def expectation_table(verdicts: Sequence[Verdict], width: int) -> Iterator[Line]:
    """Yield for each target what was expected, what was found, and a mark.

    One line per target, or two on a narrow terminal.
    """
    rows = [compare_expectation(verdict) for verdict in verdicts]
    descriptions = [_found(row) for row in rows]
    expected = max(len(row.expected) for row in rows) + 1
    room = width - len("   expected  found   ✓") - expected
    if room < _MIN_LINE_COLUMNS:
        for row, text in zip(rows, descriptions, strict=True):
            yield from _two_line_row(row, text, width)
        return
    found = min(
        max(map(len, descriptions)), room - min(_targets_width(verdicts), room // 2)
    )
    name = min(_targets_width(verdicts), room - found)
    for row, text in zip(rows, descriptions, strict=True):
        yield (
            ("", _GAP),
            ("strong", _cut(row.target, name).ljust(name)),
            ("", f" expected {row.expected + ',':<{expected}} found "),
            ("", f"{_cut(text, found):<{found}}  "),
            _MARKS[row.holds],
        )


def _found(row: ExpectationResult) -> str:
    found = "unreachable" if row.found == "not reached" else row.found
    if row.holds is False and row.found == row.expected:
        return f"{found}, but FAIL ({row.how})"
    return f"{found} ({row.how})" if row.how else found


def _two_line_row(
    row: ExpectationResult, description: str, width: int
) -> Iterator[Line]:
    target = _cut(row.target, width - 4)
    yield (("", _GAP), _MARKS[row.holds], ("strong", f" {target}"))
    yield (("", _cut(f"    expected {row.expected}, found {description}", width)),)


def matrix(verdicts: Sequence[Verdict], width: int) -> Iterator[Line]:
    """Yield targets in rows, checks in columns: PASS, a failure class, or a mark."""
    # Keep the few checks of targets that are expected to be blocked together.
    blocked_first = sorted(
        verdicts, key=lambda verdict: verdict.expected is Expect.OPEN
    )
    checks = list(
        dict.fromkeys(result.check for row in blocked_first for result in row.results)
    )
    cells = [
        {
            check_result.check: (check_result.outcome.value, _cell(check_result))
            for check_result in row.results
        }
        for row in verdicts
    ]
    first = min(_targets_width(verdicts), max(_MIN_TARGET_COLUMNS, width // 3))
    room = max(1, width - len(_GAP) - first)
    widths = {
        check: min(
            room - len(_GAP),
            max(len(check), *(len(row.get(check, ("", ""))[1]) for row in cells)),
        )
        for check in checks
    }
    for number, band in enumerate(_bands(checks, widths, room)):
        if number:
            yield ()
        headings = "".join(
            _GAP + _cut(column, widths[column]).ljust(widths[column]) for column in band
        )
        yield (("faint", _GAP + " " * first + headings),)
        for verdict, row in zip(verdicts, cells, strict=True):
            name = _cut(verdict.label, first).ljust(first)
            line: list[tuple[str, str]] = [("strong", _GAP + name)]
            for check in band:
                style, text = row.get(check, ("", ""))
                shown = _cut(text, widths[check]).ljust(widths[check])
                line += [("", _GAP), (style, shown)]
            yield tuple(line)
    if any(result.outcome in _SHORT for row in verdicts for result in row.results):
        yield (("faint", f"{_GAP}– skipped, ? inconclusive"),)


def _cell(result: CheckResult) -> str:
    """Return the class of the first finding, without the check's name."""
    finding = next(
        (each for each in result.findings if each.outcome is result.outcome), None
    )
    kind = "" if finding is None else finding.failure.removeprefix(f"{result.check}.")
    if result.outcome is Outcome.FAIL:
        return kind or result.outcome.value
    mark = _SHORT.get(result.outcome, result.outcome.value)
    return f"{mark} {kind}".rstrip()


def _bands(
    checks: Sequence[str], widths: dict[str, int], room: int
) -> Iterator[list[str]]:
    """Yield the groups of checks that fit next to each other."""
    band: list[str] = []
    taken = 0
    for check in checks:
        needed = len(_GAP) + widths[check]
        if band and taken + needed > room:
            yield band
            band, taken = [], 0
        band.append(check)
        taken += needed
    if band:
        yield band


def _targets_width(verdicts: Sequence[Verdict]) -> int:
    return max(len(verdict.label) for verdict in verdicts)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"
