"""What a person reads while it goes on, and in the end. Pure: facts in, lines out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from netduet.client.catalogue import CATALOGUE
from netduet.client.outages.outage import (
    OutageNotice,
    OutageStarted,
    OutageUpdated,
)
from netduet.client.report.text import Line
from netduet.client.results.instance import Instance
from netduet.client.results.location import Location
from netduet.client.watch.availability import OutageRecord, PeerAvailability, Summary
from netduet.client.watch.correlation import CommonCause, find_common_causes

MAX_ROWS: Final = 20
"""Peers that a summary lists."""

MAX_COMMON_CAUSES: Final = 3
"""Times when several peers were out together that it tells of."""

MAX_ALIKE: Final = 5
"""Peers that may each have a line for what many suffer alike; more share one."""

MAX_NAMES: Final = 3
"""Names that stand for many."""

_MOMENT_SECONDS: Final = 0.005

_CLIENT_SIDE: Final = (
    "what they share, this end: its link, its node, its firewall or policy"
)

_DIRECTION_LABELS: Final = {
    location.direction: location.phrase for location in Location
}


def clock(at: float) -> str:
    """Return a time of day, UTC, from seconds since 1970."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}Z"


def peer_name(peer: str, target: str, instance: Instance | None = None) -> str:
    """Return a peer with who it is; until that is known, with the name that has it."""
    more = target if instance is None else str(instance)
    return peer if peer == more else f"{peer} ({more})"


def identity_line(peer: str, instances: Sequence[Instance]) -> str:
    """Say who answers: one, or some of several."""
    if len(instances) == 1:
        return f"{peer} is instance {instances[0]}"
    some = ", ".join(instance.brief for instance in instances)
    return f"{peer} is several instances, among them {some}"


def line(at: float, style: str, word: str, rest: str) -> Line:
    """Return one line: when (seconds since 1970), a word, and the rest."""
    return (("faint", f"{clock(at)} "), (style, f"{word:<5} "), ("", rest))


def join_names(names: Sequence[str], limit: int = MAX_NAMES) -> str:
    """Return names, of very many only the first."""
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")


def outage_lines(
    notices: Sequence[tuple[str, OutageNotice]], at: float, epoch: float
) -> Iterator[Line]:
    """Yield the lines of what one look at all peers brought: of many alike, one."""
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
        group_name = f"{len(peers)} peers alike ({join_names(peers)}), the longest"
        yield outage_line(group_name, longest, at, epoch)


def outage_line(peer: str, notice: OutageNotice, at: float, epoch: float) -> Line:
    """Return the line of an outage that begins, goes on or is over.

    ``epoch`` is what to add to monotonic seconds to have those since 1970.
    """
    outage = notice.outage
    if isinstance(notice, OutageStarted):
        since = clock(outage.start + epoch)[11:]
        return line(
            at,
            "FAIL",
            "OUT",
            f"{peer}: {outage.description}, since {since} (#{notice.number})",
        )
    number = f" (#{notice.number})" if notice.number else ""
    where = outage.where.label
    if isinstance(notice, OutageUpdated) or not outage.ended:
        rest = f"{peer}: {outage.description}, for {duration(outage.seconds)} and still{number}"
        return line(at, "FAIL", "OUT", rest)
    when = clock(outage.start + epoch)[11:]
    rest = (
        f"{peer}: out for {duration(outage.seconds)} since {when}{number}: "
        f"{outage.description} [{outage.failure}; {where}]"
    )
    if not outage.proven:
        return line(at, "INCONCLUSIVE", "?", rest)
    if outage.failure == "watch.left":
        return line(at, "FAIL", "LEFT", rest)
    return line(at, "PASS", "BACK", rest)


def all_out(peers: int, since: float) -> str:
    """Return that no peer can be reached, since so many seconds after 1970."""
    when = clock(since)[11:]
    return (
        f"all {peers} peers are out at once, since {when}: look first at {_CLIENT_SIDE}"
    )


