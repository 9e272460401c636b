"""Ends a process that can no longer serve, so that whatever started it starts another.

Nothing is sure to work after memory has run out: a callback that was lost may have been
the listener's. So the process says why, in one line, and exits.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from netduet.runtime.logs import LogWriter
    from netduet.server.counters import Counters
    from netduet.server.listener import Listener

EXIT_FAILED: Final = 70
"""Exit status of a server that could no longer serve (sysexits(3), EX_SOFTWARE)."""

_MAX_IDLE_CHECKS: Final = 3
"""Checks in a row in which connections wait and none is accepted.

One of them proves nothing: after a pause of the process, timers run before reads."""

_QUIET_CHECKS: Final = 60
"""Checks between two lines about exhausted descriptors."""

_RESERVE_BYTES: Final = 4 * 1024 * 1024
"""Bytes that are freed for the last line; until then no page of them is used."""

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE})


class FatalExit:
    """Logs why the process cannot go on, and ends it."""

    def __init__(self, log: FilteringBoundLogger, writer: LogWriter) -> None:
        """Keep some memory for the last line."""
        self._log = log
        self._writer = writer
        self._reserve: bytearray | None = bytearray(_RESERVE_BYTES)

    def out_of_memory(self) -> None:
        """End the process: an allocation failed."""
        self.end("out of memory")

    def end(self, reason: str) -> None:
        """End the process; does not return."""
        self._reserve = None
        try:
            with contextlib.suppress(BaseException):
                self._log.error("server.failed", **{"netduet.reason": reason})
            with contextlib.suppress(BaseException):
                self._writer.close()
        finally:
            os._exit(EXIT_FAILED)


class Watchdog:
    """Notices a listener that accepts nothing, and exhausted descriptors.

    An event loop may lose a listener without a word, after an accept that failed.
    """

    def __init__(
        self,
        log: FilteringBoundLogger,
        listener: Listener,
        counters: Counters,
        fail: Callable[[str], None],
    ) -> None:
        """Call ``fail`` with the reason when the listener is lost."""
        self._log = log
        self._listener = listener
        self._counters = counters
        self._fail = fail
        self._accepted = 0
        self._idle_checks = 0
        self._quiet_checks = 0

    def check(self) -> None:
        """Compare with the last call, a second ago."""
        exhausted = self._is_exhausted()
        is_idle = (
            self._listener.waiting > 0
            and self._counters.accepted == self._accepted
            and not exhausted
        )
        self._accepted = self._counters.accepted
        self._idle_checks = self._idle_checks + 1 if is_idle else 0
        if self._idle_checks >= _MAX_IDLE_CHECKS:
            self._fail("the listener accepts nothing")

    def _is_exhausted(self) -> bool:
        """Return whether no descriptor is free; say so now and then."""
        self._quiet_checks = max(0, self._quiet_checks - 1)
        try:
            os.close(os.dup(0))
        except OSError as error:
            if error.errno not in _EXHAUSTED:  # no standard input
                return False
        else:
            return False
        if not self._quiet_checks:
            self._quiet_checks = _QUIET_CHECKS
            self._log.warning("server.descriptors_exhausted")
        return True
