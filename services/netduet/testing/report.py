"""A typed report of a check, with assertions for tests."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Self

from pydantic import PrivateAttr

from netduet.client.checks.catalogue import CATALOGUE, current_name
from netduet.client.report import json_reader, json_report, text
from netduet.client.results.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netduet.client.report.json_report import CheckPart, FindingPart


class InconclusiveError(AssertionError):
    """Nothing is proven: neither PASS nor a failure of the network."""


class Report(json_report.ReportDocument):
    """What `netduet check --json` printed; ``str`` of it is what a person reads.

    Its fields are those of docs/report.schema.json. Times are seconds, sizes bytes.
    """

    _requested: tuple[str, ...] = PrivateAttr(default=())

    @classmethod
    def read(cls, text: str | bytes, asked: Iterable[str] = ()) -> Self:
        """Return the report that a client printed; fields of a later one are ignored.

        ``asked`` are the checks that were asked for by name.

        Raises:
            ValueError: the text is no report, or one of another schema version.

        """
        report = cls.model_validate_json(text, extra="ignore")
        if report.schema_version != json_report.SCHEMA_VERSION:
            raise ValueError(
                f"the report has schema version {report.schema_version}, but this "
                f"netduet.testing reads version {json_report.SCHEMA_VERSION}: use the "
                "image and the package of the same version"
            )
        report._requested = tuple(asked)
        return report

    @property
    def checks(self) -> dict[str, CheckPart]:
        """The checks of the target, by name, in their order."""
        return {
            check_part.name: check_part
            for target in self.targets
            for check_part in target.checks
        }

    @property
    def root(self) -> FindingPart | None:
        """The one finding that the others follow from; None when nothing was found."""
        return next(
            (
                target_part.root
                for target_part in self.targets
                if target_part.root is not None
            ),
            None,
        )

    @property
    def failures(self) -> list[FindingPart]:
        """All that is wrong, in the order of the checks."""
        return [
            finding_part
            for finding_part in self._findings()
            if finding_part.outcome is Outcome.FAIL
        ]

    @property
    def notes(self) -> list[FindingPart]:
        """What was found and is needed by no application here."""
        return [
            note
            for target in self.targets
            for check in target.checks
            for note in check.notes
        ]

    def __str__(self) -> str:
        """Return what a person reads on a terminal, without colours."""
        verdicts = json_reader.verdicts(self)
        lines = text.everything(verdicts, json_reader.known(self))
        return "\n".join(text.plain(line) for line in lines)

    def assert_ok(self) -> None:
        """Pass when the network does what is needed, and all of that was tested.

        That includes the checks that were asked for by name. Notes are no failures.

        Raises:
            InconclusiveError: it could not be determined; the message says what to do.
            AssertionError: it does not; the message is the diagnosis.

        """
        __tracebackhide__ = True
        if self.outcome is Outcome.FAIL:
            raise AssertionError(self._diagnosis())
        if self.outcome is not Outcome.PASS:
            raise InconclusiveError(self._inconclusive())
        for name in self._requested:
            check_part = self.checks.get(name)
            if check_part is not None and check_part.outcome is Outcome.SKIP:
                raise InconclusiveError(
                    f"the {name} check was requested but did not run: "
                    f"{check_part.summary}\n\n{self}"
                )

    def assert_fails(self, failure: str) -> FindingPart:
        """Pass when a finding of this class was made; return the first such finding.

        For tests that break something on purpose: ``size.black_hole``. An older name of
        a class is accepted too.

        Raises:
            InconclusiveError: it, or whether it exists, could not be determined.
            AssertionError: it was not found; the message says what was instead.
            ValueError: there is no such class.

        """
        __tracebackhide__ = True
        for finding_part in self.failures:
            if current_name(finding_part.failure) == current_name(failure):
                return finding_part
        if current_name(failure) not in CATALOGUE:
            close = difflib.get_close_matches(failure, CATALOGUE, 1)
            remedy = f"did you mean {close[0]}?" if close else "see docs/checks.md"
            raise ValueError(f"{failure!r}: no such failure class: {remedy}")
        if self.outcome is Outcome.INCONCLUSIVE:
            raise InconclusiveError(f"{failure} expected: {self._inconclusive()}")
        found = ", ".join(
            dict.fromkeys(finding_part.failure for finding_part in self.failures)
        )
        instead = f"only {found} was found" if found else "nothing was found"
        if any(
            current_name(note.failure) == current_name(failure) for note in self.notes
        ):
            instead = "it is a note: no stated need is about it (see need)"
        raise AssertionError(f"{failure} expected, but {instead}\n\n{self}")

    def _findings(self) -> list[FindingPart]:
        return [
            finding
            for target in self.targets
            for check in target.checks
            for finding in check.findings
        ]

    def _diagnosis(self) -> str:
        """Return the verdict first: a test summary shows only the first line."""
        known = json_reader.known(self)
        parts = []
        for verdict in json_reader.verdicts(self):
            lines = [text.plain(line) for line in text.verdict(verdict, known)]
            parts.append("\n".join(lines).strip("\n"))
            rows = text.rows(verdict.results, known=known)
            checks = [*text.heading(verdict.label), *rows]
            parts.append("\n".join(text.plain(line) for line in checks))
        return "\n\n".join(parts)

    def _inconclusive(self) -> str:
        if any(target_part.interrupted for target_part in self.targets):
            advice = "the client was stopped before it finished: run it again"
        elif any(target_part.unmet_needs for target_part in self.targets):
            advice = "a need was not proven: the verdict names it"
        elif self._findings():
            advice = (
                "one end was suspended or starved of CPU while it waited, or the cause cannot be "
                "determined from this end: run it again with spare CPU, with fewer "
                "tests in parallel"
            )
        else:
            advice = "a check that others depend on was skipped: its line says why"
        return f"INCONCLUSIVE, not PASS: {advice}\n\n{self._diagnosis()}"
