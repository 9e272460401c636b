"""Runs the work of a command until it ends or a signal comes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Coroutine


class SignalScope:
    """Runs coroutines until SIGTERM or SIGINT; after a signal, none is started.

    Even a short command needs the handlers: as PID 1 of a container, Python ignores
    SIGTERM without one.
    """

    def __init__(self) -> None:
        """Handle both signals from now on."""
        self.stopped = False
        self._task: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)

    async def run(self, work: Coroutine[None, None, None]) -> None:
        """Run a coroutine until it ends or a signal arrives."""
        self._task = asyncio.ensure_future(work)
        if self.stopped:
            self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def _stop(self) -> None:
        self.stopped = True
        if self._task is not None:
            self._task.cancel()
