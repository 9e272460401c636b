"""Asking one DNS server, on loopback."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable

import pytest

from netduet.client.checks.name import server_session
from netduet.client.checks.name.results import SILENT, Query
from netduet.client.checks.name.server_session import (
    REPEATS,
    REPEATS_UNKNOWN,
    ServerSession,
)
from netduet.client.checks.name.silence import MAX_LOSS
from netduet.client.net.dial import Resolution
from netduet.client.protocols.dns_lookup import RecordType
from netduet.client.stats.proportions import lower_bound
from tests.unit.client.checks.name.dns_server import Answer, DnsServer, serve

NAMES = ("web.corp.example", "web")
BOTH = tuple(RecordType)


async def ask(
    answer: Callable[[str, str], Answer],
    names: tuple[str, ...] = ("web",),
    over_tcp: Callable[[str, str], Answer] | None = None,
    records: tuple[RecordType, ...] = BOTH,
) -> tuple[list[Query], ServerSession, DnsServer]:
    """Run a session beside a getaddrinfo that is done."""
    resolving: asyncio.Future[Resolution] = asyncio.get_running_loop().create_future()
    resolving.set_result(Resolution((), None, "", 0.0, 0.0))
    async with serve(answer, over_tcp) as (address, server):
        until = time.monotonic() + 30.0
        session = ServerSession(
            address, "web", names, records, resolving=resolving, until=until
        )
        await session.run()
        queries = session.queries()
        session.close()
    return queries, session, server


def usual(name: str, record: str) -> Answer:
    """Know one IPv4 address of one name."""
    if name != "web":
        return "NXDOMAIN"
    return ("192.0.2.1",) if record == "A" else ()


async def test_name_with_addresses_is_asked_again() -> None:
    """Each time from a socket of its own, for both types; other names only once."""
    queries, session, server = await ask(usual, NAMES)
    asked = Counter(server.asked)
    assert asked["web", "A"] == asked["web", "AAAA"] == 1 + REPEATS
    assert asked["web.corp.example", "A"] == asked["web.corp.example", "AAAA"] == 1
    assert len(server.sources) == 2 + REPEATS
    addresses = {query.addresses for query in queries if query.record == "A"}
    assert addresses == {(), ("192.0.2.1",)}
    assert not session.is_wildcard


async def test_wildcard_is_found_by_a_random_name() -> None:
    """A search domain that has addresses for one has them for all."""

    def wildcard(_: str, record: str) -> Answer:
        return ("192.0.2.9",) if record == "A" else ()

    queries, session, server = await ask(wildcard, NAMES)
    assert session.is_wildcard
    random = {name for name, _ in server.asked if name.startswith("nd-")}
    assert len(random) == 1
    assert next(iter(random)).endswith(".corp.example")
    assert not random & {query.name for query in queries}


async def test_each_answer_is_kept() -> None:
    """A server that says no now and then, and at first."""
    turns = itertools.cycle(["NXDOMAIN", ("192.0.2.1",), ("192.0.2.1",)])
    queries, _, _ = await ask(lambda *_: next(turns), records=(RecordType.A,))
    codes = Counter(query.code for query in queries)
    assert codes.total() == 1 + REPEATS_UNKNOWN + REPEATS
    assert codes["NXDOMAIN"] == 4


async def test_silent_type_is_asked_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """After pairs without an answer, it has two sockets to itself."""
    monkeypatch.setattr(server_session, "SILENCE_SECONDS", 0.2)
    queries, _, _ = await ask(
        lambda _, record: ("192.0.2.1",) if record == "A" else None
    )
    silent = [query for query in queries if query.record == "AAAA"]
    assert {query.error for query in silent} == {SILENT}
    assert [query.alone for query in silent].count(True) == server_session.REPEATS_ALONE
    assert not any(query.alone for query in queries if query.record == "A")


@pytest.mark.parametrize("records", [BOTH, (RecordType.A,)])
async def test_lost_query_is_followed_by_many(records: tuple[RecordType, ...]) -> None:
    """So many that a third of loss is certain, whichever types are asked for."""
    turns = itertools.count()
    queries, _, server = await ask(
        lambda name, record: usual(name, record) if next(turns) % 3 else None,
        records=records,
    )
    assert len(server.asked) == len(queries) == server_session.QUERIES_FOR_LOSS
    lost = sum(query.error == SILENT for query in queries)
    assert lower_bound(lost, len(queries)) > MAX_LOSS


async def test_lost_first_query_is_sent_from_another_socket() -> None:
    """The lost one counts, and what the server answers is the time of the new one."""
    turns = itertools.count()
    queries, _, _ = await ask(
        lambda name, record: usual(name, record) if next(turns) > 1 else None
    )
    assert [query.error for query in queries[:2]] == [SILENT, SILENT]
    assert not any(query.error for query in queries[2:])
    assert len(queries) == server_session.QUERIES_FOR_LOSS


async def test_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not asked again and again."""
    monkeypatch.setattr(server_session, "SILENCE_SECONDS", 0.2)
    queries, _, _ = await ask(lambda *_: None)
    assert [query.error for query in queries] == [SILENT, SILENT]


async def test_truncated_answer_is_asked_over_tcp() -> None:
    """As resolvers do (RFC 7766 §5); the answer over TCP counts."""
    queries, _, _ = await ask(
        lambda *_: "truncated",
        over_tcp=lambda *_: ("192.0.2.7",),
        records=(RecordType.A,),
    )
    assert {query.addresses for query in queries} == {("192.0.2.7",)}
    assert {query.tcp_error for query in queries} == {""}


async def test_truncated_answer_without_tcp_is_an_error() -> None:
    """The errno says why."""
    queries, _, _ = await ask(lambda *_: "truncated", records=(RecordType.A,))
    assert {query.tcp_error for query in queries} == {
        "ECONNREFUSED: Connection refused"
    }
