"""The lines of a watch for people, while it runs and at its end. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from netduet.client.checks.catalogue import CATALOGUE
from netduet.client.outages import describe
from netduet.client.outages.outage import (
    LEFT,
    PARTIAL,
    OutageNotice,
    OutageStarted,
    OutageUpdated,
)
from netduet.client.report.text import Line
from netduet.client.results.instance import Instance
from netduet.client.results.location import Location
from netduet.client.watch.availability import (
    OutageRecord,
    PartialTotals,
    PeerAvailability,
    Summary,
)
from netduet.client.watch.correlation import CommonCause, find_common_causes
from netduet.client.watch.partial_failure import PartialNotice, PartialPhase

MAX_ROWS: Final = 20
"""Peers that a summary lists."""

MAX_COMMON_CAUSES: Final = 3
"""Common causes that a summary lists."""

MAX_ALIKE: Final = 5
"""Peers with the same outage that have a line each; more than that share one."""

MAX_NAMES: Final = 3
"""Names that are listed; the others are counted."""

_MOMENT_SECONDS: Final = 0.005
"""Seconds below which a time would be shown as 0.00 s."""

_CLIENT_SIDE: Final = (
    "check first what they share: this client, its link, node, firewall or policy"
)

_DIRECTION_LABELS: Final = {
    location.direction: location.phrase for location in Location
}


def clock(at: float) -> str:
    """Return a time of day, UTC, from seconds since 1970."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}Z"


def peer_name(peer: str, target: str, instance: Instance | None = None) -> str:
    """Return a peer with its instance; until that is known, with its target's name."""
    more = target if instance is None else str(instance)
    return peer if peer == more else f"{peer} ({more})"


def identity_line(peer: str, instances: Sequence[Instance]) -> str:
    """Say which instance answers, or which several do."""
    if len(instances) == 1:
        return f"{peer} is instance {instances[0]}"
    names = ", ".join(instance.brief for instance in instances)
    return f"{peer} is several instances, including {names}"


def line(at: float, style: str, word: str, rest: str) -> Line:
    """Return one line: the time (seconds since 1970), a word, and the rest."""
    return (("faint", f"{clock(at)} "), (style, f"{word:<5} "), ("", rest))


def join_names(names: Sequence[str]) -> str:
    """Return the names, of very many only the first."""
    more = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def outage_lines(
    notices: Sequence[tuple[str, OutageNotice]], at: float, epoch: float
) -> Iterator[Line]:
    """Yield the lines of one poll of all peers; many equal outages share a line."""
    groups: dict[tuple[object, ...], list[tuple[str, OutageNotice]]] = {}
    for peer, notice in notices:
        outage = notice.outage
        key = (
            type(notice),
            outage.failure,
            outage.where,
            outage.proven,
            outage.ended,
        )
        groups.setdefault(key, []).append((peer, notice))
    for group in groups.values():
        peers = list(dict.fromkeys(peer for peer, _ in group))
        if len(peers) <= MAX_ALIKE:
            yield from (outage_line(peer, notice, at, epoch) for peer, notice in group)
            continue
        _, longest = max(group, key=lambda entry: entry[1].outage.seconds)
        group_name = f"{len(peers)} peers ({join_names(peers)}), the longest"
        yield outage_line(group_name, longest, at, epoch)


def outage_line(peer: str, notice: OutageNotice, at: float, epoch: float) -> Line:
    """Return the line of an outage that starts, is ongoing or is over.

    ``epoch`` is what to add to monotonic seconds to have those since 1970.
    """
    outage = notice.outage
    if isinstance(notice, OutageStarted):
        since = clock(outage.start + epoch)[11:]
        return line(
            at,
            "FAIL",
            "OUT",
            f"{peer}: {outage.description} (since {since}, #{notice.number})",
        )
    number = f" (#{notice.number})" if notice.number else ""
    where = outage.where.label
    if isinstance(notice, OutageUpdated) or not outage.ended:
        rest = f"{peer} (ongoing, {duration(outage.seconds)}): {outage.description}{number}"
        return line(at, "FAIL", "OUT", rest)
    when = clock(outage.start + epoch)[11:]
    rest = (
        f"{peer}: out for {duration(outage.seconds)} from {when}{number}: "
        f"{outage.description} [{outage.failure}; {where}]"
    )
    if not outage.proven:
        return line(at, "INCONCLUSIVE", "?", rest)
    if outage.failure == LEFT:
        return line(at, "FAIL", "LEFT", rest)
    return line(at, "PASS", "BACK", rest)


def partial_line(peer: str, notice: PartialNotice, at: float, epoch: float) -> Line:
    """Return the line of a partial failure; ``epoch`` as for ``outage_line``."""
    partial, number = notice.partial, notice.number
    since = clock(partial.start + epoch)[11:]
    text = partial.description
    if notice.phase is PartialPhase.BEGAN:
        rest = f"{peer}: {text} (since {since}, #{number})"
        return line(at, "FAIL", "PARTIAL", rest)
    length = duration(partial.seconds)
    if notice.phase is not PartialPhase.ENDED:
        rest = f"{peer} (ongoing, {length}): {text} (#{number})"
        return line(at, "FAIL", "PARTIAL", rest)
    where = partial.where.label
    rest = f"{peer}: partial failure of {length} from {since} (#{number}): {text} [{PARTIAL}; {where}]"
    return line(at, "PASS", "BACK", rest)


def all_out(peers: int, since: float) -> str:
    """Say that all peers are out, since so many seconds after 1970."""
    when = clock(since)[11:]
    return f"all {peers} peers are out at the same time (since {when}): {_CLIENT_SIDE}"


