"""A verdict as JUnit XML, for CI systems."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

from netduet.client.report.junit import document
from netduet.client.results.location import Side
from netduet.client.results.verdict import (
    CheckResult,
    Finding,
    Judgement,
    conclude,
    result,
    skipped_because_of,
)
from netduet.net.time_span import TimeSpan

REFUSED = Finding("reach.refused", "it refused", ((Side.CLIENT, "ECONNREFUSED <&>"),))
LATE = Finding("identity.silent", "no answer", missed_deadline=TimeSpan(0.0, 1.0))


def done(check: str, *findings: Finding, stalled: float = 0.0) -> CheckResult:
    """Return the result of a check that took a second and a half."""
    judgement = Judgement("came to", findings, ("a remark",))
    return result(check, f"Is {check} well?", judgement, 1.5, lambda *_: stalled)


def suite(*results: CheckResult, interrupted: bool = False) -> ET.Element:
    """Return the one suite of a document, read back."""
    verdict = conclude("server:80", results, interrupted=interrupted)
    root = ET.fromstring(document([verdict]))
    [only] = root
    return only


def test_suite_counts_outcomes() -> None:
    """Failed, inconclusive and skipped checks are counted separately."""
    parsed = suite(
        done("name"),
        done("reach", REFUSED),
        done("identity", LATE, stalled=1.0),
        skipped_because_of("path", "?", "identity"),
    )
    counted = {
        key: parsed.get(key) for key in ("tests", "failures", "errors", "skipped")
    }
    assert counted == {"tests": "4", "failures": "1", "errors": "1", "skipped": "1"}
    assert (parsed.get("name"), parsed.get("time")) == ("netduet server:80", "4.500")
    assert [[child.tag for child in case] for case in parsed] == [
        ["system-out"],
        ["failure", "system-out"],
        ["error", "system-out"],
        ["skipped", "system-out"],
    ]


def test_failure_has_its_class_and_the_whole_diagnosis() -> None:
    """A reader of the CI report needs no other source."""
    [case] = suite(done("reach", REFUSED))
    failure = case.find("failure")
    assert failure is not None
    assert (failure.get("type"), failure.get("message")) == (
        "reach.refused",
        "it refused",
    )
    assert failure.text is not None
    for part in ("it refused", "ECONNREFUSED <&>", "likely", "try next", "where"):
        assert part in failure.text


def test_notes_are_in_the_output() -> None:
    """A passed check has its summary and notes in its output."""
    [case] = suite(done("name"))
    assert case.findtext("system-out") == "came to\na remark"
    assert case.get("classname") == "server:80"


def test_interrupted_suite_has_an_error() -> None:
    """Checks that a signal prevented are an error, not silence."""
    parsed = suite(done("name"), interrupted=True)
    assert (parsed.get("tests"), parsed.get("errors")) == ("2", "1")
    assert parsed[-1].find("error") is not None


def test_skipped_check_names_its_cause() -> None:
    """A skipped check says which failure it follows from."""
    [case] = suite(skipped_because_of("path", "?", "identity"))
    skipped = case.find("skipped")
    assert skipped is not None
    assert "identity" in str(skipped.get("message"))


def test_note_is_output_of_a_passed_check() -> None:
    """It is no failure, and a reader of the CI report sees it."""
    noted = replace(done("udp"), notes=(Finding("udp.silent", "no answer"),))
    [case] = suite(noted)
    [output] = case
    assert output.tag == "system-out"
    text = output.text or ""
    assert text.splitlines()[2].startswith("no answer; programs that use UDP")
    assert text.endswith("[udp.silent]")
