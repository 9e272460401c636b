"""What an interrupted run has done, in a file, for the run that goes on from there.

The file is written anew after each check, beside the old one, and takes its place
in one step (rename(2)): whenever the run ends, a whole file is there. It is a
by-product, like the part of a file that rsync --partial-dir keeps: a run that is
complete removes it, so that the same command asks everything anew the next time.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from netduet.client.checks import CHECKS
from netduet.client.checks.catalogue import CATALOGUE
from netduet.client.results.verdict import CheckResult, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_FILE_BYTES: Final = 16 * 1024 * 1024
"""Bytes of a file that is read at all."""

_DONE: Final = frozenset({Outcome.PASS, Outcome.FAIL})
_NEEDED: Final = frozenset(need for check in CHECKS for need in check.needs)


class CompletedCheck(BaseModel):
    """A check that is done: of the target of this number, when (RFC 3339)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: int
    at: str
    result: CheckResult


class Record(BaseModel):
    """The file. ``run`` is all that the next run must have in common with this one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["netduet resume"] = "netduet resume"
    run: dict[str, str]
    done: tuple[CompletedCheck, ...] = ()


class Checkpoint:
    """What is done, as the file has it and as it grows."""

    def __init__(self, path: Path, run: Mapping[str, str]) -> None:
        """Read the file, or begin one.

        Raises:
            ValueError: it cannot be read or written, or is of another run; the
                message says what to do, in a line.

        """
        self._path = path
        self._record = Record(run=dict(run))
        self.write_error = ""
        """Why the file could not be written, when it could not."""
        text = self._read()
        if text.strip():
            self._record = self._parse(text)
        self._write()
        if self.write_error:
            raise self._error(f"cannot be written: {self.write_error}")

    @property
    def path(self) -> str:
        """The name of the file."""
        return str(self._path)

    def for_target(self, target: int) -> TargetCheckpoint:
        """Return what is done of the target of this number."""
        done = self._record.done
        earlier = {
            completed_check.result.check: completed_check.result
            for completed_check in done
            if completed_check.target == target
        }
        return TargetCheckpoint(self, target, earlier)

    def save(self, target: int, result: CheckResult) -> None:
        """Remember a result that is worth it; never raises.

        What other checks stand on is always measured anew, and so is what had no
        verdict.
        """
        if result.outcome not in _DONE or result.check in _NEEDED:
            return
        at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        done = CompletedCheck(target=target, at=at, result=result)
        self._record = Record(run=self._record.run, done=(*self._record.done, done))
        self._write()

    def complete(self) -> None:
        """Remove the file: nothing is left to go on with."""
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _read(self) -> str:
        try:
            if not self._path.exists():
                return ""
            if not self._path.is_file() or self._path.stat().st_size > MAX_FILE_BYTES:
                raise self._wrong_file_error()
            return self._path.read_text("utf-8")
        except OSError as error:
            raise self._error(f"cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise self._wrong_file_error() from None

    def _parse(self, text: str) -> Record:
        try:
            record = Record.model_validate_json(text)
        except ValidationError:
            raise self._wrong_file_error() from None
        other = {
            name: (recorded, current)
            for name, current in self._record.run.items()
            if (recorded := record.run.get(name, "none")) != current
        }
        if other:
            [(name, (recorded, current)), *_] = other.items()
            raise self._error(
                f"is of another run: its {name} is {recorded}, not {current}; "
                "remove it, or name another file"
            )
        known = {check.name for check in CHECKS}
        for completed_check in record.done:
            classes = {finding.failure for finding in completed_check.result.findings}
            if (
                completed_check.result.check not in known
                or not classes <= CATALOGUE.keys()
            ):
                raise self._wrong_file_error()
        return Record(
            run=record.run,
            done=tuple(
                completed_check.model_copy(
                    update={"result": _with_time(completed_check)}
                )
                for completed_check in record.done
            ),
        )

    def _write(self) -> None:
        """Put the new file in the place of the old one; remember why that failed."""
        text = self._record.model_dump_json(indent=1) + "\n"
        name = ""
        try:
            descriptor, name = tempfile.mkstemp(
                prefix=f".{self._path.name}.", dir=self._path.parent
            )
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                # No fsync: it would hold up what is being measured meanwhile.
                file.write(text)
            Path(name).replace(self._path)
        except OSError as error:
            self.write_error = error.strerror or str(error)
            if name:
                with contextlib.suppress(OSError):
                    Path(name).unlink()
        else:
            self.write_error = ""

    def _wrong_file_error(self) -> ValueError:
        return self._error("holds no run of netduet's; name another file")

    def _error(self, reason: str) -> ValueError:
        return ValueError(f"resume {self._path}: {reason}")


@dataclass(frozen=True, slots=True)
class TargetCheckpoint:
    """What is done of one target: ``earlier`` are the results of before, by check."""

    resume: Checkpoint
    target: int
    earlier: Mapping[str, CheckResult]

    def save(self, result: CheckResult) -> None:
        """Remember a result of this run."""
        self.resume.save(self.target, result)


def _with_time(completed_check: CompletedCheck) -> CheckResult:
    """Return a result that says when it was had."""
    return replace(completed_check.result, earlier=completed_check.at)
