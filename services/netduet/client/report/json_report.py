"""A verdict as one JSON document; its schema is ``docs/report.schema.json``.

Fields may be added within a schema version, never removed or changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field

from netduet import __version__
from netduet.client.checks.catalogue import local_catalogue
from netduet.client.results.expectation import Found, compare_expectation
from netduet.client.results.instance import UNKNOWN_INSTANCE, Instance
from netduet.client.results.location import Side
from netduet.client.results.starvation import Starvation
from netduet.client.results.target import Expect
from netduet.client.results.verdict import (
    CheckResult,
    Finding,
    Outcome,
    Verdict,
    exit_status,
)
from netduet.net.namespace.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA_VERSION: Final = 1

Figure = int | float | str | bool | None


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        populate_by_name=True,
    )


class EvidencePart(_Part):
    """An observation of one end."""

    side: Side
    text: str


class FindingPart(_Part):
    """One thing that is wrong, with what is known about its class."""

    failure: str = Field(alias="class")
    """Failure class; `netduet explain CLASS` describes it."""
    outcome: Outcome
    where: str
    title: str
    seen: str
    evidence: list[EvidencePart]
    figures: dict[str, Figure]
    causes: list[str]
    """The likeliest first."""
    next: list[str]
    """What to try, in order."""
    place: str = ""
    """Where on the path it is, as far as routers answer; empty if that is not known."""
    need: str = ""
    """Which need it is about (`tcp`, `udp`, `half-close`, `reset`, `idle`, `rate`); empty for what every application needs."""
    consequence: str = ""
    """What an application notices of it, and which middlebox is known to do that."""
    explains: list[str] = []
    """The failure classes, or whole checks, whose findings follow from it."""


class CheckPart(_Part):
    """One check of one target."""

    name: str
    question: str
    outcome: Outcome
    summary: str
    seconds: float
    remarks: list[str]
    findings: list[FindingPart]
    figures: dict[str, Figure]
    follows_from: str | None
    """The check whose result made this one meaningless."""
    earlier: str | None
    """When an interrupted run measured it; null for this run."""
    needs_server: bool = False
    """Whether it was skipped because it needs netduet-server beside the service."""
    notes: list[FindingPart] = []
    """What was found, and is needed by no application here."""


class TargetPart(_Part):
    """All checks of one target; `root` is the one finding the others follow from."""

    target: str
    expected: Expect
    found: Found
    how: str
    """How it is blocked, or what is wrong with it, in a few words."""
    outcome: Outcome
    interrupted: bool
    missing: list[str]
    """The checks that had not run when it was interrupted."""
    root: FindingPart | None
    root_check: str | None
    follows: list[str]
    checks: list[CheckPart]
    requested: list[str] = []
    """The checks that were requested by name; one that is skipped is no PASS."""
    needs: list[str] = []
    """What was required, as `--need` has it; empty if everything was."""
    unmet_needs: list[str] = []
    """The needs that were not tested; with one, the verdict is no PASS."""
    proxied: bool = False
    """Whether both ends saw a TCP proxy in between; looked for only where it matters."""
    client: str = ""
    """The container or pod that `netduet between` put the client into; empty for here."""


class ProbePart(_Part):
    """The client: its identity and location, and for how many seconds it was suspended or starved of CPU."""

    instance: str = ""
    """Its host's name: in Kubernetes the pod's, in other containers their id."""
    node: str = ""
    zone: str = ""

    stalls: int
    stalled_seconds: float
    throttled_seconds: float | None
    """Seconds for which a CPU limit throttled the client; null if unknown."""
    descriptors: int
    """Maximum number of open files of the client."""
    receive_buffer: int
    send_buffer: int
    """Bytes of a new UDP socket's buffers."""


class PairPart(_Part):
    """A pair of `netduet between`: what its targets mean together, and the evidence."""

    client: str
    service: str
    outcome: Outcome
    conclusion: str
    """The outcome in a sentence."""
    notes: list[str]
    path_targets: list[str]
    """The targets at which netduet-server answers, beside the service."""
    service_targets: list[str]
    """The ports of the service itself."""
    before: Snapshot | None
    """The namespace of the service before the pair came; null if it was not read."""
    after: Snapshot | None
    """The namespace of the service when all checks were done."""
    client_namespace: Snapshot | None


class ReportDocument(_Part):
    """What `netduet check --json` and `netduet between --json` print."""

    model_config = ConfigDict(title="Report")

    schema_version: int
    netduet: str
    outcome: Outcome
    exit_status: int
    targets: list[TargetPart]
    probe: ProbePart
    between: list[PairPart] = []
    """The pairs of `netduet between`; empty for `netduet check`."""


def document(
    verdicts: Sequence[Verdict],
    starvation: Starvation,
    client: Instance = UNKNOWN_INSTANCE,
) -> str:
    """Return the document as text, ending with a line break."""
    status = exit_status(verdicts)
    outcome = {0: Outcome.PASS, 1: Outcome.FAIL}.get(status, Outcome.INCONCLUSIVE)
    report = ReportDocument(
        schema_version=SCHEMA_VERSION,
        netduet=__version__,
        outcome=outcome,
        exit_status=status,
        targets=[_target(verdict) for verdict in verdicts],
        probe=ProbePart(
            instance=client.instance,
            node=client.node,
            zone=client.zone,
            stalls=starvation.stalls,
            stalled_seconds=round(starvation.stalled, 6),
            throttled_seconds=starvation.throttled,
            descriptors=starvation.descriptors,
            receive_buffer=starvation.receive_buffer,
            send_buffer=starvation.send_buffer,
        ),
    )
    return report.model_dump_json(by_alias=True, indent=2) + "\n"


def _target(verdict: Verdict) -> TargetPart:
    row = compare_expectation(verdict)
    return TargetPart(
        target=verdict.target,
        expected=row.expected,
        found=row.found,
        how=row.how,
        outcome=verdict.outcome,
        interrupted=verdict.interrupted,
        missing=list(verdict.missing),
        root=None if verdict.root is None else _finding(verdict.root),
        root_check=verdict.root_check,
        follows=list(verdict.follows),
        checks=[_check(result) for result in verdict.results],
        requested=list(verdict.requested),
        needs=list(verdict.requirements),
        unmet_needs=list(verdict.unmet_needs),
        proxied=verdict.proxied,
        client=verdict.client,
    )


def _check(result: CheckResult) -> CheckPart:
    return CheckPart(
        name=result.check,
        question=result.question,
        outcome=result.outcome,
        summary=result.summary,
        seconds=round(result.seconds, 6),
        remarks=list(result.remarks),
        findings=[_finding(finding) for finding in result.findings],
        figures=result.figures,
        follows_from=result.follows,
        earlier=result.earlier or None,
        needs_server=result.needs_server,
        notes=[_finding(note) for note in result.notes],
    )


def _finding(finding: Finding) -> FindingPart:
    known = local_catalogue()[finding.failure]
    return FindingPart(
        failure=finding.failure,
        outcome=finding.outcome,
        where=finding.where or known.where,
        title=known.title,
        seen=finding.seen,
        evidence=[
            EvidencePart(side=side, text=text) for side, text in finding.evidence
        ],
        figures=finding.figures,
        causes=list(finding.likely_causes(known)),
        next=list(known.next),
        place=finding.place,
        need=known.need,
        consequence=known.consequence,
        explains=list(finding.explains),
    )
