"""Everybody who is watched: peers that come and go, looked at several times a second."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from netduet.client.outages.outage import OutageEnded, OutageNotice
from netduet.client.outages.udp_scheduler import UdpScheduler
from netduet.client.watch.availability import AvailabilityTracker
from netduet.client.watch.discovery import LAPSE, TargetSet
from netduet.client.watch.lone_client import all_peers_out
from netduet.client.watch.peer import LOOK, Peer, PeerContext
from netduet.client.watch.scheduled_checks import ScheduledChecks
from netduet.runtime import logs

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from netduet.client.checks.base import CheckContext
    from netduet.client.net.dial import Address
    from netduet.client.results.verdict import Finding
    from netduet.client.watch.notifier import Notifier
    from netduet.runtime.stall_monitor import StallMonitor

_AGAIN: Final = 1.0

_SOON: Final = 60.0
"""Seconds of an outage in which names are looked up each second: one that drops who is
out does so by then, and a resolver is not to be asked so often for ever."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """How often, in seconds: datagrams of a stream, checks, look-ups of names."""

    datagram: float
    checks: float
    names: float


class Monitor:
    """A watch. ``run`` it until it is cancelled; then ``finish``."""

    def __init__(
        self,
        whom: TargetSet,
        paces: Intervals,
        context: CheckContext,
        stalls: StallMonitor,
        *,
        telling: Notifier,
        history: int,
    ) -> None:
        """Wire the parts together; nothing runs yet."""
        self.whom = whom
        self.account = AvailabilityTracker(time.monotonic(), history)
        self.peers: dict[Address, Peer] = {}
        self._paces = paces
        self._context = context
        self._stalls = stalls
        self._telling = telling
        self._together = UdpScheduler()
        self._rounds = ScheduledChecks(context, stalls, paces.checks)
        self._means = PeerContext(
            paces.datagram,
            context.options.max_outage,
            context.timeouts,
            self._together,
            stalls,
            itertools.count(1),
        )
        self._tasks: dict[Address, list[asyncio.Task[None]]] = {}
        self._findings: dict[Address, set[str]] = {}
        self._stalled_before: dict[Address, float] = {}
        self._alone = False
        self._trouble = asyncio.Event()
        """Set while a peer is out, and has not been for long."""

    @property
    def ready(self) -> bool:
        """Every name has been resolved: who is to be watched is known."""
        return all(resolved.resolved for resolved in self.whom.names)

    async def run(self) -> None:
        """Watch for ever."""
        with self._together:
            names = asyncio.create_task(self._follow_names())
            try:
                while True:
                    self._look()
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

    def _look(self) -> None:
        for address in self.whom.overdue(time.monotonic()):
            self.whom.forget(address)
            self._remove(
                address, f"its name has lacked it for {LAPSE / 60:.0f} minutes"
            )
        told: list[tuple[Peer, OutageNotice]] = []
        for peer in self.peers.values():
            told += ((peer, notice) for notice in peer.look(time.monotonic()))
        self._tell(told)
        for address, peer in list(self.peers.items()):
            now = time.monotonic()
            if peer.gone:
                self.whom.forget(address)
                self._remove(address, "its name has dropped it")
                continue
            why = peer.silence(now)
            if why:
                self._telling.silent(peer, why)
            counted = self.account.peers[str(address)]
            who = peer.news(now)
            if who:
                counted.named(peer.who, now)
                self._telling.identified(peer, who)
            counted.standing = peer.episodes.standing
            counted.away = self._stalls.total - self._stalled_before[address]
        standing = [peer.episodes.standing for peer in self.peers.values()]
        now = time.monotonic()
        if any(
            outage is not None and now - outage.start < _SOON for outage in standing
        ):
            self._trouble.set()
        else:
            self._trouble.clear()
        self._look_at_all()

    def _look_at_all(self) -> None:
        """Say, once, when no peer can be reached any more."""
        met = [peer for peer in self.peers.values() if peer.known.met]
        start = all_peers_out([(peer.address, peer.episodes.standing) for peer in met])
        if start is not None and not self._alone:
            self._telling.alone(len(met), start)
        self._alone = start is not None

    def _tell(self, told: list[tuple[Peer, OutageNotice]]) -> None:
        for peer, notice in told:
            if isinstance(notice, OutageEnded):
                self.account.ended(str(peer.address), notice)
        if told:
            self._telling.told(told)

    def _finish(self) -> None:
        """Tell of what goes on while the watch ends."""
        now = time.monotonic()
        told: list[tuple[Peer, OutageNotice]] = []
        for peer in self.peers.values():
            counted = self.account.peers[str(peer.address)]
            counted.standing = None
            told += self._last(peer, now, left=False)
            peer.close()
        self._tell(told)

    def _last(
        self, peer: Peer, now: float, *, left: bool
    ) -> list[tuple[Peer, OutageNotice]]:
        standing = peer.episodes.standing
        away = self._stalls.stalled(standing.start, now) if standing else 0.0
        over = peer.episodes.finish(now, left=left, away=away)
        return [(peer, notice) for notice in over]

    # Names

    async def _follow_names(self) -> None:
        context = self._context
        while True:
            whom = self.whom
            start = time.monotonic()
            changed = await whom.look_up(context.family, context.timeouts.resolve)
            for resolved in changed:
                self._telling.lookup(resolved)
            for address, peer in list(self.peers.items()):
                peer.lapsed = address in whom.lapsed
                if address not in whom.chosen:
                    self._remove(address, "others of its name are, instead")
            for address, target in whom.chosen.items():
                if address not in self.peers:
                    self._add(address, target)
            await self._until_next(start + self._paces.names)

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
        self._telling.added(peer)
        checks = self._rounds.run(
            address,
            lambda since: (
                peer.troubled < since
                and peer.episodes.standing is None
                and not peer.lapsed
            ),
            partial(self._found, peer),
        )
        self._tasks[address] = [
            asyncio.create_task(_guarded(peer.run())),
            asyncio.create_task(_guarded(checks)),
        ]

    def _remove(self, address: Address, why: str) -> None:
        peer = self.peers.pop(address)
        now = time.monotonic()
        self._tell(self._last(peer, now, left=not self.whom.has(address)))
        peer.close()
        for task in self._tasks.pop(address):
            task.cancel()
        del self._findings[address], self._stalled_before[address]
        self.account.remove(str(address), now)
        self._telling.removed(peer, why)

    # Checks on a schedule

    def _found(self, peer: Peer, findings: list[Finding]) -> None:
        known = self._findings.get(peer.address)
        if known is None:
            return  # it has left meanwhile
        now = {finding.failure: finding for finding in findings}
        for failure in sorted(known - now.keys()):
            self._telling.found_no_more(peer, failure)
        for failure, one in now.items():
            if failure not in known:
                self.account.findings[failure] += 1
                self._telling.found(peer, one)
        self._findings[peer.address] = set(now)


async def _guarded(work: Coroutine[None, None, None]) -> None:
    """Run what never ends; a defect of ours is told, and ends this part alone."""
    try:
        await work
    except Exception as error:  # noqa: BLE001 - the watch goes on
        logs.logger().error("runtime.exception", **logs.exception_fields(error))
