"""The server's record of a connection, asked for past load balancers and other servers."""

from __future__ import annotations

import socket
import time

import pytest

from netduet.client.net.dial import Address
from netduet.client.net.server_evidence import (
    TRIES,
    ServerView,
    server_counters,
    server_health,
    server_view,
)
from netduet.client.net.timeouts import Timeouts
from netduet.client.results.instance import Instance
from netduet.client.results.starvation import ServerHealth
from netduet.wire.frames import ANSWER, Kind, serialize
from netduet.wire.messages import (
    Inspection,
    InspectQuestion,
    LedgerAnswer,
    LedgerEntry,
    TcpInfo,
    decode,
)
from tests.integration.servers import TIMEOUT_SECONDS
from tests.unit.client.fake_server import (
    HOSTILE_TEXT,
    AcceptedConnection,
    FakeServer,
    Script,
    make_ledger_entry,
    make_server_report,
    make_welcome,
    welcome_and_wait,
)

TIMEOUTS = Timeouts(TIMEOUT_SECONDS, TIMEOUT_SECONDS, TIMEOUT_SECONDS)
SHORT_TIMEOUTS = Timeouts(TIMEOUT_SECONDS, TIMEOUT_SECONDS, 0.05)

AGE = 7.0
"""Seconds since the window began that a server is asked about."""


def inspected(view: TcpInfo | None) -> Inspection:
    """Return what an instance reports of a connection, whose kernel has this view."""
    return Inspection(
        instance="here", connection=view, window=1.0, stalled=0.0, throttled=None
    )


def answers(found: LedgerEntry | None, inspection: Inspection | None = None) -> Script:
    """Return the same instance, which has this in its ledger, and may be inspected."""

    def script(accepted: AcceptedConnection) -> None:
        accepted.send_welcome()
        question = accepted.read_frame()
        assert question.kind == Kind.LEDGER
        assert b"c" * 32 in question.payload
        accepted.send_answer(
            Kind.LEDGER, LedgerAnswer(instance="here", entry=found), question.id
        )
        if inspection is not None:
            question = accepted.read_frame()
            assert question.kind == Kind.INSPECT
            assert b"c" * 32 in question.payload
            accepted.send_answer(Kind.INSPECT, inspection, question.id)
        assert accepted.read_frame().kind == Kind.END
        accepted.sock.sendall(serialize(Kind.END, flags=ANSWER))

    return script


def other(accepted: AcceptedConnection) -> None:
    """Be another instance behind the same address."""
    accepted.send_welcome(boot_id="e" * 32)
    accepted.wait_for_close()


def plain(accepted: AcceptedConnection) -> None:
    """Be no netduet."""
    accepted.sock.sendall(b"Hello, client!")
    accepted.wait_for_close()


async def test_same_instance_returns_its_record() -> None:
    """The record of the connection is returned, and nothing is missing."""
    async with FakeServer(answers(make_ledger_entry())) as fake:
        server = await server_view(fake.address, make_welcome(), TIMEOUTS)
    assert server == ServerView(make_ledger_entry())


@pytest.mark.parametrize("before", [[other], [plain], [other, plain, other]])
async def test_other_instances_are_skipped(before: list[Script]) -> None:
    """Behind a load balancer the question is repeated until the same instance answers."""
    async with FakeServer(*before, answers(make_ledger_entry())) as fake:
        server = await server_view(fake.address, make_welcome(), TIMEOUTS)
    assert server.entry == make_ledger_entry()


async def test_instance_is_asked_directly_as_last_resort() -> None:
    """If the load balancer never leads there, the instance's own address is asked."""
    async with (
        FakeServer(*[other] * TRIES) as fake,
        FakeServer(answers(make_ledger_entry())) as direct,
    ):
        host, port = direct.address.host, direct.address.port
        welcome = make_welcome(local={"address": host, "port": port})
        server = await server_view(fake.address, welcome, TIMEOUTS)
    assert server.entry == make_ledger_entry()
    assert (fake.accepted, direct.accepted) == (TRIES, 1)


