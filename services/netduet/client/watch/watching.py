"""Everybody who is watched: peers that come and go, looked at several times a second."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from netduet import logs
from netduet.client.streaming.together import Together
from netduet.client.watch.account import Account
from netduet.client.watch.peer import LOOK, Means, Peer
from netduet.client.watch.rounds import Rounds
from netduet.client.watch.trouble import Ended, Told
from netduet.client.watch.whom import Whom

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from netduet.client.checks.declaration import Context
    from netduet.client.dial import Address
    from netduet.client.verdict import Finding
    from netduet.client.watch.telling import Telling
    from netduet.stalls import StallWatch

_AGAIN: Final = 1.0


@dataclass(frozen=True, slots=True)
class Paces:
    """How often, in seconds: datagrams of a stream, checks, look-ups of names."""

    datagram: float
    checks: float
    names: float


class Watching:
    """A watch. ``run`` it until it is cancelled; then ``finish``."""

    def __init__(
        self,
        whom: Whom,
        paces: Paces,
        context: Context,
        stalls: StallWatch,
        *,
        telling: Telling,
        history: int,
    ) -> None:
        """Wire the parts together; nothing runs yet."""
        self.whom = whom
        self.account = Account(time.monotonic(), history)
        self.peers: dict[Address, Peer] = {}
        self._paces = paces
        self._context = context
        self._stalls = stalls
        self._telling = telling
        self._together = Together()
        self._rounds = Rounds(context, stalls, paces.checks)
        self._means = Means(
            paces.datagram,
            context.bounds.max_outage,
            context.patience,
            self._together,
            stalls,
            itertools.count(1),
        )
        self._tasks: dict[Address, list[asyncio.Task[None]]] = {}
        self._findings: dict[Address, set[str]] = {}
        self._stalled_before: dict[Address, float] = {}
        self._trouble = asyncio.Event()
        """Set while a peer is out."""

    @property
    def ready(self) -> bool:
        """Every name has been resolved: who is to be watched is known."""
        return all(one.resolved for one in self.whom.names)

    async def run(self) -> None:
        """Watch for ever."""
        with self._together:
            names = asyncio.create_task(self._follow_names())
            try:
                while True:
                    self._look(time.monotonic())
                    if names.done():
                        await names  # it never ends but by a defect
                    await asyncio.sleep(LOOK)
            finally:
                names.cancel()
                self._finish()
                tasks = [one for some in self._tasks.values() for one in some]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(names, *tasks, return_exceptions=True)

    def _look(self, now: float) -> None:
        for address, peer in self.peers.items():
            for one in peer.look(now):
                self._tell(peer, one)
            why = peer.silence(now)
            if why:
                self._telling.silent(address, peer.target, why)
            counted = self.account.peers[str(address)]
            counted.standing = peer.episodes.standing
            counted.away = self._stalls.total - self._stalled_before[address]
        if any(peer.episodes.standing for peer in self.peers.values()):
            self._trouble.set()
        else:
            self._trouble.clear()

    def _tell(self, peer: Peer, one: Told) -> None:
        if isinstance(one, Ended):
            self.account.ended(str(peer.address), one)
        self._telling.told(peer.address, peer.target, one)

    def _finish(self) -> None:
        """Tell of what goes on while the watch ends."""
        now = time.monotonic()
        for peer in self.peers.values():
            counted = self.account.peers[str(peer.address)]
            counted.standing = None
            self._tell_last(peer, now, left=False)
            peer.close()

    def _tell_last(self, peer: Peer, now: float, *, left: bool) -> None:
        standing = peer.episodes.standing
        away = self._stalls.stalled(standing.begin, now) if standing else 0.0
        for one in peer.episodes.finish(now, left=left, away=away):
            self._tell(peer, one)

    # Names

    async def _follow_names(self) -> None:
        context = self._context
        while True:
            whom = self.whom
            begin = time.monotonic()
            changed = await whom.look_up(context.family, context.patience.resolve)
            for one in changed:
                self._telling.lookup(one)
            for address in [one for one in self.peers if one not in whom.chosen]:
                self._remove(address)
            for address, target in whom.chosen.items():
                if address not in self.peers:
                    self._add(address, target)
            await self._until_next(begin + self._paces.names)

    async def _until_next(self, due: float) -> None:
        """Wait for the next look-up; while a peer is out, only for a moment.

        Its name may have dropped it, and how long it had the address is told.
        """
        await asyncio.sleep(_AGAIN)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(due - time.monotonic()):
                await self._trouble.wait()

    def _add(self, address: Address, target: str) -> None:
        peer = self.peers[address] = Peer(address, target, self._means)
        self.account.add(str(address), target, time.monotonic())
        self._stalled_before[address] = self._stalls.total
        self._findings[address] = set()
        self._telling.added(address, target)
        checks = self._rounds.run(
            address,
            lambda since: peer.troubled < since and peer.episodes.standing is None,
            partial(self._found, peer),
        )
        self._tasks[address] = [
            asyncio.create_task(_guarded(peer.run())),
            asyncio.create_task(_guarded(checks)),
        ]

    def _remove(self, address: Address) -> None:
        peer = self.peers.pop(address)
        now = time.monotonic()
        self._tell_last(peer, now, left=True)
        peer.close()
        for task in self._tasks.pop(address):
            task.cancel()
        del self._findings[address], self._stalled_before[address]
        self.account.remove(str(address), now)
        self._telling.removed(address, peer.target)

    # Checks on a schedule

    def _found(self, peer: Peer, findings: list[Finding]) -> None:
        known = self._findings.get(peer.address)
        if known is None:
            return  # it has left meanwhile
        now = {one.failure: one for one in findings}
        for failure in sorted(known - now.keys()):
            self._telling.found_no_more(peer.address, peer.target, failure)
        for failure, one in now.items():
            if failure not in known:
                self.account.findings[failure] += 1
                self._telling.found(peer.address, peer.target, one)
        self._findings[peer.address] = set(now)


async def _guarded(work: Coroutine[None, None, None]) -> None:
    """Run what never ends; a defect of ours is told, and ends this part alone."""
    try:
        await work
    except Exception as error:  # noqa: BLE001 - the watch goes on
        logs.logger().error("runtime.exception", **logs.exception_fields(error))
