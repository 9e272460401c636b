"""A target as a person types it: ``host``, ``host:port``, ``[v6]:port`` or a URL.

``/protocol`` may follow the first three. ``=open`` or ``=blocked`` may follow all, which
states the expectation. No name (RFC 1123 §2.1), address or port contains a ``=``, but the
scope of an IPv6 address may, so only what follows the bracket counts there.

User info, path and query of a URL (RFC 3986 §3) may hold secrets: ``public_form`` drops
them before anything else reads the text.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FORMS: Final = (
    "a target is host, host:port or [v6]:port, with /protocol behind it if needed, or "
    "protocol://host:port"
)

TCP_ALONE: Final = "tcp"
"""Protocol in a target for which an accepted connection is enough."""

ANY_PROTOCOL: Final = "any"
"""Protocol in a target whose service may speak any, but must respond."""

_LARGEST_PORT: Final = 65_535
_PORT_DIGITS: Final = 5
_MAX_NAME_LENGTH: Final = 253  # RFC 1035, section 2.3.4, as text
_MAX_LABEL_LENGTH: Final = 63

_URL: Final = re.compile(
    "((?:jdbc:)?[a-z][a-z0-9+.-]*)://([^/?#]*)([^?#]*)(.*)", re.DOTALL | re.IGNORECASE
)
_IPV4_PART: Final = re.compile("0[xX][0-9a-fA-F]*|[0-9]+")  # as inet_aton(3) reads it


class Expect(StrEnum):
    """Whether a target should be reachable or not."""

    OPEN = "open"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Target:
    """A host (a name, or an address without brackets), a port, and the expectation.

    ``protocol`` is the name of the protocol that the service should speak; "" if the
    target names none.
    """

    host: str
    port: int
    expect: Expect = Expect.OPEN
    protocol: str = ""

    def __str__(self) -> str:
        """Return host and port as a person types them; reports use it as a key."""
        return join(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Scheme:
    """The protocol that a word in a target stands for, and its default port."""

    protocol: str
    port: int


def no_schemes() -> Mapping[str, Scheme]:
    """Return that no protocol is known."""
    return {}


def join(host: str, port: int | str) -> str:
    """Return ``host:port``, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_target(
    text: str,
    default_port: int,
    default_expect: Expect = Expect.OPEN,
    schemes: Callable[[], Mapping[str, Scheme]] = no_schemes,
) -> Target:
    """Parse a target; ``schemes`` returns the known protocols, by word in lower case.

    It is called for a target that names a protocol: most do not, and do not wait until
    all protocols are loaded. Such a target that without a port has the protocol's port.

    Raises:
        ValueError: it is not valid; the message says what would be, without secrets.
    """
    text = public_form(text.strip())
    word, is_url, rest = text.partition("://")
    rest, expect = _expectation(text, rest if is_url else text, default_expect)
    if not is_url:
        bracket = rest.rfind("]") + 1
        authority, slash, word = rest[bracket:].partition("/")
        rest = rest[:bracket] + authority
        if not slash:
            return Target(*_parse_authority(text, rest, default_port), expect)
    scheme = _find_scheme(text, word, schemes())
    host, port = _parse_authority(text, rest, scheme.port)
    return Target(host, port, expect, scheme.protocol)


def public_form(text: str) -> str:
    """Return a target as it may be shown: a URL without user info, path and query.

    Raises:
        ValueError: there is user info where none can be.
    """
    match = _URL.fullmatch(text)
    if match is None:
        if "://" in text:
            raise _bad("…://…", FORMS)
        if "@" in text and not text.startswith("["):
            raise _bad(f"…@{text.rpartition('@')[2]}", FORMS)
        return text
    scheme, authority, path, query = match.groups()
    _, at, host = authority.rpartition("@")
    name, colon, port = host.rpartition(":")
    if not at and colon and "]" not in port:
        # Perhaps not a port, but the password of user info that a / ended.
        if "@" in path + query:
            raise _bad(
                f"{scheme}://…",
                "write / ? # in a password as %2F %3F %23, or leave the path out",
            )
        if not port.partition("=")[0].isdigit():
            host = f"{name}:…"
    return f"{scheme}://{host}{_trailing_expectation(path, query)}"


def _trailing_expectation(path: str, query: str) -> str:
    """Return the last = of a URL and what follows it, "" if it states no expectation.

    The first = of a query's parameter is the parameter's own.
    """
    part = re.split("[?#&;]", path + query)[-1]
    before, equals, word = part.rpartition("=")
    if not equals or (query and before and "=" not in before):
        return ""
    return f"={word if word in tuple(Expect) else '…'}"


def _find_scheme(text: str, word: str, schemes: Mapping[str, Scheme]) -> Scheme:
    """Return the scheme of a word; ``postgresql+psycopg`` is ``postgresql``."""
    word = word.lower().removeprefix("jdbc:")
    base, _, variant = word.partition("+")
    scheme = schemes.get(word) or schemes.get(base)
    if scheme is None:
        known = ", ".join(sorted({known.protocol for known in schemes.values()}))
        raise _bad(text, f"unknown protocol {word!r}; the known ones are {known}")
    if variant == "srv":
        raise _bad(text, "+srv names no host: give a host and port of the SRV record")
    return scheme


def _expectation(text: str, rest: str, default: Expect) -> tuple[str, Expect]:
    bracket = rest.rfind("]") + 1
    authority, equals, word = rest[bracket:].partition("=")
    if not equals:
        return rest, default
    try:
        return rest[:bracket] + authority, Expect(word)
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
    if authority.count(":") > 1:  # bare IPv6: no port can follow
        return _ipv6(text, authority), default_port
    host, colon, port = authority.partition(":")
    if any(not char.isprintable() or char in " /@?#[]%" for char in authority):
        raise _bad(text, FORMS)
    if not host and _is_port(port):
        raise _bad(text, _meant(port))
    if not host or host.startswith("-"):
        raise _bad(text, FORMS)
    _refuse_short_ipv4(text, host)
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


def _refuse_short_ipv4(text: str, host: str) -> None:
    """Refuse what inet_aton(3), and so getaddrinfo(3), takes for an IPv4 address.

    Raises:
        ValueError: it is digits alone, or not four decimal numbers.
    """
    if _is_port(host):
        raise _bad(text, f"digits alone are no host: {_meant(host)}")
    if not all(map(_IPV4_PART.fullmatch, host.split("."))):
        return
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        try:
            meant = f": did you mean {socket.inet_ntoa(socket.inet_aton(host))}?"
        except OSError:
            meant = ""
        raise _bad(
            text, f"an IPv4 address has four decimal numbers up to 255{meant}"
        ) from None


def _meant(port: str) -> str:
    return f"did you mean localhost:{port} or HOST:{port}?"


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
    if not _is_port(digits):
        raise _bad(text, f"the port must be a number from 1 to {_LARGEST_PORT}")
    return int(digits)


def _is_port(digits: str) -> bool:
    number = digits.isascii() and digits.isdigit() and len(digits) <= _PORT_DIGITS
    return number and 0 < int(digits) <= _LARGEST_PORT


def _bad(text: str, reason: str) -> ValueError:
    return ValueError(f"target {text!r}: {reason}")


def order(targets: Sequence[Target]) -> list[int]:
    """Return the order of the targets: those that should be open come first.

    One that is reached is the control for those that should be blocked: it proves that
    this client is connected.
    """
    numbers = range(len(targets))
    return sorted(numbers, key=lambda number: targets[number].expect is Expect.BLOCKED)
