"""The file from which a run continues after an interruption (``--resume``).

The file is replaced atomically after each check (rename(2)), so it is always complete.
A run that completes removes it, so that the same command starts over.
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
"""Largest file that is read."""

_DONE: Final = frozenset({Outcome.PASS, Outcome.FAIL})
_NEEDED: Final = frozenset(need for check in CHECKS for need in check.needs)


class CompletedCheck(BaseModel):
    """A completed check: of which target (a number), and when (RFC 3339)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: int
    at: str
    result: CheckResult


class CheckpointRecord(BaseModel):
    """The content of the file. ``run`` must be equal in the run that continues."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["netduet resume"] = "netduet resume"
    run: dict[str, str]
    done: tuple[CompletedCheck, ...] = ()


class Checkpoint:
    """The completed checks, kept in a file."""

    def __init__(self, path: Path, run: Mapping[str, str]) -> None:
        """Read the file, or create it.

        Raises:
            ValueError: it cannot be read or written, or belongs to another run; the
                message is one line and says what to do.
        """
        self._path = path
        self._record = CheckpointRecord(run=dict(run))
        self.write_error = ""
        """Why the file could not be written, "" if it could."""
        text = self._read()
        if text.strip():
            self._record = self._parse_record(text)
        self._write()
        if self.write_error:
            raise self._error(f"cannot be written: {self.write_error}")

    @property
    def path(self) -> str:
        """The path of the file."""
        return str(self._path)

    def for_target(self, target: int) -> TargetCheckpoint:
        """Return the completed checks of a target."""
        earlier = {
            done.result.check: replace(done.result, earlier=done.at)
            for done in self._record.done
            if done.target == target
        }
        return TargetCheckpoint(self, target, earlier)

    def save(self, target: int, result: CheckResult) -> None:
        """Save a result; never raises.

        Checks that others need are always measured again, and so are those without a
        verdict.
        """
        if result.outcome not in _DONE or result.check in _NEEDED:
            return
        at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        done = CompletedCheck(target=target, at=at, result=result)
        self._record = CheckpointRecord(
            run=self._record.run, done=(*self._record.done, done)
        )
        self._write()

    def complete(self) -> None:
        """Remove the file and all results: another attempt measures everything again."""
        self._record = CheckpointRecord(run=self._record.run)
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

    def _parse_record(self, text: str) -> CheckpointRecord:
        try:
            record = CheckpointRecord.model_validate_json(text)
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
                f"belongs to another run: its {name} is {recorded}, not {current}; "
                "remove it, or use another file"
            )
        known = {check.name for check in CHECKS}
        for completed_check in record.done:
            classes = {finding.failure for finding in completed_check.result.findings}
            if (
                completed_check.result.check not in known
                or not classes <= CATALOGUE.keys()
            ):
                raise self._wrong_file_error()
        return record

    def _write(self) -> None:
        """Replace the file; keep the error if that fails."""
        text = self._record.model_dump_json(indent=1) + "\n"
        name = ""
        try:
            descriptor, name = tempfile.mkstemp(
                prefix=f".{self._path.name}.", dir=self._path.parent
            )
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                # No fsync: it would delay what is being measured meanwhile.
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
        return self._error("is not a netduet run; use another file")

    def _error(self, reason: str) -> ValueError:
        return ValueError(f"resume {self._path}: {reason}")


@dataclass(frozen=True, slots=True)
class TargetCheckpoint:
    """The completed checks of one target; ``earlier`` are those of earlier runs."""

    resume: Checkpoint
    target: int
    earlier: Mapping[str, CheckResult]

    def save(self, result: CheckResult) -> None:
        """Remember a result of this run."""
        self.resume.save(self.target, result)
