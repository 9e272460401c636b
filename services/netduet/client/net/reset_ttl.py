"""With which TTL a reset arrives: how far away its sender is.

No socket reports it, but one can demand a minimum (ip(7), IP_MINTTL; ipv6,
IPV6_MINHOPCOUNT; RFC 5082): the kernel drops a segment with a lower one, also the answer
to a SYN. So the largest minimum with which a connection is still refused is the TTL. Two
rounds of 16 attempts find it, without a privilege.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from typing import TYPE_CHECKING, Final

from netduet.client.net.error_queue import LEVEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netduet.client.net.dial import Address

_INITIAL_TTLS: Final = (32, 64, 128, 255)
"""What hosts and routers send with (IANA recommends 64; Windows 128, many routers 255)."""

_MIN_TTL: Final = {socket.AF_INET: 21, socket.AF_INET6: 73}
"""linux/in.h, IP_MINTTL; linux/in6.h, IPV6_MINHOPCOUNT."""

_STEP: Final = 16
"""Difference of the minimums of the first round, and attempts of each round."""

_WAIT_FACTOR: Final = 4
_MIN_WAIT_SECONDS: Final = 0.15
_MAX_WAIT_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.005


def distance(ttl: int) -> int:
    """Return how many routers a packet has passed that arrives with this TTL.

    The initial value is the smallest usual one that is not below it.
    """
    return min(initial for initial in _INITIAL_TTLS if initial >= ttl) - ttl


def reset_ttl(address: Address, answer_seconds: float) -> int:
    """Return the TTL with which resets from an address arrive, 0 if unknown.

    ``answer_seconds`` is how long a refusal took. Never raises.
    """
    wait = min(max(_WAIT_FACTOR * answer_seconds, _MIN_WAIT_SECONDS), _MAX_WAIT_SECONDS)
    coarse = _highest_refused(address, range(1, 256, _STEP), wait)
    if not coarse:
        return 0
    return _highest_refused(address, range(coarse, coarse + _STEP), wait)


def _highest_refused(address: Address, minimums: Sequence[int], wait: float) -> int:
    """Return the largest minimum with which a connection is refused, 0 if none is."""
    refused = 0
    with contextlib.ExitStack() as stack:
        pending: dict[int, socket.socket] = {}
        for minimum in minimums:
            with contextlib.suppress(OSError):
                sock = socket.socket(address.family, socket.SOCK_STREAM)
                stack.callback(sock.close)
                sock.setblocking(False)
                sock.setsockopt(
                    LEVEL[address.family], _MIN_TTL[address.family], minimum
                )
                if sock.connect_ex(address.sockaddr) in {0, errno.EINPROGRESS}:
                    pending[minimum] = sock
        until = time.monotonic() + wait
        while pending and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
            for minimum, sock in list(pending.items()):
                if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    refused = max(refused, minimum)
                    del pending[minimum]
    return refused
