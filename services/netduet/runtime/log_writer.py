"""Writes lines without ever making their author wait.

Lines go to a bounded queue, and a thread writes many of them at once; what a stalled
reader leaves no room for is dropped and counted.
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

_BATCH: Final = 256
"""Lines that one system call writes at most."""

_GATHER: Final = 0.005
"""Seconds in which lines may gather, so that one call writes many."""

_PAUSE: Final = 0.05
"""Seconds between two tries to write where there is no room at the moment."""

_PASSING: Final = {errno.EAGAIN, errno.ENOSPC, errno.EDQUOT, errno.ENOBUFS}
"""Errors of a write that end by themselves: no room in the pipe, or on the disk."""


class LogWriter:
    """Writes lines to a descriptor from a thread of its own.

    ``dropped`` counts lines that found the queue full, or were left when the time to
    close was over; the latter are too many by what a stalled pipe took of the last
    write.
    """

    def __init__(
        self,
        descriptor: int,
        queue: int,
        confess: Callable[[int], bytes],
        ended: Callable[[], None],
    ) -> None:
        """Start the thread.

        Args:
            descriptor: what to write to.
            queue: how many lines may wait.
            confess: returns the line that says how many were dropped.
            ended: called by ``close`` when all is written.

        """
        self.dropped = 0
        self._descriptor = descriptor
        self._size = queue
        self._confess = confess
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

    def close(self, patience: float = 1.0) -> None:
        """Write what is queued, for at most ``patience`` seconds; count the rest.

        What was lost and not yet said is said on stderr, if that can be written to
        at once.
        """
        atexit.unregister(self.close)
        if self._closing.is_set():
            return
        self._closing.set()
        self._wanted.set()
        self._thread.join(patience)
        self._ended()
        self._size = 0
        self._drop(len(self._lines))
        lost = self.dropped - self._reported
        if lost:
            _last_words(b"netduet: %d log lines were lost: nobody read them\n" % lost)

    def _drop(self, count: int) -> None:
        with self._counting:
            self.dropped += count

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wanted.wait()
            self._closing.wait(_GATHER)
            self._wanted.clear()
            if not self._write_all():
                return
        self._write_all()

    def _write_all(self) -> bool:
        """Write until the queue is empty; return whether more can ever be written."""
        lines = self._lines
        while lines or self.dropped > self._reported:
            # Lines stay queued until they are written, so that close counts them.
            count = min(_BATCH, len(lines))
            data = [lines[index] for index in range(count)]
            lost = self.dropped - self._reported
            if lost:
                data.insert(0, self._confess(lost))
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
                if error.errno in _PASSING:
                    time.sleep(_PAUSE)  # a thread of its own: nobody else waits
                    continue
                # Whoever read has left (EPIPE): from here on, lines count as lost.
                self._size = 0
                while self._lines:  # one by one, for some are put at this moment
                    self._lines.popleft()
                    self._drop(1)
                return False
        return True


def _last_words(words: bytes) -> None:
    """Write to stderr, unless that would wait: a pipe that nobody reads, as well."""
    with contextlib.suppress(OSError):  # there is nowhere left to tell of it
        if select.select([], [2], [], 0)[1]:
            os.write(2, words)
