"""The check ``udp`` against a real server, through relays with one fault each."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing

import pytest

from netduet.client.checks.base import CheckOptions
from netduet.client.checks.identity.results import IdentityAnswer
from netduet.client.checks.udp.judge import judge
from netduet.client.checks.udp.measure import FEATURE, exchange
from netduet.client.checks.udp.results import BurstPlan, UdpResult
from netduet.client.net.dial import Address
from netduet.client.net.handshake import Handshake
from netduet.client.results.verdict import Judgement
from netduet.wire import datagram
from netduet.wire.frames import ANSWER, MAGIC, Kind, serialize
from netduet.wire.messages import Open, decode, encode
from tests.integration.conftest import StartServer
from tests.integration.udp_relays import (
    Fault,
    delay_every_tenth,
    drop_all,
    drop_every_tenth,
    drop_from_number,
    drop_longer_than,
    duplicate_all,
    duplicate_every_tenth,
    hold_until_query,
    pass_all,
    relay,
    relay_answering_from_another_port,
)
from tests.unit.client.fake_server import make_welcome

PLAN = BurstPlan(300, 0.001)
UDP_TIMEOUT_SECONDS = 3.0
"""Seconds for an answer: as long as a machine under load may take for one."""


async def ask(
    port: int, timeout: float = UDP_TIMEOUT_SECONDS, plan: BurstPlan = PLAN
) -> UdpResult:
    """Ask at a port of loopback where, over TCP, a netduet was met."""
    address = Address(socket.AF_INET, "127.0.0.1", port)
    local = {"address": address.host, "port": port}
    welcome = make_welcome(features=[FEATURE], local=local)
    answer = IdentityAnswer(address, Handshake(welcome=welcome))
    return await asyncio.to_thread(exchange, answer, plan, timeout)


def judged(measured: UdpResult) -> Judgement:
    """Judge what came of it."""
    return judge(measured, CheckOptions())


def found(judgement: Judgement) -> list[tuple[str, str | None]]:
    """Return the classes that were found, and where."""
    return [(finding.failure, finding.where) for finding in judgement.findings]


async def test_good_server_loses_nothing(start_server: StartServer) -> None:
    """On loopback all datagrams come back, and the largest passes unfragmented."""
    running = await start_server()
    judgement = judged(await ask(running.port))
    assert found(judgement) == []
    losses = {name: judgement.figures[name] for name in ("up_lost", "down_lost")}
    assert losses == {"up_lost": 0, "down_lost": 0}
    assert (
        judgement.figures["up_largest"] == judgement.figures["down_largest"] == 65_507
    )
    assert judgement.figures["up_fragments"] is None


@pytest.mark.parametrize(
    ("up", "down", "where"),
    [
        (drop_every_tenth, pass_all, "path →"),
        (pass_all, drop_every_tenth, "path ←"),
    ],
)
async def test_loss_is_found_in_its_direction(
    start_server: StartServer, up: Fault, down: Fault, where: str
) -> None:
    """10 % loss one way fails in that direction, and the other is clean."""
    running = await start_server()
    with relay(running.port, up, down) as port:
        judgement = judged(await ask(port))
    assert found(judgement) == [("udp.loss", where)]
    figures = judgement.figures
    lost = {"path →": figures["up_lost"], "path ←": figures["down_lost"]}
    assert lost.pop(where) in range(28, 33)
    assert set(lost.values()) == {0}


@pytest.mark.parametrize(
    ("up", "down", "figure", "words"),
    [
        (
            duplicate_every_tenth,
            pass_all,
            "up_duplicated",
            "arrived more than once on the",
        ),
        (
            pass_all,
            duplicate_every_tenth,
            "down_duplicated",
            "arrived more than once on the",
        ),
        (
            delay_every_tenth(),
            pass_all,
            "up_reordered",
            "arrived out of order on the",
        ),
        (
            pass_all,
            delay_every_tenth(),
            "down_reordered",
            "arrived out of order on the",
        ),
    ],
)
async def test_duplicates_and_reordering_are_notes_by_direction(
    start_server: StartServer, up: Fault, down: Fault, figure: str, words: str
) -> None:
    """10 % is no failure, and counts in its direction."""
    running = await start_server()
    with relay(running.port, up, down) as port:
        judgement = judged(await ask(port))
    assert found(judgement) == []
    counts = {
        name: value
        for name, value in judgement.figures.items()
        if name.endswith(("_duplicated", "_reordered"))
    }
    assert counts.pop(figure) in range(28, 33)
    assert set(counts.values()) == {0}
    assert any(words in remark for remark in judgement.remarks)


@pytest.mark.parametrize(
    ("up", "down", "where"),
    [(duplicate_all, pass_all, "path →"), (pass_all, duplicate_all, "path ←")],
)
async def test_duplicating_everything_fails(
    start_server: StartServer, up: Fault, down: Fault, where: str
) -> None:
    """A network that duplicates every datagram is broken."""
    running = await start_server()
    with relay(running.port, up, down) as port:
        judgement = judged(await ask(port))
    assert found(judgement) == [("udp.duplicated", where)]


async def test_outage_is_counted_as_loss_run(start_server: StartServer) -> None:
    """Consecutive losses are counted apart from scattered ones."""
    running = await start_server()

    def outage(number: int, data: bytes) -> list[bytes]:
        return [] if 100 <= number < 160 or number % 100 == 0 < number else [data]

    with relay(running.port, outage) as port:
        judgement = judged(await ask(port))
    [finding] = judgement.findings
    assert (finding.failure, finding.where) == ("udp.loss", "path →")
    assert judgement.figures["lost_in_a_row"] == 60
    assert finding.missed_deadline is None, "the server's socket has dropped none"


async def test_late_answers_are_not_lost(start_server: StartServer) -> None:
    """Answers that arrive after the burst are all counted."""
    running = await start_server()
    with relay(running.port, pass_all, hold_until_query()) as port:
        judgement = judged(await ask(port, plan=BurstPlan(1200, 0.0005)))
    assert found(judgement) == []
    assert judgement.figures["down_lost"] == 0
    assert not any("cannot be counted" in remark for remark in judgement.remarks)


@pytest.mark.parametrize(("up", "down"), [(drop_all, pass_all), (pass_all, drop_all)])
async def test_no_answer_is_silent(
    start_server: StartServer, up: Fault, down: Fault
) -> None:
    """Without an answer the direction is unknown, and stalls may be an excuse."""
    running = await start_server()
    with relay(running.port, up, down) as port:
        measured = await ask(port, 0.5)
    judgement = judged(measured)
    assert found(judgement) == [("udp.silent", None)]
    assert judgement.findings[0].missed_deadline is not None
    assert measured.opening.openings == 4


async def test_answers_from_another_port_are_misaddressed(
    start_server: StartServer,
) -> None:
    """A connected socket cannot receive them; another one recognises its question."""
    running = await start_server()
    with relay_answering_from_another_port(running.port) as port:
        judgement = judged(await ask(port, 0.5))
    assert found(judgement) == [("udp.misaddressed", None)]


async def test_single_lost_opening_passes(start_server: StartServer) -> None:
    """The opening is sent again, with a note."""
    running = await start_server()
    with relay(running.port, lambda n, data: [data] if n else []) as port:
        judgement = judged(await ask(port))
    assert found(judgement) == []
    assert any("had to be sent 2 times" in remark for remark in judgement.remarks)


async def test_path_closing_during_burst_is_silent(
    start_server: StartServer,
) -> None:
    """Answers that stop during the burst are no random loss."""
    running = await start_server()
    with relay(running.port, drop_from_number(100)) as port:
        judgement = judged(await ask(port, 0.5))
    assert found(judgement) == [("udp.silent", None)]
    assert "were answered at first" in judgement.findings[0].seen


async def test_disabled_udp_is_rejected_by_server(
    start_server: StartServer,
) -> None:
    """The ICMP error of the server's kernel is located at the server."""
    running = await start_server(udp=False)
    judgement = judged(await ask(running.port))
    assert found(judgement) == [("udp.rejected", "server")]
    assert judgement.findings[0].figures["icmp_from"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("limit", "where", "figure"),
    [
        (2000, "path →", "up_largest"),
        (2000, "path ←", "down_largest"),
        (600, "path →", "up_largest"),
    ],
)
async def test_size_limit_is_found_to_the_byte(
    start_server: StartServer, limit: int, where: str, figure: str
) -> None:
    """A black hole has a direction and a limit, even below the opening's size."""
    running = await start_server()
    broken = drop_longer_than(limit)
    up, down = (broken, pass_all) if where == "path →" else (pass_all, broken)
    with relay(running.port, up, down) as port:
        judgement = judged(await ask(port, 0.5))
    assert found(judgement) == [("udp.black_hole", where)]
    assert judgement.figures[figure] == limit


