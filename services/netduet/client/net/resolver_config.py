"""How programs on this host look up names: resolv.conf(5), nsswitch.conf(5), hosts(5).

``read_resolver_config`` reads the files; all else is pure.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAX_SERVERS: Final = 3
"""``MAXNS`` of <resolv.h>: the C library asks no more servers."""
MAX_SEARCH_DOMAINS: Final = 6
"""The limit of glibc before 2.26."""
_MAX_NDOTS: Final = 15
"""``RES_MAXNDOTS`` of <resolv.h>."""
_MAX_TIMEOUT_SECONDS: Final = 30
"""``RES_MAXRETRANS`` of <resolv.h>."""
_MAX_FILE_BYTES: Final = 1024 * 1024

_ACTIONS: Final = re.compile(r"\[[^]]*\]")
"""What nsswitch.conf(5) does upon a source's result."""

DNS_SOURCES: Final = frozenset({"dns", "resolve"})
"""Sources of nsswitch.conf that ask the servers of resolv.conf."""


@dataclass(frozen=True, slots=True)
class ResolverConfig:
    """The settings of the C library's resolver.

    ``servers`` are IP addresses, in the order in which they are asked. ``search`` are
    the domains appended to a name with fewer than ``ndots`` dots before it is tried by
    itself, and to any other name after that. ``timeout`` is in seconds. ``rotate``: the
    servers are asked in turn. ``no_aaaa``: only A is asked.
    """

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    ndots: int = 1
    timeout: float = 5.0
    rotate: bool = False
    no_aaaa: bool = False

    def candidates(self, host: str) -> tuple[str, ...]:
        """Return the names that stand for a host, in the order in which they are asked.

        The order is that of res_nsearch(3): the first name with addresses decides.
        """
        if host.endswith("."):
            return (host.removesuffix("."),)
        searched = tuple(f"{host}.{domain}" for domain in self.search)
        if host.count(".") >= self.ndots:
            return (host, *searched)
        return (*searched, host)


def parse_resolv_conf(text: str, hostname: str = "") -> ResolverConfig:
    """Return what resolv.conf says.

    Without ``search`` and ``domain`` the search list is the domain of the host's name.
    """
    servers: list[str] = []
    search: tuple[str, ...] = (hostname.partition(".")[2],)
    options: list[str] = []
    for line in text.splitlines():
        keyword, *values = line.partition("#")[0].partition(";")[0].split() or [""]
        if keyword == "nameserver" and values:
            servers.append(values[0])
        elif keyword == "search" and values:
            search = tuple(values)
        elif keyword == "domain" and values:
            search = (values[0],)
        elif keyword == "options":
            options += values
    domains = [domain.removesuffix(".") for domain in search]
    return ResolverConfig(
        tuple(servers[:MAX_SERVERS]),
        tuple(dict.fromkeys(filter(None, domains)))[:MAX_SEARCH_DOMAINS],
        min(_option_number(options, "ndots", 1), _MAX_NDOTS),
        min(max(1, _option_number(options, "timeout", 5)), _MAX_TIMEOUT_SECONDS),
        rotate="rotate" in options,
        no_aaaa="no-aaaa" in options,
    )


def _option_number(options: list[str], name: str, default: int) -> int:
    values = [word.partition(":")[2] for word in options if word.startswith(f"{name}:")]
    numbers = [int(value) for value in values if value.isdecimal()]
    return numbers[-1] if numbers else default


def asks_dns(host: str, nsswitch: str, hosts: str) -> bool:
    """Return whether a look-up of a host reaches DNS.

    ``nsswitch`` and ``hosts`` are the files' texts, "" for none: without nsswitch.conf,
    hosts comes first and then DNS.
    """
    name = host.removesuffix(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return False  # RFC 6761 §6.3
    sources = _host_sources(nsswitch) or ("files", "dns")
    is_local = name.endswith(".local")
    if is_local and any(source.startswith("mdns") for source in sources):
        return False  # RFC 6762 §3
    asked = [source in DNS_SOURCES for source in sources]
    if not any(asked):
        return False
    before = sources[: asked.index(True)]
    return "files" not in before or not _is_listed(name, hosts)


def _host_sources(nsswitch: str) -> tuple[str, ...]:
    for line in nsswitch.splitlines():
        database, colon, sources = line.partition("#")[0].partition(":")
        if database.strip() == "hosts" and colon:
            return tuple(_ACTIONS.sub(" ", sources).split())
    return ()


def _is_listed(name: str, hosts: str) -> bool:
    return any(
        name in line.partition("#")[0].lower().split()[1:]
        for line in hosts.splitlines()
    )


def read_resolver_config(
    host: str,
    root: Path = Path("/etc"),
    hostname: Callable[[], str] = lambda: os.uname().nodename,
) -> ResolverConfig | None:
    """Return the settings by which a host is looked up; None if DNS is not asked."""
    if not asks_dns(host, _read(root / "nsswitch.conf"), _read(root / "hosts")):
        return None
    config = parse_resolv_conf(_read(root / "resolv.conf"), hostname())
    return config if config.servers else None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_FILE_BYTES).decode(errors="replace")
    except OSError:
        return ""
