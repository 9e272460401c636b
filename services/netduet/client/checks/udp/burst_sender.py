"""Asking by datagrams: an opening, a paced burst, sizes; what each end counted.

Blocking, in a thread (see ``client.datagrams``), bounded in time and in datagrams.
Nothing is judged here.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Final

from netduet.client.checks.udp.opening import UdpOpening
from netduet.client.checks.udp.received import ReceivedAnswers, rows
from netduet.client.checks.udp.results import (
    SMALL,
    Burst,
    BurstPlan,
    DatagramFlow,
    DatagramTrial,
    Sizes,
    UdpOpeningResult,
)
from netduet.wire import datagram
from netduet.wire.errors import RemoteError
from netduet.wire.frames import ANSWER, HEADER_SIZE, MAGIC, Kind
from netduet.wire.udp_count import (
    ANSWER_SIZE,
    PLAIN,
    CountAnswer,
    CountFlag,
    CountQuestion,
    parse_answer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netduet.client.net.udp_socket import UdpSocket

OVERHEAD: Final = len(MAGIC) + HEADER_SIZE
LEAST: Final = OVERHEAD + ANSWER_SIZE

BESIDE: Final = 16
"""Datagrams of a size that seems to vanish, each with a small one beside it."""

IN_FRAGMENTS: Final = 4000
"""The least size that is sent in fragments."""

_MANY_FRAGMENTS: Final = 65_000
_OPENINGS: Final = 4
_ALONE: Final = 3
_SPACING: Final = 0.01
_QUIET: Final = 0.1
"""Seconds without an answer after which no more are waited for, beside 2 round trips."""

_LONGEST: Final = 2.0
_DRAINS: Final = 50
_QUERIES: Final = 20
_AT_ONCE: Final = 16
_EACH: Final = 3
_ROUNDS: Final = 5
_PATIENTLY: Final = 3.0
_MOST: Final = 8
"""Answers to each datagram of a burst beyond which they cannot be the server's."""


class _Sending:
    """A flow of questions of one size under way."""

    def __init__(self, sock: UdpSocket, size: int) -> None:
        self._sock, self._size = sock, size
        self._sent = self._kept = 0
        self.flow, self.got = _new_flow(), ReceivedAnswers()
        self.error = ""

    def send(self) -> None:
        """Send the next one."""
        error = self._sock.send(_question(self.flow, self._sent, self._size))
        self.error = self.error or error
        self._sent += 1
        self._kept += bool(error)

    def result(self) -> DatagramFlow:
        """Return how it went."""
        last = self.got.last
        return DatagramFlow(
            self._sent,
            self.got.tally.received,
            None if last is None else last.received,
            None if last is None else last.number,
            self._kept,
            self.error,
        )


