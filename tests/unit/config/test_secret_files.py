"""Secrets in files that a variable names."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from netduet.cli import commands
from netduet.config.load import Source, SourcePaths, load
from tests.unit.sample_settings import SampleSettings, empty_sources, error_lines

VARIABLE = "NETDUET_SAMPLE_TOKEN"
NAMED = f"{VARIABLE}_FILE"
CANARY = "canary-5f1d9a"


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SourcePaths:
    """Return sources without settings."""
    return empty_sources(monkeypatch, tmp_path)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Return a file that holds a secret."""
    path = tmp_path / "token file"
    path.write_text(f"{CANARY}\n")
    return path


def token(sources: SourcePaths, **flags: object) -> tuple[str, Source]:
    """Return the secret that is in force, and its source."""
    loaded = load(SampleSettings, flags, sources)
    assert loaded.settings.token is not None
    return loaded.settings.token.get_secret_value(), loaded.sources["token"]


@pytest.mark.parametrize("where", ["environment", ".env"])
def test_file_of_a_secret_is_read(
    monkeypatch: pytest.MonkeyPatch, sources: SourcePaths, secret: Path, where: str
) -> None:
    """The source names the variable and the file."""
    if where == ".env":
        sources.dotenv.write_text(f"{NAMED}={secret}\n")
    else:
        monkeypatch.setenv(NAMED, str(secret))
    assert token(sources) == (CANARY, Source("file", f"{NAMED}={secret}"))
    assert token(sources, token="flagged")[0] == "flagged"


@pytest.mark.parametrize(
    ("content", "value"),
    [("abcd", "abcd"), ("abcd\r\n", "abcd"), ("abcd\n\n", "abcd\n"), (" ab ", " ab ")],
)
def test_one_line_end_is_removed_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
    sources: SourcePaths,
    secret: Path,
    content: str,
    value: str,
) -> None:
    """An editor adds one; whatever else is there belongs to the secret."""
    secret.write_bytes(content.encode())
    monkeypatch.setenv(NAMED, str(secret))
    assert token(sources)[0] == value


@pytest.mark.parametrize("where", ["environment", ".env"])
def test_value_and_file_exclude_each_other(
    monkeypatch: pytest.MonkeyPatch, sources: SourcePaths, secret: Path, where: str
) -> None:
    """Both are named, wherever they are set, and the value is not."""
    monkeypatch.setenv(NAMED, str(secret))
    if where == ".env":
        sources.dotenv.write_text(f"{VARIABLE}={CANARY}\n")
    else:
        monkeypatch.setenv(VARIABLE, CANARY)
    both = f"{VARIABLE} and {NAMED} are both set: remove one of them"
    assert error_lines(sources) == [both]


def _remove(path: Path) -> None:
    path.unlink()


def _replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (_remove, "cannot be read: No such file or directory"),
        (_replace_by_folder, "cannot be read: Is a directory"),
        (_replace_by_pipe, "must be a regular file"),
        (lambda path: path.write_text(""), "the file is empty"),
        (lambda path: path.write_bytes(b"\xff"), "must be UTF-8"),
        (lambda path: path.write_text("x" * 70_000), "must have at most 65536 bytes"),
        (lambda path: path.write_text("xyz"), "********: must have at least 4"),
    ],
)
def test_unusable_file_is_a_one_line_error(
    monkeypatch: pytest.MonkeyPatch,
    sources: SourcePaths,
    secret: Path,
    spoil: Callable[[Path], object],
    problem: str,
) -> None:
    """It names the variable, the file and what is wrong, and not the secret."""
    spoil(secret)
    monkeypatch.setenv(NAMED, str(secret))
    [line] = error_lines(sources)
    assert line.startswith(f"{NAMED}={secret}: {problem}")
    assert "xyz" not in line


def test_file_is_for_secrets_alone(
    monkeypatch: pytest.MonkeyPatch, sources: SourcePaths
) -> None:
    """Such a variable of another setting is unknown, as before."""
    monkeypatch.setenv("NETDUET_SAMPLE_PORT_FILE", "/x")
    [line] = error_lines(sources)
    assert "NETDUET_SAMPLE_PORT_FILE: no setting has this name" in line


def test_secrets_are_masked_and_their_files_can_be_set_again(
    monkeypatch: pytest.MonkeyPatch,
    sources: SourcePaths,
    secret: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The mask is in a comment: nobody takes it for a value."""
    monkeypatch.setattr(commands, "_models", lambda: [SampleSettings])
    monkeypatch.setenv(NAMED, str(secret))
    commands.config_show()
    shown = capsys.readouterr().out
    assert CANARY not in shown
    assert f"# {VARIABLE}=********" in shown
    monkeypatch.delenv(NAMED)
    sources.dotenv.write_text(shown)
    assert token(sources)[0] == CANARY
