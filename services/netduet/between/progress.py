"""A line on the terminal that says what is being done, and for how long."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Final, Self

from netduet.client.report.terminal import columns, erasable

_INTERVAL_SECONDS: Final = 0.5
_CLEAR: Final = "\x1b[K"
"""Erases to the end of the line (ECMA-48, EL)."""


class ProgressLine:
    """Shows the current step on a terminal; nothing elsewhere."""

    def __init__(self, *, shown: bool) -> None:
        """Prepare; ``shown`` is False when the output is a document."""
        self._shown = shown and erasable()
        self._step, self._since = "", time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._repeat, daemon=True)

    def say(self, step: str) -> None:
        """Say what is being done from now on."""
        self._step, self._since = step, time.monotonic()

    def __enter__(self) -> Self:
        if self._shown:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._shown:
            self._thread.join()
            sys.stdout.write(f"\r{_CLEAR}")
            sys.stdout.flush()

    def _repeat(self) -> None:
        while not self._over.wait(_INTERVAL_SECONDS):
            if self._step:
                seconds = time.monotonic() - self._since
                line = f"  … {self._step}, {seconds:.0f} s"[: columns() - 1]
                sys.stdout.write(f"{line}{_CLEAR}\r")
                sys.stdout.flush()
