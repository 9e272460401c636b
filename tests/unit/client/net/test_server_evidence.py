"""The far end's record of a connection, asked for past balancers and strangers."""

from __future__ import annotations

import socket
import time

import pytest

from netduet.client.net.dial import Address
from netduet.client.net.server_evidence import (
    TRIES,
    ledger_entry,
    present_view,
    server_health,
)
from netduet.client.net.timeouts import Timeouts
from netduet.client.results.instance import Instance
from netduet.client.results.verdict import ServerHealth
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

PATIENT = Timeouts(TIMEOUT_SECONDS, TIMEOUT_SECONDS, TIMEOUT_SECONDS)
BRIEF = Timeouts(TIMEOUT_SECONDS, TIMEOUT_SECONDS, 0.05)

AGE = 7.0
"""Seconds since the window began that a server is asked about."""


def answers(found: LedgerEntry | None) -> Script:
    """Return the same instance, which has this in its ledger."""

    def script(accepted: AcceptedConnection) -> None:
        accepted.send_welcome()
        question = accepted.read_frame()
        assert question.kind == Kind.LEDGER
        assert b"c" * 32 in question.payload
        accepted.send_answer(
            Kind.LEDGER, LedgerAnswer(instance="here", entry=found), question.id
        )
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
    async with FakeServer(answers(make_ledger_entry())) as server:
        found = await ledger_entry(server.address, make_welcome(), PATIENT)
    assert found == (make_ledger_entry(), "")


@pytest.mark.parametrize("before", [[other], [plain], [other, plain, other]])
async def test_other_instances_are_skipped(before: list[Script]) -> None:
    """Behind a balancer the question is repeated until the same instance answers."""
    async with FakeServer(*before, answers(make_ledger_entry())) as server:
        found, _ = await ledger_entry(server.address, make_welcome(), PATIENT)
    assert found == make_ledger_entry()


async def test_instance_is_asked_directly_as_last_resort() -> None:
    """If the balancer never leads there, the instance's own address is asked."""
    async with (
        FakeServer(*[other] * TRIES) as server,
        FakeServer(answers(make_ledger_entry())) as direct,
    ):
        host, port = direct.address.host, direct.address.port
        welcome = make_welcome(local={"address": host, "port": port})
        found, _ = await ledger_entry(server.address, welcome, PATIENT)
    assert (found, server.accepted, direct.accepted) == (make_ledger_entry(), TRIES, 1)


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
    async with FakeServer(*[other] * TRIES) as server:
        found = await ledger_entry(server.address, welcome, PATIENT)
    assert found == (None, "only other instances responded")


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
    async with FakeServer(*[script] * 2) as server:
        found = await ledger_entry(server.address, make_welcome(), BRIEF)
    assert found == (None, why)
    assert server.accepted == 1


async def test_foreign_server_in_its_place_is_reported() -> None:
    """If no netduet server answers any more, that is why there is no record."""
    welcome = make_welcome(local={"address": "", "port": 0})
    async with FakeServer(*[plain] * TRIES) as server:
        found = await ledger_entry(server.address, welcome, PATIENT)
    assert found == (
        None,
        f"a second connection to {server.address}: another program responds",
    )


async def test_refused_second_connection_is_reported() -> None:
    """A server that has gone is named with the error of the last attempt."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        address = Address(socket.AF_INET, "127.0.0.1", port)
        welcome = make_welcome(local={"address": "127.0.0.1", "port": port})
        found, why = await ledger_entry(address, welcome, PATIENT)
    assert found is None
    assert why == (
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
    async with FakeServer(*scripts) as server:
        assert (
            await server_health(
                [server.address] * len(scripts), PATIENT, time.monotonic() - AGE
            )
            == expected
        )


def inspected(view: TcpInfo | None) -> Script:
    """Return the same instance, whose kernel has this to say of the connection."""

    def script(accepted: AcceptedConnection) -> None:
        accepted.send_welcome(features=["inspect"], node="n1", zone="z")
        question = accepted.read_frame()
        assert question.kind == Kind.INSPECT
        assert b"c" * 32 in question.payload
        inspection = Inspection(
            instance="here", connection=view, window=1.0, stalled=0.0, throttled=None
        )
        accepted.send_answer(Kind.INSPECT, inspection, question.id)
        assert accepted.read_frame().kind == Kind.END
        accepted.sock.sendall(serialize(Kind.END, flags=ANSWER))

    return script


@pytest.mark.parametrize(
    ("view", "why"),
    [
        (make_server_report(unacked=3).connection, ""),
        (None, "the instance no longer has the connection"),
    ],
)
async def test_same_instance_returns_current_tcp_info(
    view: TcpInfo | None, why: str
) -> None:
    """Other instances are skipped; a closed connection is reported as such."""
    welcome = make_welcome(features=["inspect"])
    async with FakeServer(other, inspected(view)) as server:
        assert await present_view(server.address, welcome, PATIENT) == (view, why)


async def test_server_without_inspect_is_not_asked() -> None:
    """No connection is spent on an old version."""
    async with FakeServer(other) as server:
        view, why = await present_view(
            server.address, make_welcome(features=[]), PATIENT
        )
    assert (view, why) == (None, "the server's version does not support this query")
    assert server.accepted == 0
