"""Connecting from several source ports, so that a single dead flow decides nothing."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from netduet.client.net.dial import (
    Address,
    Cause,
    ConnectResult,
    connect,
    errno_meaning,
)
from netduet.client.net.source_ports import spread_ports

MAX_ATTEMPTS: Final = 12
"""Source ports from which a connection is attempted.

If every second path is dead, all of them are dead in 1 of 4,096 races."""

FIRST_WAIT_SECONDS: Final = 0.4
"""Seconds without an answer after which a second port is tried."""

NEXT_WAIT_SECONDS: Final = 0.15
"""Seconds between the further ports."""

_NO_ANSWER: Final = "no response in time"


@dataclass(slots=True)
class ConnectRace:
    """Connects from several source ports; the first answer wins (as in RFC 8305 §5).

    ``silent`` are the attempts that got no answer while another port got one in less time.
    """

    silent: list[ConnectResult] = field(default_factory=list)

    async def connect(self, address: Address, timeout: float) -> ConnectResult:
        """Make one connection; never raises. The caller must close the socket.

        Without any answer, it is the result of the first attempt, which had all the time.
        """
        deadline = time.monotonic() + timeout
        attempts: dict[asyncio.Task[ConnectResult], ConnectResult] = {}
        winner = None
        try:
            for port in spread_ports(MAX_ATTEMPTS, random.SystemRandom()):
                start = time.monotonic()
                if start >= deadline:
                    break
                attempt = _attempt(address, deadline - start, port)
                attempts[asyncio.create_task(attempt)] = ConnectResult(
                    address, None, Cause.TIMEOUT, _NO_ANSWER, 0, start, start, port=port
                )
                pause = FIRST_WAIT_SECONDS if len(attempts) == 1 else NEXT_WAIT_SECONDS
                winner = await _first_answer(attempts, start + pause)
                if winner is not None:
                    break
            else:
                winner = await _first_answer(attempts, None)
            if winner is None:
                winner = next(iter(attempts))
                await asyncio.wait({winner})
        finally:
            await _stop(task for task in attempts if task is not winner)
        end, result = time.monotonic(), winner.result()
        if result.cause is not Cause.TIMEOUT:
            self.silent += [
                ConnectResult(
                    address,
                    None,
                    Cause.TIMEOUT,
                    _NO_ANSWER,
                    0,
                    attempt.start,
                    end,
                    port=attempt.port,
                )
                for task, attempt in attempts.items()
                if task is not winner and end - attempt.start > result.seconds
            ]
        return result


async def _attempt(address: Address, timeout: float, port: int) -> ConnectResult:
    """Connect from this port, or from another one if it is in use."""
    result = await connect(address, timeout, port)
    if result.cause is Cause.OTHER and errno_meaning(result.detail).no_port:
        return await connect(address, timeout)
    return result


async def _first_answer(
    attempts: Iterable[asyncio.Task[ConnectResult]], until: float | None
) -> asyncio.Task[ConnectResult] | None:
    """Return an attempt that got any answer; None if none does until then, or at all."""
    while True:
        for task in attempts:
            if task.done() and task.result().cause is not Cause.TIMEOUT:
                return task
        pending = [task for task in attempts if not task.done()]
        left = None if until is None else until - time.monotonic()
        if not pending or (left is not None and left <= 0):
            return None
        await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)


async def _stop(tasks: Iterable[asyncio.Task[ConnectResult]]) -> None:
    """Cancel attempts; close the sockets of those that have connected meanwhile."""
    stopped = tuple(tasks)
    for task in stopped:
        task.cancel()
    for result in await asyncio.gather(*stopped, return_exceptions=True):
        if isinstance(result, ConnectResult) and result.sock is not None:
            result.sock.close()
