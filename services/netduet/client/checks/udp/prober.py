"""Probes a server by datagrams: openings, a paced burst, sizes; and counts at both ends.

It blocks, in a thread (see ``net.udp_socket``), with bounded time and datagrams. It
judges nothing.
"""

from __future__ import annotations

import math
import secrets
import time
from typing import TYPE_CHECKING, Final

from netduet.client.checks.udp.received import ReceivedAnswers, loss_runs
from netduet.client.checks.udp.results import (
    SMALL_BYTES,
    Burst,
    BurstPlan,
    DatagramFlow,
    DatagramTrial,
    UdpSizes,
)
from netduet.client.net.path_rate import FULL_PACKET_BYTES, spacing, transit_seconds
from netduet.client.net.udp_handshake import UdpOpening, UdpOpeningResult
from netduet.wire import datagram
from netduet.wire.errors import RemoteError
from netduet.wire.frames import ANSWER, Kind
from netduet.wire.udp_count import (
    PLAIN,
    CountAnswer,
    CountFlag,
    parse_answer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netduet.client.net.udp_socket import UdpSocket

CONTROL_COUNT: Final = 16
"""Datagrams of a size that seems to vanish, each with a small one."""

MIN_FRAGMENTED_BYTES: Final = 4000
"""The smallest size that is sent in fragments."""

_MAX_FRAGMENTED_BYTES: Final = 65_000
_MAX_OPENINGS: Final = 4
_FIRST_TRIES: Final = 3
_PATH_SHARE: Final = 0.8
"""Share of a slow path's rate that datagrams of a size that vanishes take."""
_ROUND_TRIP_FACTOR: Final = 1.5
"""Factor of the round trip for which an opening is waited for, at least."""
_SPACING_SECONDS: Final = 0.01
_QUIET_SECONDS: Final = 0.1
"""Seconds without an answer, plus 2 round trips, after which the wait ends."""

_MAX_SETTLE_SECONDS: Final = 2.0
_MAX_DRAINS: Final = 50
_MAX_QUERIES: Final = 20
_SIZES_PER_ROUND: Final = 16
_TRIES_PER_SIZE: Final = 3
_MAX_ROUNDS: Final = 5
_MAX_SEND_STRETCH: Final = 3.0
_MAX_ANSWERS_PER_DATAGRAM: Final = 8
"""Answers per datagram of a burst above which they cannot be the server's."""


class _SizedFlow:
    """A flow of datagrams of one size."""

    def __init__(self, sock: UdpSocket, size: int) -> None:
        self._sock, self._size = sock, size
        self._sent = self._unsent = 0
        self.flow, self.received = _new_flow(), ReceivedAnswers()
        self.error = ""

    def send(self) -> None:
        """Send the next one."""
        error = self._sock.send(
            datagram.count_question(self.flow, self._sent, self._size)
        )
        self.error = self.error or error
        self._sent += 1
        self._unsent += bool(error)

    def result(self) -> DatagramFlow:
        """Return the counts."""
        last = self.received.last_count
        return DatagramFlow(
            self._sent,
            self.received.tally.received,
            None if last is None else last.received,
            None if last is None else last.number,
            self._unsent,
            self.error,
        )


class UdpProber:
    """Probes one server through one socket: opening, burst, sizes."""

    def __init__(
        self,
        sock: UdpSocket,
        timeout: float,
        rate: float = math.inf,
        round_trip: float = 0.0,
    ) -> None:
        """Prepare; ``timeout`` is the seconds that the server has to answer.

        ``rate`` is that of a slow path in bit/s, ``round_trip`` an estimate in seconds.
        """
        self._sock = sock
        self._rate = rate
        self._round_trip = round_trip
        self._timeout = timeout
        self._pause = 0.05
        self._quiet = _QUIET_SECONDS

    def open(self) -> UdpOpeningResult:
        """Send openings with growing waits; later ones with a small question."""
        start = time.monotonic()
        opening = UdpOpening(self._sock)
        unit = self._timeout / (2**_MAX_OPENINGS - 1)
        notice_count = 0
        for number in range(_MAX_OPENINGS):
            opening.send(small=number > 0)
            patience = max(unit * 2**number, _ROUND_TRIP_FACTOR * self._round_trip)
            until = time.monotonic() + patience
            while not opening.done and (remaining := until - time.monotonic()) > 0:
                opening.receive(self._sock.wait(remaining))
                if len(self._sock.notices) > notice_count or not opening.left:
                    # After a refusal an answer may still come, but hardly a late one.
                    notice_count = len(self._sock.notices)
                    until = min(until, time.monotonic() + self._pause)
            if opening.done or (number and (notice_count or not opening.left)):
                break
        found = opening.result(start, time.monotonic())
        self._pause = max(self._pause, 2 * found.round_trip)
        self._quiet = _QUIET_SECONDS + 2 * found.round_trip
        self._quiet += transit_seconds(2 * FULL_PACKET_BYTES, self._rate)
        return found

    def boot_id(self) -> str | None:
        """Return the boot id of the server that answers now; None without an answer."""
        opening = UdpOpening(self._sock)
        for number in range(_MAX_OPENINGS):
            opening.send(small=False)
            until = time.monotonic() + self._pause * 2**number
            while not opening.done and (remaining := until - time.monotonic()) > 0:
                opening.receive(self._sock.wait(remaining))
            if opening.welcome is not None:
                return opening.welcome.boot_id
        return None

    def burst(self, plan: BurstPlan) -> Burst:
        """Send numbered datagrams, each when it is due, and count the answers.

        Datagrams that were not sent in time are skipped: a burst in the burst might
        overflow a queue that an even flow passes.
        """
        flow = _new_flow()
        received = ReceivedAnswers(_MAX_ANSWERS_PER_DATAGRAM * plan.count)
        unsent, sent = 0, dict[int, float]()
        late, errors = 0.0, ""
        before = self._sock.dropped
        start = due = time.monotonic()
        until = start + _MAX_SEND_STRETCH * plan.count * plan.gap + 1.0
        for sequence in range(plan.count):
            while (remaining := due - time.monotonic()) > 0:
                self._receive(remaining, {flow: received})
            now = time.monotonic()
            if now > until:
                break
            late = max(late, now - due)
            error = self._sock.send(
                datagram.count_question(flow, sequence, SMALL_BYTES)
            )
            errors = errors or error
            unsent += bool(error)
            if not error:
                sent[sequence] = now
            due = max(due + plan.gap, now)
        sending = time.monotonic() - start
        self._collect_late(
            {flow: received}, lambda: len(received.sequences) == len(sent)
        )
        self._query_counts({flow: received})
        in_a_row, run_start, run_seconds = loss_runs(sent, received.sequences)
        return Burst(
            plan.count,
            len(sent),
            unsent=unsent,
            error=errors,
            send_seconds=sending,
            max_send_delay=late,
            answered=received.tally.received,
            duplicated=received.tally.duplicated,
            reordered=received.tally.reordered,
            dropped=_difference(self._sock.dropped, before),
            lost_in_runs=in_a_row,
            first_run_start=run_start,
            runs_seconds=run_seconds,
            server_count=received.final_count,
            contradictory=received.contradicts,
            start=start,
            end=time.monotonic(),
        )

    def sizes(self) -> UdpSizes:
        """Find the sizes that pass unfragmented, then whether fragments pass."""
        interface = self._sock.interface_mtu
        self._sock.set_fragmentation(allowed=False)
        known = len(self._sock.notices)
        mtu, largest_trial = self._try_largest()
        mtu_notices = tuple(
            notice for notice in self._sock.notices[known:] if notice.mtu
        )
        up = down = return_trial = None
        if largest_trial.control is not None and not largest_trial.too_large:
            if not largest_trial.flow.arrived:
                up = self._search(largest_trial.size, CountFlag.SHORT)
                return_trial = self._try_size(up)
            tried = return_trial or largest_trial
            if tried.flow.arrived and not tried.flow.returned:
                down = self._search(tried.size, PLAIN)
        self._sock.set_fragmentation(allowed=True)
        headers = self._sock.headers
        room = (mtu or _MAX_FRAGMENTED_BYTES) - headers
        size = max(MIN_FRAGMENTED_BYTES, room + room // 2)
        fragments = self._try_size(size) if size < _MAX_FRAGMENTED_BYTES else None
        return UdpSizes(
            headers,
            interface,
            mtu,
            largest_trial,
            return_trial,
            up,
            down,
            mtu_notices,
            fragments,
        )

    # Helpers

    def _try_largest(self) -> tuple[int | None, DatagramTrial]:
        """Try the largest unfragmented datagram until the path MTU is stable."""
        for _ in range(_MAX_ROUNDS):
            mtu = self._sock.mtu
            size = min(mtu or SMALL_BYTES, 65_535) - self._sock.headers
            trial = self._try_size(max(size, SMALL_BYTES))
            if not trial.too_large:
                break
        return mtu, trial

    def _try_size(self, size: int) -> DatagramTrial:
        """Send datagrams of a size until one is answered, or many with small ones."""
        large, small = _SizedFlow(self._sock, size), _SizedFlow(self._sock, SMALL_BYTES)
        received = {
            sized_flow.flow: sized_flow.received for sized_flow in (large, small)
        }
        known = self._sock.mtu
        there_and_back = 2 * transit_seconds(size, self._rate)
        spacing_seconds = max(_SPACING_SECONDS, self._paced(size))
        for number in range(_FIRST_TRIES):
            large.send()
            if large.error != "EMSGSIZE":
                self._collect_late(
                    received,
                    lambda: bool(large.received.sequences),
                    wait=(self._pause + there_and_back) * 2**number,
                )
            if large.received.sequences:
                return DatagramTrial(size, large.result())
            if large.error == "EMSGSIZE" or self._sock.mtu != known:
                return DatagramTrial(size, large.result(), too_large=True)
        for _ in range(CONTROL_COUNT):
            for sized_flow in (large, small):
                sized_flow.send()
                self._receive_during(spacing_seconds, received)
        self._collect_late(received, lambda: False)
        self._query_counts(received)
        return DatagramTrial(size, large.result(), control=small.result())

    def _paced(self, size: int) -> float:
        """Return the seconds between datagrams of a size that do not fill the path."""
        return spacing(size, self._rate, _PATH_SHARE)

    def _search(self, high: int, flags: CountFlag) -> int:
        """Return the largest size that passes below one that does not."""
        low = datagram.MIN_COUNT_SIZE
        for _ in range(_MAX_ROUNDS):
            sizes = _evenly_between(low, high)
            if not sizes:
                break
            passed = self._passing_sizes(sizes, flags)
            low = max(passed, default=low)
            high = min((size for size in (*sizes, high) if size > low), default=high)
        return low

    def _passing_sizes(self, sizes: list[int], flags: CountFlag) -> set[int]:
        flow, received = _new_flow(), ReceivedAnswers()
        for number in range(_TRIES_PER_SIZE * len(sizes)):
            size = sizes[number % len(sizes)]
            self._sock.send(datagram.count_question(flow, number, size, flags))
            pause = max(_SPACING_SECONDS / 5, self._paced(size))
            self._receive_during(pause, {flow: received})
        self._collect_late({flow: received}, lambda: False)
        return {sizes[sequence % len(sizes)] for sequence in received.sequences}

    def _collect_late(
        self,
        received: dict[int, ReceivedAnswers],
        done: Callable[[], bool],
        wait: float = 0.0,
    ) -> None:
        """Receive until everything has arrived, or nothing has for a while."""
        quiet_seconds = wait or self._quiet
        end = time.monotonic() + _MAX_SETTLE_SECONDS + quiet_seconds
        until = time.monotonic() + quiet_seconds
        while not done() and (remaining := min(until, end) - time.monotonic()) > 0:
            if self._receive(remaining, received) and not wait:
                until = time.monotonic() + quiet_seconds
        for _ in range(
            _MAX_DRAINS
        ):  # waiting datagrams are not lost, however late this process is
            if not self._receive(0.0, received):
                break

    def _receive_during(
        self, seconds: float, received: dict[int, ReceivedAnswers]
    ) -> None:
        until = time.monotonic() + seconds
        while (remaining := until - time.monotonic()) > 0:
            self._receive(remaining, received)

    def _query_counts(self, received: dict[int, ReceivedAnswers]) -> None:
        until = time.monotonic() + self._timeout
        wait = self._pause
        for _ in range(_MAX_QUERIES):
            missing = [
                flow
                for flow, received_answers in received.items()
                if received_answers.last_count is None
            ]
            if not missing or time.monotonic() > until:
                return
            for flow in missing:
                self._sock.send(
                    datagram.count_question(
                        flow, 0, datagram.MIN_COUNT_SIZE, CountFlag.QUERY
                    )
                )
            self._collect_late(
                received,
                lambda: all(
                    received_answers.last_count is not None
                    for received_answers in received.values()
                ),
                wait=wait,
            )
            wait = min(1.3 * wait, max(0.0, until - time.monotonic()) + 0.01)

    def _receive(self, seconds: float, received: dict[int, ReceivedAnswers]) -> int:
        """Receive what arrives next; return how many answers belong to these flows."""
        count = 0
        for answer in _answers(self._sock.wait(seconds)):
            if answer.flow in received:
                received[answer.flow].add(answer)
                count += 1
        return count


def _new_flow() -> int:
    return secrets.randbits(64)


def _answers(datagrams: list[bytes]) -> Iterator[CountAnswer]:
    for data in datagrams:
        try:
            frame = datagram.parse(data)
        except RemoteError:
            continue
        if frame is not None and frame.kind == Kind.COUNT and frame.flags & ANSWER:
            answer = parse_answer(frame.payload)
            if answer is not None:
                yield answer


def _difference(now: int | None, before: int | None) -> int | None:
    return None if now is None or before is None else now - before


def _evenly_between(low: int, high: int) -> list[int]:
    """Return sizes between two, evenly spread."""
    steps = min(_SIZES_PER_ROUND, high - low - 1)
    return [low + (high - low) * n // (steps + 1) for n in range(1, steps + 1)]
