"""Running the checks of a target: order, requirements, defects."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from netduet.client.checks import CHECKS, runner
from netduet.client.checks import checkpoint as resume_
from netduet.client.checks.base import (
    Check,
    CheckContext,
    CheckOptions,
    PathUse,
    max_seconds,
)
from netduet.client.checks.checkpoint import Checkpoint
from netduet.client.checks.identity.results import (
    Expectation,
    IdentityAnswer,
    IdentityResult,
)
from netduet.client.checks.runner import CheckRunner
from netduet.client.net.dial import Address
from netduet.client.net.handshake import Handshake
from netduet.client.net.timeouts import Timeouts
from netduet.client.results.needs import parse_requirements
from netduet.client.results.target import Expect, Target
from netduet.client.results.verdict import (
    CheckResult,
    Finding,
    Judgement,
    Outcome,
    result,
)
from netduet.net.time_span import TimeSpan
from netduet.runtime.stall_monitor import StallMonitor
from tests.unit.client.fake_server import HOSTILE_TEXT, make_welcome

GOOD = Judgement("good")
BAD = Judgement("bad", (Finding("reach.refused", "s"),), blocks=True)
BEARABLE = Judgement("bearable", (Finding("reach.partial", "s"),))
SKIPPED = Judgement("", skipped="no route", blocks=True)

Log = list[Any]


@pytest.fixture
def log() -> Iterator[Log]:
    """Return what is logged meanwhile."""
    with capture_logs() as lines:
        yield lines


def check(name: str, judgement: Judgement, *needs: str) -> Check[Any]:
    """Return a check that measures nothing and judges this."""

    async def measure(_: CheckContext) -> int:
        return 0

    return Check(name, f"Is {name} well?", needs, measure, lambda _: judgement)


def context() -> CheckContext:
    """Return what checks may use."""
    target = Target("server", 80)
    return CheckContext(target, socket.AF_UNSPEC, "", Timeouts(1.0, 1.0, 1.0))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that runs checks; it returns the runner and the results."""

    async def run_(*checks: Check[Any]) -> tuple[CheckRunner, list[CheckResult]]:
        monkeypatch.setattr(runner, "CHECKS", checks)
        results: list[CheckResult] = []
        async with StallMonitor() as stalls:
            made = CheckRunner(context(), stalls, results.append)
            await made.run()
        return made, results

    return run_


def outcomes(results: list[CheckResult]) -> list[str]:
    """Return each check's outcome, and what it follows from."""
    return [f"{result.outcome} {result.follows or ''}".strip() for result in results]


@pytest.mark.parametrize(
    ("judgement", "expected"),
    [
        (GOOD, ["PASS", "PASS", "PASS", "PASS"]),
        (BEARABLE, ["FAIL", "PASS", "PASS", "PASS"]),
        (BAD, ["FAIL", "SKIP one", "SKIP one", "PASS"]),
        (SKIPPED, ["SKIP", "SKIP one", "SKIP one", "PASS"]),
    ],
)
async def test_blocked_checks_name_the_first_cause(
    run: Callable[..., Any], log: Log, judgement: Judgement, expected: list[str]
) -> None:
    """A blocking failure skips the checks that require it, directly or not."""
    _, results = await run(
        check("one", judgement),
        check("two", GOOD, "one"),
        check("three", GOOD, "two"),
        check("other", GOOD),
    )
    assert outcomes(results) == expected
    assert len(log) == 4


