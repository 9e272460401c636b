"""Tables of several targets, within the width of a terminal."""

from __future__ import annotations

import pytest

from netduet.client.report.tables import expectation_table, matrix, tables
from netduet.client.report.text import plain
from netduet.client.results.target import Expect
from netduet.client.results.verdict import (
    CheckResult,
    Finding,
    Judgement,
    Outcome,
    Verdict,
    conclude,
    result,
    skipped_because_of,
)


def done(check: str, *findings: Finding, **figures: int | str) -> CheckResult:
    """Return the result of a check."""
    judgement = Judgement("s", findings, figures=dict(figures))
    return result(check, "?", judgement, 0.1, lambda *_: 0.0)


APP = conclude(
    "app:80",
    [done("name"), done("reach", accepted=1), done("udp", Finding("udp.loss", "s"))],
)
DB = conclude(
    "db:5432",
    [done("name"), done("isolation", found="blocked", how="dropped")],
    expected=Expect.BLOCKED,
)
GONE = conclude(
    "gone:1",
    [
        done("name"),
        done("reach", Finding("reach.timeout", "s", outcome=Outcome.INCONCLUSIVE)),
        skipped_because_of("udp", "?", "reach"),
    ],
)
LONG = conclude(
    f"{'long.' * 40}example:5432", [done("name"), done("reach", accepted=1)]
)


def lines(*verdicts: Verdict, width: int = 80) -> list[str]:
    """Return the matrix as plain lines."""
    return [plain(line) for line in matrix(verdicts, width)]


def test_table_shows_expected_and_found() -> None:
    """One line per target in aligned columns, with a mark at the end."""
    assert [plain(line) for line in expectation_table([APP, DB], 80)] == [
        "  app:80  expected open,    found open, but FAIL (udp.loss)  ✗",
        "  db:5432 expected blocked, found blocked (dropped)          ✓",
    ]


def test_narrow_terminal_uses_two_lines_per_target() -> None:
    """What does not fit beside the target is on a second line."""
    assert [plain(line) for line in expectation_table([APP, DB], 40)] == [
        "  ✗ app:80",
        "    expected open, found open, but FAIL…",
        "  ✓ db:5432",
        "    expected blocked, found blocked (dr…",
    ]


def test_matrix_has_targets_as_rows_and_checks_as_columns() -> None:
    """A cell has the class without the check's name, an outcome, or nothing."""
    assert lines(APP, GONE, DB) == [
        "           name  isolation  reach      udp",
        "  app:80   PASS             PASS       loss",
        "  gone:1   PASS             ? timeout  –",
        "  db:5432  PASS  PASS",
        "  – skipped, ? inconclusive",
    ]


def test_class_of_another_check_keeps_its_whole_name() -> None:
    """Only the name of the column's own check is left out."""
    verdict = conclude("a:1", [done("identity", Finding("path.broken", "s"))])
    assert "path.broken" in lines(verdict)[1]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Long names are cut, and columns that do not fit follow below."""
    rows = [plain(line) for line in tables([APP, DB, GONE, LONG], width)]
    assert max(map(len, rows)) <= width
    for check in ("name", "reach", "udp", "isolation"):
        assert any(check in line for line in rows)
    assert any("long." in line and "…" in line for line in rows) or width == 200


def test_further_columns_repeat_the_targets() -> None:
    """Each block of columns starts with the targets."""
    rows = lines(APP, GONE, DB, width=40)
    assert [line.split()[0] for line in rows if line][:8] == [
        *("name", "app:80", "gone:1", "db:5432"),
        *("udp", "app:80", "gone:1", "db:5432"),
    ]


def test_single_target_has_no_table() -> None:
    """The verdict of a single target is enough."""
    assert list(tables([APP], 80)) == []
