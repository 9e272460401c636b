"""Open UDP streams: who gets one, how many there are, how they end."""

from __future__ import annotations

import time

import pytest

from netduet.server import udp_streams
from netduet.server.udp_streams import ReplyPath, UdpStreams
from netduet.wire import udp_stream
from netduet.wire.errors import Code, RemoteError
from netduet.wire.udp_stream import (
    COOKIE_AGE_SECONDS,
    LEASE_SECONDS,
    MAX_NUMBER,
    NO_COOKIE,
    Challenge,
    EndReason,
    StreamAnswer,
    StreamEnd,
    StreamFlag,
    StreamQuestion,
    StreamStatus,
)
from tests.integration.servers import wait_until

PEER = ("192.0.2.1", 1024)
BOOT = "ab" * 16


class Client:
    """Asks from one address, and keeps what is sent there."""

    def __init__(
        self, server: UdpStreams, peer: tuple[str, int] = PEER, flow: int = 7
    ) -> None:
        """Ask nothing yet."""
        self.server, self.peer, self.flow = server, peer, flow
        self.cookie = NO_COOKIE
        self.received: list[StreamAnswer] = []
        self.works = True
        self.dropped: int | None = None
        self.tried = 0

    def ask(
        self, number: int = 0, flags: int = 0, later: float = 0.0, period: int = 20
    ) -> StreamAnswer | None:
        """Ask; return what is answered at once."""
        question = StreamQuestion(
            self.flow, number, period, self.cookie, StreamFlag(flags)
        )
        way = ReplyPath(self.peer, self._send, lambda: self.dropped)
        return self.server.take(question, way, time.monotonic() + later)

    def learn(self, later: float = 0.0) -> None:
        """Ask for a cookie."""
        challenge = self.ask(later=later)
        assert isinstance(challenge, Challenge)
        self.cookie = challenge.cookie

    async def received_statuses(self, count: int) -> list[StreamStatus]:
        """Wait for this number of datagrams of the stream; return them."""
        await wait_until(lambda: len(self.statuses) >= count)
        return self.statuses

    @property
    def statuses(self) -> list[StreamStatus]:
        """The datagrams of the stream."""
        return [
            stream_answer
            for stream_answer in self.received
            if isinstance(stream_answer, StreamStatus)
        ]

    def _send(self, answer: StreamAnswer) -> bool:
        self.tried += 1
        if self.works:
            self.received.append(answer)
        return self.works


async def test_stream_needs_a_cookie() -> None:
    """Without a cookie, or with another client's, the answer is a challenge."""
    server = UdpStreams(BOOT)
    client, other = Client(server), Client(server, ("192.0.2.1", 1025))
    client.learn()
    other.cookie = client.cookie
    assert isinstance(other.ask(), Challenge)
    other.cookie = bytes(15) + b"\1"
    assert isinstance(other.ask(), Challenge)
    challenge = other.ask()
    assert isinstance(challenge, Challenge)
    assert challenge.boot.hex() == BOOT
    assert (len(server), client.received, other.received) == (0, [], [])


async def test_cookie_starts_a_continuous_stream() -> None:
    """One valid datagram is enough: the stream continues and reports what arrived."""
    server = UdpStreams(BOOT)
    client = Client(server)
    client.learn()
    assert client.ask(0) is None
    assert client.ask(3) is None
    statuses = await client.received_statuses(3)
    assert [stream_status.number for stream_status in statuses] == list(
        range(len(statuses))
    )
    assert {
        (stream_status.received, stream_status.next, stream_status.gaps)
        for stream_status in statuses[1:]
    } == {(2, 4, ((1, 3),))}
    assert [stream_status.time for stream_status in statuses] == sorted(
        stream_status.time for stream_status in statuses
    )
    assert len({stream_status.run for stream_status in statuses}) == 1
    server.end()


async def test_each_datagram_has_the_drop_counter() -> None:
    """It is read for each datagram; unknown stays unknown."""
    server = UdpStreams(BOOT)
    client = Client(server)
    client.learn()
    client.ask(0)
    statuses = await client.received_statuses(1)
    assert statuses[-1].dropped is None
    client.dropped = 8
    before = len(client.statuses)
    statuses = await client.received_statuses(before + 1)
    assert statuses[-1].dropped == 8
    server.end()


async def test_unsent_datagram_takes_no_number() -> None:
    """A local send error is no packet loss."""
    server = UdpStreams(BOOT)
    client = Client(server)
    client.learn()
    client.works = False
    client.ask(0)
    await wait_until(lambda: client.tried > 1)
    client.works = True
    statuses = await client.received_statuses(2)
    assert [stream_status.number for stream_status in statuses[:2]] == [0, 1]
    server.end()


async def test_cookie_expires_and_the_stream_does_not() -> None:
    """An expired cookie starts nothing, and still serves the stream it started."""
    server = UdpStreams(BOOT)
    client, late = Client(server), Client(server, flow=8)
    client.learn()
    late.learn()
    client.ask(0)
    old = 2 * COOKIE_AGE_SECONDS + 1
    assert client.ask(1, later=old) is None
    assert isinstance(late.ask(0, later=old), Challenge)
    server.end()


