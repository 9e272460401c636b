"""From findings to a verdict. Pure: no socket, no clock, no text for people.

A check judges its own measurement (``Judgement``). Here starvation of either end is
taken into account, the root finding (the one that hurts applications most) is chosen,
and the exit status is determined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from netduet.client.results.explained import without_explained
from netduet.client.results.failure import Failure
from netduet.client.results.location import Location, Side
from netduet.client.results.starvation import STARVED, ServerHealth
from netduet.client.results.target import Expect
from netduet.net.time_span import TimeSpan

Figures = dict[str, int | float | str | bool | None]

Evidence = tuple[tuple[Side, str], ...]
"""Which side observed what, in the order of the report."""

NEEDS_SERVER: Final = "needs netduet-server beside the service"
"""Why a check of a service other than netduet-server is skipped."""

LONGEST_LIVED: Final = "longest_lived"
"""Figure of the idle check: the longest silence that connections survived, in seconds."""

RATE: Final = "bit_s"
"""Figure of the load check, behind a direction: what arrived, in bit/s."""

OVER_UDP: Final = "over_udp"
"""Figure of the identity check: whether the service was asked over UDP."""


class Outcome(StrEnum):
    """The outcome of a check."""

    PASS = "PASS"  # noqa: S105 - no password
    FAIL = "FAIL"
    SKIP = "SKIP"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    ``failure`` is its class in ``catalogue.CATALOGUE``; ``seen`` says in a sentence
    what was observed; ``where`` overrides the class's usual side; ``missed`` is
    set when all that was observed is lateness or absence, which a starved probe
    would observe too. ``causes`` are those that the evidence makes likelier than the
    causes of the class; reports show them first. ``place`` is where on the path it is,
    behind the side: "beyond hop 3 (198.51.100.1)". ``explains`` names the classes, or
    whole checks, that follow from it; ``culprit`` is the instance that was met, which
    the headline names if there are several. ``superseded`` are those causes of the class
    that the evidence rules out, or that one of ``causes`` says more precisely.
    """

    failure: str
    seen: str
    evidence: Evidence = ()
    figures: Figures = field(default_factory=dict)
    where: Location | None = None
    missed_deadline: TimeSpan | None = None
    outcome: Outcome = Outcome.FAIL
    causes: tuple[str, ...] = ()
    place: str = ""
    explains: tuple[str, ...] = ()
    culprit: str = ""
    superseded: tuple[str, ...] = ()

    def likely_causes(self, failure: Failure) -> tuple[str, ...]:
        """Return its causes and those of its class, the likeliest first."""
        general = [each for each in failure.causes if each not in self.superseded]
        return tuple(dict.fromkeys((*self.causes, *general)))


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judgement of a check about its measurement.

    ``blocks``: the checks that need this one are skipped. ``absence`` is the reverse of
    a finding with ``missed_deadline``, for a check that passes by silence: it applies
    if this client was not running throughout that window. ``needs_server``: it was
    skipped because only a netduet server can answer its questions. ``partial``: it was
    skipped for some of the target's addresses. ``doubt`` is the finding if no check has
    one (see ``doubts``).
    """

    summary: str
    findings: tuple[Finding, ...] = ()
    remarks: tuple[str, ...] = ()
    figures: Figures = field(default_factory=dict)
    skipped: str | None = None
    blocks: bool = False
    absence: Finding | None = None
    needs_server: bool = False
    partial: bool = False
    doubt: Finding | None = None


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A completed check. ``follows`` names the check because of which it was skipped.

    ``earlier`` is when an interrupted run measured it (RFC 3339), "" for this run.
    ``needs_server``: it was skipped because no netduet server answers there.
    ``notes`` are findings that matter to no application here (see ``needs``).
    ``partial``: it was skipped for some of the target's addresses. ``doubt`` is as in
    ``Judgement``. ``left_out``: it does not apply to the target, and is not reported.
    """

    check: str
    question: str
    outcome: Outcome
    summary: str
    seconds: float = 0.0
    findings: tuple[Finding, ...] = ()
    remarks: tuple[str, ...] = ()
    figures: Figures = field(default_factory=dict)
    blocks: bool = False
    follows: str | None = None
    earlier: str = ""
    needs_server: bool = False
    notes: tuple[Finding, ...] = ()
    partial: bool = False
    doubt: Finding | None = None
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """All checks of one target, and the root finding.

    ``missing`` are the checks that did not run because of an interruption; ``asked_by``
    is the client's name and location, "" if unknown; ``requested`` are the checks that
    the user named. ``requirements`` are the needs that were stated, as typed, and
    ``unmet_needs`` those that were not tested. ``proxied``: both ends have seen a TCP
    proxy in between. ``client`` is the place that a client was put into, "" for here.
    """

    target: str
    outcome: Outcome
    results: tuple[CheckResult, ...]
    root: Finding | None
    root_check: str | None
    follows: tuple[str, ...]
    interrupted: bool = False
    expected: Expect = Expect.OPEN
    missing: tuple[str, ...] = ()
    asked_by: str = ""
    requested: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    unmet_needs: tuple[str, ...] = ()
    proxied: bool = False
    client: str = ""

    @property
    def notes(self) -> tuple[Finding, ...]:
        """What was found that matters to no application here."""
        return tuple(note for result in self.results for note in result.notes)

    @property
    def service(self) -> str | None:
        """What a service other than netduet-server answers as.

        "" if that is not known, None if a netduet server, or nothing, answers.
        """
        for check_result in self.results:
            found = check_result.figures.get("service")
            if check_result.check == "identity" and found is not None:
                return str(found)
        return None

    @property
    def is_over_udp(self) -> bool:
        """Whether the service was asked over UDP."""
        return any(each.figures.get(OVER_UDP) for each in self.results)

    @property
    def unmet(self) -> tuple[str, ...]:
        """The checks that were requested by name and did not run."""
        return tuple(
            check_result.check
            for check_result in self.results
            if check_result.check in self.requested
            and check_result.outcome is Outcome.SKIP
        )

    @property
    def label(self) -> str:
        """The target, behind the place that it was checked from if that is not here."""
        return f"{self.client} → {self.target}" if self.client else self.target


