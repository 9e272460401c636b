"""Tries whether a UDP stream from another port is answered."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import TYPE_CHECKING, Final

from netduet.client.net.dial import in_thread
from netduet.client.net.udp_socket import UdpSocket
from netduet.client.outages.loss_tracker import LossTracker
from netduet.client.outages.udp_probe import UdpProbe

if TYPE_CHECKING:
    from netduet.client.net.dial import Address

RING_SIZE: Final = 4096
"""Datagrams whose time of sending is remembered: 32 KiB per peer."""

_TRIAL_SECONDS: Final = 1.0


class NewPortTrial:
    """The trials of one peer: at most one at a time, and not too often."""

    def __init__(self, address: Address, period: float, pause_seconds: float) -> None:
        """Prepare; ``period`` is the stream's, ``pause_seconds`` lie between trials."""
        self._address = address
        self._period = period
        self._pause_seconds = pause_seconds
        self._task: asyncio.Task[bool] | None = None
        self._started = float("-inf")

    def update(self, now: float) -> bool:
        """Start a trial if one is due; return, once, whether one was answered."""
        task = self._task
        if task is None:
            if now - self._started >= self._pause_seconds:
                self._started = now
                call = partial(is_answered_from_new_port, self._address, self._period)
                self._task = asyncio.create_task(in_thread(call))
            return False
        if not task.done():
            return False
        self._task = None
        return not task.exception() and task.result()

    def close(self) -> None:
        """Give up a running trial."""
        if self._task is not None:
            self._task.cancel()


def is_answered_from_new_port(address: Address, period: float) -> bool:
    """Return whether a stream from a new port is answered. Blocks for a second or two.

    Raises:
        OSError: no socket, or no route.
    """
    with UdpSocket(address) as sock:
        trial = UdpProbe(sock, period, lambda _: None, LossTracker(period, RING_SIZE))
        trial.run(_TRIAL_SECONDS, threading.Event())
        return trial.tracker.last_arrival is not None
