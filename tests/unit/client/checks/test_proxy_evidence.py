"""Whether both ends have seen a TCP proxy: two proofs, at every address."""

from __future__ import annotations

import pytest

from netduet.client.checks.proxy_evidence import has_seen_proxy
from netduet.client.results.verdict import CheckResult, Figures, Outcome


def done(check: str, *values: bool, partial: bool = False) -> CheckResult:
    """Return a result with this check's figure, by address."""
    name = {"path": "translated", "close": "terminated"}[check]
    figures: Figures = {
        f"{number}.{name}" if number > 1 else name: value
        for number, value in enumerate(values, 1)
    }
    return CheckResult(check, "?", Outcome.PASS, "", figures=figures, partial=partial)


@pytest.mark.parametrize(
    ("path", "close", "expected"),
    [
        (done("path", True), done("close", True), True),
        (done("path", True, True), done("close", True, True), True),
        # NAT translates, and a transparent proxy does not.
        (done("path", True), done("close", False), False),
        (done("path", False), done("close", True), False),
        # One of two addresses is reached directly.
        (done("path", True, False), done("close", True, True), False),
        (done("path", True, True), done("close", True, False), False),
        (done("path", True), done("close", True, partial=True), False),
        (done("path", True, partial=True), done("close", True), False),
        (done("path"), done("close", True), False),
        (done("path", True), done("close"), False),
        (None, done("close", True), False),
        (done("path", True), None, False),
    ],
)
def test_proxy_needs_both_proofs_at_every_address(
    path: CheckResult | None, close: CheckResult | None, *, expected: bool
) -> None:
    """A check that did not run, or not everywhere, proves nothing."""
    assert has_seen_proxy(path, close) is expected
