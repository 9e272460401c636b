"""Holds connections in silence: what the check ``idle`` measures.

Connections are held in silence, two for each time (a rung), and then used again: one
by this end, one by the server. For a middlebox that has forgotten a connection may
reset whoever speaks first, and the other end then hears nothing; so the server's
record of each one that died is read, over another connection. A second set is held
with TCP keep-alive, which is off otherwise, at both ends.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from netduet.client.checks.base import CheckContext, Timeouts
from netduet.client.checks.identity.results import IdentityResult
from netduet.client.net.dial import Address, Cause, classify
from netduet.client.net.framed_connection import FramedConnection, open_connection
from netduet.client.net.handshake import ConnectionEnd, Handshake
from netduet.client.net.server_evidence import ServerView, server_view
from netduet.client.results.location import Side
from netduet.client.results.verdict import Window
from netduet.wire.frames import Kind
from netduet.wire.messages import HoldQuestion, ReportQuestion

if TYPE_CHECKING:
    from netduet.wire.messages import Welcome

MOST: Final = 4
"""Addresses at which connections are held."""

MARGIN: Final = 5.0
"""Seconds by which a rung stays below what the server holds."""

FULL: Final = (30.0, 65.0, 125.0)
RUNGS: Final = {
    "quick": (),
    "full": FULL,
    "soak": (*FULL, 305.0, 360.0, 610.0, 910.0, 3700.0),
}
"""Seconds of silence by profile: each just beyond a well-known timer."""

_KEEPALIVE: Final = 60.0
_PROBES: Final = 4
_WAKERS: Final = (Side.CLIENT, Side.SERVER)


class HoldOutcome(StrEnum):
    """What became of a connection."""

    LIVED = "lived"
    RESET = "reset"
    CLOSED = "closed"
    SILENT = "silent"
    UNHELD = "unheld"
    """It could not even be held."""
    ENDED = "ended by the server"


@dataclass(frozen=True, slots=True)
class HoldPlan:
    """A silence of ``rung`` seconds; ``keepalive`` is the interval of its probes."""

    rung: float
    waker: Side
    keepalive: int | None = None


@dataclass(frozen=True, slots=True)
class HeldConnection:
    """A connection that was held; or was not, and then ``refused`` may say why.

    ``after`` is how long the silence lasted when it ended before its time; ``waited``
    is from the wake to the end; ``ours`` this kernel's view at the end of it, and
    ``retrans`` how many segments it sent again meanwhile.
    """

    plan: HoldPlan
    opening: Handshake
    refused: str = ""
    answered: bool = False
    ending: ConnectionEnd | None = None
    after: float | None = None
    waited: Window | None = None
    sent: int = 0
    received: int = 0
    ours: dict[str, int | str] | None = None
    retrans: int = 0
    far: ServerView = field(default_factory=ServerView)

    @property
    def fate(self) -> HoldOutcome:
        """What became of it; an end that the server made itself is no middlebox's."""
        how = "" if self.ending is None else self.ending.how
        entry = self.far.entry
        by_server = entry is not None and entry.ended_by == Side.SERVER
        if self.answered:
            return HoldOutcome.LIVED
        if self.opening.refused is not None or how == "error":
            return HoldOutcome.ENDED
        if self.opening.welcome is None or self.refused:
            return HoldOutcome.UNHELD
        if entry is not None and entry.ended == "drained":
            return HoldOutcome.ENDED
        if how in (Cause.RESET, "eof", "broken"):
            if by_server:
                return HoldOutcome.ENDED
            return HoldOutcome.RESET if how == Cause.RESET else HoldOutcome.CLOSED
        if entry is not None and entry.ended is not None and not by_server:
            return HoldOutcome.RESET if entry.ended == "reset" else HoldOutcome.CLOSED
        return HoldOutcome.SILENT

    @property
    def unheard(self) -> bool:
        """Whether the kernel at the waker's end says that nothing was acknowledged.

        Then the silence is no matter of either program's lateness.
        """
        if self.plan.waker is Side.CLIENT:
            unacked = 0 if self.ours is None else self.ours["unacked"]
            return bool(unacked) and self.retrans > 0
        view = self.far.view
        return view is not None and view.unacked > 0 and view.total_retrans > 0

    @property
    def swallowed(self) -> bool:
        """Whether one kernel's bytes were acknowledged, and the other never had them.

        Then something in between took them. A kernel counts whatever its program does.
        """
        ours, view = self.ours, self.far.view
        if ours is None or view is None:
            return False
        took, came = _number(ours["bytes_acked"]), _number(ours["bytes_received"])
        # The SYN counts as one byte (RFC 9293 §3.4).
        return took - 1 > view.bytes_received or view.bytes_acked - 1 > came


