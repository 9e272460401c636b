"""The report of ``netduet between``: one document, and its text. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from netduet import __version__
from netduet.between.conclusion import conclude_pair
from netduet.client.report import json_reader, text
from netduet.client.report.json_report import SCHEMA_VERSION, PairPart, ReportDocument
from netduet.client.report.tables import tables
from netduet.client.results.verdict import CheckResult, Outcome, Verdict, exit_status

if TYPE_CHECKING:
    from netduet.between.pair_result import PairResult
    from netduet.client.report.text import Line

_MAX_PAIRS_IN_FULL = 1
"""Pairs whose targets are all printed in full; of more, those that did not pass."""


def document(results: Sequence[PairResult]) -> ReportDocument:
    """Return one report over pairs; ``results`` must not be empty.

    ``probe`` is the first client's: each ran in a container of its own.
    """
    concluded = [conclude_pair(result) for result in results]
    report = ReportDocument(
        schema_version=SCHEMA_VERSION,
        netduet=__version__,
        outcome=Outcome.INCONCLUSIVE,
        exit_status=0,
        targets=[target for each in concluded for target in each.targets],
        probe=results[0].path.probe,
        between=[each.pair for each in concluded],
    )
    status = exit_status(json_reader.verdicts(report))
    outcome = {0: Outcome.PASS, 1: Outcome.FAIL}.get(status, Outcome.INCONCLUSIVE)
    return report.model_copy(update={"exit_status": status, "outcome": outcome})


def lines(report: ReportDocument, width: int, table_width: int) -> Iterator[Line]:
    """Yield the text of a report: targets, tables, and a conclusion for each pair."""
    verdicts = json_reader.verdicts(report)
    known = json_reader.known(report)
    in_full = [
        verdict
        for verdict in verdicts
        if len(report.between) <= _MAX_PAIRS_IN_FULL
        or verdict.outcome is not Outcome.PASS
    ]
    for number, verdict in enumerate(in_full):
        if number:
            yield ()
        yield from text.heading(verdict.label)
        yield from text.rows(_tested_here(verdict), width, known)
        yield from text.verdict(verdict, known, width, in_full[:number])
    yield from tables(verdicts, table_width)
    for pair in report.between:
        yield ()
        yield from _pair(pair, width)
    if len(report.between) > 1:
        yield from _counts(report.between)


def _tested_here(verdict: Verdict) -> list[CheckResult]:
    """Return the results without the checks that the pair's own server answered."""
    return [each for each in verdict.results if not each.needs_server]


def _pair(pair: PairPart, width: int) -> Iterator[Line]:
    yield from text.labelled_outcome(pair.outcome, pair.conclusion, width)
    for note in pair.notes:
        yield from text.indented_note(note, width)


def _counts(pairs: Sequence[PairPart]) -> Iterator[Line]:
    counts: dict[str, int] = {}
    for pair in pairs:
        counts[pair.outcome.value] = counts.get(pair.outcome.value, 0) + 1
    summary = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    yield ()
    yield (("strong", f"{len(pairs)} pairs: {summary}"),)
