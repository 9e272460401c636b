"""A verdict in words, for people: pure text, 80 columns, no colour codes of its own.

A line is a list of styled pieces; ``plain`` joins them, and the terminal's
writer in ``terminal`` colours them.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from netduet.client.catalogue import CATALOGUE
from netduet.client.results.expectation import compare_expectation
from netduet.client.results.failure import Failure
from netduet.client.results.location import Location, Side
from netduet.client.results.target import Expect
from netduet.client.results.verdict import CheckResult, Finding, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Known = Mapping[str, Failure]

WIDTH: Final = 80
_OUTCOME: Final = 12
_CHECK: Final = 10

Line = tuple[tuple[str, str], ...]
"""Pieces of a line: style (an outcome's name, ``strong``, ``faint`` or "") and text."""

_SAID_BY: Final = {Side.CLIENT: "this end", Side.SERVER: "far end"}


def plain(line: Line) -> str:
    """Return a line without its styles."""
    return "".join(text for _, text in line).rstrip()


def heading(target: str) -> Iterator[Line]:
    """Yield what stands above the checks of a target."""
    yield (("strong", f"{target}"),)


def result(check_result: CheckResult) -> Iterator[Line]:
    """Yield a check's line, and its remarks."""
    head = f"  {check_result.outcome.value:<{_OUTCOME}} "
    indent = " " * (len(head) + _CHECK)
    lines = _wrap(check_result.summary or check_result.question, len(indent)) or [""]
    # What was left out, and holds nothing else up, does not ask for attention.
    aside = check_result.outcome is Outcome.SKIP and not check_result.blocks
    text, name = ("faint", "faint") if aside else ("", "strong")
    yield (
        ("", "  "),
        (check_result.outcome.value, f"{check_result.outcome.value:<{_OUTCOME}} "),
        (name, f"{check_result.check:<{_CHECK}}"),
        (text, lines[0]),
    )
    for line in lines[1:]:
        yield ((text, indent + line),)
    when = (
        (f"from an interrupted run, {check_result.earlier}",)
        if check_result.earlier
        else ()
    )
    for remark in (*when, *check_result.remarks):
        for number, line in enumerate(_wrap(remark, len(indent) + 6)):
            yield (("faint", indent + ("note: " if number == 0 else " " * 6) + line),)


def everything(verdicts: Sequence[Verdict], known: Known = CATALOGUE) -> Iterator[Line]:
    """Yield all that a person reads of a run, as it is told while it goes on."""
    for number, one in enumerate(verdicts):
        if number:
            yield ()
        yield from heading(one.target)
        for done in one.results:
            yield from result(done)
        yield from verdict(one, known)
    if len(verdicts) > 1:
        yield from overall(verdicts)


def verdict(one: Verdict, known: Known = CATALOGUE) -> Iterator[Line]:
    """Yield the verdict of a target: in a word, then all that is known of the root.

    ``known`` tells of the classes of failure that were found.
    """
    yield ()
    yield from _sentence(one, known)
    if one.asked_by:
        yield from _labelled("asked by", one.asked_by, ())
    if one.root is not None and one.root_check is not None:
        yield from finding(one.root, known)
    if one.follows:
        *others, last = one.follows
        names = f"{', '.join(others)} and {last}" if others else last
        yield from _labelled("follows", f"{names}: not judged on their own", ())
    if one.missing:
        done = ", ".join(result.check for result in one.results)
        yield from _labelled("done", done or "none of its checks", ())
        yield from _labelled("missing", ", ".join(one.missing), ())
    for other in (found for done in one.results for found in done.findings):
        if other is not one.root:
            yield from _labelled("also", f"{other.failure}: {other.seen}", ())


def overall(verdicts: Sequence[Verdict]) -> Iterator[Line]:
    """Yield one line over several targets."""
    counts: dict[str, int] = {}
    for one in verdicts:
        counts[one.outcome.value] = counts.get(one.outcome.value, 0) + 1
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    yield ()
    yield (("strong", f"{len(verdicts)} targets: {told}"),)


def resumable(path: str, trouble: str) -> Iterator[Line]:
    """Yield how an interrupted run can go on; ``path`` is "" when nothing was kept."""
    said = (
        f"the same command goes on from here: what is done is kept in {path}"
        if path
        else "the next run begins anew; with --resume FILE, what is done is kept, and "
        "the same command goes on from there"
    )
    if trouble:
        said = f"what is done could not all be kept in {path}: {trouble}"
    yield ()
    # A path stays in one piece: it is there to be copied.
    lines = textwrap.wrap(said, WIDTH, break_long_words=False, break_on_hyphens=False)
    for line in lines:
        yield (("", line),)


def explanation(failure: Failure) -> Iterator[Line]:
    """Yield all that is known of a class of failure."""
    yield (("strong", failure.name), ("", f": {failure.title}"))
    yield ()
    for line in textwrap.wrap(failure.meaning, WIDTH):
        yield (("", line),)
    yield ()
    yield from _knowledge(failure, failure.where)


def _sentence(one: Verdict, known: Known) -> Iterator[Line]:
    target = one.target
    match one.outcome:
        case Outcome.PASS if one.expected is Expect.BLOCKED:
            how = compare_expectation(one).how
            said = f"{target} is blocked, as expected" + (f": {how}" if how else "")
        case Outcome.PASS:
            said = f"the network between here and {target} works"
        case Outcome.FAIL if one.root is not None:
            said = f"{known[one.root.failure].title} ({one.root.failure})"
        case Outcome.SKIP:
            said = f"nothing about {target} could be judged"
        case _ if one.interrupted:
            said = f"stopped before all checks of {target} were done"
        case _:
            said = f"{target} could not be judged: see below"
    label = f"{one.outcome.value}: "
    lines = textwrap.wrap(said, WIDTH - len(label))
    yield ((one.outcome.value, label), ("strong", lines[0]))
    for line in lines[1:]:
        yield (("strong", " " * len(label) + line),)


def finding(one: Finding, known: Known = CATALOGUE) -> Iterator[Line]:
    """Yield what was seen, both ends' evidence, and what is known of its class."""
    failure = known[one.failure]
    yield from _labelled("seen", one.seen, ())
    for side, text in one.evidence:
        yield from _labelled(_SAID_BY[side], text, ())
    yield from _knowledge(failure, one.where or failure.where)


def _knowledge(failure: Failure, where: Location) -> Iterator[Line]:
    yield from _labelled("where", f"{where} ({where.label})", ())
    yield from _labelled("likely", failure.causes[0], failure.causes[1:])
    yield from _labelled("try next", failure.next[0], failure.next[1:])


def _labelled(label: str, first: str, others: Sequence[str]) -> Iterator[Line]:
    """Yield a labelled text; more than one is numbered, the likeliest first."""
    indent = 12
    texts = [first, *others]
    for number, text in enumerate(texts, 1):
        head = f"  {label}" if number == 1 else ""
        mark = f"{number}. " if len(texts) > 1 else ""
        for index, line in enumerate(_wrap(text, indent + len(mark))):
            before = head.ljust(indent) if index == 0 else " " * indent
            shown = mark if index == 0 else " " * len(mark)
            yield (("faint", before), ("", shown + line))


def _wrap(text: str, indent: int) -> list[str]:
    return textwrap.wrap(
        text, WIDTH - indent, break_long_words=True, break_on_hyphens=False
    )