def weigh_starvation(
    finding: Finding,
    stalled: Callable[[float, float], float],
    health: ServerHealth | None = None,
) -> Finding:
    """Return the finding; INCONCLUSIVE if an end's stalls could explain it.

    ``stalled`` returns how many seconds between two times this client was not running;
    ``health`` is the server's starvation, if known.
    """
    missed = finding.missed_deadline
    if missed is None or finding.outcome is not Outcome.FAIL:
        return finding
    length = missed.seconds
    starved = _starved(missed, stalled)
    if starved:
        text = f"{starved}, which alone may explain this"
        return _starvation_text(finding, Side.CLIENT, text)
    if health is not None and length > 0 and health.lost >= STARVED * length:
        text = f"instance {health.who} was suspended or starved of CPU for {health.lost:.1f} s of its last {health.window:.1f} s, which alone may explain this"
        return _starvation_text(finding, Side.SERVER, text)
    return finding


def _starved(window: TimeSpan, stalled: Callable[[float, float], float]) -> str:
    """Return the text for a starved client, "" if it was running long enough."""
    length = window.seconds
    lost = stalled(window.start, window.end)
    if length <= 0 or lost < STARVED * length:
        return ""
    return f"this client was suspended or starved of CPU for {lost:.1f} s of the {length:.1f} s it waited"


def _absence_finding(
    absence: Finding | None, stalled: Callable[[float, float], float]
) -> tuple[Finding, ...]:
    """Return the finding that silence proves nothing if this client was not running."""
    if absence is None or absence.missed_deadline is None:
        return ()
    starved = _starved(absence.missed_deadline, stalled)
    text = f"{starved}, so it may have missed a response"
    return (_starvation_text(absence, Side.CLIENT, text),) if starved else ()


def _starvation_text(finding: Finding, side: Side, text: str) -> Finding:
    evidence = (*finding.evidence, (side, text))
    return replace(finding, outcome=Outcome.INCONCLUSIVE, evidence=evidence)