class UdpProber:
    """Asks one server by one socket."""

    def __init__(self, sock: UdpSocket, patience: float) -> None:
        """Say by which socket, and how long a server has to answer."""
        self._sock = sock
        self._patience = patience
        self._pause = 0.05
        self._quiet = _QUIET

    def knock(self) -> UdpOpeningResult:
        """Open, a few times with growing waits; later times, ask something small too."""
        start = time.monotonic()
        knock = UdpOpening(self._sock)
        unit = self._patience / (2**_OPENINGS - 1)
        told = 0
        for number in range(_OPENINGS):
            knock.ask(small=number > 0)
            until = time.monotonic() + unit * 2**number
            while not knock.done and (left := until - time.monotonic()) > 0:
                knock.take(self._sock.wait(left))
                if len(self._sock.notices) > told or not knock.left:
                    # Refused: an answer may still come, but hardly a late one.
                    told = len(self._sock.notices)
                    until = min(until, time.monotonic() + self._pause)
            if knock.done or (number and (told or not knock.left)):
                break
        found = knock.found(start, time.monotonic())
        self._pause = max(self._pause, 2 * found.round_trip)
        self._quiet = _QUIET + 2 * found.round_trip
        return found

    def boot_id(self) -> str | None:
        """Return which instance answers an opening now; None when none does."""
        knock = UdpOpening(self._sock)
        for number in range(_OPENINGS):
            knock.ask(small=False)
            until = time.monotonic() + self._pause * 2**number
            while not knock.done and (left := until - time.monotonic()) > 0:
                knock.take(self._sock.wait(left))
            if knock.welcome is not None:
                return knock.welcome.boot_id
        return None

    def burst(self, plan: BurstPlan) -> Burst:
        """Send numbered datagrams, each at its time, and count what comes back.

        What could not be sent in time is not caught up with: a burst in a burst
        might overflow a queue that an even flow passes.
        """
        flow, got = _new_flow(), ReceivedAnswers(_MOST * plan.count)
        unsent, sent = 0, dict[int, float]()
        late, errors = 0.0, ""
        before = self._sock.dropped
        start = due = time.monotonic()
        until = start + _PATIENTLY * plan.count * plan.gap + 1.0
        for sequence in range(plan.count):
            while (left := due - time.monotonic()) > 0:
                self._take(left, {flow: got})
            now = time.monotonic()
            if now > until:
                break
            late = max(late, now - due)
            error = self._sock.send(_question(flow, sequence, SMALL))
            errors = errors or error
            unsent += bool(error)
            if not error:
                sent[sequence] = now
            due = max(due + plan.gap, now)
        sending = time.monotonic() - start
        self._settle({flow: got}, lambda: len(got.sequences) == len(sent))
        self._query({flow: got})
        in_a_row, row_begin, row_seconds = rows(sent, got.sequences)
        return Burst(
            plan.count,
            len(sent),
            unsent=unsent,
            error=errors,
            sending=sending,
            late=late,
            answered=got.tally.received,
            doubled=got.tally.duplicated,
            reordered=got.tally.reordered,
            dropped=_since(self._sock.dropped, before),
            in_a_row=in_a_row,
            row_begin=row_begin,
            row_seconds=row_seconds,
            tally=got.final,
            mixed=got.contradicts,
            start=start,
            end=time.monotonic(),
        )

    def sizes(self) -> Sizes:
        """Find out which sizes pass whole, then whether fragments do."""
        interface = self._sock.interface_mtu
        self._sock.fragment(allowed=False)
        known = len(self._sock.notices)
        mtu, whole = self._largest()
        told = tuple(notice for notice in self._sock.notices[known:] if notice.mtu)
        up = down = back = None
        if whole.beside is not None and not whole.too_large:
            if not whole.flow.arrived:
                up = self._search(whole.size, CountFlag.SHORT)
                back = self._try(up)
            tried = back or whole
            if tried.flow.arrived and not tried.flow.returned:
                down = self._search(tried.size, PLAIN)
        self._sock.fragment(allowed=True)
        headers = self._sock.headers
        room = (mtu or _MANY_FRAGMENTS) - headers
        size = max(IN_FRAGMENTS, room + room // 2)
        fragments = self._try(size) if size < _MANY_FRAGMENTS else None
        return Sizes(headers, interface, mtu, whole, back, up, down, told, fragments)

    # Parts

    def _largest(self) -> tuple[int | None, DatagramTrial]:
        """Try the largest datagram that this kernel sends whole, as long as it learns."""
        for _ in range(_ROUNDS):
            mtu = self._sock.mtu
            size = min(mtu or SMALL, 65_535) - self._sock.headers
            trial = self._try(max(size, SMALL))
            if not trial.too_large:
                break
        return mtu, trial

    def _try(self, size: int) -> DatagramTrial:
        """Send datagrams of a size until one is answered, else many with small ones."""
        large, small = _Sending(self._sock, size), _Sending(self._sock, SMALL)
        got = {one.flow: one.got for one in (large, small)}
        known = self._sock.mtu
        for number in range(_ALONE):
            large.send()
            if large.error != "EMSGSIZE":
                self._settle(
                    got,
                    lambda: bool(large.got.sequences),
                    wait=self._pause * 2**number,
                )
            if large.got.sequences:
                return DatagramTrial(size, large.result())
            if large.error == "EMSGSIZE" or self._sock.mtu != known:
                return DatagramTrial(size, large.result(), too_large=True)
        for _ in range(BESIDE):
            for one in (large, small):
                one.send()
                self._space(_SPACING, got)
        self._settle(got, lambda: False)
        self._query(got)
        return DatagramTrial(size, large.result(), beside=small.result())

    def _search(self, high: int, flags: CountFlag) -> int:
        """Return the largest size that passes below one that does not."""
        low = LEAST
        for _ in range(_ROUNDS):
            sizes = _between(low, high)
            if not sizes:
                break
            passed = self._pass(sizes, flags)
            low = max(passed, default=low)
            high = min((size for size in (*sizes, high) if size > low), default=high)
        return low

    def _pass(self, sizes: list[int], flags: CountFlag) -> set[int]:
        """Return which of the sizes pass, each tried several times."""
        flow, got = _new_flow(), ReceivedAnswers()
        for number in range(_EACH * len(sizes)):
            size = sizes[number % len(sizes)]
            self._sock.send(_question(flow, number, size, flags))
            self._space(_SPACING / 5, {flow: got})
        self._settle({flow: got}, lambda: False)
        return {sizes[sequence % len(sizes)] for sequence in got.sequences}

    def _settle(
        self,
        got: dict[int, ReceivedAnswers],
        done: Callable[[], bool],
        wait: float = 0.0,
    ) -> None:
        """Take what still comes, until all is there or nothing has come for a while."""
        quiet = wait or self._quiet
        end = time.monotonic() + _LONGEST + quiet
        until = time.monotonic() + quiet
        while not done() and (left := min(until, end) - time.monotonic()) > 0:
            if self._take(left, got) and not wait:
                until = time.monotonic() + quiet
        for _ in range(_DRAINS):  # what waits here was not lost, however late we are
            if not self._take(0.0, got):
                break

    def _space(self, seconds: float, got: dict[int, ReceivedAnswers]) -> None:
        """Take what comes until so many seconds have passed."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._take(left, got)

    def _query(self, got: dict[int, ReceivedAnswers]) -> None:
        """Ask for the tallies, again and again until they are there."""
        until = time.monotonic() + self._patience
        wait = self._pause
        for _ in range(_QUERIES):
            missing = [
                flow
                for flow, received_answers in got.items()
                if received_answers.last is None
            ]
            if not missing or time.monotonic() > until:
                return
            for flow in missing:
                self._sock.send(_question(flow, 0, LEAST, CountFlag.QUERY))
            self._settle(
                got,
                lambda: all(
                    received_answers.last is not None
                    for received_answers in got.values()
                ),
                wait=wait,
            )
            wait = min(1.3 * wait, max(0.0, until - time.monotonic()) + 0.01)

    def _take(self, seconds: float, got: dict[int, ReceivedAnswers]) -> int:
        """Take what comes within so many seconds; return how many were of these flows."""
        taken = 0
        for answer in _answers(self._sock.wait(seconds)):
            if answer.flow in got:
                got[answer.flow].take(answer)
                taken += 1
        return taken


def _new_flow() -> int:
    return secrets.randbits(64)


def _question(flow: int, sequence: int, size: int, flags: CountFlag = PLAIN) -> bytes:
    payload = CountQuestion(flow, sequence, flags).serialize(size - OVERHEAD)
    return datagram.serialize(Kind.COUNT, payload, 3)


def _answers(arrived: list[bytes]) -> Iterator[CountAnswer]:
    for data in arrived:
        try:
            frame = datagram.parse(data)
        except RemoteError:
            continue
        if frame is not None and frame.kind == Kind.COUNT and frame.flags & ANSWER:
            answer = parse_answer(frame.payload)
            if answer is not None:
                yield answer


def _since(now: int | None, before: int | None) -> int | None:
    return None if now is None or before is None else now - before


def _between(low: int, high: int) -> list[int]:
    """Return sizes between two, evenly spread."""
    steps = min(_AT_ONCE, high - low - 1)
    return [low + (high - low) * n // (steps + 1) for n in range(1, steps + 1)]