def duration(seconds: float) -> str:
    """Return a length of time as it is told."""
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
    """Return an availability: rounded down, or what was out would not be seen."""
    if value is None:
        return "unknown"
    return f"{int(value * 100_000) / 1000:.3f} %"


def summary(summary: Summary, epoch: float) -> Iterator[Line]:
    """Yield what a watch came to."""
    peers = "1 peer" if summary.peers == 1 else f"{summary.peers} peers"
    yield ()
    yield (("strong", f"Watched {peers} for {duration(summary.seconds)}"),)
    if summary.availability is None:
        yield (("", "  nothing was watched for long enough to say anything"),)
        return
    head = f"availability {availability_percent(summary.availability)}, {_outages(summary.outages, summary.longest_seconds)}"
    yield (("PASS" if not summary.outages else "FAIL", f"  {head}"),)
    if summary.unproven:
        proves = "proves" if summary.unproven == 1 else "prove"
        yield (
            (
                "faint",
                (
                    f"  {summary.unproven} more {proves} nothing: an end itself did not run, "
                    "or chance explains them"
                ),
            ),
        )
    for (failure, direction), count in sorted(
        summary.kinds.items(), key=lambda it: -it[1]
    ):
        title = CATALOGUE[failure].title
        text = f"  {count} × {failure}, {_DIRECTION_LABELS[direction]}: {title}"
        yield (("", text),)
    for failure, count in sorted(summary.findings.items()):
        title = CATALOGUE[failure].title
        yield (("", f"  {count} × {failure}, by the checks on a schedule: {title}"),)
    yield from _rows(summary)
    for past in summary.worst:
        yield (("faint", f"  {_record_line(past, epoch)}"),)
    for together in _largest(
        find_common_causes(summary.history, summary.rows, summary.complete_since)
    ):
        yield (
            ("", f"  {clock(together.start + epoch)} {_common_cause_line(together)}"),
        )
    if summary.kinds:
        most, _ = max(summary.kinds, key=lambda kind: summary.kinds[kind])
        yield (("faint", f"  `netduet explain {most}` says what to try"),)


def _outages(count: int, longest: float) -> str:
    if not count:
        return "no outage"
    many = "1 outage" if count == 1 else f"{count} outages, the longest"
    return f"{many} of {duration(longest)}"


def _rows(summary: Summary) -> Iterator[Line]:
    if summary.peers == 1 and not any(row.ongoing for row in summary.rows):
        return
    rows = summary.rows
    if len(rows) > MAX_ROWS:
        rows = tuple(
            row for row in rows[:MAX_ROWS] if row.totals.outages or row.ongoing
        )
    for row in rows:
        yield (("", f"  {_row(row, summary.now)}"),)
    rest = len(summary.rows) - len(rows)
    if rest and summary.rows[len(rows)].totals.outages:
        yield (("faint", f"  and {rest} peers that fared no worse"),)
    elif rest:
        yield (("faint", f"  {rest} peers: no outage"),)


def _row(row: PeerAvailability, now: float) -> str:
    watched = row.watched_seconds(now)
    value = 1.0 - row.down_seconds(now) / watched if watched else None
    text = f"{peer_name(row.peer, row.target, row.instance)}: {availability_percent(value)}, {_outages(row.totals.outages, row.totals.longest)}"
    if row.until is not None:
        text += ", watched no more"
    elif row.ongoing is not None:
        text += ", out now"
    return text


def _common_cause_line(cause: CommonCause) -> str:
    if not cause.node:
        return f"all {cause.peers} peers were out at once: look first at {_CLIENT_SIDE}"
    return f"{cause.peers} peers were out together, all on {cause.node}; none on another node was"


def _largest(groups: Iterable[CommonCause]) -> list[CommonCause]:
    """Return those of the most peers, the latest first where several have as many."""
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
