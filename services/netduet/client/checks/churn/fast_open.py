"""Do SYNs pass that ask for a cookie of TCP Fast Open?

A firewall may drop SYNs with an option that it does not know. Linux asks for a cookie
in the first SYN of a connection alone (RFC 7413 §4.1.1), so an application that uses
Fast Open waits a second there. Each attempt here ends before that: the kernel would
count a second timeout, and may stop to ask for an hour (ip-sysctl.rst,
tcp_fastopen_blackhole_timeout_sec).
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from netduet.client.checks.churn.results import ChurnResult, FastOpenTrial
from netduet.client.net.dial import Address
from netduet.client.results.location import Side
from netduet.client.results.verdict import Finding
from netduet.net.tcp_info import asked_for_cookie, fast_open_setting

DROPPED: Final = "churn.fast_open_dropped"

_TCP_FASTOPEN_CONNECT: Final = 30
"""Option of a socket (tcp(7), since Linux 4.11); Python has no name for it."""

_CLIENT: Final = 0x1
"""Bit of net.ipv4.tcp_fastopen: clients may ask. It alone is the default."""

_TRIALS: Final = 5
"""SYNs of each kind: that all of one kind are lost and none of the other is chance once
in 252 times (R. A. Fisher's exact test)."""

_CONNECT_SECONDS: Final = 0.9
"""Seconds for each connection: less than the time to a second SYN (RFC 6298 §2.1)."""


async def try_fast_open(address: Address) -> FastOpenTrial | None:
    """Connect once with the request; several times, with and without, if that fails.

    None if this kernel does not ask: for lack of support or permission, because it has
    a cookie of this server already, or because it has given up.
    """
    setting = fast_open_setting()
    if not setting & _CLIENT:
        return None
    first = await _passes(address, asks=True)
    if first is None or first:
        return None if first is None else FastOpenTrial(1, 1, setting=setting)
    asking, plain = await asyncio.gather(
        asyncio.gather(*(_passes(address, asks=True) for _ in range(_TRIALS - 1))),
        asyncio.gather(*(_passes(address, asks=False) for _ in range(_TRIALS))),
    )
    if None in asking:
        return None
    return FastOpenTrial(
        _TRIALS, sum(map(bool, asking)), _TRIALS, sum(map(bool, plain)), setting
    )


async def _passes(address: Address, *, asks: bool) -> bool | None:
    """Return whether a connection is made with its first SYN.

    None if its SYN does not ask although it should.
    """
    loop = asyncio.get_running_loop()
    made = True
    with socket.socket(address.family, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        try:
            if asks:
                sock.setsockopt(socket.IPPROTO_TCP, _TCP_FASTOPEN_CONNECT, 1)
        except OSError:
            return None
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await loop.sock_connect(sock, address.sockaddr)
        except OSError:
            made = False
        if asks and not asked_for_cookie(sock.fileno()):
            return None
    return made


def is_dropped(result: ChurnResult) -> bool:
    """Whether SYNs that ask are lost, and those that do not pass. Pure."""
    trial = result.fast_open
    return (
        trial is not None
        and trial.asking >= _TRIALS
        and not trial.asking_passed
        and trial.plain_passed == trial.plain
    )


def fast_open_finding(result: ChurnResult) -> Finding | None:
    """Return the finding that such SYNs are dropped, where this host is set up for them.

    By default no application uses Fast Open, and nothing fails. Pure.
    """
    trial = result.fast_open
    if trial is None or not is_dropped(result) or trial.setting == _CLIENT:
        return None
    text = f"net.ipv4.tcp_fastopen is {trial.setting}"
    return Finding(DROPPED, _describe(result), ((Side.CLIENT, text),))


def fast_open_note(result: ChurnResult) -> tuple[str, ...]:
    """Return the same as a note, where this host has the default. Pure."""
    if not is_dropped(result) or fast_open_finding(result) is not None:
        return ()
    return (_describe(result),)


def _describe(result: ChurnResult) -> str:
    trial = result.fast_open or FastOpenTrial()
    return (
        f"{result.address}: none of {trial.asking} SYNs that ask for a TCP Fast Open "
        f"cookie is answered, {trial.plain_passed} of {trial.plain} without it are: a "
        "device in between drops them, and applications that use Fast Open wait a "
        "second for each new connection"
    )