def result(  # noqa: PLR0917
    check: str,
    question: str,
    judgement: Judgement,
    seconds: float,
    stalled: Callable[[float, float], float],
    health: ServerHealth | None = None,
) -> CheckResult:
    """Return the result of a judgement, with starvation taken into account."""
    findings = tuple(
        weigh_starvation(finding, stalled, health) for finding in judgement.findings
    )
    findings += _absence_finding(judgement.absence, stalled)
    otherwise = Outcome.PASS if judgement.skipped is None else Outcome.SKIP
    outcome = worst_outcome(findings, otherwise)
    return CheckResult(
        check,
        question,
        outcome,
        judgement.skipped or judgement.summary,
        seconds,
        findings,
        judgement.remarks,
        judgement.figures,
        judgement.blocks,
        needs_server=judgement.needs_server and outcome is Outcome.SKIP,
        partial=judgement.partial,
        doubt=None
        if judgement.doubt is None
        else weigh_starvation(judgement.doubt, stalled, health),
    )


def worst_outcome(findings: Sequence[Finding], otherwise: Outcome) -> Outcome:
    """Return the outcome of findings, or another one without any."""
    outcomes = {finding.outcome for finding in findings}
    for outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE):
        if outcome in outcomes:
            return outcome
    return otherwise


def skipped_because_of(check: str, question: str, cause: str) -> CheckResult:
    """Return the result of a check that was skipped because of another one."""
    reason = f"skipped: {cause} did not pass"
    return CheckResult(
        check, question, Outcome.SKIP, reason, blocks=True, follows=cause
    )


def conclude(
    target: str,
    results: Sequence[CheckResult],
    *,
    interrupted: bool = False,
    expected: Expect = Expect.OPEN,
    missing: Sequence[str] = (),
    requested: Sequence[str] = (),
    severity: Callable[[str], int] = lambda _: 0,
    requirements: Sequence[str] = (),
    unmet_needs: Sequence[str] = (),
    proxied: bool = False,
) -> Verdict:
    """Return the verdict over all checks of a target.

    The root finding is the one that hurts applications most, among the failures or,
    without one, the inconclusive findings. A ``requested`` check that was skipped is no
    PASS, and neither is one of the ``unmet_needs``. What another finding explains is no
    root; then one because of which checks were skipped comes first; then ``severity``
    decides, by failure class; then the order of the checks.
    """
    outcomes = {check_result.outcome for check_result in results}
    root_check, root = _root(results, severity) or (None, None)
    follows = tuple(
        check_result.check
        for check_result in results
        if root_check is not None and check_result.follows is not None
    )
    untested = bool(unmet_needs) or _needed_check_skipped(results, requested)
    if Outcome.FAIL in outcomes:
        outcome = Outcome.FAIL
    elif interrupted or Outcome.INCONCLUSIVE in outcomes:
        outcome = Outcome.INCONCLUSIVE
    elif Outcome.PASS in outcomes and not untested:
        outcome = Outcome.PASS
    else:
        outcome = Outcome.SKIP
    return Verdict(
        target,
        outcome,
        tuple(results),
        root,
        root_check,
        follows,
        interrupted,
        expected,
        tuple(missing),
        requested=tuple(requested),
        requirements=tuple(requirements),
        unmet_needs=tuple(unmet_needs),
        proxied=proxied,
    )


def _root(
    results: Sequence[CheckResult], severity: Callable[[str], int]
) -> tuple[str, Finding] | None:
    """Return the root finding and its check, None without findings."""
    followed = {check_result.follows for check_result in results}
    for wanted in (Outcome.FAIL, Outcome.INCONCLUSIVE):
        found = without_explained(
            [
                (check_result.check, finding)
                for check_result in results
                if check_result.outcome is wanted
                for finding in check_result.findings
                if finding.outcome is wanted
            ]
        )
        if found:
            return min(
                found,
                key=lambda pair: (pair[0] not in followed, severity(pair[1].failure)),
            )
    return None


def _needed_check_skipped(
    results: Sequence[CheckResult], requested: Sequence[str]
) -> bool:
    """Whether a check was skipped that others need, or that the user named."""
    return any(
        check_result.outcome is Outcome.SKIP
        and (check_result.blocks or check_result.check in requested)
        for check_result in results
    )


def exit_status(verdicts: Sequence[Verdict]) -> int:
    """Return the exit status: 1 (a check failed) over 3 (no verdict) over 0."""
    outcomes = {verdict.outcome for verdict in verdicts}
    if Outcome.FAIL in outcomes:
        return 1
    if outcomes == {Outcome.PASS}:
        return 0
    return 3
