"""Verdicts as JUnit XML: a suite per target, a case per check.

The format is what CI systems read (testsuites, testsuite, testcase with failure, error
or skipped). FAIL is a failure; INCONCLUSIVE is an error, because it proves nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from netduet.client.checks.catalogue import local_catalogue
from netduet.client.report import text
from netduet.client.results.verdict import CheckResult, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

_ELEMENTS: Final = {
    Outcome.FAIL: "failure",
    Outcome.INCONCLUSIVE: "error",
    Outcome.SKIP: "skipped",
}
_COUNTED: Final = {"failure": "failures", "error": "errors", "skipped": "skipped"}


def document(verdicts: Sequence[Verdict]) -> str:
    """Return the document as text that ends with a line break."""
    root = ET.Element("testsuites", name="netduet")
    for verdict in verdicts:
        _suite(root, verdict)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode", xml_declaration=False)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _suite(root: ET.Element, verdict: Verdict) -> None:
    cases = verdict.results
    suite = ET.SubElement(
        root,
        "testsuite",
        name=f"netduet {verdict.label}",
        tests=str(len(cases) + verdict.interrupted),
        time=f"{sum(result.seconds for result in cases):.3f}",
    )
    elements = [_ELEMENTS.get(result.outcome) for result in cases]
    elements += ["error"] * verdict.interrupted
    for element, attribute in _COUNTED.items():
        suite.set(attribute, str(elements.count(element)))
    for result in cases:
        _case(suite, verdict, result)
    if verdict.interrupted:
        case = ET.SubElement(
            suite, "testcase", classname=verdict.label, name="remaining checks"
        )
        message = "interrupted before all checks were done"
        ET.SubElement(case, "error", message=message, type="INCONCLUSIVE")


def _case(suite: ET.Element, verdict: Verdict, result: CheckResult) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=verdict.label,
        name=result.check,
        time=f"{result.seconds:.3f}",
    )
    element = _ELEMENTS.get(result.outcome)
    if element is not None:
        first = next(iter(result.findings), None)
        message = result.summary if first is None else first.seen
        kind = "" if first is None else first.failure
        child = ET.SubElement(case, element, message=message, type=kind)
        child.text = _text(result)
    out = ET.SubElement(case, "system-out")
    when = (f"from an interrupted run, {result.earlier}",) if result.earlier else ()
    notes = map(text.note_text, result.notes)
    out.text = "\n".join((result.summary, *when, *result.remarks, *notes))


def _text(result: CheckResult) -> str:
    lines = (
        text.plain(line)
        for finding in result.findings
        for line in text.finding(finding, local_catalogue())
    )
    return "\n".join(lines)
