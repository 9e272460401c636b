"""The answers of DNS servers in words. Pure."""

from __future__ import annotations

from netduet.client.checks.name.results import Lookup, Query
from netduet.client.protocols.dns_lookup import NOERROR

MAX_ADDRESSES_SHOWN = 4


def describe_queries(lookup: Lookup) -> list[str]:
    """Describe the answers, one line for each server, name and record type."""
    groups: dict[tuple[str, str, str], list[Query]] = {}
    for query in lookup.queries:
        key = query.server, query.name, query.record.value
        groups.setdefault(key, []).append(query)
    return [
        f"DNS server {server}, {record} of {name}: {_describe_group(group)}"
        for (server, name, record), group in groups.items()
    ]


def _describe_group(group: list[Query]) -> str:
    counts: dict[str, int] = {}
    for query in group:
        answer = _describe_answer(query)
        counts[answer] = counts.get(answer, 0) + 1
    answered = [query.seconds for query in group if query.answered]
    longest = max(answered or [query.seconds for query in group])
    texts = [f"{count} × {answer}" for answer, count in counts.items()]
    return f"{', '.join(texts)}, within {format_milliseconds(longest)}"


def _describe_answer(query: Query) -> str:
    if query.tcp_error:
        return f"truncated, and over TCP: {query.tcp_error}"
    text = query.outcome
    if text == NOERROR:
        text = join_addresses(set(query.addresses))
    return f"{text} (from a socket of its own)" if query.alone else text


def join_addresses(addresses: set[str]) -> str:
    """Join addresses, the first few."""
    shown = sorted(addresses)[:MAX_ADDRESSES_SHOWN]
    more = len(addresses) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def format_milliseconds(seconds: float) -> str:
    """Return a duration in milliseconds."""
    return f"{seconds * 1000:.1f} ms"