async def test_moved_client_needs_a_new_cookie() -> None:
    """From another address the flow continues once it has its own cookie."""
    server = UdpStreams(BOOT)
    client, moved = Client(server), Client(server, ("198.51.100.1", 9))
    client.learn()
    client.ask(0)
    (first, *_) = await client.received_statuses(1)
    moved.cookie = client.cookie
    assert isinstance(moved.ask(1), Challenge)
    moved.learn()
    moved.ask(2)
    before = len(client.statuses)
    (then, *_) = await moved.received_statuses(1)
    assert (then.run, then.received, len(server)) == (first.run, 2, 1)
    assert len(client.statuses) == before
    server.end()


async def test_stop_ends_a_stream_and_is_always_answered() -> None:
    """A stop is confirmed, also when repeated, and also without a stream."""
    server = UdpStreams(BOOT)
    client = Client(server)
    client.learn()
    client.ask(0)
    for _ in range(2):
        assert client.ask(1, StreamFlag.STOP) == StreamEnd(7, EndReason.STOPPED)
        assert len(server) == 0


async def test_expired_lease_ends_the_stream_with_a_message() -> None:
    """A stream to a silent client ends."""
    server = UdpStreams(BOOT)
    client = Client(server)
    client.learn(-LEASE_SECONDS - 1)
    client.ask(0, later=-LEASE_SECONDS - 1)
    await wait_until(lambda: not len(server))
    assert client.received[-1] == StreamEnd(7, EndReason.LEASE_SECONDS)


async def test_shutdown_ends_all_streams_with_a_message() -> None:
    """A drain tells every client, and starts no stream."""
    server = UdpStreams(BOOT)
    client, late = Client(server), Client(server, flow=8)
    client.learn()
    late.learn()
    client.ask(0)
    server.end()
    assert client.received[-1] == StreamEnd(7, EndReason.DRAINING)
    assert late.ask(0) == StreamEnd(8, EndReason.DRAINING)
    assert len(server) == 0


@pytest.mark.parametrize(("most", "each"), [(2, 9), (9, 2)])
async def test_number_of_streams_is_limited(most: int, each: int) -> None:
    """Beyond the limit a valid client is refused; existing streams continue."""
    server = UdpStreams(BOOT, max_streams=most, max_per_client=each)
    for flow in range(3):
        client = Client(server, flow=flow)
        client.learn()
        if flow < 2:
            assert client.ask(0) is None
        else:
            with pytest.raises(RemoteError) as caught:
                client.ask(0)
            assert caught.value.code is Code.TOO_MANY_CONNECTIONS
            assert caught.value.facts == {"limit": 2}
    assert len(server) == 2
    assert server.refused == {"total": int(most == 2), "client": int(each == 2)}
    server.end()


async def test_stream_survives_any_client_number() -> None:
    """The highest possible number is reported like any other."""
    server = UdpStreams(BOOT)
    client = Client(server)
    client.learn()
    client.ask(0)
    client.ask(MAX_NUMBER)
    statuses = await client.received_statuses(3)
    assert udp_stream.parse_answer(statuses[-1].serialize()) == statuses[-1]
    assert statuses[-1].next == MAX_NUMBER + 1
    server.end()


async def test_wait_is_confirmed_and_then_kept() -> None:
    """One datagram at once, none while it lasts, and the next one after it (P-78)."""
    server = UdpStreams(BOOT)
    client = Client(server)
    client.learn()
    client.ask()
    await client.received_statuses(2)
    assert client.ask(1, StreamFlag.WAIT, period=1) is None
    confirmed = len(client.statuses)
    assert client.statuses[-1].next == 2
    [*_, last] = await client.received_statuses(confirmed + 1)
    waited = (last.time - client.statuses[confirmed - 1].time) / 1_000_000
    assert waited >= 1.0
    assert last.number == client.statuses[confirmed - 1].number + 1
    client.ask(2, StreamFlag.STOP)


async def test_wait_may_begin_a_stream_and_a_question_ends_it() -> None:
    """The stream then goes on at the question's period (P-78)."""
    server = UdpStreams(BOOT)
    client = Client(server)
    client.learn()
    client.ask(0, StreamFlag.WAIT, period=600)
    confirmed = len(client.statuses)
    assert confirmed >= 1
    client.ask(1)
    await client.received_statuses(confirmed + 2)
    client.ask(2, StreamFlag.STOP)
    assert len(server) == 0


async def test_wait_needs_a_cookie() -> None:
    """A forged address gets a challenge, and no timer."""
    server = UdpStreams(BOOT)
    assert isinstance(Client(server).ask(0, StreamFlag.WAIT, period=8), Challenge)
    assert len(server) == 0


async def test_stream_ends_soon_after_an_unanswered_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the server sends after it may go nowhere (P-78)."""
    monkeypatch.setattr(udp_streams, "WAIT_LEASE_SECONDS", 0.0)
    server = UdpStreams(BOOT)
    client = Client(server)
    client.learn()
    client.ask(0, StreamFlag.WAIT, period=1)
    await wait_until(lambda: len(server) == 0)
    assert client.received[-1] == StreamEnd(client.flow, EndReason.LEASE_SECONDS)
