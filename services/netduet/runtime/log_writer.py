"""Writes log lines without blocking the caller.

Lines go to a bounded queue, and a thread writes many of them at once. Lines that find
the queue full, because the reader is slow, are dropped and counted.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

_MAX_LINES: Final = 256
"""Maximum lines per system call."""

_GATHER_SECONDS: Final = 0.005
"""Seconds to wait for more lines, so that one call writes many."""

_RETRY_SECONDS: Final = 0.05
"""Seconds between two attempts to write while there is no room."""

_TEMPORARY_ERRORS: Final = {errno.EAGAIN, errno.ENOSPC, errno.EDQUOT, errno.ENOBUFS}
"""Errors of a write that may pass: no room in the pipe, or on the disk."""


class LogWriter:
    """Writes lines to a descriptor from its own thread.

    ``dropped`` counts lines that found the queue full, or were left when the time to
    close was over; the latter may include part of the last write to a stalled pipe.
    """

    def __init__(
        self,
        descriptor: int,
        queue: int,
        dropped_line: Callable[[int], bytes],
        ended: Callable[[], None],
    ) -> None:
        """Start the thread; ``queue`` bounds the lines that wait.

        ``dropped_line`` returns the line that reports so many dropped lines; ``ended``
        is called by ``close`` when everything is written.
        """
        self.dropped = 0
        self._descriptor = descriptor
        self._size = queue
        self._dropped_line = dropped_line
        self._ended = ended
        self._lines: deque[bytes] = deque()
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._counting = threading.Lock()
        self._reported = 0
        self._thread = threading.Thread(
            target=self._run, name="log-writer", daemon=True
        )
        self._thread.start()
        atexit.register(self.close)

    def put(self, line: bytes) -> None:
        """Queue a line; never waits."""
        if len(self._lines) >= self._size:
            self._drop(1)
            return
        self._lines.append(line)
        if not self._wanted.is_set():
            self._wanted.set()

    def close(self, timeout: float = 1.0) -> None:
        """Write what is queued, for at most ``timeout`` seconds; count the rest.

        Dropped lines that were not reported yet are reported on stderr, unless that
        would block.
        """
        atexit.unregister(self.close)
        if self._closing.is_set():
            return
        self._closing.set()
        self._wanted.set()
        self._thread.join(timeout)
        self._ended()
        self._size = 0
        self._drop(len(self._lines))
        lost = self.dropped - self._reported
        if lost:
            _write_stderr(b"netduet: %d log lines were lost: nobody read them\n" % lost)

    def _drop(self, count: int) -> None:
        with self._counting:
            self.dropped += count

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wanted.wait()
            self._closing.wait(_GATHER_SECONDS)
            self._wanted.clear()
            if not self._write_all():
                return
        self._write_all()

    def _write_all(self) -> bool:
        """Write until the queue is empty; return False once writing is impossible."""
        lines = self._lines
        while lines or self.dropped > self._reported:
            # Lines stay queued until they are written, so that ``close`` can count
            # them.
            count = min(_MAX_LINES, len(lines))
            data = [lines[index] for index in range(count)]
            lost = self.dropped - self._reported
            if lost:
                data.insert(0, self._dropped_line(lost))
            if not self._write(b"".join(data)):
                return False
            self._reported += lost
            for _ in range(count):
                lines.popleft()
        return True

    def _write(self, data: bytes) -> bool:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except OSError as error:
                if error.errno in _TEMPORARY_ERRORS:
                    time.sleep(_RETRY_SECONDS)  # only this thread waits
                    continue
                # The reader is gone (EPIPE): count all further lines as dropped.
                self._size = 0
                while self._lines:  # one at a time, because other threads still append
                    self._lines.popleft()
                    self._drop(1)
                return False
        return True


def _write_stderr(words: bytes) -> None:
    """Write to stderr, unless that would block (a full pipe)."""
    with contextlib.suppress(OSError):  # no other place to report it
        if select.select([], [2], [], 0)[1]:
            os.write(2, words)
