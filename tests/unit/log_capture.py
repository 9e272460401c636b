"""What logging writes to a real descriptor during an action."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import structlog

from netduet.runtime import logs

FIELDS = {"service.name": "sample", "service.instance.id": "서버-1"}


@contextlib.contextmanager
def logging_to(descriptor: int, **changes: Any) -> Iterator[None]:
    """Log to a descriptor; all is written, and all hooks are gone, afterwards."""
    chosen: dict[str, Any] = {"level": "info", "style": "auto", "queue": 1000}
    writer = logs.start(descriptor, **{"fields": FIELDS} | chosen | changes)
    try:
        yield
    finally:
        writer.close(10.0)
        structlog.reset_defaults()


def logged_bytes(act: Callable[[], object], **changes: Any) -> list[bytes]:
    """Return what is logged to a file while ``act`` runs: whole lines, as bytes."""
    descriptor = os.memfd_create("log")
    try:
        with logging_to(descriptor, **changes):
            act()
        data = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    finally:
        os.close(descriptor)
    assert not data or data.endswith(b"\n")
    return data.split(b"\n")[:-1]


def logged_lines(act: Callable[[], object], **changes: Any) -> list[dict[str, Any]]:
    """Return what is logged while ``act`` runs, as the fields of each line."""
    return [json.loads(line) for line in logged_bytes(act, **changes)]
