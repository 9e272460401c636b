"""A target as a person types it: ``host``, ``host:port`` or ``[v6]:port``."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

FORMS: Final = "a target is host, host:port or [v6]:port"

_LARGEST_PORT: Final = 65_535
_PORT_DIGITS: Final = 5
_LONGEST_NAME: Final = 253  # RFC 1035, section 2.3.4, as text
_LONGEST_LABEL: Final = 63


@dataclass(frozen=True, slots=True)
class Target:
    """A host (a name, or an address without brackets) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return it as a person types it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_target(text: str, default_port: int) -> Target:
    """Return the target that the text means.

    Raises:
        ValueError: it means none; the message says what would be right.

    """
    text = text.strip()
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise _bad(text, "an IPv6 target is [address] or [address]:port")
        return Target(_ipv6(text, host), _port(text, rest, default_port))
    if text.count(":") > 1 and "/" not in text:  # bare IPv6: no port can follow it
        return Target(_ipv6(text, text), default_port)
    host, colon, port = text.partition(":")
    odd = any(not char.isprintable() or char in " /@?#[]" for char in text)
    if odd or not host or host.startswith("-"):
        raise _bad(text, FORMS)
    labels = host.removesuffix(".").split(".")
    if len(host) > _LONGEST_NAME or not all(
        0 < len(label) <= _LONGEST_LABEL for label in labels
    ):
        raise _bad(
            text,
            f"a name has at most {_LONGEST_NAME} characters, and between its dots "
            f"1 to {_LONGEST_LABEL}",
        )
    return Target(host, _port(text, colon + port, default_port))


def _ipv6(text: str, host: str) -> str:
    try:
        ipaddress.IPv6Address(host)
        if not host.isprintable() or " " in host:  # in the scope, which may be any
            raise ValueError(host)  # noqa: TRY301
    except ValueError:
        raise _bad(text, f"{host!r} is no IPv6 address; {FORMS}") from None
    return host


def _port(text: str, suffix: str, default: int) -> int:
    """Return the port that a suffix such as ``:80`` names; without one, the default."""
    if not suffix:
        return default
    digits = suffix[1:]
    if not digits:
        raise _bad(text, "no port follows the colon")
    number = digits.isascii() and digits.isdigit() and len(digits) <= _PORT_DIGITS
    if not number or not 0 < int(digits) <= _LARGEST_PORT:
        raise _bad(text, f"the port must be a number from 1 to {_LARGEST_PORT}")
    return int(digits)


def _bad(text: str, why: str) -> ValueError:
    return ValueError(f"target {text!r}: {why}")
