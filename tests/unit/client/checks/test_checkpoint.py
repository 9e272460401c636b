"""The file that holds the results of an interrupted run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from netduet.client.checks.checkpoint import Checkpoint
from netduet.client.results.verdict import (
    CheckResult,
    Finding,
    Judgement,
    Outcome,
    result,
    skipped_because_of,
)
from netduet.net.time_span import TimeSpan

RUN = {"version": "1", "targets": "a:1=open", "profile": "soak"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where the file may be, in a folder that holds nothing else."""
    folder = tmp_path / "kept"
    folder.mkdir()
    return folder / "run"


def done(check: str, *findings: Finding) -> CheckResult:
    """Return a result with all that a result may hold."""
    judgement = Judgement("s", findings, ("a remark",), {"lost": 1, "share": 0.5})
    return result(check, "?", judgement, 1.5, lambda *_: 0.0)


def test_saved_result_is_restored(file: Path) -> None:
    """A result is restored unchanged, with the time at which it was measured."""
    good = done("udp", Finding("udp.loss", "s", missed_deadline=TimeSpan(1.0, 2.0)))
    Checkpoint(file, RUN).for_target(1).save(good)
    parts = Checkpoint(file, RUN)
    assert dict(parts.for_target(0).earlier) == {}
    [(name, back)] = parts.for_target(1).earlier.items()
    assert name == "udp"
    assert back.earlier.endswith("Z")
    assert (
        CheckResult(
            **{f: getattr(back, f) for f in CheckResult.__slots__} | {"earlier": ""}
        )
        == good
    )


@pytest.mark.parametrize(
    "check_result",
    [
        done("reach"),
        done("identity"),
        skipped_because_of("udp", "?", "reach"),
        CheckResult("udp", "?", Outcome.SKIP, "no"),
        done("udp", Finding("udp.loss", "s", outcome=Outcome.INCONCLUSIVE)),
    ],
)
def test_prerequisites_and_skipped_checks_are_not_saved(
    file: Path, check_result: CheckResult
) -> None:
    """Checks that others require, and those without a verdict, are run again."""
    resume = Checkpoint(file, RUN)
    resume.save(0, check_result)
    assert dict(Checkpoint(file, RUN).for_target(0).earlier) == {}


def test_file_is_replaced_atomically_and_removed_at_the_end(file: Path) -> None:
    """Each result replaces the whole file; after the last check it is removed."""
    resume = Checkpoint(file, RUN)
    for number, name in enumerate(("path", "close", "udp"), 1):
        resume.save(0, done(name))
        assert len(json.loads(file.read_text())["done"]) == number
        assert [path.name for path in file.parent.iterdir()] == ["run"]
    resume.complete()
    assert list(file.parent.iterdir()) == []


def test_attempt_after_a_complete_one_measures_again(file: Path) -> None:
    """With ``--wait``, a failure of the last attempt must not decide the next one."""
    resume = Checkpoint(file, RUN)
    resume.save(0, done("udp"))
    resume.complete()
    assert dict(resume.for_target(0).earlier) == {}


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"version": "2"}, "its version is 1, not 2"),
        ({"targets": "b:1=open"}, "its targets is a:1=open, not b:1=open"),
        ({"profile": "full"}, "its profile is soak, not full"),
        ({"more": "x"}, "its more is none, not x"),
    ],
)
def test_file_of_another_run_is_refused_and_kept(
    file: Path, other: dict[str, str], reason: str
) -> None:
    """The error says what differs and what to do."""
    Checkpoint(file, RUN).save(0, done("udp"))
    before = file.read_text()
    with pytest.raises(ValueError, match="belongs to another run") as caught:
        Checkpoint(file, RUN | other)
    reason = f"resume {file}: belongs to another run: {reason}; remove it, or use another file"
    assert str(caught.value) == reason
    assert file.read_text() == before


def edited(**changes: Any) -> str:
    """Return a file with a result that has been changed by hand."""
    result_ = {"check": "udp", "question": "?", "outcome": "PASS", "summary": "s"}
    entry = {"target": 0, "at": "2026", "result": result_ | changes}
    return json.dumps({"kind": "netduet resume", "run": RUN, "done": [entry]})


@pytest.mark.parametrize(
    "text",
    [
        "root:x:0:0:root:/root:/bin/sh\n",
        "{}",
        "[]",
        '{"kind": "netduet resume"}',
        edited(check="nothing"),
        edited(outcome="GOOD"),
        edited(findings=[{"failure": "no.class", "seen": "s"}]),
    ],
)
def test_foreign_file_is_refused_and_kept(file: Path, text: str) -> None:
    """A file that is no checkpoint is never overwritten."""
    file.write_text(text)
    with pytest.raises(ValueError, match="is not a netduet run"):
        Checkpoint(file, RUN)
    assert file.read_text() == text


def test_binary_files_and_folders_are_refused(file: Path) -> None:
    """A file that is not text is no checkpoint."""
    file.write_bytes(b"\xff\xfe")
    for path in (file, file.parent):
        with pytest.raises(ValueError, match="is not a netduet run"):
            Checkpoint(path, RUN)


def test_empty_file_is_a_new_run(file: Path) -> None:
    """An empty file, as mktemp makes, is accepted."""
    file.touch()
    Checkpoint(file, RUN).save(0, done("udp"))
    assert list(Checkpoint(file, RUN).for_target(0).earlier) == ["udp"]


def test_unwritable_path_fails_at_start(file: Path) -> None:
    """An unwritable path is reported before the run, not after hours."""
    with pytest.raises(ValueError, match="cannot be written: No such file"):
        Checkpoint(file.parent / "none/run", RUN)


def test_later_write_error_does_not_stop_the_run(file: Path) -> None:
    """The error is kept for the end, and cleared if a later write succeeds."""
    resume = Checkpoint(file, RUN)
    file.unlink()
    file.parent.rmdir()
    resume.save(0, done("udp"))
    assert resume.write_error == "No such file or directory"
    file.parent.mkdir()
    resume.save(0, done("close"))
    assert resume.write_error == ""
    assert list(Checkpoint(file, RUN).for_target(0).earlier) == ["udp", "close"]
