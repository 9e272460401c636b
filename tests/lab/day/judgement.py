"""What watches reported, compared with what happened. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Any, Final

EARLY_SECONDS: Final = 1.5
LATE_SECONDS: Final = 4.0
"""How much before a fault and after its end the outage that it causes may begin. A dead
node is noticed later by those who did not have its pods yet."""

_ENDED: Final = "outage.ended"
_NUMBERS: Final = {"outage": "netduet.outage", "partial": "netduet.partial_failure"}
"""What begins and ends, by the first word of its log events: the field of its number."""
_OTHER_ALARMS: Final = frozenset({"finding.began", "lookup.failed", "watch.alone"})
"""Log events that report a problem other than an outage."""

_STARVED: Final = "watch.paused"
"""A server that did not run: true, but this machine's doing, for the day pauses none."""

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Report:
    """A problem that a watcher reported.

    ``address`` is "" if it is not about a peer, ``seconds`` None unless it is an outage
    that is over. ``begin`` is in seconds since 1970.
    """

    watcher: str
    kind: str
    address: str
    begin: float
    seconds: float | None = None
    direction: str = ""
    failure: str = ""
    text: str = ""

    def __str__(self) -> str:
        """Return it as a line."""
        clock = f"{datetime.fromtimestamp(self.begin, UTC):%H:%M:%S}"
        length = "" if self.seconds is None else f" {self.seconds:.2f} s"
        words = (self.kind, self.address, self.failure, self.direction)
        about = " ".join(filter(None, words))
        return f"{self.watcher} at {clock}: {about}{length}: {self.text}"


@dataclass(frozen=True, slots=True)
class Expected:
    """An outage that a watcher must report.

    ``address`` is "" for what is not about a peer. ``directions`` are the permitted
    ones, none for any; ``seconds`` is its length within ``tolerance``, None for any.
    """

    watcher: str
    address: str
    directions: tuple[str, ...] = ()
    seconds: float | None = None
    tolerance: float = 0.0

    def is_about(self, report: Report) -> bool:
        """Whether this may be what a report is about."""
        return (report.watcher, report.address) == (self.watcher, self.address)

    def is_met_by(self, report: Report) -> bool:
        """Whether direction and length are right."""
        if self.directions and report.direction not in self.directions:
            return False
        if self.seconds is None:
            return True
        length = report.seconds
        return length is not None and abs(length - self.seconds) <= self.tolerance

    def __str__(self) -> str:
        """Return it as words."""
        ways = " or ".join(self.directions)
        length = "" if self.seconds is None else f"{self.seconds:.2f} s"
        return " ".join(filter(None, (self.watcher, self.address, ways, length)))


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: when it was, in seconds since 1970, and who must report it.

    ``permitted`` are outages that may be reported as well.
    """

    name: str
    start: float
    end: float
    expected: tuple[Expected, ...]
    permitted: tuple[Expected, ...] = ()

    def covers(self, report: Report) -> bool:
        """Whether a report is of the time of this fault."""
        return self.start - EARLY_SECONDS <= report.begin <= self.end + LATE_SECONDS


@dataclass(frozen=True, slots=True)
class Judgement:
    """``false``: reports of nothing. ``missed``: faults that were not reported rightly."""

    false: tuple[Report, ...]
    missed: tuple[str, ...]
    reported: int
    """Faults that were reported rightly by everyone who had to."""


def reports(watcher: str, events: Iterable[Event]) -> Iterator[Report]:
    """Yield what a watcher reported: proven outages, open ones, other problems."""
    began: dict[tuple[str, int], Event] = {}
    for event in events:
        name = event["event"]
        kind, _, phase = name.partition(".")
        if name in _OTHER_ALARMS:
            yield _report(watcher, event)
        if kind not in _NUMBERS:
            continue
        number = kind, event[_NUMBERS[kind]]
        if phase == "began":
            began[number] = event
        elif phase in ("ended", "open"):
            began.pop(number, None)
            if _claims(event):
                yield _report(watcher, event)
    for event in began.values():
        yield _report(watcher, event)


def taken_back(
    watcher: str, events: Iterable[Event], left: Mapping[str, float]
) -> Iterator[Report]:
    """Yield the addresses that a watcher took back after their pod had left.

    ``left`` has, by address, when pods began to terminate: they have said so.
    """
    known: set[str] = set()
    for event in events:
        if event["event"] != "peer.added":
            continue
        report = _report(watcher, event)
        if report.address in known and report.begin > left.get(report.address, inf):
            yield report
        known.add(report.address)


def unproven(events: Iterable[Event]) -> int:
    """Count the outages that prove nothing, or that this machine was too busy."""
    return sum(event["event"] == _ENDED and not _claims(event) for event in events)


def _claims(event: Event) -> bool:
    """Whether the end of an outage claims a fault of the network or of a server."""
    return bool(event.get("netduet.proven", True) and event["error.type"] != _STARVED)


def _report(watcher: str, event: Event) -> Report:
    is_over = event.get("netduet.end") is not None
    return Report(
        watcher,
        event["event"],
        event.get("server.address", ""),
        datetime.fromisoformat(
            event.get("netduet.begin", event["timestamp"])
        ).timestamp(),
        event["netduet.duration_s"] if is_over else None,
        event.get("netduet.direction", ""),
        event.get("error.type", ""),
        event.get("netduet.diagnosis", event.get("error.message", "")),
    )


def judge(made: Iterable[Report], faults: Iterable[Fault]) -> Judgement:
    """Compare reports with faults."""
    made, faults = list(made), list(faults)
    false = [
        report
        for report in made
        if not any(
            fault.covers(report)
            and (
                not report.address
                or any(
                    each.is_about(report)
                    for each in (*fault.expected, *fault.permitted)
                )
            )
            for fault in faults
        )
    ]
    missed: list[str] = []
    right = 0
    for fault in faults:
        wrong = [
            _complaint(fault, each, [report for report in made if fault.covers(report)])
            for each in fault.expected
        ]
        right += not any(wrong)
        missed += filter(None, wrong)
    return Judgement(tuple(false), tuple(missed), right)


def _complaint(fault: Fault, expected: Expected, made: list[Report]) -> str:
    about = [report for report in made if expected.is_about(report)]
    if any(expected.is_met_by(report) for report in about):
        return ""
    instead = "; ".join(map(str, about)) or "nothing"
    return f"{fault.name}: expected {expected}; reported: {instead}"
