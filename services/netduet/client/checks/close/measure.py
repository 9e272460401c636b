"""Closes connections in different ways: the measurement of the check ``close``."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from netduet.client.checks.base import CheckContext
from netduet.client.checks.close.judge import judge_trial
from netduet.client.checks.close.results import (
    CloseMethod,
    CloseResult,
    CloseTrial,
)
from netduet.client.checks.identity.results import IdentityAnswer
from netduet.client.net.dial import Address
from netduet.client.net.framed_connection import FramedConnection, open_connection
from netduet.client.net.handshake import Handshake
from netduet.client.net.server_evidence import ServerView, server_view
from netduet.client.net.timeouts import Timeouts
from netduet.client.stats.instances import REPEAT_COUNT
from netduet.config.units import KIB
from netduet.net.time_span import TimeSpan
from netduet.wire import payload_pattern
from netduet.wire.frames import HEADER_SIZE, Kind
from netduet.wire.messages import CloseQuestion, SinkAnswer, SourceQuestion

if TYPE_CHECKING:
    from pydantic import BaseModel

    from netduet.wire.messages import LedgerEntry, Welcome

ANSWER_BYTES: Final = 48 * KIB
"""Size of an answer: many segments, but less than the buffers on a path hold."""

MIN_ANSWER_BYTES: Final = 4 * KIB
"""Size of an answer on the slowest path: several segments."""

_ANSWERS_SECONDS: Final = 1.0
"""Time in which a slow path must carry all answers, which come at once."""

PUSHED_BYTES: Final = 8 * KIB
"""Bytes sent after the server's FIN."""

PAUSE_SECONDS: Final = {"quick": 1.0, "full": 2.0, "soak": 65.0}
"""Seconds between this end's FIN and the answer, by profile.

Soak exceeds 60 s, after which IPVS forgets a half-closed connection (moby#29655)."""

_POLL_SECONDS: Final = 0.1
_SETTLE_SECONDS: Final = 1.5
_FIRST_WAIT_SECONDS: Final = 1.0
_MIN_RETRANSMISSIONS: Final = 3
"""Retransmissions that random loss does not explain."""

_MAX_ANSWER_SECONDS: Final = 15.0
"""Maximum seconds to wait for an answer that still makes progress."""


async def measure(context: CheckContext, answer: IdentityAnswer) -> CloseResult:
    """Close connections to one address concurrently, each in a different way."""
    pause, limit = PAUSE_SECONDS[context.profile], answer.hold_limit
    pauses = {CloseMethod.PAUSED: pause if limit is None else min(pause, limit)}
    plans = [
        CloseTrial(method, Handshake(), pauses.get(method, 0.0))
        for method in CloseMethod
    ]
    run_trials = partial(
        _run_trials, context.timeouts, answer.address, fit_answer(answer.rate)
    )
    trials = await run_trials(plans)
    again = _plans_to_repeat(answer, plans, trials)
    repeated = await run_trials(again)
    return CloseResult(answer.address, trials, repeated)


async def _run_trials(
    timeouts: Timeouts,
    address: Address,
    answer_bytes: int,
    plans: Iterable[CloseTrial],
) -> tuple[CloseTrial, ...]:
    return tuple(
        await asyncio.gather(
            *(_run_trial(timeouts, address, plan, answer_bytes) for plan in plans)
        )
    )


def _plans_to_repeat(
    answer: IdentityAnswer,
    plans: Sequence[CloseTrial],
    trials: Sequence[CloseTrial],
) -> list[CloseTrial]:
    """Return what to try again to find the instance at fault, nothing without a fault.

    The first two ways that failed, as a fault of one way may show in another one, too.
    """
    welcomes = [answer.handshake.welcome, *(each.handshake.welcome for each in trials)]
    if len({each.boot_id for each in welcomes if each is not None}) <= 1:
        return []
    failed = [
        plan
        for plan, trial in zip(plans, trials, strict=True)
        if trial.handshake.welcome is not None and judge_trial(trial) is not None
    ]
    return [plan for plan in failed[:2] for _ in range(REPEAT_COUNT)]


def fit_answer(rate: float) -> int:
    """Return the size of an answer that does not fill a path with this rate in bit/s."""
    fitting = rate / 8 * _ANSWERS_SECONDS / len(CloseMethod)
    return int(min(ANSWER_BYTES, max(MIN_ANSWER_BYTES, fitting)))


async def _run_trial(
    timeouts: Timeouts, address: Address, trial: CloseTrial, answer_bytes: int
) -> CloseTrial:
    async with open_connection(address, timeouts) as (handshake, connection):
        trial = replace(trial, handshake=handshake)
        if connection is None:
            return trial
        if trial.method is CloseMethod.OWN_RESET:
            connection.reset()
        elif trial.method is CloseMethod.RESET:
            trial = await _await_reset(timeouts, connection, trial)
        else:
            trial = await _await_answer(timeouts, connection, trial, answer_bytes)
        if trial.open_failure:
            return trial
        if (
            trial.method is CloseMethod.FINISH
            and trial.ending is not None
            and trial.ending.how == "eof"
        ):
            trial = await _push_after_fin(connection, trial)
        # Before this end closes, which the server would record.
        welcome = connection.welcome
        server = await _await_server_record(timeouts, address, welcome, trial)
        if trial.pushed and trial.wait is not None:
            trial = replace(trial, wait=TimeSpan(trial.wait.end, time.monotonic()))
        return replace(trial, tcp_info=connection.info(), server=server)


