"""Connections from many source ports: stage 1 tries all, stage 2 the suspicious again.

A port that failed is tried again from the same port, never from another one, which
another path might carry. The rounds of the second stage mix suspicious ports with
controls, so that an outage, a burst of losses or a starved end meets both alike.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from netduet.client.checks.flows.plan import (
    AGAIN_SHARE,
    MAX_NEIGHBOURS,
    PORT_BYTES,
    ROUNDS,
    chosen_again,
    chosen_for_packets,
    has_stopped,
    max_first_seconds,
    patience,
    still_open,
)
from netduet.client.checks.flows.results import (
    FlowPlan,
    FlowTransport,
    PortTrial,
    SourcePort,
    TransportFlows,
)
from netduet.client.net.dial import Cause, classify, connect
from netduet.client.net.framed_connection import FramedConnection
from netduet.client.net.path_rate import ECHO_BYTES
from netduet.client.net.source_ports import spread_ports
from netduet.client.results.instance import UNKNOWN_INSTANCE, Instance, instance_of
from netduet.wire.frames import HEADER_SIZE

if TYPE_CHECKING:
    import socket

    from netduet.client.net.dialer import Dialer
    from netduet.client.net.handshake import Handshake
    from netduet.client.net.service_connection import ServiceConnection
    from netduet.wire.messages import TcpInfo

    AnyConnection = FramedConnection | ServiceConnection

MAX_CONNECTING: Final = 64
"""Maximum number of concurrent connection attempts."""

MAX_OPEN: Final = 16
"""Maximum number of concurrent open connections, where the path is not long."""

_LONG_ROUND_TRIP_SECONDS: Final = 0.02
_MAX_FULL_BYTES: Final = 9000
_MAX_FULL_SECONDS: Final = 2.5
"""Seconds after which no more packets of full size are sent: the link is slow."""

_RESEND_SECONDS: Final = 0.18
"""Seconds, plus a round trip, after which an answer has most likely been sent again: a
kernel waits for 200 ms or more (RFC 6298 §2.4, Linux's TCP_RTO_MIN)."""

_TICK_SECONDS: Final = 0.01
_PACKETS_PER_TICK: Final = 20
_PACKET_BYTES: Final = 8
_MAX_OPENINGS: Final = 4
_ROUND_TRIPS_REMEMBERED: Final = 8
_LOCAL_CAUSES: Final = frozenset({Cause.OTHER, Cause.NO_ROUTE})


class TcpFlows:
    """Tries the source ports of one address."""

    def __init__(
        self, dialer: Dialer, plan: FlowPlan, round_trip: float, extra: Sequence[int]
    ) -> None:
        """Prepare; ``extra`` are ports to try besides, which have failed before."""
        self._dialer = dialer
        self._plan = plan
        self._generator = random.SystemRandom()
        spread = spread_ports(plan.ports, self._generator)
        self._planned = list(dict.fromkeys([*spread, *extra]))
        self._round_trips = deque([round_trip], _ROUND_TRIPS_REMEMBERED)
        self._connecting = asyncio.Semaphore(MAX_CONNECTING)
        is_long = round_trip > _LONG_ROUND_TRIP_SECONDS
        self._open = asyncio.Semaphore(MAX_CONNECTING if is_long else MAX_OPEN)
        self._full_size = 0
        self._full_until = 0.0
        self._mtus: set[int] = set()

    async def run(self) -> TransportFlows:
        """Return what passed from which source port."""
        first_start = time.monotonic()
        ports = await self._try_all()
        start = time.monotonic()
        if any(each.first.passed for each in ports):
            ports = await self._try_again(ports)
        return TransportFlows(
            FlowTransport.TCP,
            tuple(ports),
            len(self._planned),
            self._full_size,
            (max(self._mtus, default=0), min(self._mtus, default=0)),
            start,
            time.monotonic(),
            first_start=first_start,
        )

    # The two stages

    async def _try_all(self) -> list[SourcePort]:
        """Try each port once, at a steady rate."""
        found: dict[int, SourcePort] = {}
        start = time.monotonic()
        self._full_until = start + _MAX_FULL_SECONDS

        async def try_numbered(number: int, port: int) -> None:
            # A port in use is replaced by the next one that is free.
            for candidate in range(port, port + MAX_NEIGHBOURS):
                trial = await self._try(candidate)
                if trial is not None:
                    found[number] = SourcePort(candidate, trial)
                    return

        async with asyncio.TaskGroup() as group:
            for number, port in enumerate(self._planned, 1):
                passed = {order: each.first.passed for order, each in found.items()}
                is_late = time.monotonic() - start > max_first_seconds(self._plan)
                if has_stopped(passed) or is_late:
                    break
                await self._connecting.acquire()
                self._connecting.release()
                group.create_task(try_numbered(number, port))
                await asyncio.sleep(self._plan.interval)
        return [found[number] for number in sorted(found)]

    async def _try_again(self, ports: list[SourcePort]) -> list[SourcePort]:
        """Try the suspicious ports again, mixed with controls."""
        self._full_until = float("inf")
        suspicious, controls = chosen_again(ports, self._generator)
        for _ in range(ROUNDS):
            again = still_open(ports, suspicious)
            if not again:
                break
            chosen = [*again, *controls]
            self._generator.shuffle(chosen)
            trials = await self._try_paced([ports[index].port for index in chosen])
            for index, trial in zip(chosen, trials, strict=True):
                if trial is not None:
                    each = ports[index]
                    ports[index] = replace(each, again=(*each.again, trial))
        lossy = chosen_for_packets(ports, suspicious, self._generator)
        if lossy:
            unsuspicious = chosen_for_packets(ports, controls, self._generator)
            await self._exchange_packets(ports, [*lossy, *unsuspicious])
        return ports

    async def _try_paced(self, ports: Sequence[int]) -> list[PortTrial | None]:
        """Try ports concurrently; on a slow path, one begins after the other."""
        interval = self._plan.transit_seconds(PORT_BYTES, AGAIN_SHARE)
        tasks = []
        async with asyncio.TaskGroup() as group:
            for port in ports:
                tasks.append(group.create_task(self._try(port)))
                if interval:
                    await asyncio.sleep(interval)
        return [task.result() for task in tasks]

    # One connection

    async def _try(self, port: int) -> PortTrial | None:
        """Connect, exchange a little, and end; None if this host could not try."""
        async with self._connecting:
            result = await connect(self._dialer.address, self._patience, port)
        if result.sock is None:
            if result.cause in _LOCAL_CAUSES:
                return None
            return PortTrial(passed=False, sent=1, detail=result.detail)
        self._round_trips.append(result.seconds)
        async with self._open:
            return await self._converse(result.sock)

    async def _converse(self, sock: socket.socket) -> PortTrial:
        try:
            connection = await self._dialer.start(sock)
        except OSError as error:
            sock.close()
            return PortTrial(passed=True, sent=1, detail=classify(error)[1])
        is_whole = False
        try:
            handshake = await connection.open(2 * self._patience)
            if handshake.cause is Cause.TIMEOUT:
                info = connection.info()
                lost = 0 if info is None else info.total_retrans
                detail = "accepted, then no response"
                return PortTrial(passed=False, sent=2, lost_up=lost, detail=detail)
            trial = await self._send_full(connection, handshake)
            is_whole = trial.is_clean and trial.full is not False
            if is_whole:
                await connection.end(self._patience)
            return trial
        finally:
            if not is_whole:
                # Data without an acknowledgement would keep the source port in use.
                connection.reset()
            connection.close()

    async def _send_full(
        self, connection: AnyConnection, handshake: Handshake
    ) -> PortTrial:
        """Send a packet of full size there and back, if that is possible and cheap."""
        info, instance = connection.info(), _instance(handshake)
        is_framed = isinstance(connection, FramedConnection)
        is_cheap = time.monotonic() < self._full_until
        full: bool | None = None
        slow = handshake.seconds > self._resend_seconds
        arrived = None
        if is_framed and is_cheap and handshake.welcome is not None and info:
            self._full_size = size = min(info.snd_mss, _MAX_FULL_BYTES)
            connection.ask(size - HEADER_SIZE)
            start = time.monotonic()
            full = bool(await connection.answers(self._patience + _RESEND_SECONDS))
            slow = slow or time.monotonic() - start > self._resend_seconds
            info = connection.info() or info
            self._mtus.add(info.pmtu)
            arrived = full or not info.unacked
        return PortTrial(
            passed=True,
            full=full,
            full_arrived=arrived,
            sent=2 + (full is not None),
            lost_up=0 if info is None or full is False else info.total_retrans,
            lost_down=int(slow and full is not False and not _retransmitted(info)),
            instance=instance,
            detail="" if handshake.answered else handshake.failure,
        )

    # Many packets

    async def _exchange_packets(
        self, ports: list[SourcePort], chosen: Sequence[int]
    ) -> None:
        """Send many small packets from each of these ports by turns, and count losses."""
        opened = await asyncio.gather(*(self._open_at(ports[i].port) for i in chosen))
        connections = {
            index: connection
            for index, connection in zip(chosen, opened, strict=True)
            if connection is not None
        }
        try:
            before = {i: each.info() for i, each in connections.items()}
            await self._send_packets(list(connections.values()))
            counts = await asyncio.gather(
                *(self._count(each, before[i]) for i, each in connections.items())
            )
            for index, trial in zip(connections, counts, strict=True):
                if trial is not None:
                    ports[index] = replace(ports[index], packets=trial)
        finally:
            for connection in connections.values():
                connection.close()

    async def _open_at(self, port: int) -> FramedConnection | None:
        """Open a connection; several tries, or the lossy ports would be left out."""
        for _ in range(_MAX_OPENINGS):
            if (connection := await self._open_once(port)) is not None:
                return connection
        return None

    async def _open_once(self, port: int) -> FramedConnection | None:
        result = await connect(self._dialer.address, self._patience, port)
        if result.sock is None:
            return None
        try:
            connection = await self._dialer.start(result.sock)
        except OSError:
            result.sock.close()
            return None
        handshake = await connection.open(2 * self._patience)
        if isinstance(connection, FramedConnection) and handshake.welcome is not None:
            return connection
        connection.close()
        return None

    async def _send_packets(self, connections: list[FramedConnection]) -> None:
        sent = _PACKETS_PER_TICK * ECHO_BYTES
        tick = max(_TICK_SECONDS, self._plan.transit_seconds(sent, AGAIN_SHARE))
        due = time.monotonic()
        queue = deque[FramedConnection]()
        for _ in range(self._plan.packets):
            self._generator.shuffle(connections)
            queue.extend(connections)
            while len(queue) >= _PACKETS_PER_TICK:
                for _ in range(_PACKETS_PER_TICK):
                    queue.popleft().ask(_PACKET_BYTES)
                due = max(due + tick, time.monotonic() - tick)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
        for connection in queue:
            connection.ask(_PACKET_BYTES)

    async def _count(
        self, connection: FramedConnection, before: TcpInfo | None
    ) -> PortTrial | None:
        """Wait for the answers; return how often both kernels sent something again."""
        left = self._plan.packets
        until = time.monotonic() + self._patience + 1.0
        while left > 0 and (wait := until - time.monotonic()) > 0:
            count = await connection.answers(wait)
            if count is None:
                break
            left -= count
        report = await connection.report(self._patience + 1.0)
        info = connection.info()
        if report is None or report.connection is None or info is None:
            return None
        sent, earlier = self._plan.packets, _retransmitted(before)
        return PortTrial(
            passed=True,
            sent=sent,
            lost_up=min(sent, max(0, info.total_retrans - earlier)),
            lost_down=min(sent, report.connection.total_retrans),
            instance=instance_of(connection.welcome),
        )

    @property
    def _patience(self) -> float:
        return patience(max(self._round_trips), self._plan)

    @property
    def _resend_seconds(self) -> float:
        return _RESEND_SECONDS + max(self._round_trips)


def _instance(handshake: Handshake) -> Instance:
    welcome = handshake.welcome
    return UNKNOWN_INSTANCE if welcome is None else instance_of(welcome)


def _retransmitted(info: TcpInfo | None) -> int:
    return 0 if info is None else info.total_retrans
