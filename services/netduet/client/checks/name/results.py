"""What the check ``name`` measures: getaddrinfo, and each DNS server by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from netduet.client.checks.containers import ContainerFacts
from netduet.client.net.dial import Resolution
from netduet.client.net.resolver_config import ResolverConfig
from netduet.client.protocols.dns_lookup import NOERROR, NXDOMAIN, RecordType
from netduet.client.results.target import Expect

SILENT: Final = "no response"
NO_ADDRESSES: Final = "no addresses"
"""The name exists, and has no record of that type."""


@dataclass(frozen=True, slots=True)
class Query:
    """One question to a DNS server, and what came back within ``seconds``.

    ``code`` is the answer's RCODE, "" without an answer; ``error`` is then ``SILENT``, or
    the errno of a refusal in words. ``tcp_error`` is why a truncated answer was not had over TCP, "" if it was. ``alone``:
    it was the only question of its socket.
    """

    server: str
    name: str
    record: RecordType
    code: str = ""
    addresses: tuple[str, ...] = ()
    seconds: float = 0.0
    error: str = ""
    tcp_error: str = ""
    alone: bool = False

    @property
    def answered(self) -> bool:
        """Whether the server answered."""
        return bool(self.code)

    @property
    def outcome(self) -> str:
        """The answer in a word or two; that of addresses is ``NOERROR``."""
        if self.code == NOERROR and not self.addresses:
            return NO_ADDRESSES
        return self.code or self.error


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the DNS servers answered when asked directly.

    ``host`` is the name that was asked about, ``names`` are those that a look-up of it
    tries, in order. ``wildcard``: the search domain has addresses for any name at all.
    """

    config: ResolverConfig = field(default_factory=ResolverConfig)
    host: str = ""
    names: tuple[str, ...] = ()
    queries: tuple[Query, ...] = ()
    wildcard: bool = False

    @property
    def decisive(self) -> str:
        """The name whose addresses a look-up returns: the first that has any, or ""."""
        found = {query.name for query in self.queries if query.addresses}
        return next((name for name in self.names if name in found), "")

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses of the decisive name, in the order of servers and answers."""
        name = self.decisive
        return tuple(
            dict.fromkeys(
                address
                for query in self.queries
                if query.name == name
                for address in query.addresses
            )
        )

    @property
    def search_domain(self) -> str:
        """The search domain that made the decisive name, "" if none did."""
        name = self.decisive
        prefix = f"{self.host}."
        return name.removeprefix(prefix) if name.startswith(prefix) else ""

    @property
    def is_ambiguous(self) -> bool:
        """Whether the search domain may have made another name than was meant.

        The name itself has other addresses, or the domain has some for any name.
        """
        if not self.search_domain:
            return False
        own = addresses_of(self.of(name=self.host))
        return self.wildcard or bool(own - set(self.addresses))

    def of(
        self, *, server: str = "", name: str = "", record: RecordType | None = None
    ) -> tuple[Query, ...]:
        """Return the queries of a server, for a name, of a record type."""
        return tuple(
            query
            for query in self.queries
            if server in {"", query.server}
            and name in {"", query.name}
            and record in {None, query.record}
        )


@dataclass(frozen=True, slots=True)
class NameResult:
    """The measurement. ``lookup`` is empty for an IP address, and without DNS.

    ``facts`` are read if the name does not resolve. ``late`` is the look-up by
    getaddrinfo that had no result in time; ``resolution`` then has what the DNS servers
    answered when asked directly.
    """

    host: str
    literal: bool
    resolution: Resolution
    lookup: Lookup = field(default_factory=Lookup)
    expect: Expect = Expect.OPEN
    facts: ContainerFacts | None = None
    late: Resolution | None = None


def addresses_of(queries: Iterable[Query]) -> set[str]:
    """Return all addresses of these answers."""
    return {address for query in queries for address in query.addresses}


def outcomes_of(queries: Iterable[Query]) -> Counter[str]:
    """Count the outcomes of the queries that were answered."""
    return Counter(query.outcome for query in queries if query.answered)


def says_unknown(queries: Iterable[Query]) -> bool:
    """Return whether all answers say that the name does not exist."""
    return set(outcomes_of(queries)) == {NXDOMAIN}
