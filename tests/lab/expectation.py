"""What a verdict must say about a network, and what is wrong with a verdict.

Pure: a report (what ``netduet check --json`` printed) goes in, complaints come out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

Report = dict[str, Any]

VERDICT: Final = "verdict"
"""Where a complaint stands that is about no single check."""

NOTES: Final = "notes"
"""Where a complaint about notes stands."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the verdict must be. All that it does not allow is wrong.

    ``failures`` are the classes that the root finding may have, ``where`` its side,
    ``check`` the check that must find it; ``remarks`` are (check, words that one of
    its remarks, or its summary, must contain); ``may`` are classes that may be found
    besides, or not, as failures or as notes; ``notes`` are classes that must be noted.
    ``place`` are words that the place of the root finding must contain, ``cause`` words
    of its likeliest cause.
    """

    outcomes: tuple[str, ...]
    failures: tuple[str, ...] = ()
    where: str = ""
    check: str = ""
    remarks: tuple[tuple[str, str], ...] = ()
    may: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    place: str = ""
    cause: str = ""


def fails(
    failure: str | tuple[str, ...],
    where: str,
    *,
    check: str = "",
    remarks: tuple[tuple[str, str], ...] = (),
    may: tuple[str, ...] = (),
    place: str = "",
    cause: str = "",
) -> Expected:
    """Expect this root finding; its check is the class's first word unless named.

    Several classes: where a race decides which of them it is.
    """
    failures = (failure,) if isinstance(failure, str) else failure
    by = check or failures[0].partition(".")[0]
    return Expected(
        ("FAIL",), failures, where, by, remarks, may, place=place, cause=cause
    )


def passes(
    *remarks: tuple[str, str], may: tuple[str, ...] = (), notes: tuple[str, ...] = ()
) -> Expected:
    """Expect a PASS, with these remarks, and findings of these classes as notes."""
    return Expected(("PASS",), remarks=remarks, may=may, notes=notes)


def is_inconclusive(*remarks: tuple[str, str]) -> Expected:
    """Expect that no verdict can be had, with these remarks."""
    return Expected(("INCONCLUSIVE",), remarks=remarks)


def never_fails() -> Expected:
    """Expect a PASS, or that no verdict can be had; never a FAIL."""
    return Expected(("PASS", "INCONCLUSIVE"))


def cells(report: Report) -> dict[str, str]:
    """Return for each check what it came to: its classes of failure, or its outcome."""
    return {
        check["name"]: _cell(check["outcome"], check["findings"])
        for check in report["targets"][0]["checks"]
    }


def _cell(outcome: str, findings: list[dict[str, Any]]) -> str:
    classes = " ".join(dict.fromkeys(finding["class"] for finding in findings))
    if outcome == "INCONCLUSIVE":
        return f"INCONCLUSIVE ({classes})"
    return classes if outcome == "FAIL" else outcome


def complaints(expected: Expected, report: Report, number: int = 0) -> dict[str, str]:
    """Return what is wrong about a target, by check; empty when the verdict is right."""
    target = report["targets"][number]
    wrong: dict[str, str] = {}
    if target["outcome"] not in expected.outcomes:
        wanted = " or ".join(expected.outcomes)
        wrong[VERDICT] = f"{target['outcome']} instead of {wanted}"
    if expected.failures:
        wrong |= _about_root(expected, target)
    for check in target["checks"]:
        complaint = _about_check(expected, check)
        if complaint:
            wrong.setdefault(check["name"], complaint)
    noted = {note["class"] for check in target["checks"] for note in check["notes"]}
    odd = noted - {*expected.failures, *expected.may, *expected.notes}
    missing = set(expected.notes) - noted
    if odd or missing:
        wrong[NOTES] = f"noted {sorted(odd)} besides, and {sorted(missing)} not"
    for name, words in expected.remarks:
        remarks = [
            remark
            for entry in target["checks"]
            if entry["name"] == name
            for remark in (entry["summary"], *entry["remarks"])
        ]
        if not any(words in remark for remark in remarks):
            wrong.setdefault(name, f"no remark says {words!r}: {remarks}")
    return wrong


def _about_root(expected: Expected, target: dict[str, Any]) -> dict[str, str]:
    root = target["root"]
    wanted = [
        (expected.check, failure, expected.where) for failure in expected.failures
    ]
    if root is None or root["outcome"] != "FAIL":
        return {expected.check: f"{' or '.join(expected.failures)} was not found"}
    found = (target["root_check"], root["class"], root["where"])
    if found in wanted:
        return _about_explanation(expected, root)
    template = "root is {}: {} at {}, instead of {}: {} at {}"
    return {expected.check: template.format(*found, *wanted[0])}


def _about_explanation(expected: Expected, root: dict[str, Any]) -> dict[str, str]:
    wrong = [
        f"{name} is {text!r}, and does not say {words!r}"
        for name, text, words in (
            ("place", root["place"], expected.place),
            ("cause", root["causes"][0], expected.cause),
        )
        if words not in text
    ]
    return {expected.check: "; ".join(wrong)} if wrong else {}


def _about_check(expected: Expected, check: dict[str, Any]) -> str:
    """Judge a check by itself: everything found must be expected or allowed."""
    allowed = {*expected.failures, *expected.may}
    if check["outcome"] == "INCONCLUSIVE" and "INCONCLUSIVE" in expected.outcomes:
        return ""
    # Beside one that is right, a finding without a verdict names nothing wrongly.
    odd = [
        finding["class"]
        for finding in check["findings"]
        if finding["class"] not in allowed and finding["outcome"] == "FAIL"
    ]
    if odd:
        return f"{check['outcome']} by {', '.join(dict.fromkeys(odd))}"
    if check["outcome"] == "INCONCLUSIVE":
        return "INCONCLUSIVE"
    return ""