async def test_defect_of_an_investigation_leaves_the_finding(
    run: Callable[..., Any], log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug in what explains a failure must not hide the failure."""

    async def broken(*_: object) -> tuple[Finding, ...]:
        raise ZeroDivisionError

    monkeypatch.setattr(runner, "investigate", broken)
    _, [done] = await run(check("one", BAD))
    assert done.findings == BAD.findings
    assert [line["event"] for line in log] == ["runtime.exception", "check.finished"]


@pytest.mark.parametrize("first", [GOOD, BAD])
@pytest.mark.parametrize(
    ("names", "expected"), [((), ["one", "two"]), (("odd",), ["one", "odd"])]
)
async def test_check_that_does_not_apply_is_left_out_unless_it_is_requested(
    monkeypatch: pytest.MonkeyPatch,
    first: Judgement,
    names: tuple[str, ...],
    expected: list[str],
) -> None:
    """There is no result of it, and none is missing, whatever came before."""
    odd = replace(check("odd", GOOD, "one"), applies=lambda _: False)
    checks = (check("one", first), odd, check("two", GOOD, "one"))
    monkeypatch.setattr(runner, "CHECKS", checks)
    async with StallMonitor() as stalls:
        made = CheckRunner(context(), stalls, lambda _: None, names)
        assert "odd" not in made.verdict().missing or names
        await made.run()
    verdict = made.verdict()
    assert [each.check for each in verdict.results] == expected
    assert not verdict.missing


async def test_check_may_follow_a_blocking_one(run: Callable[..., Any]) -> None:
    """It waits for the other one, and runs whatever that came to."""
    order: list[str] = []

    async def measure_first(_: CheckContext) -> int:
        await asyncio.sleep(0)
        order.append("first")
        return 0

    async def measure_later(_: CheckContext) -> int:
        order.append("later")
        return 0

    first = replace(check("first", BAD), measure=measure_first)
    later = replace(
        check("later", GOOD), measure=measure_later, following=("first", "absent")
    )
    _, results = await run(first, later)
    assert outcomes(results) == ["FAIL", "PASS"]
    assert order == ["first", "later"]


async def test_results_are_reported_in_order_with_a_verdict(
    run: Callable[..., Any], log: Log
) -> None:
    """Each result is reported as it comes; the verdict covers all."""
    made, results = await run(check("one", GOOD), check("two", BAD, "one"))
    verdict = made.verdict()
    assert [result.check for result in results] == ["one", "two"]
    assert verdict.results == tuple(results)
    assert (verdict.target, verdict.root_check) == ("server:80", "two")
    assert not verdict.interrupted
    assert [line["netduet.check"] for line in log] == ["one", "two"]


async def test_finished_check_is_logged_with_its_class(
    run: Callable[..., Any], log: Log
) -> None:
    """The line has the target, the outcome and the class of the first finding."""
    await run(check("one", BAD))
    [line] = log
    assert line.pop("netduet.duration_s") >= 0
    assert line == {
        "event": "check.finished",
        "log_level": "info",
        "server.address": "server",
        "server.port": 80,
        "netduet.check": "one",
        "netduet.outcome": "FAIL",
        "error.type": "reach.refused",
    }


async def measure_badly(_: CheckContext) -> int:
    """Raise, with words that came from a peer."""
    raise RuntimeError(HOSTILE_TEXT)


async def measure_well(_: CheckContext) -> int:
    """Return what no judge can take."""
    return 0


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (measure_badly, r"RuntimeError: \x1b[31mred\n\u202egnp"),
        (measure_well, "ZeroDivisionError: integer division or modulo by zero"),
    ],
)
async def test_raising_check_is_a_defect_and_the_run_continues(
    run: Callable[..., Any],
    log: Log,
    measure: Callable[[CheckContext], Any],
    expected: str,
) -> None:
    """Our own defect is a finding; checks that require this one are skipped."""
    broken = Check("one", "?", (), measure, lambda value: Judgement(str(1 // value)))
    made, results = await run(broken, check("two", GOOD, "one"), check("other", GOOD))
    assert outcomes(results) == ["FAIL", "SKIP one", "PASS"]
    root = made.verdict().root
    assert (root.failure, root.seen) == ("check.defect", expected)
    assert log[0]["event"] == "runtime.exception"
    assert log[0]["exception.stacktrace"]


async def test_check_that_does_not_end_is_ended(
    run: Callable[..., Any],
    log: Log,  # noqa: ARG001 - kept off stdout
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last resort: nothing is proven, and the other checks run."""

    async def measure(_: CheckContext) -> int:
        await asyncio.get_running_loop().create_future()
        return 0

    monkeypatch.setattr(runner, "max_seconds", lambda _: 0.05)
    endless = Check("one", "?", (), measure, lambda _: GOOD)
    made, results = await run(endless, check("two", GOOD, "one"), check("other", GOOD))
    assert outcomes(results) == ["INCONCLUSIVE", "SKIP one", "PASS"]
    assert made.verdict().root.failure == "check.timeout"


def test_last_resort_leaves_time_for_what_was_asked_for() -> None:
    """Long silences and streams that the user wants are no reason to end a check."""
    options = CheckOptions(idle_rungs=(7200.0,), stream_time=86_400.0)
    asked = replace(context(), profile="full", options=options)
    assert max_seconds(asked) > 86_400.0 + 7200.0
    assert max_seconds(context()) < max_seconds(asked)


async def test_earlier_measurement_is_available_by_type(
    run: Callable[..., Any],
    log: Log,  # noqa: ARG001 - kept off stdout
) -> None:
    """A check looks up what an earlier one measured."""

    async def measure(given: CheckContext) -> str:
        return f"after {given.earlier(int)}"

    later = Check("two", "?", ("one",), measure, Judgement)
    _, results = await run(check("one", GOOD), later)
    assert results[1].summary == "after 0"


async def test_starvation_excuses_a_missed_deadline(log: Log) -> None:
    """The recorded stalls decide about a missed deadline."""

    class Starved(StallMonitor):
        def stalled(self, start: float, end: float) -> float:
            return end - start

    late = Judgement(
        "late", (Finding("name.timeout", "s", missed_deadline=TimeSpan(0.0, 4.0)),)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "CHECKS", (check("one", late),))
        made = CheckRunner(context(), Starved(), lambda _: None)
        await made.run()
    assert made.verdict().outcome is Outcome.INCONCLUSIVE
    assert log[0]["netduet.outcome"] == "INCONCLUSIVE"


async def test_stopped_run_has_a_verdict_over_finished_checks(
    monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    """An interrupted run reports the checks that were done."""
    started = asyncio.Event()

    async def measure(_: CheckContext) -> int:
        started.set()
        await asyncio.Event().wait()
        return 0

    endless = Check("two", "?", (), measure, lambda _: GOOD)
    monkeypatch.setattr(runner, "CHECKS", (check("one", GOOD), endless))
    async with StallMonitor() as stalls:
        made = CheckRunner(context(), stalls, lambda _: None)
        task = asyncio.create_task(made.run())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    verdict = made.verdict()
    assert (verdict.outcome, verdict.interrupted) == (Outcome.INCONCLUSIVE, True)
    assert [result.check for result in verdict.results] == ["one"]
    assert verdict.missing == ("two",)
    assert len(log) == 1


@pytest.mark.parametrize(
    ("names", "ran"),
    [
        ((), ["one", "two", "three", "other"]),
        (("two",), ["one", "two"]),
        (("three",), ["one", "two", "three"]),
        (("other", "one"), ["one", "other"]),
    ],
)
async def test_chosen_checks_include_their_requirements(
    monkeypatch: pytest.MonkeyPatch, log: Log, names: tuple[str, ...], ran: list[str]
) -> None:
    """A chosen check runs with those it requires, in order, and no others."""
    checks = (
        check("one", GOOD),
        check("two", GOOD, "one"),
        check("three", GOOD, "two"),
        check("other", GOOD),
    )
    monkeypatch.setattr(runner, "CHECKS", checks)
    async with StallMonitor() as stalls:
        made = CheckRunner(context(), stalls, lambda _: None, names)
        await made.run()
    assert [result.check for result in made.verdict().results] == ran
    assert not made.verdict().interrupted
    assert len(log) == len(ran)


@pytest.mark.parametrize(
    ("expect", "names", "ran"),
    [
        (Expect.OPEN, (), ["both", "open"]),
        (Expect.OPEN, ("shut", "open"), ["both", "open"]),
        (Expect.BLOCKED, (), ["both", "shut"]),
        (Expect.BLOCKED, ("open",), ["both", "shut"]),
    ],
)
async def test_expectation_selects_the_checks(
    monkeypatch: pytest.MonkeyPatch,
    log: Log,
    expect: Expect,
    names: tuple[str, ...],
    ran: list[str],
) -> None:
    """Targets that should be blocked have their own checks, whatever was chosen."""
    checks = (
        replace(check("both", GOOD), judges=tuple(Expect)),
        check("open", GOOD, "both"),
        replace(check("shut", GOOD, "both"), judges=(Expect.BLOCKED,)),
    )
    monkeypatch.setattr(runner, "CHECKS", checks)
    given = replace(context(), target=Target("server", 80, expect))
    async with StallMonitor() as stalls:
        made = CheckRunner(given, stalls, lambda _: None, names)
        await made.run()
    verdict = made.verdict()
    assert [result.check for result in verdict.results] == ran
    assert (verdict.expected, verdict.missing) == (expect, ())
    assert len(log) == len(ran)


async def test_restored_results_are_reported_and_not_measured_again(
    monkeypatch: pytest.MonkeyPatch, log: Log, tmp_path: Path
) -> None:
    """Their requirements are measured again; new results are saved at once."""
    checks = (check("one", GOOD), check("two", GOOD, "one"), check("last", GOOD, "one"))
    monkeypatch.setattr(runner, "CHECKS", checks)
    monkeypatch.setattr(resume_, "CHECKS", checks)
    finding = Finding("reach.refused", "s")
    earlier = CheckResult("two", "?", Outcome.FAIL, "as it was", findings=(finding,))
    Checkpoint(tmp_path / "run", {}).save(0, earlier)
    resume = Checkpoint(tmp_path / "run", {})
    results: list[CheckResult] = []
    async with StallMonitor() as stalls:
        made = CheckRunner(context(), stalls, results.append, (), resume.for_target(0))
        await made.run()
    assert [result.summary for result in results] == ["good", "as it was", "good"]
    assert [bool(check_result.earlier) for check_result in results] == [
        False,
        True,
        False,
    ]
    assert {"two", "last"} <= Checkpoint(tmp_path / "run", {}).for_target(
        0
    ).earlier.keys()
    assert len(log) == 3


@pytest.mark.parametrize(
    ("uses", "known", "rate", "most"),
    [
        ((PathUse.LIGHT, PathUse.FULL), True, math.inf, 2),
        ((PathUse.SENSITIVE, PathUse.FULL), True, math.inf, 2),
        ((PathUse.FULL, PathUse.FULL), True, math.inf, 1),
        ((PathUse.CONNECTIONS, PathUse.FULL), True, math.inf, 1),
        ((PathUse.CONNECTIONS, PathUse.CONNECTIONS), True, math.inf, 2),
        ((PathUse.CONNECTIONS, PathUse.CONNECTIONS), False, math.inf, 1),
        ((PathUse.CONNECTIONS, PathUse.CONNECTIONS), True, 64e3, 1),
        ((PathUse.LIGHT, PathUse.LIGHT), True, 64e3, 1),
        ((PathUse.NEGLIGIBLE, PathUse.FULL), True, 64e3, 2),
    ],
)
async def test_use_of_the_path_decides_what_runs_side_by_side(
    run: Callable[..., Any],
    log: Log,
    *,
    uses: tuple[PathUse, PathUse],
    known: bool,
    rate: float,
    most: int,
) -> None:
    """What fills a path, or would on a slow one, runs alone; all report in order."""
    under_way: set[str] = set()
    seen: list[int] = []

    def passing(name: str, use: PathUse) -> Check[Any]:
        async def measure(_: CheckContext) -> int:
            under_way.add(name)
            for _ in range(20):  # whoever may run too, has begun
                await asyncio.sleep(0)
            seen.append(len(under_way))
            under_way.discard(name)
            return 0

        return Check(name, "?", ("identity",), measure, lambda _: GOOD, (), use)

    async def identify(_: CheckContext) -> IdentityResult:
        address = Address(socket.AF_INET, "192.0.2.1", 80)
        handshake = Handshake(welcome=make_welcome() if known else None)
        answer = IdentityAnswer(address, handshake, rate=rate)
        return IdentityResult((answer,), Expectation())

    identity = Check("identity", "?", (), identify, lambda _: GOOD)
    first, second = uses
    _, results = await run(identity, passing("one", first), passing("two", second))
    assert max(seen) == most
    assert [result.check for result in results] == ["identity", "one", "two"]
    assert len(log) == 3


def test_checks_require_only_earlier_ones() -> None:
    """Requirements come first in the list, and names are unique."""
    before: list[str] = []
    for declared in CHECKS:
        others = declared.after + declared.following
        assert {*declared.needs, *others} <= set(before)
        assert declared.question.endswith("?")
        before.append(declared.name)
    assert len(set(before)) == len(CHECKS)


# Needs

TRANSLATED = Judgement("seen", figures={"translated": True})
TERMINATED = Judgement("closed", figures={"terminated": True})
DIRECT = Judgement("closed", figures={"terminated": False})
NO_UDP = Judgement("no response", (Finding("udp.silent", "s"),))


@pytest.mark.parametrize(
    ("close", "needs", "expected"),
    [
        (TERMINATED, (), Outcome.PASS),
        (DIRECT, (), Outcome.FAIL),
        (SKIPPED, (), Outcome.FAIL),
        (TERMINATED, ("udp",), Outcome.FAIL),
        (DIRECT, ("tcp",), Outcome.PASS),
    ],
)
async def test_what_a_proxy_does_not_promise_is_a_note(
    monkeypatch: pytest.MonkeyPatch,
    log: Log,
    close: Judgement,
    needs: tuple[str, ...],
    expected: Outcome,
) -> None:
    """The proof comes from checks that end after the finding; needs go before it."""
    results = await run_with_needs(
        monkeypatch,
        needs,
        check("path", TRANSLATED),
        check("udp", NO_UDP),
        check("close", close),
    )
    udp = results[1]
    [line] = [line for line in log if line["netduet.check"] == "udp"]
    assert line.get("netduet.notes", []) == [note.failure for note in udp.notes]
    assert (udp.check, udp.outcome) == ("udp", expected)
    assert [note.failure for note in udp.notes] == ["udp.silent"] * (
        expected is Outcome.PASS
    )


async def run_with_needs(
    monkeypatch: pytest.MonkeyPatch, needs: tuple[str, ...], *checks: Check[Any]
) -> list[CheckResult]:
    """Run checks of a target for applications with these needs."""
    monkeypatch.setattr(runner, "CHECKS", checks)
    results: list[CheckResult] = []
    requirements = parse_requirements(needs)
    async with StallMonitor() as stalls:
        made = CheckRunner(
            replace(context(), requirements=requirements), stalls, results.append
        )
        await made.run()
    assert made.verdict().proxied is (
        not needs and results[-1].figures.get("terminated") is True
    )
    return results


async def turns_of_the_loop() -> None:
    """Let all that waits for nothing else run."""
    for _ in range(100):
        await asyncio.sleep(0)


async def test_undecided_row_waits_for_the_proof(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is reported as failed that may become a note."""
    proven = asyncio.Event()

    async def measure(_: CheckContext) -> int:
        await proven.wait()
        return 0

    slow = Check("close", "?", (), measure, lambda _: TERMINATED)
    checks = (check("path", TRANSLATED), check("udp", NO_UDP), slow)
    monkeypatch.setattr(runner, "CHECKS", checks)
    results: list[CheckResult] = []
    async with StallMonitor() as stalls:
        made = CheckRunner(context(), stalls, results.append)
        running = asyncio.create_task(made.run())
        await turns_of_the_loop()
        assert [result.check for result in results] == ["path"]
        proven.set()
        await running
    assert outcomes(results) == ["PASS", "PASS", "PASS"]


async def test_interruption_before_the_proof_decides_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What may be a note or a failure is neither."""

    async def measure(_: CheckContext) -> int:
        await asyncio.Event().wait()
        return 0

    endless = Check("close", "?", (), measure, lambda _: TERMINATED)
    checks = (check("path", TRANSLATED), check("udp", NO_UDP), endless)
    monkeypatch.setattr(runner, "CHECKS", checks)
    results: list[CheckResult] = []
    async with StallMonitor() as stalls:
        made = CheckRunner(context(), stalls, results.append)
        running = asyncio.create_task(made.run())
        await turns_of_the_loop()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert outcomes(results) == ["PASS", "INCONCLUSIVE"]
    assert made.verdict().outcome is Outcome.INCONCLUSIVE


async def test_restored_findings_become_notes_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The file holds findings and proofs, and each run decides what they are."""
    checks = (check("path", GOOD), check("udp", GOOD), check("close", GOOD))
    monkeypatch.setattr(runner, "CHECKS", checks)
    monkeypatch.setattr(resume_, "CHECKS", checks)
    file = Checkpoint(tmp_path / "run", {})
    for name, judgement in (
        ("path", TRANSLATED),
        ("udp", NO_UDP),
        ("close", TERMINATED),
    ):
        file.save(0, result(name, "?", judgement, 0.1, lambda *_: 0.0))
    results: list[CheckResult] = []
    async with StallMonitor() as stalls:
        earlier = Checkpoint(tmp_path / "run", {}).for_target(0)
        await CheckRunner(context(), stalls, results.append, (), earlier).run()
    assert outcomes(results) == ["PASS", "PASS", "PASS"]
    assert [note.failure for note in results[1].notes] == ["udp.silent"]
    assert all(each.earlier for each in results)


async def test_targets_take_turns_at_the_path() -> None:
    """One fills it at a time; none while another target needs it quiet, or the reverse."""
    path, order = runner.SharedPath(), []
    release = asyncio.Event()

    async def use(target: str, *, fill: bool, wait: bool = False) -> None:
        async with path.filled(target) if fill else path.quiet(target):
            order.append((target, fill, "begins"))
            if wait:
                await release.wait()
            order.append((target, fill, "ends"))

    quiet = asyncio.create_task(use("a", fill=False, wait=True))
    await asyncio.sleep(0)
    own = asyncio.create_task(use("a", fill=True))
    await own  # the checks of one target are ordered by what they need
    other = asyncio.create_task(use("b", fill=True, wait=True))
    await use("c", fill=False)
    assert not other.done()
    release.set()
    await asyncio.gather(quiet, other)
    assert order.index(("a", False, "ends")) < order.index(("b", True, "begins"))
    release.clear()
    other = asyncio.create_task(use("b", fill=True, wait=True))
    await asyncio.sleep(0)
    late = [asyncio.create_task(use("c", fill=fill)) for fill in (True, False)]
    await asyncio.sleep(0)
    assert order[-1] == ("b", True, "begins")
    release.set()
    await asyncio.gather(other, *late)