@pytest.mark.parametrize(
    ("address", "port"),
    [
        (HOSTILE_TEXT, 80),
        ("localhost", 80),
        ("name.invalid", 80),
        ("\0", 80),
        ("a" * 64, 80),
        ("fe80::1%eth0", 80),
        ("127.0.0.1", 0),
        ("", 80),
    ],
)
async def test_invalid_reported_address_is_not_dialled(address: str, port: int) -> None:
    """Text that is no address is neither resolved nor shown, and raises nothing."""
    welcome = make_welcome(local={"address": address, "port": port})
    async with FakeServer(*[other] * TRIES) as fake:
        server = await server_view(fake.address, welcome, TIMEOUTS)
    assert server == ServerView(missing="only other instances responded", found=False)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (answers(None), "the instance no longer has a record of the connection"),
        (
            welcome_and_wait,
            "the instance did not respond to the query",
        ),
    ],
)
async def test_same_instance_without_an_answer_is_not_asked_again(
    script: Script, why: str
) -> None:
    """Once the right instance was reached, no other can answer for it."""
    async with FakeServer(*[script] * 2) as fake:
        server = await server_view(fake.address, make_welcome(), SHORT_TIMEOUTS)
    assert server == ServerView(missing=why)
    assert fake.accepted == 1


async def test_foreign_server_in_its_place_is_reported() -> None:
    """If no netduet server answers any more, that is why there is no record."""
    welcome = make_welcome(local={"address": "", "port": 0})
    async with FakeServer(*[plain] * TRIES) as fake:
        server = await server_view(fake.address, welcome, TIMEOUTS)
    assert (server.entry, server.missing) == (
        None,
        f"a second connection to {fake.address}: another program responds",
    )


