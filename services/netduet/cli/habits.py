"""Flags of ping, iperf3, nc and curl that mean nothing here: what to do instead."""

from __future__ import annotations

from typing import Final

_FLAG_LENGTH: Final = len("-c")

_REMEDIES: Final = {
    "-c": "the server is an argument, and there is no packet count: netduet check HOST",
    "-s": "the server is a command of its own: netduet serve",
    "-n": "addresses are never resolved to names, and there is no byte count: omit it",
    "-u": "check tests TCP and UDP; --checks udp runs the tests of UDP alone",
    "-R": "check tests both directions: omit it",
    "-P": "check opens many connections by itself: omit it",
    "-b": "to require a rate, use --min-rate, as in --min-rate 100M",
    "-v": "for more log lines, use --log-level debug",
    "-z": "check sends data of its own; reach alone only connects: --checks reach",
}
_ELSEWHERE: Final = {
    "-i": "the interval of datagrams is a flag of netduet watch",
    "-t": "a duration is a flag of netduet check; watch and serve run until SIGTERM",
    "-w": "a timeout is a flag of netduet check, watch and hello",
    "-p": "a port is a flag of netduet check, watch, hello and serve",
}
"""Short flags of this program that only certain commands have."""


def hint(word: str) -> str | None:
    """Return the remedy for an unknown flag that is a habit, else None."""
    flag, value = word[:_FLAG_LENGTH], word[_FLAG_LENGTH:]
    remedy = (_REMEDIES | _ELSEWHERE).get(flag)
    if remedy is None or (value and not value[0].isdigit()):
        return None
    return f"{flag}: {remedy}"
