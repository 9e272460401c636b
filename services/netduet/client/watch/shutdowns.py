"""What the announced shutdowns of the servers at one address explain. Pure.

A server that drains says so on its stream (P-75) and on its connections (P-79). What it
then no longer answers, refuses or resets is no outage, as long as nothing else is wrong:
either another instance answers there in time, or the server has left.

A server process is known by its boot id. Behind a virtual address there are several. A
stream that moves from one of them to another shows no restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from netduet.client.outages.events import (
    ConnectFailureRun,
    ConnectionStall,
    LossRun,
    ProbeEvent,
    ServerRestart,
)
from netduet.client.outages.keepalive_probe import KeepaliveProbe
from netduet.client.outages.loss_tracker import MIN_SECONDS, LossTracker
from netduet.client.outages.open_outage import ProbeState
from netduet.client.results.instance import Instance

GRACE_SECONDS: Final = 3.0
"""Seconds after an announcement in which another instance may answer; then the server
has left, or what does not work is an outage."""

ALIVE_SECONDS: Final = 30.0
"""Seconds since the last answer of another instance for which it is taken for alive."""

LISTENER_SECONDS: Final = 1.5
"""Seconds from an announcement to the last connection that the server accepts."""

MAX_MOVE_SECONDS: Final = 0.5
"""Seconds in which a stream moves to another instance, and no server starts."""

MAX_NAME_SECONDS: Final = 5.0
"""Seconds in which the name of the process after a short restart is waited for. Behind a
virtual address the next connections may reach other instances."""

MAX_PROCESSES: Final = 32
"""Server processes at one address that are remembered."""

_GRACE_ATTEMPTS: Final = 2.5
"""The time of grace, in new connections at least."""

_MIN_HOLD_ATTEMPTS: Final = 0.75
_MAX_HOLD_ATTEMPTS: Final = 1.5
"""The time until a restart is certain, in new connections. The long-lived connection
shows earlier that the process before it is alive; the name of the one after it comes
with the next connection."""

_STREAM_MARGIN_SECONDS: Final = 0.5
_CONNECT_MARGIN_SECONDS: Final = 2.0
"""Seconds before the announcement in which datagrams, and new connections, may already
have failed: a listener closes at about the same time."""


@dataclass(slots=True)
class _Process:
    """One server process: when it first and last accepted new work, and was last alive.

    ``announced`` is when it announced its shutdown, ``replaced`` when another process
    followed it in the stream: never before, or not yet.
    """

    boot_id: str
    instance: Instance | None = None
    first: float = float("inf")
    last: float = float("-inf")
    alive: float = float("-inf")
    announced: float | None = None
    replaced: float = float("-inf")


class Shutdowns:
    """The server processes at one address, and what their shutdowns explain."""

    def __init__(self, connect_period: float) -> None:
        """Start; ``connect_period`` is the seconds between new connections."""
        self.grace = max(GRACE_SECONDS, _GRACE_ATTEMPTS * connect_period)
        self._connect_period = connect_period
        self._processes: dict[str, _Process] = {}
        self._stream_boot = self._old_boot = ""
        """The processes of the stream and of the long-lived connection."""
        self._held: list[ServerRestart] = []
        """Restarts that may still turn out to be a move."""
        self._handed_over = False

    # Input

    def record_answer(
        self, boot_id: str, now: float, instance: Instance | None = None
    ) -> None:
        """Record that a process accepted a new connection or stream."""
        process = self._process(boot_id)
        if instance is not None and process.instance is None:
            process.instance = instance
            self._handed_over = self._handed_over or any(
                other.announced is not None and now - other.announced < ALIVE_SECONDS
                for other in self._processes.values()
                if other is not process
            )
        process.first, process.last = min(process.first, now), max(process.last, now)
        process.alive = process.last
        if process.announced is not None and now > process.announced + self.grace:
            process.announced = None  # it goes on serving

    def observe(self, old: KeepaliveProbe, stream: LossTracker | None) -> None:
        """Record which processes answer on the old connection and in the stream."""
        if old.boot_id:
            self._old_boot = old.boot_id
            process = self._process(old.boot_id)
            process.alive = max(process.alive, old.answered_at)
        if stream is None:
            return
        # First the time: the stream's thread may set both in between.
        arrived, boot_id = stream.last_arrival, stream.boot_id
        if arrived is not None:
            self._stream_boot = boot_id
            process = self._process(boot_id)
            process.alive, process.replaced = max(process.alive, arrived), float("inf")
        if stream.shutdown is not None:
            self.record_announcement(*stream.shutdown)

    def record_announcement(self, boot_id: str, now: float) -> None:
        """Record that a process announced its shutdown; "": the only one that is known."""
        if not boot_id:
            boot_id = self._only_process(now)
        if boot_id:
            process = self._process(boot_id)
            if process.announced is None and process.last <= now + self.grace:
                process.announced = now

    # Output

    def is_pending(self, now: float) -> bool:
        """Whether a server announced its shutdown, or may have restarted, a moment ago."""
        return bool(self._held) or any(
            process.announced is not None and now <= process.announced + self.grace
            for process in self._processes.values()
        )

    def left_at(self, now: float) -> float | None:
        """Return when the last server here shut down, as announced; None if none has.

        Not before the time of grace, and only if all that was known to be alive here
        has announced its shutdown and accepts nothing any more.
        """
        announced = [
            process.announced
            for process in self._processes.values()
            if process.announced is not None
        ]
        if not announced or now < max(announced) + self.grace:
            return None
        latest = max(announced)
        last = max(process.last for process in self._processes.values())
        if last > latest + LISTENER_SECONDS or not self._is_alone(latest):
            return None
        return latest

    def take_handover(self) -> bool:
        """Return once whether another process answers after an announced shutdown."""
        handed_over, self._handed_over = self._handed_over, False
        return handed_over

    def explain_state(self, state: ProbeState, now: float) -> ProbeState:
        """Return the state without what announced shutdowns explain."""
        stream, run, stall = state.stream, state.failure_run, state.stall
        if stream is not None:
            announced = self._announced(self._stream_boot)
            if (
                announced is not None
                and stream.start >= announced - _STREAM_MARGIN_SECONDS
                and now <= announced + self.grace
            ):
                stream = None
        if run is not None and self._explains_failures(run.start, now):
            run = None
        if stall is not None:
            announced = self._announced(self._old_boot)
            if announced is not None and self._is_after(stall, announced):
                stall = None
        return replace(state, stream=stream, failure_run=run, stall=stall)

    def explain_events(
        self, events: Iterable[ProbeEvent], now: float
    ) -> list[ProbeEvent]:
        """Return the events without what shutdowns and moves of the stream explain.

        A restart is held back for a moment: the process before it may prove to be alive.
        """
        left: list[ProbeEvent] = []
        for event in events:
            match event:
                case ServerRestart() if event.is_new_process:
                    self.record_answer(event.boot_ids[1], event.end)
                    self._held.append(event)
                case LossRun():
                    left += self._explain_losses(event)
                case ConnectFailureRun():
                    if not self._explains_failures(event.start, event.end):
                        left.append(event)
                case ConnectionStall():
                    left += self._explain_stall(event)
                case _:
                    left.append(event)
        return [*self._release(now), *left]

    # Helpers

    def _process(self, boot_id: str) -> _Process:
        process = self._processes.pop(boot_id, None) or _Process(boot_id)
        self._processes[boot_id] = process
        if len(self._processes) > MAX_PROCESSES:
            del self._processes[next(iter(self._processes))]
        return process

    def _announced(self, boot_id: str) -> float | None:
        process = self._processes.get(boot_id)
        return None if process is None else process.announced

    def _is_alone(self, announced: float) -> bool:
        """Whether no other process was alive when the latest one announced its end."""
        return not any(
            process.announced is None and process.alive >= announced - ALIVE_SECONDS
            for process in self._processes.values()
        )

    def _only_process(self, now: float) -> str:
        alive = [
            process.boot_id
            for process in self._processes.values()
            if process.announced is None and process.alive >= now - ALIVE_SECONDS
        ]
        return alive[0] if len(alive) == 1 else ""

    def _explains_failures(self, start: float, now: float) -> bool:
        """Whether a shutdown explains that connections fail from ``start`` to ``now``.

        Only where no other instance was known to accept them.
        """
        for process in self._processes.values():
            announced = process.announced
            if announced is None or start < announced - _CONNECT_MARGIN_SECONDS:
                continue
            others = [
                other for other in self._processes.values() if other.announced is None
            ]
            if any(
                other.first <= announced and other.last >= announced - ALIVE_SECONDS
                for other in others
            ):
                continue
            successor = min((other.first for other in others), default=float("inf"))
            until = announced + self.grace
            if successor < float("inf"):
                until = max(until, successor + 2 * self._connect_period)
            if start <= successor and now <= until:
                return True
        return False

    def _explain_losses(self, run: LossRun) -> Iterator[LossRun]:
        """Yield the part of a loss run that no shutdown explains."""
        for process in self._processes.values():
            announced = process.announced
            if announced is None or not run.start <= process.replaced:
                continue
            if run.end < announced or run.end > announced + self.grace:
                continue
            if run.start >= announced - _STREAM_MARGIN_SECONDS:
                return
            lost = round(run.lost * (announced - run.start) / run.seconds)
            if announced - run.start >= MIN_SECONDS:
                yield replace(run, end=announced, lost=lost)
            return
        yield run

    def _explain_stall(self, stall: ConnectionStall) -> Iterator[ConnectionStall]:
        """Yield the part of a stall that no shutdown explains."""
        announced = self._announced(stall.boot_id)
        if announced is None:
            yield stall
        elif not self._is_after(stall, announced):
            yield replace(stall, end=max(stall.start, announced), broken="")

    def _is_after(self, stall: ConnectionStall, announced: float) -> bool:
        return stall.start >= announced - _CONNECT_MARGIN_SECONDS

    def _release(self, now: float) -> Iterator[ServerRestart]:
        """Yield the restarts that nothing explains, once that is certain."""
        held, self._held = self._held, []
        for restart in held:
            before, after = (self._process(boot) for boot in restart.boot_ids)
            before.replaced = restart.end
            if before.announced is not None or _is_move(restart, before, after):
                continue
            is_short = restart.seconds <= MAX_MOVE_SECONDS
            attempts = _MAX_HOLD_ATTEMPTS if is_short else _MIN_HOLD_ATTEMPTS
            hold_seconds = attempts * self._connect_period
            if is_short and after.instance is None:
                hold_seconds = max(hold_seconds, MAX_NAME_SECONDS)
            if now - restart.end < hold_seconds:
                self._held.append(restart)
            else:
                before.last = before.alive = float("-inf")  # it crashed
                yield restart


def _is_move(restart: ServerRestart, before: _Process, after: _Process) -> bool:
    """Whether both processes were alive at the same time: the stream has moved."""
    if before.alive > restart.end or after.first < restart.start:
        return True
    names = before.instance, after.instance
    return (
        restart.seconds <= MAX_MOVE_SECONDS
        and None not in names
        and len(set(names)) > 1
    )