@dataclass(frozen=True, slots=True)
class IdleResult:
    """What was held at one address; ``beyond`` are the rungs above what it holds."""

    address: Address
    holds: bool
    limit: float | None = None
    beyond: tuple[float, ...] = ()
    held: tuple[HeldConnection, ...] = ()


@dataclass(frozen=True, slots=True)
class Idle:
    """The ladders of the addresses, with the rungs that were asked for."""

    rungs: tuple[float, ...]
    ladders: tuple[IdleResult, ...] = ()


async def measure(context: CheckContext) -> Idle:
    """Hold all connections side by side: it lasts as long as the longest silence."""
    rungs = tuple(sorted(set(context.options.idle_rungs or RUNGS[context.profile])))
    if not rungs:
        return Idle(())
    known = context.earlier(IdentityResult).known[:MOST]
    ladders = await asyncio.gather(
        *(
            _climb(context.timeouts, answer.address, answer.opening.welcome, rungs)
            for answer in known
            if answer.opening.welcome is not None
        )
    )
    return Idle(rungs, tuple(ladders))


async def _climb(
    patience: Timeouts, address: Address, welcome: Welcome, rungs: tuple[float, ...]
) -> IdleResult:
    if "hold" not in welcome.features:
        return IdleResult(address, holds=False)
    limit = welcome.limits.hold
    within = [one for one in rungs if limit is None or one + MARGIN <= limit]
    held = await asyncio.gather(
        *(hold(patience, address, plan) for plan in plans(within))
    )
    beyond = tuple(one for one in rungs if one not in within)
    return IdleResult(address, holds=True, limit=limit, beyond=beyond, held=tuple(held))


def plans(rungs: Iterable[float]) -> list[HoldPlan]:
    """Return what to hold: with keep-alive where its probes fit into the silence."""
    found = []
    for rung in rungs:
        interval = max(1, int(min(rung / _PROBES, _KEEPALIVE)))
        for keepalive in (None, interval if interval < rung else None):
            found += [HoldPlan(rung, waker, keepalive) for waker in _WAKERS]
    return list(dict.fromkeys(found))


async def hold(patience: Timeouts, address: Address, plan: HoldPlan) -> HeldConnection:
    """Hold one connection as planned, and see what becomes of it."""
    async with open_connection(address, patience) as (opening, conversation):
        held = HeldConnection(plan, opening)
        if conversation is None:
            return held
        try:
            _set_keepalive(conversation, plan.keepalive)
        except OSError as error:
            _, detail = classify(error)
            return replace(held, refused=f"keep-alive could not be set: {detail}")
        held = await _wake(patience, conversation, held)
        if held.answered:
            await conversation.end(patience.answer)
            return held
        # While our end still stands: a close would be told to the server.
        far = await server_view(address, conversation.welcome, patience)
    return replace(held, far=far)


async def _wake(
    patience: Timeouts, conversation: FramedConnection, held: HeldConnection
) -> HeldConnection:
    """Be silent, then have one end speak; return what came of it."""
    rung, speak = held.plan.rung, held.plan.waker is Side.SERVER
    question = HoldQuestion(seconds=rung if speak else rung + MARGIN, speak=speak)
    number = conversation.send(Kind.HOLD, question)
    asked = time.monotonic()
    if await conversation.answer(number, patience.answer) is None:
        ending = conversation.ending
        detail = "no answer in time" if ending is None else ending.detail
        return replace(
            held,
            refused=f"asked to hold it: {detail}",
            ending=ending,
            waited=Window(asked, time.monotonic()),
        )
    started, woke, retrans = time.monotonic(), None, _retransmitted(conversation)
    spoke = await conversation.answer(number, rung)
    if spoke is None and conversation.ending is None:
        woke = time.monotonic()
        if not speak:
            number = conversation.send(Kind.REPORT, ReportQuestion())
        spoke = await conversation.answer(number, patience.answer)
    ours = conversation.info()
    return replace(
        held,
        answered=spoke is not None,
        ending=conversation.ending,
        after=time.monotonic() - started if woke is None else None,
        waited=None if woke is None else Window(woke, time.monotonic()),
        sent=conversation.connection.bytes_sent,
        received=conversation.connection.bytes_received,
        ours=ours,
        retrans=_retransmitted(conversation) - retrans,
    )


def _set_keepalive(conversation: FramedConnection, interval: int | None) -> None:
    on = interval is not None
    conversation.set_option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(on))
    if interval is not None:
        for name, value in (
            (socket.TCP_KEEPIDLE, interval),
            (socket.TCP_KEEPINTVL, interval),
            (socket.TCP_KEEPCNT, _PROBES),
        ):
            conversation.set_option(socket.IPPROTO_TCP, name, value)


def _retransmitted(conversation: FramedConnection) -> int:
    info = conversation.info()
    return 0 if info is None else _number(info["total_retrans"])


def _number(value: int | str) -> int:
    return value if isinstance(value, int) else 0
