"""Keeps UDP flows silent in both directions, until the server breaks the silence.

A NAT or firewall that has forgotten a flow drops what comes from outside; a client that
speaks first may only notice that its port outside is another one. So the server is
asked to wait, and then to send. One flow stays busy meanwhile, as a control.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from netduet.client.checks.idle.results import (
    WAKE_SECONDS,
    UdpSilence,
    UdpSilences,
)
from netduet.wire import datagram, udp_stream
from netduet.wire.errors import RemoteError
from netduet.wire.frames import ANSWER, Kind
from netduet.wire.udp_stream import (
    NO_COOKIE,
    PLAIN,
    Challenge,
    StreamFlag,
    StreamQuestion,
    StreamStatus,
)

if TYPE_CHECKING:
    from netduet.client.net.dial import Address

FEATURE: Final = "wait"

MAX_RUNGS: Final = 12
"""Flows of one address: a server has 16 streams for it, and other checks need some."""

WARM_UP_SECONDS: Final = 2.5
"""Linux takes a flow for a lasting one after 2 s (nf_conntrack_udp_timeout_stream)."""

PERIOD_SECONDS: Final = 0.5
"""Between two datagrams of a flow that is not silent."""

_CONFIRM_SECONDS: Final = 2.0
_CONFIRM_TRIES: Final = 4
_TICK_SECONDS: Final = 0.05
_STOP_TRIES: Final = 2


def rungs_between(rungs: Sequence[float]) -> tuple[int, ...]:
    """Return the silences to try, in whole seconds: those given, and some between them.

    They narrow down a timer that is below the first one, or between two.
    """
    whole = {round(seconds) for seconds in rungs if seconds >= 1}
    given = sorted(each for each in whole if each <= udp_stream.MAX_WAIT_SECONDS)
    given = given[:MAX_RUNGS]
    if not given:
        return ()
    further = [round(given[0] * share) for share in (0.25, 0.5, 0.75)]
    further += [(low + high) // 2 for low, high in itertools.pairwise(given)]
    room = MAX_RUNGS - len(given)
    between = [seconds for seconds in further if seconds >= 1][:room]
    return tuple(sorted({*given, *between}))


async def keep_silent(address: Address, rungs: Sequence[int]) -> UdpSilences:
    """Keep a flow silent for each rung, all at once, beside a busy one."""
    over = asyncio.Event()
    control = asyncio.ensure_future(_keep_control(address, over))
    try:
        flows = await asyncio.gather(*(_keep_flow(address, each) for each in rungs))
    finally:
        over.set()
        arrivals = await control
    return UdpSilences(address, tuple(flows), arrivals)


async def _keep_control(address: Address, over: asyncio.Event) -> tuple[float, ...]:
    """Keep a flow busy until it is over; return when datagrams arrived."""
    arrivals: list[float] = []
    flow = await _open(address)
    if flow is None:
        return ()
    try:
        while not over.is_set():
            flow.ask()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PERIOD_SECONDS):
                    await over.wait()
            arrivals += [arrived for arrived, _ in flow.take()]
        await flow.stop()
    finally:
        flow.close()
    return tuple(arrivals)


async def _keep_flow(address: Address, rung: int) -> UdpSilence:
    """Keep one flow silent; return what came after that."""
    flow = await _open(address)
    if flow is None:
        return UdpSilence(rung)
    try:
        silence = await _fall_silent(flow, rung)
        await flow.stop()
    finally:
        flow.close()
    return silence


async def _fall_silent(flow: _Flow, rung: int) -> UdpSilence:
    warm_at = time.monotonic() + WARM_UP_SECONDS
    while time.monotonic() < warm_at and (flow.has_cookie or not flow.is_refused):
        flow.ask()
        await asyncio.sleep(PERIOD_SECONDS)
    begun = await flow.have_server_wait(rung) if flow.has_cookie else None
    if begun is None:
        return UdpSilence(rung)
    sent_before, start = begun
    await asyncio.sleep(max(0.0, start + rung - time.monotonic()))
    woken = await flow.wait_for_status(start + rung / 2, WAKE_SECONDS)
    silence = UdpSilence(
        rung,
        is_held=True,
        is_alive=woken is not None,
        start=start,
        end=time.monotonic(),
    )
    return silence if silence.is_alive else await _ask_again(flow, silence, sent_before)


async def _ask_again(flow: _Flow, silence: UdpSilence, sent_before: int) -> UdpSilence:
    """Ask after a silence that the server did not break; return what is then known."""
    asked_at, is_moved, status = time.monotonic(), False, None
    while time.monotonic() < asked_at + WAKE_SECONDS and status is None:
        flow.challenged = False
        flow.ask()
        status = await flow.wait_for_status(asked_at, PERIOD_SECONDS)
        is_moved |= flow.challenged
    unheard = None
    if status is not None and not is_moved:  # at another address it counts anew
        unheard = status.number - sent_before - 1
    return replace(
        silence,
        answers_again=is_moved or status is not None,
        is_moved=is_moved,
        unheard=unheard,
    )


async def _open(address: Address) -> _Flow | None:
    """Return a flow; None without a socket or a route. The caller must close it."""
    loop = asyncio.get_running_loop()
    try:
        _, flow = await loop.create_datagram_endpoint(
            _Flow, remote_addr=address.sockaddr[:2]
        )
    except OSError:
        return None
    return flow


class _Flow(asyncio.DatagramProtocol):
    """One UDP socket with a stream of the server."""

    def __init__(self) -> None:
        self.challenged = False
        self.is_refused = False
        self._flow = secrets.randbits(64)
        self._cookie = NO_COOKIE
        self._sequence = 0
        self._statuses: list[tuple[float, StreamStatus]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, _: object) -> None:
        """Keep a cookie, or a datagram of the stream."""
        try:
            frame = datagram.parse(data)
        except RemoteError:
            return
        if frame is None or frame.kind != Kind.STREAM or not frame.flags & ANSWER:
            return
        answer = udp_stream.parse_answer(frame.payload)
        if answer is None or answer.flow != self._flow:
            return
        if isinstance(answer, Challenge):
            self.challenged = self.has_cookie and self._cookie != answer.cookie
            self._cookie = answer.cookie
        elif isinstance(answer, StreamStatus):
            self._statuses.append((time.monotonic(), answer))

    def error_received(self, exc: Exception) -> None:
        """Note an ICMP error; the check ``udp`` reads them."""
        del exc
        self.is_refused = True

    @property
    def has_cookie(self) -> bool:
        """Whether the server has answered."""
        return self._cookie != NO_COOKIE

    def close(self) -> None:
        """Close the socket."""
        self._transport.abort()

    def ask(self, flags: StreamFlag = PLAIN, seconds: int = 0) -> int:
        """Send a question; return its sequence number."""
        period = seconds or round(PERIOD_SECONDS * 1000)
        sequence = self._sequence
        question = StreamQuestion(self._flow, sequence, period, self._cookie, flags)
        data = datagram.serialize(Kind.STREAM, question.serialize(), 0, udp_stream.SIZE)
        with contextlib.suppress(OSError):
            self._transport.sendto(data)
        self._sequence += self.has_cookie
        return sequence

    def take(self) -> list[tuple[float, StreamStatus]]:
        """Return what has arrived since the last call, with its times."""
        taken, self._statuses = self._statuses, []
        return taken

    async def have_server_wait(self, seconds: int) -> tuple[int, float] | None:
        """Have the server wait; return the number of its last datagram, and when.

        None if it does not confirm.
        """
        for _ in range(_CONFIRM_TRIES):
            asked_at = time.monotonic()
            sequence = self.ask(StreamFlag.WAIT, seconds)
            until = asked_at + _CONFIRM_SECONDS
            while time.monotonic() < until:
                await asyncio.sleep(_TICK_SECONDS)
                for _, status in self.take():
                    if status.next > sequence:
                        return status.number, asked_at
        return None

    async def wait_for_status(
        self, since: float, seconds: float
    ) -> StreamStatus | None:
        """Return the first datagram that arrives after ``since``, None in time."""
        until = time.monotonic() + seconds
        while True:
            for arrived, status in self.take():
                if arrived > since:
                    return status
            if time.monotonic() >= until:
                return None
            await asyncio.sleep(_TICK_SECONDS)

    async def stop(self) -> None:
        """End the server's stream."""
        for _ in range(_STOP_TRIES):
            self.ask(StreamFlag.STOP)
            await asyncio.sleep(_TICK_SECONDS)
