"""``netduet hello``: the plain conversation with any plain server."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Final

from netduet.client.net.dial import Address, classify, connect, resolve
from netduet.wire.untrusted import log_safe

if TYPE_CHECKING:
    import socket

    from netduet.client.checks.base import Timeouts
    from netduet.client.results.target import Target

MOST: Final = 64 * 1024
"""Bytes of an answer that are read."""

_SHOWN: Final = 4096


async def say_hello(
    target: Target, greeting: str, family: socket.AddressFamily, patience: Timeouts
) -> int:
    """Greet a server and print what comes back; return 0 if anything did, else 1.

    The greeting has no terminator, and our sending does not end: the plainest
    server reads once, answers and closes. One that never closes is left after
    the patience for an answer.
    """
    resolution = await resolve(target.host, target.port, family, patience.resolve)
    if resolution.cause is not None:
        return _complain(f"{target.host}: {resolution.detail}")
    problems = []
    for address in resolution.addresses:
        dialled = await connect(address, patience.connect)
        if dialled.sock is None:
            problems.append(f"{address}: {dialled.detail}")
            continue
        with dialled.sock as sock:
            return await _talk(sock, address, greeting, patience.answer)
    return _complain("; ".join(problems))


async def _talk(
    sock: socket.socket, address: Address, greeting: str, patience: float
) -> int:
    loop = asyncio.get_running_loop()
    start = heard = time.monotonic()
    answer, ended, still = b"", "closed without an answer", ""
    try:
        async with asyncio.timeout(patience):
            await loop.sock_sendall(sock, greeting.encode())
            while len(answer) < MOST:
                piece = await loop.sock_recv(sock, MOST)
                if not piece:
                    break
                answer += piece
                heard = time.monotonic()
    except TimeoutError:
        still = "; the connection is still open"
        ended = f"no answer within {patience:g} s{still}"
    except OSError as error:
        ended = classify(error)[1]
    if not answer:
        return _complain(f"{address}: connected, then: {ended}")
    took = (heard - start) * 1000
    print(log_safe(answer, _SHOWN))
    said = f"{len(answer)} bytes from {address} in {took:.1f} ms{still}"
    print(said, file=sys.stderr)
    return 0


def _complain(said: str) -> int:
    print(f"netduet: hello: {said}", file=sys.stderr)
    return 1
