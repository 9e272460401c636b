"""A verdict as text for people: pure, wrapped to a width, without colour codes.

A line is a list of styled pieces; ``plain`` joins them, and ``terminal`` colours them.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from netduet.client.checks.catalogue import CATALOGUE
from netduet.client.report.sentence import sentence
from netduet.client.results.explained import follows_from
from netduet.client.results.failure import Failure
from netduet.client.results.location import Location
from netduet.client.results.verdict import (
    CheckResult,
    Finding,
    Outcome,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Known = Mapping[str, Failure]

WIDTH: Final = 80
"""Columns of text that is not written to a terminal."""

_OUTCOME_COLUMNS: Final = 6
_CHECK_COLUMNS: Final = 10
_TEXT_COLUMN: Final = 2 + _OUTCOME_COLUMNS + _CHECK_COLUMNS
"""Column at which the text of a row starts."""
_LABEL_COLUMNS: Final = 17
_NOTE: Final = "note: "

Line = tuple[tuple[str, str], ...]
"""Pieces of a line: style (an outcome's name, ``strong``, ``faint`` or "") and text."""

_SKIP_REASONS: Final = {
    Outcome.FAIL: "failed",
    Outcome.INCONCLUSIVE: "was inconclusive",
    Outcome.SKIP: "was skipped",
}


def plain(line: Line) -> str:
    """Return a line without its styles."""
    return "".join(text for _, text in line).rstrip()


def heading(target: str) -> Iterator[Line]:
    """Yield the line above the checks of a target."""
    yield (("strong", f"{target}"),)


def result(
    check_result: CheckResult, width: int = WIDTH, known: Known = CATALOGUE
) -> Iterator[Line]:
    """Yield the line of a check, and its notes.

    A long outcome moves only the first line of the text to the right.
    """
    outcome = f"{check_result.outcome.value}  ".ljust(_OUTCOME_COLUMNS)
    name = f"{check_result.check}  ".ljust(_CHECK_COLUMNS)
    head = 2 + len(outcome) + len(name)
    summary = check_result.summary or check_result.question
    first, *others = _wrap(summary, width, _TEXT_COLUMN, head - _TEXT_COLUMN) or [""]
    # A skipped check that blocks no other one needs no attention.
    is_minor = check_result.outcome is Outcome.SKIP and not check_result.blocks
    text_style, name_style = ("faint", "faint") if is_minor else ("", "strong")
    yield (
        ("", "  "),
        (check_result.outcome.value, outcome),
        (name_style, name),
        (text_style, first),
    )
    for line in others:
        yield ((text_style, " " * _TEXT_COLUMN + line),)
    notes = list(check_result.remarks)
    if check_result.earlier:
        notes.insert(0, f"from an interrupted run, {check_result.earlier}")
    notes += [note_text(note, known) for note in check_result.notes]
    for note in notes:
        yield from _note(note, width)


def note_text(note: Finding, known: Known = CATALOGUE) -> str:
    """Return what was observed, what applications notice of it, and its class."""
    consequence = known[note.failure].consequence
    text = f"{note.seen}; {consequence}" if consequence else note.seen
    doubt = ", not proven" if note.outcome is Outcome.INCONCLUSIVE else ""
    return f"{text} [{note.failure}{doubt}]"


def _note(note: str, width: int) -> Iterator[Line]:
    yield from indented_note(note, width, _TEXT_COLUMN)


def indented_note(note: str, width: int = WIDTH, indent: int = 2) -> Iterator[Line]:
    """Yield a note behind its label, from a column on."""
    lines = _wrap(note, width, indent + len(_NOTE))
    for number, line in enumerate(lines):
        label = _NOTE if number == 0 else " " * len(_NOTE)
        yield (("faint", " " * indent + label + line),)


def skipped(results: Sequence[CheckResult], width: int = WIDTH) -> Iterator[Line]:
    """Yield one line for all checks that were skipped for the same reason."""
    yield from _skipped_for_server(results, width)
    outcomes = {result.check: result.outcome for result in results}
    causes: dict[str, list[CheckResult]] = {}
    for check_result in results:
        if check_result.follows is not None:
            causes.setdefault(check_result.follows, []).append(check_result)
    for cause, dependents in causes.items():
        if len(dependents) == 1:
            yield from result(dependents[0], width)
            continue
        reason = _SKIP_REASONS.get(outcomes.get(cause, Outcome.FAIL), "failed")
        outcome = f"{Outcome.SKIP.value}  ".ljust(_OUTCOME_COLUMNS)
        yield (
            ("", "  "),
            (Outcome.SKIP.value, outcome),
            ("", f"{len(dependents)} checks skipped: {cause} {reason}"),
        )


def _skipped_for_server(results: Sequence[CheckResult], width: int) -> Iterator[Line]:
    """Yield the line for all checks that only a netduet server can answer."""
    skipped = [each for each in results if each.needs_server]
    if not skipped:
        return
    count = "1 check needs" if len(skipped) == 1 else f"{len(skipped)} checks need"
    outcome = f"{Outcome.SKIP.value}  ".ljust(_OUTCOME_COLUMNS)
    text = (
        f"{count} netduet-server beside the service: `netduet between CLIENT SERVICE`"
    )
    first, *others = _wrap(text, width, 2 + _OUTCOME_COLUMNS)
    yield (("", "  "), (Outcome.SKIP.value, outcome), ("faint", first))
    for line in others:
        yield (("faint", " " * (2 + _OUTCOME_COLUMNS) + line),)


def rows(
    results: Sequence[CheckResult], width: int = WIDTH, known: Known = CATALOGUE
) -> Iterator[Line]:
    """Yield the lines of all checks of a target."""
    for check_result in results:
        if check_result.follows is None and not check_result.needs_server:
            yield from result(check_result, width, known)
    yield from skipped(results, width)


def everything(
    verdicts: Sequence[Verdict], known: Known = CATALOGUE, width: int = WIDTH
) -> Iterator[Line]:
    """Yield the text of a whole run, in the order in which it is printed."""
    for number, target_verdict in enumerate(verdicts):
        if number:
            yield ()
        yield from heading(target_verdict.label)
        yield from rows(target_verdict.results, width, known)
        yield from verdict(target_verdict, known, width, verdicts[:number])
    if len(verdicts) > 1:
        yield from overall(verdicts)


def verdict(
    target_verdict: Verdict,
    known: Known = CATALOGUE,
    width: int = WIDTH,
    above: Iterable[Verdict] = (),
) -> Iterator[Line]:
    """Yield the verdict of a target: a sentence, then the root finding in full.

    ``known`` describes the classes of failure that were found. Causes and next steps
    that a verdict of ``above`` has shown are not repeated.
    """
    yield ()
    text = sentence(target_verdict, known)
    yield from labelled_outcome(target_verdict.outcome, text, width)
    if target_verdict.asked_by:
        yield from _labelled("run from", target_verdict.asked_by, (), width)
    if target_verdict.root is not None and target_verdict.root_check is not None:
        root = target_verdict.root
        shown = next((each for each in above if _has_same_advice(each, root)), None)
        reference = "" if shown is None else f"as for {shown.label}, above"
        yield from finding(root, known, width, reference)
    if target_verdict.missing:
        done = ", ".join(result.check for result in target_verdict.results)
        yield from _labelled("completed", done or "none", (), width)
        yield from _labelled("not run", ", ".join(target_verdict.missing), (), width)
    yield from _other_findings(target_verdict, width)


def _other_findings(target_verdict: Verdict, width: int) -> Iterator[Line]:
    """Yield what the root explains, by its class, and all else that was found."""
    root = target_verdict.root
    consequences: dict[str, None] = {}
    others = []
    for check_result in target_verdict.results:
        for other in check_result.findings:
            if root is not None and follows_from(root, check_result.check, other):
                consequences[other.failure] = None
            elif other is not root:
                others.append(f"{other.failure}: {other.seen}")
    if consequences:
        yield from _labelled("consequences", ", ".join(consequences), (), width)
    for also in others:
        yield from _labelled("also", also, (), width)


def overall(verdicts: Sequence[Verdict]) -> Iterator[Line]:
    """Yield one line over several targets."""
    counts: dict[str, int] = {}
    for target_verdict in verdicts:
        outcome = target_verdict.outcome.value
        counts[outcome] = counts.get(outcome, 0) + 1
    summary = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    yield ()
    yield (("strong", f"{len(verdicts)} targets: {summary}"),)


def resumable(path: str, problem: str, width: int = WIDTH) -> Iterator[Line]:
    """Yield how to resume an interrupted run; ``path`` is "" when nothing was saved."""
    if problem:
        advice = f"could not save all results in {path}: {problem}"
    elif path:
        advice = f"results are saved in {path}; run the same command again to resume"
    else:
        advice = (
            "no results were saved; with --resume FILE, they are saved and the same "
            "command resumes after an interruption"
        )
    yield ()
    # A path stays in one piece, so that it can be copied.
    for line in textwrap.wrap(
        advice, width, break_long_words=False, break_on_hyphens=False
    ):
        yield (("", line),)


def explanation(failure: Failure, width: int = WIDTH) -> Iterator[Line]:
    """Yield everything that is known about a failure class."""
    first, *others = _wrap(f"{failure.name}: {failure.title}", width, 0)
    yield (("strong", failure.name), ("", first.removeprefix(failure.name)))
    for line in others:
        yield (("", line),)
    if failure.aliases:
        yield (("faint", f"(formerly {', '.join(failure.aliases)})"),)
    yield ()
    for line in _wrap(failure.meaning, width, 0):
        yield (("", line),)
    if failure.consequence:
        yield ()
        for line in _wrap(f"Applications: {failure.consequence}", width, 0):
            yield (("", line),)
    yield ()
    yield from _knowledge(failure, _location(failure.where), failure.causes, width)


def labelled_outcome(outcome: Outcome, text: str, width: int = WIDTH) -> Iterator[Line]:
    """Yield an outcome and a sentence behind it."""
    label = f"{outcome.value}: "
    lines = textwrap.wrap(text, width - len(label))
    yield ((outcome.value, label), ("strong", lines[0]))
    for line in lines[1:]:
        yield (("strong", " " * len(label) + line),)


def _has_same_advice(shown: Verdict, root: Finding) -> bool:
    """Whether the root finding of a verdict has the causes and steps of this one."""
    other = shown.root
    return (
        other is not None
        and shown.root_check is not None
        and (other.failure, other.causes) == (root.failure, root.causes)
    )


def finding(
    root: Finding, known: Known = CATALOGUE, width: int = WIDTH, reference: str = ""
) -> Iterator[Line]:
    """Yield what was observed, the evidence of both sides, and what to do about it.

    ``reference`` says where causes and next steps stand already, and replaces them.
    """
    failure = known[root.failure]
    yield from _labelled("observed", root.seen, (), width)
    for side, evidence in root.evidence:
        yield from _labelled(side, evidence, (), width)
    causes = root.likely_causes(failure)
    where = _location(root.where or failure.where, root.place)
    if reference:
        yield from _labelled("where", where, (), width)
        yield from _labelled("try next", reference, (), width)
        return
    yield from _knowledge(failure, where, causes, width)


def _location(side: Location, place: str = "") -> str:
    text = f"{side} ({side.label})"
    return f"{text}: {place}" if place else text


def _knowledge(
    failure: Failure, where: str, causes: Sequence[str], width: int
) -> Iterator[Line]:
    yield from _labelled("where", where, (), width)
    yield from _labelled("likely causes", causes[0], causes[1:], width)
    yield from _labelled("try next", failure.next[0], failure.next[1:], width)


def _labelled(
    label: str, first: str, others: Sequence[str], width: int
) -> Iterator[Line]:
    """Yield a labelled text; several texts are numbered, the likeliest first."""
    texts = [first, *others]
    for number, text in enumerate(texts, 1):
        head = f"  {label}" if number == 1 else ""
        mark = f"{number}. " if len(texts) > 1 else ""
        for index, line in enumerate(_wrap(text, width, _LABEL_COLUMNS + len(mark))):
            before = (head if index == 0 else "").ljust(_LABEL_COLUMNS)
            shown = mark if index == 0 else " " * len(mark)
            yield (("faint", before), ("", shown + line))


def _wrap(text: str, width: int, indent: int, first_indent: int = 0) -> list[str]:
    """Return the lines of a text that starts at column ``indent``.

    ``first_indent`` is how many more columns of the first line are taken.
    """
    lines = textwrap.wrap(
        text,
        width - indent,
        initial_indent=" " * first_indent,
        break_long_words=True,
        break_on_hyphens=False,
    )
    return [lines[0][first_indent:], *lines[1:]] if lines else []