def answering(instance: str) -> Fault:
    """Return a minimal server: it welcomes, and answers nothing else."""

    def fault(_: int, data: bytes) -> list[bytes]:
        frame = datagram.parse(data)
        assert frame is not None
        if frame.kind != Kind.OPEN:
            return []
        nonce = decode(Open, frame.payload).nonce
        message = make_welcome(nonce=nonce, instance=instance, features=["echo"])
        return [MAGIC + serialize(Kind.OPEN, encode(message), flags=ANSWER)]

    return fault


async def test_old_server_is_only_reached() -> None:
    """It passes because it answers, with a note on what was not measured."""
    with relay(None, answering("old")) as port:
        judgement = judged(await ask(port))
    assert found(judgement) == []
    assert judgement.summary.endswith("responds to datagrams")
    assert "loss and sizes were not tested" in judgement.remarks[-1]


async def test_reflected_question_is_a_foreign_server() -> None:
    """A peer that returns what it gets is no netduet server."""
    with relay(None) as port:
        judgement = judged(await ask(port, 0.5))
    assert found(judgement) == [("udp.not_netduet", None)]


async def test_two_servers_behind_a_port_are_not_loss(
    start_server: StartServer,
) -> None:
    """If one socket's datagrams reach two servers, loss cannot be counted."""
    running, other = await start_server(), await start_server()
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as second:
        second.connect(("127.0.0.1", other.port))
        second.settimeout(UDP_TIMEOUT_SECONDS)
        answers: list[bytes] = []

        def by_turns(number: int, data: bytes) -> list[bytes]:
            if number % 2 == 0:
                return [data]
            second.send(data)
            answers.append(second.recv(65_535))
            return []

        def with_the_others(_: int, data: bytes) -> list[bytes]:
            others, answers[:] = answers[:], []
            return [*others, data]

        with relay(running.port, by_turns, with_the_others) as port:
            judgement = judged(await ask(port, 1.0))
    assert found(judgement) == []
    assert any("cannot be counted" in remark for remark in judgement.remarks)