async def _push_after_fin(
    connection: FramedConnection, trial: CloseTrial
) -> CloseTrial:
    """Send more data after the server's FIN.

    A server lingers for two seconds after its FIN. Data that is neither acknowledged by
    then nor retransmitted was slow, and proves nothing.
    """
    before = connection.info()
    pushed = min(PUSHED_BYTES, trial.size)
    connection.send_raw(bytes(pushed))
    deadline = time.monotonic() + _SETTLE_SECONDS
    # After a longer wait, the server may have stopped lingering before its FIN arrived.
    late = trial.wait is not None and trial.wait.seconds > _FIRST_WAIT_SECONDS
    while not late and (info := connection.info()) is not None:
        retransmits = info.total_retrans
        retransmits -= 0 if before is None else before.total_retrans
        if not info.unacked + info.notsent_bytes or retransmits >= _MIN_RETRANSMISSIONS:
            break
        late = time.monotonic() >= deadline
        await asyncio.sleep(_POLL_SECONDS)
    sent = connection.wire.bytes_sent + pushed
    return replace(trial, pushed=pushed, sent=sent, late=late)


async def _await_answer(
    timeouts: Timeouts,
    connection: FramedConnection,
    trial: CloseTrial,
    answer_bytes: int,
) -> CloseTrial:
    """Request a pattern and a close; wait for both."""
    limit = connection.welcome.limits.max_frame
    size, seed = min(answer_bytes, limit), secrets.randbits(63)
    start = time.monotonic()
    open_failure = await _open_failure(timeouts, connection, size)
    if open_failure:
        return replace(
            trial,
            open_failure=open_failure,
            ending=connection.ending,
            wait=TimeSpan(start, time.monotonic()),
        )
    before = connection.wire.bytes_received
    finish = trial.method is CloseMethod.FINISH
    number = connection.send(
        Kind.CLOSE,
        CloseQuestion(
            how="finish" if finish else "after_eof",
            delay=trial.pause,
            size=size,
            seed=seed,
        ),
    )
    if not finish:
        connection.end_sending()
    start = time.monotonic()
    answer = await _receive_answer(connection, number, trial.pause + timeouts.answer)
    if answer is not None:
        await connection.answer(number, timeouts.answer)
    received = connection.wire.bytes_received - before
    changed = isinstance(answer, bytes) and answer != payload_pattern.make(size, seed)
    return replace(
        trial,
        size=size,
        answered=min(size, max(0, received - HEADER_SIZE)),
        changed=changed,
        ending=connection.ending,
        wait=TimeSpan(start, time.monotonic()),
        sent=connection.wire.bytes_sent,
    )


async def _open_failure(
    timeouts: Timeouts, connection: FramedConnection, size: int
) -> str:
    """Return why as much data does not pass even without a close, or ""."""
    pushed = min(PUSHED_BYTES, size)
    pattern = payload_pattern.make(pushed, secrets.randbits(63))
    up = connection.send(Kind.SINK, pattern)
    seed = secrets.randbits(63)
    down = connection.send(Kind.SOURCE, SourceQuestion(size=size, seed=seed))
    sink_answer = await _receive_answer(connection, up, timeouts.answer)
    if not isinstance(sink_answer, SinkAnswer):
        return f"{pushed} bytes to the server {_describe_failure(connection)}"
    source_answer = await _receive_answer(connection, down, timeouts.answer)
    if source_answer is None:
        return f"{size} bytes from the server {_describe_failure(connection)}"
    if sink_answer.changed_at is not None or source_answer != payload_pattern.make(
        size, seed
    ):
        return "bytes are altered in transit"
    return ""


def _describe_failure(connection: FramedConnection) -> str:
    ending = connection.ending
    return "do not arrive" if ending is None else f"fail ({ending.detail})"


async def _receive_answer(
    connection: FramedConnection, number: int, seconds: float
) -> BaseModel | bytes | None:
    """Return an answer; None if no byte moved for ``seconds``, or at the end."""
    deadline = time.monotonic() + _MAX_ANSWER_SECONDS
    last_moved = -1
    while (
        now := _bytes_moved(connection)
    ) != last_moved and time.monotonic() < deadline:
        last_moved = now
        answer = await connection.answer(number, seconds)
        if answer is not None or connection.ending is not None:
            return answer
    return None


def _bytes_moved(connection: FramedConnection) -> int:
    """Return a number that grows with acknowledged and received bytes."""
    info = connection.info()
    acked = 0 if info is None else info.bytes_acked
    return acked + connection.wire.bytes_received


async def _await_reset(
    timeouts: Timeouts, connection: FramedConnection, trial: CloseTrial
) -> CloseTrial:
    """Have the server reset the connection.

    A lost reset is not retransmitted, but a byte sent to a closed connection makes the
    server's kernel send another one.
    """
    question = CloseQuestion(how="reset", delay=0.0, size=0, seed=0)
    start = time.monotonic()
    number = connection.send(Kind.CLOSE, question)
    await connection.answer(number, min(_FIRST_WAIT_SECONDS, timeouts.answer))
    if connection.ending is None:
        connection.send_raw(b"\0")
        await connection.answer(number, timeouts.answer)
    waited = TimeSpan(start, time.monotonic())
    return replace(trial, ending=connection.ending, wait=waited)


async def _await_server_record(
    timeouts: Timeouts,
    address: Address,
    welcome: Welcome,
    trial: CloseTrial,
) -> ServerView:
    """Request the server's record until it is final, for a limited time."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        server = await server_view(address, welcome, timeouts)
        entry = server.entry
        if entry is None or _is_final(entry, trial) or time.monotonic() >= deadline:
            return server
        await asyncio.sleep(_POLL_SECONDS)


def _is_final(entry: LedgerEntry, trial: CloseTrial) -> bool:
    """Whether the record has all that is expected of it after this trial."""
    if entry.ended is not None:
        return True
    if trial.method is CloseMethod.OWN_RESET:
        return False
    return not trial.pushed or entry.bytes_received >= trial.sent
