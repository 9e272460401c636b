"""COUNT: the server's counts of the UDP flows that reach it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
from collections.abc import Iterator

import pytest

from netduet.wire import datagram, udp_count
from netduet.wire.frames import ANSWER, HEADER_SIZE, MAGIC, Kind
from netduet.wire.udp_count import ANSWER_SIZE, CountAnswer, CountFlag, CountQuestion
from tests.integration.conftest import StartServer
from tests.integration.framed_client import FramedClient
from tests.integration.servers import TIMEOUT_SECONDS
from tests.integration.test_server_datagrams import parts

OVERHEAD = len(MAGIC) + HEADER_SIZE
ECHO = datagram.serialize(Kind.ECHO, b"done", 0)


class Asker:
    """A minimal client that counts over one connected socket."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        """Connect."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.settimeout(TIMEOUT_SECONDS)
        self.sock.connect((host, port))

    def send(
        self, sequence: int, *, flow: int = 1, flags: int = 0, size: int = 60
    ) -> int:
        """Send a question whose payload has this size; return the datagram's bytes."""
        question = CountQuestion(flow, sequence, CountFlag(flags)).serialize(size)
        return self.sock.send(datagram.serialize(Kind.COUNT, question, sequence))

    def receive(self) -> tuple[CountAnswer, int]:
        """Return the next answer, and the bytes of its datagram."""
        data = self.sock.recv(65_536)
        kind, flags, number, payload = parts(data)
        answer = udp_count.parse_answer(payload)
        assert answer is not None
        assert (kind, flags, number) == (Kind.COUNT, ANSWER, answer.sequence)
        return answer, len(data)

    def ask(
        self, sequence: int, *, flow: int = 1, flags: int = 0, size: int = 60
    ) -> CountAnswer:
        """Ask and return the answer."""
        self.send(sequence, flow=flow, flags=flags, size=size)
        return self.receive()[0]


@contextlib.contextmanager
def asker(port: int, host: str = "127.0.0.1") -> Iterator[Asker]:
    """Lend a client; its socket is closed afterwards."""
    created = Asker(port, host)
    with created.sock:
        yield created


def tally(answer: CountAnswer) -> tuple[int, int, int, int]:
    """Return how many arrived, came again, came late, and were answered."""
    return answer.received, answer.duplicated, answer.reordered, answer.number


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_flow_anomalies_are_counted(start_server: StartServer, host: str) -> None:
    """The count has the losses, duplicates and reordering of a flow."""
    running = await start_server(host="")
    sent = [0, 1, 4, 2, 4, 4, 7, 5]

    def talk() -> list[CountAnswer]:
        with asker(running.port, host) as client:
            for sequence in sent:
                client.send(sequence)
            return [client.receive()[0] for _ in sent]

    answers = await asyncio.to_thread(talk)
    assert [answer.sequence for answer in answers] == sent
    assert [answer.number for answer in answers] == list(range(1, 9))
    assert tally(answers[-1]) == (6, 2, 2, 8)
    assert {answer.size for answer in answers} == {60}


async def test_socket_drops_are_reported(start_server: StartServer) -> None:
    """Datagrams dropped while the server did not run are counted."""
    running = await start_server()

    def last(client: Asker) -> CountAnswer:
        client.send(0, flags=CountFlag.QUERY)
        while not (answer := client.receive()[0]).flags & CountFlag.QUERY:
            pass
        return answer

    with asker(running.port) as client:
        client.send(0)
        first = await asyncio.to_thread(client.receive)
        for sequence in range(1, 3000):  # nobody reads: the server's loop is this one
            client.send(sequence, size=1200)
        answer = await asyncio.to_thread(last, client)
    assert first[0].dropped == 0
    assert answer.received < 3000
    assert answer.dropped == 3000 - answer.received


async def test_long_shuffled_flow_is_counted(start_server: StartServer) -> None:
    """Thousands of datagrams, shuffled and some twice, are counted exactly."""
    running = await start_server()
    chance = random.Random(3)
    numbers = list(range(2000))
    sent = numbers + chance.sample(numbers, 300)
    chance.shuffle(sent)

    def talk() -> CountAnswer:
        with asker(running.port) as client:
            for at in range(
                0, len(sent), 50
            ):  # no more in flight than any buffer holds
                for sequence in sent[at : at + 50]:
                    client.send(sequence, flags=CountFlag.SHORT)
                for _ in sent[at : at + 50]:
                    client.receive()
            return client.ask(0, flags=CountFlag.QUERY)

    first, late = set[int](), 0
    for sequence in sent:
        late += sequence not in first and sequence < max(first, default=-1)
        first.add(sequence)
    answer = await asyncio.to_thread(talk)
    assert tally(answer) == (2000, 300, late, 2300)


