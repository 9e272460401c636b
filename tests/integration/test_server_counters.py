"""The kernel's counters of the server, from its first answer on."""

from __future__ import annotations

import socket

from netduet.client.checks.identity.recognition import Recogniser
from netduet.client.checks.identity.results import ANY_NETDUET, Expectation
from netduet.client.net.dial import Address
from netduet.client.net.framed_connection import open_connection
from netduet.client.net.server_evidence import server_counters
from netduet.client.net.timeouts import Timeouts
from netduet.net import counters
from tests.integration.conftest import StartServer
from tests.integration.servers import TIMEOUT_SECONDS

TIMEOUTS = Timeouts(TIMEOUT_SECONDS, TIMEOUT_SECONDS, TIMEOUT_SECONDS)


async def test_identity_has_the_servers_counters(start_server: StartServer) -> None:
    """They come with the end of the first connection, and grow until asked for again."""
    running = await start_server()
    address = Address(socket.AF_INET, "127.0.0.1", running.port)
    recogniser = Recogniser("localhost", TIMEOUTS, Expectation(ANY_NETDUET))
    answer = await recogniser.identify(address)
    assert answer.counters is not None
    assert answer.counters.keys() <= counters.COUNTERS.keys()
    assert answer.handshake.welcome is not None
    later = await server_counters(address, answer.handshake.welcome, TIMEOUTS)
    assert later is not None
    assert later["device.lo"] >= answer.counters["device.lo"]


async def test_answer_about_another_connection_is_short(
    start_server: StartServer,
) -> None:
    """It must get through where large packets are lost, so it has no counters."""
    running = await start_server()
    address = Address(socket.AF_INET, "127.0.0.1", running.port)
    async with (
        open_connection(address, TIMEOUTS) as (_, first),
        open_connection(address, TIMEOUTS) as (_, second),
    ):
        assert first is not None
        assert second is not None
        about_itself = await first.inspect(first.welcome.conn_id, TIMEOUT_SECONDS)
        received = first.wire.bytes_received
        other = await first.inspect(second.welcome.conn_id, TIMEOUT_SECONDS)
        size = first.wire.bytes_received - received
    assert about_itself is not None
    assert about_itself.counters
    assert other is not None
    assert other.connection is not None
    assert other.counters is None
    assert size < 1000