def duration(seconds: float) -> str:
    """Return a length of time for people."""
    if seconds < _MOMENT_SECONDS:
        return "a moment"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.2f} s"
    whole = round(seconds)
    parts = (
        (whole // 86400, "d"),
        (whole // 3600 % 24, "h"),
        (whole // 60 % 60, "min"),
    )
    texts = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join((*texts, f"{whole % 60} s") if whole % 60 else texts)


def availability_percent(value: float | None) -> str:
    """Return an availability, rounded down: a short outage must remain visible."""
    if value is None:
        return "unknown"
    return f"{int(value * 100_000) / 1000:.3f} %"


def summary(summary: Summary, epoch: float) -> Iterator[Line]:
    """Yield the summary of a watch."""
    peers = "1 peer" if summary.peers == 1 else f"{summary.peers} peers"
    yield ()
    yield (("strong", f"Watched {peers} for {duration(summary.seconds)}"),)
    if summary.availability is None:
        yield (("", "  nothing was watched for long enough to report"),)
        return
    outages = _outages(summary.outages, summary.longest_seconds, summary.open_outages)
    head = f"availability {availability_percent(summary.availability)}, {outages}"
    failed = summary.outages or summary.never_reached or summary.partial.count
    yield (("FAIL" if failed else "PASS", f"  {head}{_partial(summary.partial)}"),)
    for name in summary.unresolved:
        yield (("FAIL", f"  {name}: never reached, since it never had an address"),)
    if summary.unproven:
        verb = "proves" if summary.unproven == 1 else "prove"
        yield (
            (
                "faint",
                (
                    f"  {summary.unproven} more {verb} nothing: one end was suspended or starved of CPU, or chance is not ruled out"
                ),
            ),
        )
    for (failure, direction), count in sorted(
        summary.counts.items(), key=lambda kind: -kind[1]
    ):
        title = CATALOGUE[failure].title
        text = f"  {count} × {failure}, {_DIRECTION_LABELS[direction]}: {title}"
        yield (("", text),)
    for failure, count in sorted(summary.findings.items()):
        title = CATALOGUE[failure].title
        yield (("", f"  {count} × {failure}, found by scheduled checks: {title}"),)
    yield from _rows(summary)
    for record in summary.worst:
        yield (("faint", f"  {_record_line(record, epoch)}"),)
    for cause in _largest(
        find_common_causes(summary.history, summary.rows, summary.complete_since)
    ):
        yield (("", f"  {clock(cause.start + epoch)} {_common_cause_line(cause)}"),)
    if summary.counts:
        most, _ = max(summary.counts, key=lambda kind: summary.counts[kind])
        yield (
            ("faint", f"  `netduet explain {most}` lists causes and what to try next"),
        )


def _outages(count: int, longest: float, still_open: int = 0) -> str:
    if not count:
        return "no outages"
    many = "1 outage of" if count == 1 else f"{count} outages, the longest"
    text = f"{many} {duration(longest)}"
    if not still_open:
        return text
    return f"{text}, not over yet" if count == 1 else f"{text}, {still_open} not over"


def _rows(summary: Summary) -> Iterator[Line]:
    if summary.peers == 1 and not any(
        row.ongoing or row.reached is False for row in summary.rows
    ):
        return
    rows = summary.rows
    if len(rows) > MAX_ROWS:
        rows = tuple(row for row in rows[:MAX_ROWS] if _has_failed(row))
    for row in rows:
        yield (("", f"  {_row(row, summary.now)}"),)
    rest = len(summary.rows) - len(rows)
    if rest and _has_failed(summary.rows[len(rows)]):
        yield (("faint", f"  and {rest} more peers with no longer downtime"),)
    elif rest:
        yield (("faint", f"  {rest} more peers: no outages"),)


def _partial(totals: PartialTotals) -> str:
    """Return how often and how much new connections failed in part, "" if never."""
    worst = totals.worst
    if worst is None:
        return ""
    failed = f"{describe.percent(worst.share)} of new connections failed"
    if totals.count == 1:
        return f", 1 partial failure of {duration(worst.seconds)} ({failed})"
    many = f"{totals.count} partial failures, {duration(totals.seconds)} in all"
    return f", {many} (in the longest {failed})"


def _has_failed(row: PeerAvailability) -> bool:
    failed = row.totals.outages or row.ongoing or row.partial.count
    return bool(failed) or row.reached is False


def _row(row: PeerAvailability, now: float) -> str:
    totals = row.totals
    value = availability_percent(row.availability(now))
    if row.reached is False:
        text = f"never reached, {value}"
    else:
        outages = _outages(totals.outages, totals.longest, totals.open)
        text = f"{value}, {outages}{_partial(row.partial)}"
    if row.until is not None:
        left = row.last is not None and row.last.failure == LEFT
        text += ", left during an outage" if left else ", no longer watched"
    elif row.ongoing is not None:
        text += ", out now"
    return f"{peer_name(row.peer, row.target, row.instance)}: {text}"


def _common_cause_line(cause: CommonCause) -> str:
    if not cause.node:
        return f"all {cause.peers} peers were out at the same time: {_CLIENT_SIDE}"
    return f"{cause.peers} peers were out together, all on node {cause.node}; no peer on another node was"


def _largest(groups: Iterable[CommonCause]) -> list[CommonCause]:
    return sorted(groups, key=lambda cause: (-cause.peers, -cause.start))[
        :MAX_COMMON_CAUSES
    ]


def _record_line(record: OutageRecord, epoch: float) -> str:
    outage = record.outage
    peer = peer_name(record.peer, record.peer, record.instance)
    return (
        f"{clock(outage.start + epoch)} {peer}: {duration(outage.seconds)}, "
        f"{outage.failure}: {outage.description}"
    )
