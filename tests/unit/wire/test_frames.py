"""Frames: the cost of the import, and how they are shown."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from netduet.wire import frames
from netduet.wire.errors import RemoteError
from netduet.wire.frames import MAGIC, Frame, Kind

SOURCE = Path(frames.__file__).parents[2]


def test_import_needs_only_cheap_standard_modules() -> None:
    """The health check imports nothing slow or third-party."""
    code = (
        f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n"
        "import netduet.wire.frames\nprint(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    dear = {"re", "typing", "dataclasses", "inspect", "unicodedata", "json", "pydantic"}
    assert loaded & dear == set()
    assert {name for name in loaded if name.startswith("netduet.wire.")} == {
        "netduet.wire.errors",
        "netduet.wire.frames",
    }


def test_magic_starts_no_text() -> None:
    """No UTF-8 text starts with the magic's first byte."""
    for second in range(256):
        with pytest.raises(UnicodeDecodeError) as caught:
            bytes([MAGIC[0], second]).decode()
        assert caught.value.start == 0


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (MAGIC.replace(b"\r\n", b"\n"), "its CR LF became LF"),
        (MAGIC.replace(b"\r", b"\n"), "its CR LF became LF"),
        (MAGIC.replace(b"\n", b"\r\n"), "its LF became CR LF"),
        (MAGIC.replace(b"\n", b""), "its LF was dropped"),
        (MAGIC.replace(b"\x1a", b""), "its Ctrl-Z was dropped"),
        (MAGIC.lower(), "its letters became lower case"),
        (MAGIC.replace(b"T", b"?"), "not by any text mode"),
    ],
    ids=repr,
)
def test_text_conversions_are_named(changed: bytes, named: str) -> None:
    """Each text conversion of the magic is recognised."""
    with pytest.raises(RemoteError, match=named):
        frames.judge_magic(changed)


@pytest.mark.parametrize(
    ("frame", "shown"),
    [
        (Frame(Kind.ECHO, 0, 7, b"hi"), "ECHO id=7 2 B hi"),
        (Frame(Kind.END, 1, 0, b""), "END answer id=0 0 B"),
        (Frame(99, 0, 1, b"\x1b[2J\r\n"), r"KIND-99 id=1 6 B \x1b[2J\r\n"),
        (Frame(16, 0, 1, b"a" * 65), f"ECHO id=1 65 B {'a' * 64}…"),
    ],
)
def test_frame_is_shown_in_a_safe_line(frame: Frame, shown: str) -> None:
    """The text of a frame is bounded and escaped."""
    assert str(frame) == shown