async def test_refused_second_connection_is_reported() -> None:
    """A server that has gone is named with the error of the last attempt."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        address = Address(socket.AF_INET, "127.0.0.1", port)
        welcome = make_welcome(local={"address": "127.0.0.1", "port": port})
        server = await server_view(address, welcome, TIMEOUTS)
    assert server.entry is None
    assert server.missing == (
        f"a second connection to 127.0.0.1:{port}: ECONNREFUSED: Connection refused"
    )


def faring(stalled: float, throttled: float | None, instance: str = "here") -> Script:
    """Return a server that fared like this in its last ten seconds."""

    def script(accepted: AcceptedConnection) -> None:
        accepted.send_welcome(features=["inspect"], node="n1", zone="z")
        question = accepted.read_frame()
        assert question.kind == Kind.INSPECT
        asked = decode(InspectQuestion, question.payload)
        assert asked.window == pytest.approx(AGE, abs=1)
        inspection = Inspection(
            instance=instance,
            connection=None,
            window=10.0,
            stalled=stalled,
            throttled=throttled,
        )
        accepted.send_answer(Kind.INSPECT, inspection, question.id)
        accepted.wait_for_close()

    return script


@pytest.mark.parametrize(
    ("scripts", "expected"),
    [
        ([faring(2.0, None)], ServerHealth(Instance("here", "n1", "z"), 10.0, 2.0)),
        ([faring(2.0, 3.0)], ServerHealth(Instance("here", "n1", "z"), 10.0, 3.0)),
        (
            [faring(1.0, 0.0), plain, faring(4.0, 0.0, HOSTILE_TEXT)],
            ServerHealth(Instance(r"\x1b[31mred\n\u202egnp", "n1", "z"), 10.0, 4.0),
        ),
        ([plain], None),
        (
            [welcome_and_wait],
            None,
        ),  # it does not offer to be inspected
        ([], None),
    ],
)
async def test_most_starved_server_decides(
    scripts: list[Script], expected: ServerHealth | None
) -> None:
    """Stalled or throttled, the longer time counts; servers without data do not."""
    async with FakeServer(*scripts) as fake:
        assert (
            await server_health(
                [fake.address] * len(scripts), TIMEOUTS, time.monotonic() - AGE
            )
            == expected
        )


@pytest.mark.parametrize("view", [make_server_report(unacked=3).connection, None])
async def test_same_instance_returns_current_tcp_info(view: TcpInfo | None) -> None:
    """Other instances are skipped; a closed connection is reported as such."""
    welcome = make_welcome(features=["inspect"])
    async with FakeServer(other, answers(make_ledger_entry(), inspected(view))) as fake:
        server = await server_view(fake.address, welcome, TIMEOUTS)
    assert server == ServerView(make_ledger_entry(), view)


async def test_query_that_is_not_requested_is_not_sent() -> None:
    """The record alone, or the view alone: the other query costs no round trip."""
    welcome = make_welcome(features=["inspect"])
    view = make_server_report(unacked=3).connection

    def view_only(accepted: AcceptedConnection) -> None:
        accepted.send_welcome()
        question = accepted.read_frame()
        assert question.kind == Kind.INSPECT
        accepted.send_answer(Kind.INSPECT, inspected(view), question.id)
        assert accepted.read_frame().kind == Kind.END
        accepted.sock.sendall(serialize(Kind.END, flags=ANSWER))

    async with FakeServer(answers(make_ledger_entry()), view_only) as fake:
        record = await server_view(fake.address, welcome, TIMEOUTS, inspect=False)
        current = await server_view(fake.address, welcome, TIMEOUTS, record=False)
    assert record == ServerView(make_ledger_entry())
    assert current == ServerView(view=view)


async def test_view_is_returned_without_an_answer_about_the_record() -> None:
    """A kernel's view is evidence even if the record is missing."""
    view = make_server_report(unacked=3).connection

    def silent_about_record(accepted: AcceptedConnection) -> None:
        accepted.send_welcome()
        assert accepted.read_frame().kind == Kind.LEDGER
        question = accepted.read_frame()
        accepted.send_answer(Kind.INSPECT, inspected(view), question.id)
        accepted.wait_for_close()

    async with FakeServer(silent_about_record) as fake:
        welcome = make_welcome(features=["inspect"])
        server = await server_view(fake.address, welcome, SHORT_TIMEOUTS)
    missing = "the instance did not respond to the query"
    assert server == ServerView(view=view, missing=missing)


def counting(counters: dict[str, int] | None) -> Script:
    """Return a server whose kernel has these counters."""

    def script(accepted: AcceptedConnection) -> None:
        accepted.send_welcome(features=["inspect"])
        question = accepted.read_frame()
        assert accepted.read_frame().kind == Kind.END  # in the same write
        inspection = inspected(None).model_copy(update={"counters": counters})
        accepted.send_answer(Kind.INSPECT, inspection, question.id)
        accepted.sock.sendall(serialize(Kind.END, flags=ANSWER))
        accepted.sock.shutdown(socket.SHUT_WR)
        accepted.wait_for_close()

    return script


@pytest.mark.parametrize("counters", [{"TcpInCsumErrors": 7}, {}, None])
async def test_counters_are_those_of_the_same_instance(
    counters: dict[str, int] | None,
) -> None:
    """Other instances are skipped; an older server has no counters to report."""
    welcome = make_welcome(features=["inspect"])
    async with FakeServer(other, counting(counters)) as fake:
        assert await server_counters(fake.address, welcome, TIMEOUTS) == counters


@pytest.mark.parametrize("features", [[], ["inspect"]])
async def test_no_counters_without_the_feature_or_an_answer(
    features: list[str],
) -> None:
    """The server may have gone meanwhile."""
    welcome = make_welcome(features=features)
    async with FakeServer(plain) as fake:
        assert await server_counters(fake.address, welcome, TIMEOUTS) is None
