"""A target as a person types it: ``host``, ``host:port`` or ``[v6]:port``.

``=open`` or ``=blocked`` may follow, which states the expectation. No name (RFC 1123
§2.1), address or port contains a ``=``, but the scope of an IPv6 address may, so only
what follows the bracket counts there.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FORMS: Final = "a target is host, host:port or [v6]:port"

TCP_ALONE: Final = "tcp"
"""Protocol in a target for which an accepted connection is enough."""

_LARGEST_PORT: Final = 65_535
_PORT_DIGITS: Final = 5
_MAX_NAME_LENGTH: Final = 253  # RFC 1035, section 2.3.4, as text
_MAX_LABEL_LENGTH: Final = 63


class Expect(StrEnum):
    """Whether a target should be reachable or not."""

    OPEN = "open"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Target:
    """A host (a name, or an address without brackets), a port, and the expectation.

    ``protocol`` is the name of the protocol that the service must speak, "" for any.
    """

    host: str
    port: int
    expect: Expect = Expect.OPEN
    protocol: str = ""

    def __str__(self) -> str:
        """Return it as a person types it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_target(
    text: str, default_port: int, default_expect: Expect = Expect.OPEN
) -> Target:
    """Parse a target.

    Raises:
        ValueError: it is not valid; the message says what would be.
    """
    text = text.strip()
    authority, expect = _expectation(text, default_expect)
    host, port = _parse_authority(text, authority, default_port)
    return Target(host, port, expect)


def _expectation(text: str, default: Expect) -> tuple[str, Expect]:
    bracket = text.rfind("]") + 1
    authority, equals, word = text[bracket:].partition("=")
    if not equals:
        return text, default
    try:
        return text[:bracket] + authority, Expect(word)
    except ValueError:
        raise _bad(
            text, f"the = must be followed by open or blocked, not {word!r}"
        ) from None


def _parse_authority(text: str, authority: str, default_port: int) -> tuple[str, int]:
    """Return host and port; ``text`` is the whole target, for messages."""
    if authority.startswith("["):
        host, bracket, rest = authority[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise _bad(text, "an IPv6 target is [address] or [address]:port")
        return _ipv6(text, host), _port(text, rest, default_port)
    if (
        authority.count(":") > 1 and "/" not in authority
    ):  # bare IPv6: no port can follow
        return _ipv6(text, authority), default_port
    host, colon, port = authority.partition(":")
    is_invalid = any(not char.isprintable() or char in " /@?#[]" for char in authority)
    if is_invalid or not host or host.startswith("-"):
        raise _bad(text, FORMS)
    labels = host.removesuffix(".").split(".")
    if len(host) > _MAX_NAME_LENGTH or not all(
        0 < len(label) <= _MAX_LABEL_LENGTH for label in labels
    ):
        raise _bad(
            text,
            (
                f"a name has at most {_MAX_NAME_LENGTH} characters, with 1 to "
                f"{_MAX_LABEL_LENGTH}"
            ),
        )
    return host, _port(text, colon + port, default_port)


def _ipv6(text: str, host: str) -> str:
    try:
        ipaddress.IPv6Address(host)
        if not host.isprintable() or " " in host:  # in the scope, which is free text
            raise ValueError(host)  # noqa: TRY301
    except ValueError:
        raise _bad(text, f"{host!r} is not an IPv6 address; {FORMS}") from None
    return host


def _port(text: str, suffix: str, default: int) -> int:
    """Return the port of a suffix such as ``:80``, or the default without one."""
    if not suffix:
        return default
    digits = suffix[1:]
    if not digits:
        raise _bad(text, "no port follows the colon")
    number = digits.isascii() and digits.isdigit() and len(digits) <= _PORT_DIGITS
    if not number or not 0 < int(digits) <= _LARGEST_PORT:
        raise _bad(text, f"the port must be a number from 1 to {_LARGEST_PORT}")
    return int(digits)


def _bad(text: str, reason: str) -> ValueError:
    return ValueError(f"target {text!r}: {reason}")


def order(targets: Sequence[Target]) -> list[int]:
    """Return the order of the targets: those that should be open come first.

    One that is reached is the control for those that should be blocked: it proves that
    this client is connected.
    """
    numbers = range(len(targets))
    return sorted(numbers, key=lambda number: targets[number].expect is Expect.BLOCKED)
