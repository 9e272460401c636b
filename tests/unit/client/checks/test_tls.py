"""The place of a check to come."""

from __future__ import annotations

import socket

from netduet.client.checks import CHECKS
from netduet.client.checks.base import CheckContext, Timeouts
from netduet.client.checks.tls import CHECK, judge, measure
from netduet.client.report import text
from netduet.client.results.target import Target
from netduet.client.results.verdict import (
    CheckResult,
    Judgement,
    Outcome,
    conclude,
    result,
)


async def test_tls_is_skipped_and_a_pass_stands_without_it() -> None:
    """The reason is said in one faint line, and the verdict is what it was."""
    context = CheckContext(
        Target("server", 80), socket.AF_UNSPEC, "", Timeouts(1.0, 1.0, 1.0)
    )
    judgement = judge(await measure(context))
    done = result("tls", CHECK.question, judgement, 0.0, lambda *_: 0.0)
    name = result("name", "?", Judgement("good"), 0.0, lambda *_: 0.0)
    assert (done.outcome, done.blocks) == (Outcome.SKIP, False)
    assert conclude("server:80", [name, done]).outcome is Outcome.PASS
    [line] = text.result(done)
    assert "no TLS yet" in text.plain(line)
    assert {style for style, text in line if text.strip()} == {"SKIP", "faint"}


def test_nothing_stands_on_tls() -> None:
    """No check waits for one that has nothing to ask."""
    assert not any("tls" in check.needs for check in CHECKS)


def test_check_that_is_skipped_and_blocks_is_no_aside() -> None:
    """One that others stand on asks for attention."""
    line = next(text.result(CheckResult("reach", "?", Outcome.SKIP, "no", blocks=True)))
    assert ("strong", "reach     ") in line
