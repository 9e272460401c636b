"""Runs the work of a command until it ends or a signal comes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, Final

from netduet.client.commands.setup import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Coroutine

MAX_STOP_SECONDS: Final = 5.0
"""Seconds after a signal when the process exits, whatever it waits for."""

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class SignalScope:
    """Runs coroutines until SIGTERM or SIGINT; after a signal, none is started.

    A second signal ends the process at once, and so does time: nothing that a peer or
    a defect of ours holds up may keep a person waiting. Even a short command needs the
    handlers: as PID 1 of a container, Python ignores SIGTERM without one.
    """

    def __init__(self) -> None:
        """Handle both signals from now on."""
        self.stopped = False
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            # Not by the loop: it may be blocked, and its end would take the handlers.
            signal.signal(number, self._handle)

    async def run(self, work: Coroutine[None, None, None]) -> None:
        """Run a coroutine until it ends or a signal arrives."""
        self._task = asyncio.ensure_future(work)
        if self.stopped:
            self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def _handle(self, *_: object) -> None:
        if self.stopped:
            _leave()
        self.stopped = True
        last_resort = threading.Timer(MAX_STOP_SECONDS, _leave)
        last_resort.daemon = True
        last_resort.start()
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()


def _leave() -> None:
    os._exit(INTERRUPTED)
