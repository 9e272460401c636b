"""The long-lived connection to a service that gives little time for a login."""

from __future__ import annotations

import socket
import time
from dataclasses import replace

from netduet.client.net.dial import Address
from netduet.client.net.dialer import ServiceDialer
from netduet.client.net.timeouts import Timeouts
from netduet.client.outages.events import ProbeEvent
from netduet.client.outages.keepalive_probe import KeepaliveProbe
from netduet.client.protocols.plain import PROTOCOL
from netduet.runtime.stall_monitor import StallMonitor
from tests.integration.services import service, wait_for_client

TIMEOUTS = Timeouts(resolve=3.0, connect=3.0, answer=3.0)
LOGIN_SECONDS = 1.0


async def test_connection_ends_before_the_service_would_end_it() -> None:
    """A connection that reaches the limit may count as an attack; it is no outage."""
    durations: list[float] = []

    def greet_and_wait(sock: socket.socket) -> None:
        start = time.monotonic()
        sock.recv(4096)
        sock.sendall(b"Hello, client!")
        wait_for_client(sock)
        durations.append(time.monotonic() - start)

    events: list[ProbeEvent] = []
    with service(greet_and_wait) as found:
        address = Address(socket.AF_INET, found.host, found.port)
        protocol = replace(PROTOCOL, login_timeout=LOGIN_SECONDS)
        dialer = ServiceDialer(address, protocol, found.host)
        async with StallMonitor() as stalls:
            probe = KeepaliveProbe(dialer, TIMEOUTS, 0.05, stalls, events.append)
            await probe.run(2.5)
    assert probe.connections == len(durations) >= 2
    assert max(durations) < LOGIN_SECONDS
    assert events == []
