"""A pipe for a log writer, with a reader that the test controls."""

from __future__ import annotations

import contextlib
import os
import re
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator

from netduet.runtime.log_writer import LogWriter

TIMEOUT_SECONDS = 10.0
QUEUE_LINES = 10
OVERSIZED_LINE = b"x" * 100_000 + b"\n"
"""More than a pipe holds: its write fills the pipe, and is not over."""


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)  # what is asked knows of no event


def numbered_lines(count: int) -> list[bytes]:
    """Return different lines."""
    return [b"line %d of many, to be told apart\n" % number for number in range(count)]


def read_all(descriptor: int) -> bytes:
    """Return all data until no writer has the pipe open."""
    pieces = []
    while piece := os.read(descriptor, 65536):
        pieces.append(piece)
    return b"".join(pieces)


def reported_drops(data: bytes) -> list[int]:
    """Return the count in each line about dropped lines."""
    return [int(count) for count in re.findall(rb"^dropped (\d+)$", data, re.MULTILINE)]


class LogPipe:
    """A pipe, a log writer on it, and its output."""

    def __init__(self) -> None:
        """Open it."""
        self.reader, self.writer = os.pipe()
        self.exits = 0
        self.log: LogWriter | None = None

    def start(self, queue: int = QUEUE_LINES) -> LogWriter:
        """Start to write to it."""
        self.log = LogWriter(self.writer, queue, b"dropped %d\n".__mod__, self._ended)
        return self.log

    def stall(self) -> None:
        """Write a line that nobody reads: the pipe is full, and a line waits."""
        assert self.log is not None
        self.log.put(OVERSIZED_LINE)
        wait_until(lambda: not select.select([], [self.writer], [], 0)[1])

    @contextlib.contextmanager
    def full_disk(self) -> Iterator[None]:
        """Make the pipe a full disk for a while."""
        kept = os.dup(self.writer)
        disk = os.open("/dev/full", os.O_WRONLY)
        os.dup2(disk, self.writer)
        os.close(disk)
        try:
            yield
        finally:
            os.dup2(kept, self.writer)
            os.close(kept)

    def is_writing(self) -> bool:
        """Return whether the log's thread is in a write."""
        assert self.log is not None
        frame = sys._current_frames().get(self.log._thread.ident or 0)
        return frame is not None and frame.f_code is LogWriter._write.__code__

    def close_log(self) -> bytes:
        """Close the log while everything is read; return what was read."""
        assert self.log is not None
        found: list[bytes] = []
        thread = threading.Thread(target=lambda: found.append(read_all(self.reader)))
        thread.start()
        self.log.close(TIMEOUT_SECONDS)
        os.close(self.writer)
        thread.join(TIMEOUT_SECONDS)
        return found[0]

    def close(self) -> None:
        """End the writer's thread, and close what is open."""
        with contextlib.suppress(OSError):
            os.close(self.reader)  # a thread that waits to write hears of it
        if self.log is not None:
            self.log.close(0)
            self.log._thread.join(TIMEOUT_SECONDS)
            assert not self.log._thread.is_alive()
        with contextlib.suppress(OSError):
            os.close(self.writer)

    def _ended(self) -> None:
        self.exits += 1
