"""From findings to a verdict: excuses, the root finding, the exit status."""

from __future__ import annotations

import pytest

from netduet.client.checks.catalogue import severity
from netduet.client.results.instance import Instance
from netduet.client.results.location import Side
from netduet.client.results.starvation import ServerHealth
from netduet.client.results.verdict import (
    CheckResult,
    Finding,
    Judgement,
    Outcome,
    Verdict,
    conclude,
    exit_status,
    result,
    skipped_because_of,
    weigh_starvation,
)
from netduet.net.time_span import TimeSpan

PASS, FAIL, SKIP, INCONCLUSIVE = Outcome

LATE = Finding("reach.timeout", "silence", missed_deadline=TimeSpan(10.0, 14.0))
WRONG = Finding("reach.refused", "refused")


def never(_start: float, _end: float) -> float:
    """Have run all the time."""
    return 0.0


def always(start: float, end: float) -> float:
    """Have run at no time."""
    return end - start


def done(
    check: str, outcome: Outcome, *, blocks: bool = False, follows: str | None = None
) -> CheckResult:
    """Return a result with the finding that its outcome needs."""
    found = outcome in (FAIL, INCONCLUSIVE)
    findings = (Finding(f"{check}.x", check, outcome=outcome),) if found else ()
    return CheckResult(
        check, "?", outcome, "", findings=findings, blocks=blocks, follows=follows
    )


# What our own starvation excuses


@pytest.mark.parametrize(
    ("stalled", "outcome"),
    [(0.0, FAIL), (1.9, FAIL), (2.0, INCONCLUSIVE), (4.0, INCONCLUSIVE)],
)
def test_stall_for_half_of_the_deadline_excuses_lateness(
    stalled: float, outcome: Outcome
) -> None:
    """A missed deadline proves nothing if the client did not run for half of it."""
    assert weigh_starvation(LATE, lambda *_: stalled).outcome is outcome


def test_only_stalls_within_the_deadline_count() -> None:
    """The stalls of the missed time window are asked for."""
    asked = []

    def stalled(start: float, end: float) -> float:
        asked.append((start, end))
        return 0.0

    weigh_starvation(LATE, stalled)
    assert asked == [(10.0, 14.0)]


def test_excuse_is_part_of_the_evidence() -> None:
    """The finding says that the client did not run, and for how long."""
    [excuse] = weigh_starvation(LATE, always).evidence
    assert excuse == (
        Side.CLIENT,
        (
            "this client was suspended or starved of CPU for 4.0 s of the 4.0 s it waited, which alone may explain this"
        ),
    )


def test_observed_fact_is_not_excused() -> None:
    """A refusal is a fact, however starved the client was."""
    assert weigh_starvation(WRONG, always) is WRONG


def test_empty_deadline_is_not_excused() -> None:
    """Where nothing was waited for, no stall can be the reason."""
    finding = Finding("reach.timeout", "silence", missed_deadline=TimeSpan(10.0, 10.0))
    assert weigh_starvation(finding, always).outcome is FAIL


@pytest.mark.parametrize(
    ("lost", "outcome"), [(0.0, FAIL), (1.9, FAIL), (2.0, INCONCLUSIVE)]
)
def test_starved_server_excuses_lateness_too(lost: float, outcome: Outcome) -> None:
    """The server's reported starvation counts like the client's."""
    weighed = weigh_starvation(
        LATE, never, ServerHealth(Instance("there", "node-1", "b"), 10.0, lost)
    )
    assert weighed.outcome is outcome
    excuse = f"instance there on node-1 in b was suspended or starved of CPU for {lost:.1f} s of its last 10.0 s, which alone may explain this"
    excused = outcome is INCONCLUSIVE
    assert weighed.evidence == (((Side.SERVER, excuse),) if excused else ())


def test_starved_server_does_not_excuse_an_observed_fact() -> None:
    """A refusal is a fact, however starved the server was."""
    assert (
        weigh_starvation(WRONG, never, ServerHealth(Instance("there"), 10.0, 10.0))
        is WRONG
    )


# What a check comes to


@pytest.mark.parametrize(
    ("judgement", "outcome"),
    [
        (Judgement("good"), PASS),
        (Judgement("good", remarks=("odd",)), PASS),
        (Judgement("bad", (WRONG,)), FAIL),
        (Judgement("late", (LATE,)), INCONCLUSIVE),
        (Judgement("both", (LATE, WRONG)), FAIL),
        (Judgement("", skipped="no route"), SKIP),
        (Judgement("", (WRONG,), skipped="no route"), FAIL),
    ],
)
def test_outcome_is_that_of_the_worst_finding(
    judgement: Judgement, outcome: Outcome
) -> None:
    """FAIL outranks INCONCLUSIVE, SKIP and PASS; a note is no fault."""
    assert result("reach", "?", judgement, 1.0, always).outcome is outcome


def test_result_keeps_the_judgement() -> None:
    """Notes, figures, duration and the reason of a skip are kept unchanged."""
    judgement = Judgement(
        "s", remarks=("r",), figures={"n": 1}, skipped="why", blocks=True
    )
    assert result("reach", "?", judgement, 1.5, never) == CheckResult(
        "reach", "?", SKIP, "why", 1.5, (), ("r",), {"n": 1}, blocks=True
    )


def test_check_without_requirements_is_skipped_with_its_cause() -> None:
    """It blocks others in turn, and names the first cause."""
    check_result = skipped_because_of("path", "?", "name")
    assert (check_result.outcome, check_result.blocks, check_result.follows) == (
        SKIP,
        True,
        "name",
    )
    assert check_result.summary == "skipped: name did not pass"


# The verdict

