"""Finds answers of DNS servers that cannot all be true. Pure."""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import Final

from netduet.client.checks.name.describe import join_addresses
from netduet.client.checks.name.results import (
    NO_ADDRESSES,
    Lookup,
    NameResult,
    Query,
    addresses_of,
    outcomes_of,
)
from netduet.client.net.dial import Cause
from netduet.client.protocols.dns_lookup import NOERROR, NXDOMAIN, RecordType
from netduet.client.results.verdict import Finding

_FAILURE: Final = "name.inconsistent"

MIN_ERRORS: Final = 2
"""Errors of a server that also has answers, as SERVFAIL: a single one may be a restart.

An answer that denies the name needs no second one: resolvers do not ask again.
"""

_PREFIX_BITS: Final = {4: 24, 6: 64}
"""Addresses that share so many bits are of one network."""


def contradiction(name: NameResult) -> Finding | None:
    """Return the finding that answers contradict each other, None if they do not."""
    lookup = name.lookup
    if not lookup.decisive or name.resolution.cause is Cause.NO_FAMILY:
        return None
    seen = (
        next(filter(None, (_changing(lookup, each) for each in _servers(lookup))), "")
        or _disagreeing(lookup)
        or _disjoint(lookup)
    )
    if not seen and name.resolution.cause is Cause.NOT_FOUND:
        seen = (
            f"getaddrinfo finds no {name.host}, but the DNS servers, asked directly, "
            f"give {join_addresses(set(lookup.addresses))}: their answers differ from "
            "what this host's resolver says"
        )
    if not seen:
        return None
    answers = outcomes_of(lookup.of(name=lookup.decisive))
    figures = {f"answers_{outcome}": count for outcome, count in answers.items()}
    return Finding(_FAILURE, seen, figures=dict(figures))


def _servers(lookup: Lookup) -> tuple[str, ...]:
    return tuple(dict.fromkeys(query.server for query in lookup.queries))


def _changing(lookup: Lookup, server: str) -> str:
    """Return that a server answers now this, now that; "" if it does not."""
    odd: Counter[str] = Counter()
    answers = 0
    for record in RecordType:
        queries = lookup.of(server=server, name=lookup.decisive, record=record)
        outcomes = outcomes_of(queries)
        answers += outcomes.total()
        usual = NOERROR if outcomes[NOERROR] else NO_ADDRESSES
        denied = {NXDOMAIN, NO_ADDRESSES} - {usual}
        for outcome, count in outcomes.items():
            if not outcomes[usual] or outcome == usual:
                continue
            if outcome in denied or (usual == NOERROR and count >= MIN_ERRORS):
                odd[outcome] += count
    if not odd:
        return ""
    others = addresses_of(lookup.of(server=server, name=lookup.decisive))
    counted = ", ".join(f"{count} {_verb(outcome)}" for outcome, count in odd.items())
    gave = f", others gave {join_addresses(others)}" if others else ""
    return (
        f"DNS server {server} does not always know {lookup.decisive}: of {answers} "
        f"answers, {counted}{gave}"
    )


def _verb(outcome: str) -> str:
    return "had no addresses" if outcome == NO_ADDRESSES else f"said {outcome}"


def _disagreeing(lookup: Lookup) -> str:
    """Return that one server has addresses and another denies them; "" if none does.

    An error of a later server is no contradiction: resolvers go on to the next one.
    """
    servers = _servers(lookup)
    for record in RecordType:
        having = [
            server for server in servers if addresses_of(_of(lookup, server, record))
        ]
        if not having:
            continue
        for server in servers:
            outcomes = outcomes_of(_of(lookup, server, record))
            if not outcomes or server in having:
                continue
            [(outcome, count)] = outcomes.most_common(1)
            if not _is_denial(outcome, record, is_first=server == servers[0]):
                continue
            addresses = join_addresses(addresses_of(_of(lookup, having[0], record)))
            return (
                f"the DNS servers differ about {lookup.decisive}: {having[0]} gives "
                f"{addresses}, and {server} {_verb(outcome)} ({count} of "
                f"{outcomes.total()} answers)"
            )
    return ""


def _is_denial(outcome: str, record: RecordType, *, is_first: bool) -> bool:
    if outcome == NXDOMAIN:
        return True
    if outcome == NO_ADDRESSES:
        # Servers may leave out AAAA, or make it up (RFC 6147), on purpose.
        return record is RecordType.A
    return is_first


def _of(lookup: Lookup, server: str, record: RecordType) -> tuple[Query, ...]:
    return lookup.of(server=server, name=lookup.decisive, record=record)


def _disjoint(lookup: Lookup) -> str:
    """Return that servers steadily give addresses of different networks; "" if not.

    A server whose answers change balances load; public addresses differ by place.
    """
    for record in RecordType:
        steady: dict[str, set[str]] = {}
        for server in _servers(lookup):
            sets = {
                frozenset(query.addresses)
                for query in _of(lookup, server, record)
                if query.addresses
            }
            if len(sets) == 1:
                steady[server] = set(next(iter(sets)))
        first, *others = steady or [""]
        for server in others:
            mine, its = steady[first], steady[server]
            if _networks(mine) & _networks(its) or _all_public(mine | its):
                continue
            return (
                f"the DNS servers differ about {lookup.decisive}: {first} always gives "
                f"{join_addresses(mine)}, and {server} always gives "
                f"{join_addresses(its)}"
            )
    return ""


def _networks(addresses: set[str]) -> set[str]:
    parsed = [ipaddress.ip_address(address) for address in addresses]
    return {
        str(ipaddress.ip_network(f"{each}/{_PREFIX_BITS[each.version]}", strict=False))
        for each in parsed
    }


def _all_public(addresses: set[str]) -> bool:
    return all(ipaddress.ip_address(address).is_global for address in addresses)