async def test_query_is_answered_without_counting(start_server: StartServer) -> None:
    """QUERY returns the count, of a known flow and of an unknown one."""
    running = await start_server()

    def talk() -> list[tuple[int, int, int, int]]:
        with asker(running.port) as client:
            unknown = client.ask(9, flags=CountFlag.QUERY)
            client.ask(5)
            counts = [client.ask(9, flags=CountFlag.QUERY) for _ in range(2)]
            return [tally(answer) for answer in (unknown, *counts, client.ask(9))]

    expected = [(0, 0, 0, 0), (1, 0, 0, 1), (1, 0, 0, 1), (2, 0, 0, 2)]
    assert await asyncio.to_thread(talk) == expected


@pytest.mark.parametrize("size", [ANSWER_SIZE, ANSWER_SIZE + 1, 1200, 1472, 60_000])
@pytest.mark.parametrize("flags", [CountFlag.SHORT, CountFlag.QUERY])
async def test_answer_is_as_large_as_its_question_or_short(
    start_server: StartServer, size: int, flags: CountFlag
) -> None:
    """An answer pads to the question's size, or SHORT leaves the padding out."""
    running = await start_server()

    def talk(asked: int) -> tuple[int, int, CountAnswer]:
        with asker(running.port) as client:
            sent = client.send(3, flags=asked, size=size)
            answer, received = client.receive()
            return sent, received, answer

    for asked in (0, flags):
        sent, received, answer = await asyncio.to_thread(talk, asked)
        assert sent == OVERHEAD + size
        short = bool(asked & CountFlag.SHORT)
        assert received == (OVERHEAD + ANSWER_SIZE if short else sent)
        assert (answer.size, answer.flags) == (size, asked)


async def test_flows_and_sockets_do_not_mix(start_server: StartServer) -> None:
    """Each flow of each socket has its own count, for both address families."""
    running = await start_server(host="")

    def talk() -> list[tuple[int, int, int, int]]:
        with (
            asker(running.port) as first,
            asker(running.port) as other,
            asker(running.port, "::1") as third,
        ):
            for sequence in range(5):
                first.ask(sequence, flow=1)
            for sequence in (0, 0, 0):
                first.ask(sequence, flow=2)
            other.ask(9, flow=1)
            asked = [(first, 1), (first, 2), (other, 1), (third, 1)]
            return [
                tally(client.ask(0, flow=flow, flags=CountFlag.QUERY))
                for client, flow in asked
            ]

    expected = [(5, 0, 0, 5), (1, 2, 0, 3), (1, 0, 0, 1), (0, 0, 0, 0)]
    assert await asyncio.to_thread(talk) == expected


BREACHES = {
    "too-short": CountQuestion(1, 2).serialize(ANSWER_SIZE - 1),
    "empty": b"",
    "sequence": CountQuestion(1, 65_536).serialize(ANSWER_SIZE),
    "flag": bytes(12) + b"\x04" + bytes(ANSWER_SIZE),
}


@pytest.mark.parametrize("name", BREACHES)
async def test_breach_is_answered_if_the_error_fits(
    start_server: StartServer, name: str
) -> None:
    """An invalid COUNT gets an ERROR, or no answer if the ERROR does not fit."""
    running = await start_server()
    payload = BREACHES[name]

    def talk(room: int) -> tuple[int, bytes]:
        with asker(running.port) as client:
            client.sock.send(datagram.serialize(Kind.COUNT, payload, 5, room))
            client.sock.send(ECHO)  # loopback keeps the order
            data = client.sock.recv(65_536)
            return len(data), data

    size, data = await asyncio.to_thread(talk, 400)
    kind, flags, number, answer_payload = parts(data)
    assert (kind, flags, number) == (Kind.ERROR, ANSWER, 5)
    assert json.loads(answer_payload)["code"] == "bad_message"
    assert size <= 400
    assert (await asyncio.to_thread(talk, 0))[1] == MAGIC + bytes.fromhex(
        "0000000410010000 0000000000000000"
    ) + b"done"


async def test_breach_is_not_counted(start_server: StartServer) -> None:
    """A rejected question does not change the count of its flow."""
    running = await start_server()

    def talk() -> tuple[int, int, int, int]:
        with asker(running.port) as client:
            client.ask(1)
            refused = CountQuestion(1, 2).serialize(ANSWER_SIZE - 1)
            client.sock.send(datagram.serialize(Kind.COUNT, refused, 5))
            return tally(client.ask(0, flags=CountFlag.QUERY))

    assert await asyncio.to_thread(talk) == (1, 0, 0, 1)


async def test_count_over_tcp_is_out_of_order(start_server: StartServer) -> None:
    """COUNT is for datagrams only, though its feature is announced."""
    running = await start_server()

    def talk() -> str:
        with FramedClient(running.port) as peer:
            assert "count" in peer.welcome["features"]
            peer.send(Kind.COUNT, bytes(ANSWER_SIZE))
            return str(peer.error()["code"])

    assert await asyncio.to_thread(talk) == "out_of_order"
