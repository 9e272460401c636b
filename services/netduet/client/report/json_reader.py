"""A report read back into what words are made from: the way back of ``jsondoc``."""

from __future__ import annotations

from dataclasses import replace

from netduet.client.failures import Failure
from netduet.client.report.json_report import (
    CheckPart,
    FindingPart,
    ReportDocument,
    TargetPart,
)
from netduet.client.results.instance import Instance
from netduet.client.results.verdict import CheckResult, Finding, Verdict


def verdicts(report: ReportDocument) -> tuple[Verdict, ...]:
    """Return the verdicts that the report tells of."""
    probe = report.probe
    asker = Instance(probe.instance, probe.node, probe.zone)
    asked_by = str(asker) if asker.place else ""
    return tuple(replace(_verdict(one), asked_by=asked_by) for one in report.targets)


def known(report: ReportDocument) -> dict[str, Failure]:
    """Return what the report itself tells of the classes of failure in it.

    A client of another version may know classes that this catalogue does not have.
    """
    parts = [
        finding
        for target in report.targets
        for check in target.checks
        for finding in check.findings
    ]
    return {
        one.failure: Failure(
            one.failure, one.title, "", one.where, tuple(one.causes), tuple(one.next)
        )
        for one in parts
    }


def _verdict(one: TargetPart) -> Verdict:
    results = tuple(_result(check) for check in one.checks)
    root = None if one.root is None else _finding(one.root)
    for result in results:
        # The root is one of the findings, as it was before it was written down.
        if result.check == one.root_check and root in result.findings:
            root = result.findings[result.findings.index(root)]
    return Verdict(
        one.target,
        one.outcome,
        results,
        root,
        one.root_check,
        tuple(one.follows),
        one.interrupted,
    )


def _result(one: CheckPart) -> CheckResult:
    return CheckResult(
        one.name,
        one.question,
        one.outcome,
        one.summary,
        one.seconds,
        tuple(_finding(finding) for finding in one.findings),
        tuple(one.remarks),
        dict(one.figures),
        follows=one.follows_from,
    )


def _finding(one: FindingPart) -> Finding:
    return Finding(
        one.failure,
        one.seen,
        tuple((evidence.side, evidence.text) for evidence in one.evidence),
        dict(one.figures),
        one.where,
        outcome=one.outcome,
    )
