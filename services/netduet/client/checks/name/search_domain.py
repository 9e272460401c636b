"""Blames a search domain for what is wrong with the host that it leads to. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from netduet.client.checks.name.describe import join_addresses
from netduet.client.checks.name.results import Lookup, addresses_of
from netduet.client.results.location import Location, Side

if TYPE_CHECKING:
    from netduet.client.results.verdict import Finding


def blame_search_domain(finding: Finding, lookup: Lookup) -> Finding:
    """Return the finding; that of the name if it may be the name of another host."""
    if not lookup.is_ambiguous:
        return finding
    domain = lookup.search_domain
    seen = (
        f"{lookup.host} was looked up as {lookup.decisive}, because of the search "
        f"domain {domain}; there, {finding.seen}"
    )
    own = addresses_of(lookup.of(name=lookup.host))
    lines = [f"{lookup.decisive} has {join_addresses(set(lookup.addresses))}"]
    lines += [f"{lookup.host} itself has {join_addresses(own)}"] if own else []
    lines += [f"{domain} has addresses for any name"] if lookup.wildcard else []
    evidence = tuple((Side.CLIENT, line) for line in lines)
    return replace(
        finding,
        failure="name.search_domain",
        seen=seen,
        evidence=evidence + finding.evidence,
        where=Location.CLIENT,
    )