BLOCKED = [
    done("name", FAIL, blocks=True),
    done("reach", SKIP, blocks=True, follows="name"),
    done("path", SKIP, blocks=True, follows="name"),
]


@pytest.mark.parametrize(
    ("results", "outcome", "root", "follows"),
    [
        ([done("name", PASS), done("reach", PASS)], PASS, None, ()),
        ([done("name", PASS), done("reach", SKIP)], PASS, None, ()),
        ([done("name", PASS), done("reach", SKIP, blocks=True)], SKIP, None, ()),
        ([done("name", SKIP)], SKIP, None, ()),
        ([], SKIP, None, ()),
        (BLOCKED, FAIL, "name", ("reach", "path")),
        ([done("name", FAIL), done("reach", FAIL)], FAIL, "name", ()),
        ([done("name", INCONCLUSIVE), done("reach", FAIL)], FAIL, "reach", ()),
        ([done("name", PASS), done("reach", INCONCLUSIVE)], INCONCLUSIVE, "reach", ()),
        (
            [done("name", INCONCLUSIVE), done("reach", INCONCLUSIVE)],
            INCONCLUSIVE,
            "name",
            (),
        ),
    ],
)
def test_verdict_has_one_root_and_its_consequences(
    results: list[CheckResult],
    outcome: Outcome,
    root: str | None,
    follows: tuple[str, ...],
) -> None:
    """A failure is the root before any inconclusive finding."""
    verdict = conclude("t", results)
    assert (verdict.outcome, verdict.root_check, verdict.follows) == (
        outcome,
        root,
        follows,
    )
    assert (verdict.root and verdict.root.failure) == (root and f"{root}.x")


def test_root_is_the_failed_finding() -> None:
    """An inconclusive finding before it in the same check is not the root."""
    doubtful = Finding("reach.timeout", "late", outcome=INCONCLUSIVE)
    check_result = CheckResult("reach", "?", FAIL, "", findings=(doubtful, WRONG))
    assert conclude("t", [check_result]).root is WRONG


def test_root_is_the_most_severe_finding() -> None:
    """Altered data outranks refused datagrams, whatever the order of the checks."""
    results = [
        CheckResult("udp", "?", FAIL, "", findings=(Finding("udp.rejected", "no"),)),
        CheckResult(
            "close",
            "?",
            FAIL,
            "",
            findings=(
                Finding("close.half_close", "cut"),
                Finding("close.answer_changed", "changed"),
            ),
        ),
    ]
    verdict = conclude("t", results, severity=severity)
    assert verdict.root_check == "close"
    assert verdict.root is results[1].findings[1]
    assert conclude("t", results).root_check == "udp"


def test_blocking_finding_is_the_root() -> None:
    """The failures that it hides may be worse."""
    blocking = CheckResult(
        "balance", "?", FAIL, "", findings=(Finding("balance.uneven", "u"),)
    )
    changed = CheckResult(
        "size", "?", FAIL, "", findings=(Finding("size.changed", "c"),)
    )
    skipped = skipped_because_of("udp", "?", "balance")
    verdict = conclude("t", [blocking, changed, skipped], severity=severity)
    assert verdict.root_check == "balance"
    assert conclude("t", [blocking, changed], severity=severity).root_check == "size"


def test_failure_outranks_inconclusive_finding_of_worse_class() -> None:
    """What is proven is the root, even if it is less severe."""
    doubtful = done("reach", INCONCLUSIVE)
    verdict = conclude("t", [doubtful, done("load", FAIL)], severity=severity)
    assert verdict.root_check == "load"


def test_equal_findings_keep_the_order_of_the_checks() -> None:
    """Of two equally severe findings, the first is the root."""
    results = [done("size", FAIL), done("close", FAIL)]
    assert conclude("t", results, severity=severity).root_check == "size"


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        ("reach.refused", "size.changed"),
        ("size.changed", "size.black_hole"),
        ("size.black_hole", "udp.black_hole"),
        ("stream.outage", "close.reset_lost"),
        ("close.reset_lost", "udp.rejected"),
        ("udp.loss", "load.slow"),
        ("load.slow", "stream.unsent"),
    ],
)
def test_classes_are_ordered_by_effect_on_applications(worse: str, better: str) -> None:
    """Unreachable, data, stalls, connections, datagrams, performance, the probe."""
    assert severity(worse) < severity(better)


@pytest.mark.parametrize(
    ("results", "outcome"),
    [
        ([], INCONCLUSIVE),
        ([done("name", PASS)], INCONCLUSIVE),
        ([done("name", SKIP)], INCONCLUSIVE),
        ([done("name", FAIL)], FAIL),
    ],
)
def test_interrupted_verdict_is_no_pass(
    results: list[CheckResult], outcome: Outcome
) -> None:
    """An interrupted run proves only the failures found before."""
    verdict = conclude("t", results, interrupted=True)
    assert (verdict.outcome, verdict.interrupted) == (outcome, True)


# The exit status


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ([PASS], 0),
        ([PASS, PASS], 0),
        ([FAIL], 1),
        ([PASS, FAIL], 1),
        ([INCONCLUSIVE, FAIL, PASS, SKIP], 1),
        ([INCONCLUSIVE], 3),
        ([PASS, INCONCLUSIVE], 3),
        ([SKIP], 3),
        ([PASS, SKIP], 3),
        ([], 3),
    ],
)
def test_exit_status_prefers_1_over_3_over_0(
    outcomes: list[Outcome], status: int
) -> None:
    """Any failure gives 1; 0 means that all targets passed."""
    verdicts = [Verdict("t", outcome, (), None, None, ()) for outcome in outcomes]
    assert exit_status(verdicts) == status
