"""The monitor: adds and removes peers, polls them, and reports their outages."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from netduet.client.checks.identity.measure import recogniser
from netduet.client.outages.outage import OutageEnded, OutageNotice, OutageOpen
from netduet.client.outages.udp_scheduler import UdpScheduler
from netduet.client.watch.availability import AvailabilityTracker, Summary
from netduet.client.watch.correlation import all_peers_out
from netduet.client.watch.discovery import MAX_ABSENT_SECONDS, TargetSet
from netduet.client.watch.peer import POLL_SECONDS, Peer
from netduet.client.watch.peer_context import PeerContext
from netduet.client.watch.peer_dialer import PeerDialer
from netduet.client.watch.return_probe import ReturnProbe
from netduet.client.watch.scheduled_checks import ScheduledChecks
from netduet.runtime import logs

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from netduet.client.checks.base import CheckContext
    from netduet.client.net.dial import Address
    from netduet.client.results.verdict import Finding
    from netduet.client.watch.notifier import Notifier
    from netduet.client.watch.partial_failure import PartialNotice
    from netduet.runtime.stall_monitor import StallMonitor

_MIN_LOOKUP_SECONDS: Final = 1.0

_FAST_LOOKUP_SECONDS: Final = 60.0
"""Seconds of an outage in which names are resolved each second. A name that drops its
failed address has done so by then, and the resolver must not be loaded for ever."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """Seconds between datagrams of a stream, scheduled checks, and look-ups.

    ``first_lookup``: seconds before the first one.
    """

    datagram: float
    checks: float
    names: float
    first_lookup: float = 0.0


class Monitor:
    """A watch. ``run`` runs until it is cancelled."""

    def __init__(
        self,
        targets: TargetSet,
        intervals: Intervals,
        context: CheckContext,
        stalls: StallMonitor,
        *,
        notifier: Notifier,
        history: int,
    ) -> None:
        self.targets = targets
        self.availability = AvailabilityTracker(time.monotonic(), history)
        self.peers: dict[Address, Peer] = {}
        self._intervals = intervals
        self._context = context
        self._stalls = stalls
        self._notifier = notifier
        self._udp_scheduler = UdpScheduler()
        self._scheduled_checks = ScheduledChecks(stalls, intervals.checks)
        self._peer_context = PeerContext(
            intervals.datagram,
            context.options.max_outage,
            context.timeouts,
            self._udp_scheduler,
            stalls,
            itertools.count(1),
        )
        self._tasks: dict[Address, list[asyncio.Task[None]]] = {}
        self._findings: dict[Address, set[str]] = {}
        self._stalled_at_start: dict[Address, float] = {}
        self._all_out = False
        self._recent_outage = asyncio.Event()
        """Set while a peer has been out for a short time, or none is there yet."""

    @property
    def ready(self) -> bool:
        """Whether every name has been resolved."""
        return all(resolved.resolved for resolved in self.targets.targets)

    def summary(self) -> Summary:
        """Return the summary of the watch up to now."""
        unresolved = (
            str(resolved.target)
            for resolved in self.targets.targets
            if not resolved.resolved
        )
        return self.availability.summary(time.monotonic(), tuple(unresolved))

    async def run(self) -> None:
        """Watch until cancelled."""
        with self._udp_scheduler:
            followers = [
                asyncio.create_task(self._follow_names()),
                asyncio.create_task(self._follow_departures()),
            ]
            try:
                while True:
                    self._poll()
                    for task in followers:
                        if task.done():
                            await task  # only a defect ends it
                    await asyncio.sleep(POLL_SECONDS)
            finally:
                self._finish()
                tasks = [
                    task for peer_tasks in self._tasks.values() for task in peer_tasks
                ]
                for task in (*followers, *tasks):
                    task.cancel()
                await asyncio.gather(*followers, *tasks, return_exceptions=True)

    def _poll(self) -> None:
        for address in self.targets.expired(time.monotonic()):
            self.targets.forget(address)
            self._remove(
                address, f"not in DNS for {MAX_ABSENT_SECONDS / 60:.0f} minutes"
            )
        notices: list[tuple[Peer, OutageNotice]] = []
        for peer in self.peers.values():
            notices += ((peer, notice) for notice in peer.poll(time.monotonic()))
        self._notify(notices)
        for address, peer in list(self.peers.items()):
            now = time.monotonic()
            self._notify_partial(peer, peer.partial_failures.poll(now))
            if peer.left_at is not None or peer.should_drop:
                self._depart(address, peer.left_at)
                continue
            reason = peer.take_no_datagrams_reason(now)
            if reason:
                self._notifier.without_datagrams(peer, reason)
            availability = self.availability.peers[str(address)]
            self._report_identity(peer, now)
            availability.ongoing = peer.outage_tracker.ongoing
            self._update_availability(peer)
        ongoing = [peer.outage_tracker.ongoing for peer in self.peers.values()]
        now = time.monotonic()
        waiting = (
            not self.ready and now - self.availability.start < _FAST_LOOKUP_SECONDS
        )
        if waiting or any(
            outage is not None and now - outage.start < _FAST_LOOKUP_SECONDS
            for outage in ongoing
        ):
            self._recent_outage.set()
        else:
            self._recent_outage.clear()
        self._check_all_out()
        self._notifier.flush()

    def _report_identity(self, peer: Peer, now: float) -> None:
        if peer.shutdowns.take_handover():
            peer.follows = True
            peer.identity.report_again()
        instances = peer.take_identity_change(now)
        if instances:
            availability = self.availability.peers[str(peer.address)]
            availability.set_instance(peer.instance, now)
            self._notifier.identified(peer, instances, follows=peer.follows)
            peer.follows = False

    def _update_availability(self, peer: Peer, *, at_end: bool = False) -> None:
        """Copy what the probes know; ``at_end``, also what was not reported yet.

        DNS may drop a stale address before it is reported: that counts for nothing.
        """
        availability = self.availability.peers[str(peer.address)]
        stalled = self._stalls.total - self._stalled_at_start[peer.address]
        availability.client_stalled = stalled
        reported = availability.reached is False or peer.outage_tracker.ongoing
        if peer.reached is not False or reported or at_end:
            availability.reached = peer.reached

    def _check_all_out(self) -> None:
        answered = [peer for peer in self.peers.values() if peer.identity.answered]
        start = all_peers_out(
            [(peer.address, peer.outage_tracker.ongoing) for peer in answered]
        )
        if start is not None and not self._all_out:
            self._notifier.all_out(len(answered), start)
        self._all_out = start is not None

    def _notify(self, notices: list[tuple[Peer, OutageNotice]]) -> None:
        for peer, notice in notices:
            if isinstance(notice, OutageEnded | OutageOpen):
                self.availability.record(str(peer.address), notice)
        if notices:
            self._notifier.outages(notices)

    def _notify_partial(self, peer: Peer, notices: list[PartialNotice]) -> None:
        for notice in notices:
            self.availability.record_partial(str(peer.address), notice)
            self._notifier.partial_failure(peer, notice)

    def _finish(self) -> None:
        """Report ongoing outages at the end of the watch."""
        now = time.monotonic()
        notices: list[tuple[Peer, OutageNotice]] = []
        for peer in self.peers.values():
            self._update_availability(peer, at_end=peer.absent_since is None)
            notices += self._final_notices(peer, now, left=False)
            self._notify_partial(peer, peer.partial_failures.finish(now))
            peer.close()
        self._notify(notices)
        self._notifier.flush(all_of_them=True)

    def _final_notices(
        self, peer: Peer, now: float, *, left: bool, left_at: float | None = None
    ) -> list[tuple[Peer, OutageNotice]]:
        ongoing = peer.outage_tracker.ongoing
        stalled = self._stalls.stalled(ongoing.start, now) if ongoing else 0.0
        notices = peer.outage_tracker.finish(
            now, left=left, shutdown_at=left_at, stalled=stalled
        )
        return [(peer, notice) for notice in notices]

    # Names

    async def _follow_names(self) -> None:
        context = self._context
        await asyncio.sleep(self._intervals.first_lookup)
        while True:
            targets = self.targets
            start = time.monotonic()
            changed = await targets.look_up(context.family, context.timeouts.resolve)
            for resolved in changed:
                self._notifier.lookup(resolved)
            for address, peer in list(self.peers.items()):
                peer.absent_since = targets.absent_since.get(address)
                if address not in targets.chosen:
                    self._remove(address, "replaced by other addresses of that name")
            self._add_chosen()
            await self._wait_for_next_lookup(start + self._intervals.names)

    async def _wait_for_next_lookup(self, due: float) -> None:
        """Wait for the next look-up; only a second while a peer is out, or none is there.

        Its name may have dropped it, and the report says after how long.
        """
        await asyncio.sleep(_MIN_LOOKUP_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(due - time.monotonic()):
                await self._recent_outage.wait()

    async def _follow_departures(self) -> None:
        """Take addresses in again at which an instance answers after a departure."""
        probe = ReturnProbe(self._context.timeouts)
        while True:
            await asyncio.sleep(_MIN_LOOKUP_SECONDS)
            listed = self.targets.listed_departures()
            departures = [(item, self.targets.departed[item]) for item in listed]
            dialers = {
                item: self._dialer(item, name)[0] for item, name in listed.items()
            }
            now = time.monotonic()
            for address in await probe.find(departures, dialers.__getitem__, now):
                self.targets.take_back(address, time.monotonic())
            self._add_chosen()

    def _dialer(self, address: Address, target: str) -> tuple[PeerDialer, CheckContext]:
        named = self.targets.find(target).target
        context = replace(
            self._context, target=named, server_name=named.host, measured={}
        )
        return PeerDialer(address, recogniser(context)), context

    def _add_chosen(self) -> None:
        for address, target in self.targets.chosen.items():
            if address not in self.peers:
                self._add(address, target)

    def _add(self, address: Address, target: str) -> None:
        dialer, context = self._dialer(address, target)
        peer = self.peers[address] = Peer(dialer, target, self._peer_context)
        patience = self.targets.find(target).patience
        peer.connect_probe.tracker.patient_until = time.monotonic() + patience
        self.availability.add(str(address), target, time.monotonic())
        self._stalled_at_start[address] = self._stalls.total
        self._findings[address] = set()
        self._notifier.added(peer)
        checks = self._scheduled_checks.run(
            address,
            context,
            lambda since: (
                peer.last_problem < since
                and peer.outage_tracker.ongoing is None
                and peer.absent_since is None
            ),
            partial(self._record_findings, peer),
        )
        self._tasks[address] = [
            asyncio.create_task(_log_defects(peer.run())),
            asyncio.create_task(_log_defects(checks)),
        ]

    def _depart(self, address: Address, left_at: float | None) -> None:
        """Remove a peer that has left: its server announced it, or DNS dropped it."""
        announced = left_at is not None
        self.targets.depart(address, time.monotonic(), announced=announced)
        reason = "it shut down, as it announced" if announced else "no longer in DNS"
        self._remove(address, reason, left_at)

    def _remove(
        self, address: Address, reason: str, left_at: float | None = None
    ) -> None:
        peer = self.peers.pop(address)
        now = time.monotonic()
        self._update_availability(peer)
        left = not self.targets.has(address)
        self._notify(self._final_notices(peer, now, left=left, left_at=left_at))
        self._notify_partial(peer, peer.partial_failures.finish(now))
        peer.close()
        for task in self._tasks.pop(address):
            task.cancel()
        del self._findings[address], self._stalled_at_start[address]
        self.availability.remove(str(address), now, reached=bool(peer.reached))
        self._notifier.removed(peer, reason)

    # Scheduled checks

    def _record_findings(self, peer: Peer, findings: list[Finding]) -> None:
        previous = self._findings.get(peer.address)
        if previous is None:
            return  # the peer was removed meanwhile
        now = {finding.failure: finding for finding in findings}
        for failure in sorted(previous - now.keys()):
            self._notifier.finding_ended(peer, failure)
        for failure, finding in now.items():
            if failure not in previous:
                self.availability.findings[failure] += 1
                self._notifier.finding_started(peer, finding)
        self._findings[peer.address] = set(now)


async def _log_defects(work: Coroutine[None, None, None]) -> None:
    """Run a task that never ends; log a defect, which ends only this task."""
    try:
        await work
    except Exception as error:  # noqa: BLE001 - the watch goes on
        logs.logger().error("runtime.exception", **logs.exception_fields(error))
