"""The command ``hello``: a plain-text exchange with any plain server."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from typing import TYPE_CHECKING, Final

import uvloop

from netduet.client.commands.setup import (
    FAMILIES,
    INTERRUPTED,
    timeouts,
)
from netduet.client.commands.signals import SignalScope
from netduet.client.net.dial import Address, classify, connect, resolve
from netduet.client.net.timeouts import Timeouts
from netduet.wire.untrusted import log_safe

if TYPE_CHECKING:
    from netduet.client.results.target import Target
    from netduet.client.settings import ClientSettings


MAX_ANSWER_BYTES: Final = 64 * 1024
"""Maximum bytes of an answer that are read."""

SHOWN_BYTES: Final = 4096
"""Maximum bytes of an answer that are printed."""


def hello(settings: ClientSettings, target: Target) -> int:
    """Exchange greetings; return 0 if there was an answer, else 1.

    3 after a signal.
    """
    limits = timeouts(settings)
    family = FAMILIES[settings.family]

    async def run() -> int:
        status = INTERRUPTED

        async def exchange() -> None:
            nonlocal status
            status = await _greet(target, settings.greeting, family, limits)

        await SignalScope().run(exchange())
        return status

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


async def _greet(
    target: Target, greeting: str, family: socket.AddressFamily, limits: Timeouts
) -> int:
    """Send a greeting and print the answer; return 0 if there was one, else 1.

    The greeting has no terminator, and the client does not end its sending: the
    simplest server reads once, answers and closes. If the server does not close, the
    client does after the timeout for an answer.
    """
    resolution = await resolve(target.host, target.port, family, limits.resolve)
    if resolution.cause is not None:
        return _complain(f"{target.host}: {resolution.detail}")
    problems = []
    for address in resolution.addresses:
        connect_result = await connect(address, limits.connect)
        if connect_result.sock is None:
            problems.append(f"{address}: {connect_result.detail}")
            continue
        with connect_result.sock as sock:
            return await _exchange(sock, address, greeting, limits.answer)
    return _complain("; ".join(problems))


async def _exchange(
    sock: socket.socket, address: Address, greeting: str, max_seconds: float
) -> int:
    loop = asyncio.get_running_loop()
    start = last_received = time.monotonic()
    answer, problem, still_open = b"", "closed without a response", ""
    try:
        async with asyncio.timeout(max_seconds):
            await loop.sock_sendall(sock, greeting.encode())
            while len(answer) < MAX_ANSWER_BYTES:
                piece = await loop.sock_recv(sock, MAX_ANSWER_BYTES)
                if not piece:
                    break
                answer += piece
                last_received = time.monotonic()
    except TimeoutError:
        still_open = "; the connection is still open"
        problem = f"no response within {max_seconds:g} s{still_open}"
    except OSError as error:
        problem = classify(error)[1]
    if not answer:
        return _complain(f"{address}: connected, then: {problem}")
    duration_ms = (last_received - start) * 1000
    print(log_safe(answer, SHOWN_BYTES))
    summary = f"{len(answer)} bytes from {address} in {duration_ms:.1f} ms{still_open}"
    print(summary, file=sys.stderr)
    return 0


def _complain(problem: str) -> int:
    print(f"netduet: hello: {problem}", file=sys.stderr)
    return 1
