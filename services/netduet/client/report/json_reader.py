"""Reads a JSON report back into verdicts: the reverse of ``json_report``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from netduet.client.checks.catalogue import current_name
from netduet.client.report.json_report import (
    CheckPart,
    FindingPart,
    ReportDocument,
    TargetPart,
)
from netduet.client.results.failure import Failure
from netduet.client.results.instance import Instance
from netduet.client.results.location import Location
from netduet.client.results.verdict import CheckResult, Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence


def verdicts(report: ReportDocument) -> tuple[Verdict, ...]:
    """Return the verdicts of a report."""
    probe = report.probe
    client = Instance(probe.instance, probe.node, probe.zone)
    asked_by = str(client) if client.node_and_zone else ""
    return tuple(
        replace(_verdict(target_part), asked_by=asked_by)
        for target_part in report.targets
    )


def known(report: ReportDocument) -> dict[str, Failure]:
    """Return the failure classes that the report describes.

    A client of another version may have classes that this catalogue lacks, or know one
    by an older name.
    """
    parts = [
        finding
        for target in report.targets
        for check in target.checks
        for finding in (*check.findings, *check.notes)
    ]
    return {
        current_name(finding_part.failure): Failure(
            current_name(finding_part.failure),
            finding_part.title,
            "",
            _location(finding_part.where),
            _class_causes(finding_part.failure, parts),
            tuple(finding_part.next),
            need=finding_part.need,
            consequence=finding_part.consequence,
        )
        for finding_part in parts
    }


def _class_causes(failure: str, parts: Sequence[FindingPart]) -> tuple[str, ...]:
    """Return the causes that all findings of a class have: those of the class itself."""
    same = [part.causes for part in parts if part.failure == failure]
    return tuple(cause for cause in same[0] if all(cause in causes for causes in same))


def _verdict(target_part: TargetPart) -> Verdict:
    results = tuple(_result(check) for check in target_part.checks)
    root = None if target_part.root is None else _finding(target_part.root)
    for result in results:
        # The root is one of the findings, as before serialization.
        if result.check == target_part.root_check and root in result.findings:
            root = result.findings[result.findings.index(root)]
    return Verdict(
        target_part.target,
        target_part.outcome,
        results,
        root,
        target_part.root_check,
        tuple(target_part.follows),
        target_part.interrupted,
        target_part.expected,
        tuple(target_part.missing),
        requested=tuple(target_part.requested),
        requirements=tuple(target_part.needs),
        unmet_needs=tuple(target_part.unmet_needs),
        proxied=target_part.proxied,
        client=target_part.client,
    )


def _result(check_part: CheckPart) -> CheckResult:
    return CheckResult(
        check_part.name,
        check_part.question,
        check_part.outcome,
        check_part.summary,
        check_part.seconds,
        tuple(_finding(finding) for finding in check_part.findings),
        tuple(check_part.remarks),
        dict(check_part.figures),
        follows=check_part.follows_from,
        needs_server=check_part.needs_server,
        notes=tuple(_finding(note) for note in check_part.notes),
    )


def _finding(finding_part: FindingPart) -> Finding:
    return Finding(
        current_name(finding_part.failure),
        finding_part.seen,
        tuple((evidence.side, evidence.text) for evidence in finding_part.evidence),
        dict(finding_part.figures),
        _location(finding_part.where),
        outcome=finding_part.outcome,
        causes=tuple(finding_part.causes),
        place=finding_part.place,
        explains=tuple(map(current_name, finding_part.explains)),
    )


def _location(name: str) -> Location:
    """Return the location of this name; unknown if only another version has it."""
    try:
        return Location(name)
    except ValueError:
        return Location.UNKNOWN
