"""What a person reads while it goes on, and in the end. Pure: facts in, lines out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from netduet.client.catalogue import CATALOGUE
from netduet.client.outages.outage import (
    DIRECTIONS,
    OutageNotice,
    OutageStarted,
    OutageUpdated,
)
from netduet.client.report.text import Line
from netduet.client.results.failure import SIDES
from netduet.client.results.instance import Instance
from netduet.client.watch.availability import OutageRecord, PeerAvailability, Summary
from netduet.client.watch.correlation import CommonCause, common_cause

ROWS: Final = 20
"""Peers that a summary lists."""

GROUPS: Final = 3
"""Times when several peers were out together that it tells of."""

ALIKE: Final = 5
"""Peers that may each have a line for what many suffer alike; more share one."""

NAMES: Final = 3
"""Names that stand for many."""

_MOMENT: Final = 0.005

_SHARED: Final = "what they share, this end: its link, its node, its firewall or policy"

_TOLD: Final = {
    "to_server": "on the way to the server",
    "from_server": "on the way back",
    "both": "in between",
    "server": "at the server's end",
    "client": "at this end",
    "unknown": "unknown where",
}


def clock(at: float) -> str:
    """Return a time of day, UTC, from seconds since 1970."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}Z"


def named(peer: str, target: str, who: Instance | None = None) -> str:
    """Return a peer with who it is; until that is known, with the name that has it."""
    more = target if who is None else str(who)
    return peer if peer == more else f"{peer} ({more})"


def identified(peer: str, who: Sequence[Instance]) -> str:
    """Say who answers: one, or some of several."""
    if len(who) == 1:
        return f"{peer} is instance {who[0]}"
    some = ", ".join(instance.brief for instance in who)
    return f"{peer} is several instances, among them {some}"


def line(at: float, style: str, word: str, rest: str) -> Line:
    """Return one line: when (seconds since 1970), a word, and the rest."""
    return (("faint", f"{clock(at)} "), (style, f"{word:<5} "), ("", rest))


def some(names: Sequence[str], most: int = NAMES) -> str:
    """Return names, of very many only the first."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def all_told(
    look: Sequence[tuple[str, OutageNotice]], at: float, epoch: float
) -> Iterator[Line]:
    """Yield the lines of what one look at all peers brought: of many alike, one."""
    groups: dict[tuple[object, ...], list[tuple[str, OutageNotice]]] = {}
    for peer, notice in look:
        trouble = notice.trouble
        key = (
            type(notice),
            trouble.failure,
            trouble.where,
            trouble.proven,
            trouble.ended,
        )
        groups.setdefault(key, []).append((peer, notice))
    for group in groups.values():
        peers = list(dict.fromkeys(peer for peer, _ in group))
        if len(peers) <= ALIKE:
            yield from (told(peer, notice, at, epoch) for peer, notice in group)
            continue
        _, longest = max(group, key=lambda it: it[1].trouble.seconds)
        all_of_them = f"{len(peers)} peers alike ({some(peers)}), the longest"
        yield told(all_of_them, longest, at, epoch)


def told(peer: str, notice: OutageNotice, at: float, epoch: float) -> Line:
    """Return the line of an outage that begins, goes on or is over.

    ``epoch`` is what to add to monotonic seconds to have those since 1970.
    """
    trouble = notice.trouble
    if isinstance(notice, OutageStarted):
        since = clock(trouble.start + epoch)[11:]
        return line(
            at,
            "FAIL",
            "OUT",
            f"{peer}: {trouble.description}, since {since} (#{notice.number})",
        )
    number = f" (#{notice.number})" if notice.number else ""
    where = SIDES[trouble.where]
    if isinstance(notice, OutageUpdated) or not trouble.ended:
        rest = f"{peer}: {trouble.description}, for {duration(trouble.seconds)} and still{number}"
        return line(at, "FAIL", "OUT", rest)
    when = clock(trouble.start + epoch)[11:]
    rest = (
        f"{peer}: out for {duration(trouble.seconds)} since {when}{number}: "
        f"{trouble.description} [{trouble.failure}; {where}]"
    )
    if not trouble.proven:
        return line(at, "INCONCLUSIVE", "?", rest)
    if trouble.failure == "watch.left":
        return line(at, "FAIL", "LEFT", rest)
    return line(at, "PASS", "BACK", rest)


def alone(peers: int, since: float) -> str:
    """Return that no peer can be reached, since so many seconds after 1970."""
    when = clock(since)[11:]
    return f"all {peers} peers are out at once, since {when}: look first at {_SHARED}"


def duration(seconds: float) -> str:
    """Return a length of time as it is told."""
    if seconds < _MOMENT:
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


def share(value: float | None) -> str:
    """Return an availability: rounded down, or what was out would not be seen."""
    if value is None:
        return "unknown"
    return f"{int(value * 100_000) / 1000:.3f} %"


def summary(one: Summary, epoch: float) -> Iterator[Line]:
    """Yield what a watch came to."""
    peers = "1 peer" if one.peers == 1 else f"{one.peers} peers"
    yield ()
    yield (("strong", f"Watched {peers} for {duration(one.seconds)}"),)
    if one.availability is None:
        yield (("", "  nothing was watched for long enough to say anything"),)
        return
    head = (
        f"availability {share(one.availability)}, {_outages(one.outages, one.longest)}"
    )
    yield (("PASS" if not one.outages else "FAIL", f"  {head}"),)
    if one.unproven:
        proves = "proves" if one.unproven == 1 else "prove"
        yield (
            (
                "faint",
                (
                    f"  {one.unproven} more {proves} nothing: an end itself did not run, "
                    "or chance explains them"
                ),
            ),
        )
    for (failure, direction), count in sorted(one.kinds.items(), key=lambda it: -it[1]):
        title = CATALOGUE[failure].title
        text = f"  {count} × {failure}, {_TOLD[direction]}: {title}"
        yield (("", text),)
    for failure, count in sorted(one.findings.items()):
        title = CATALOGUE[failure].title
        yield (("", f"  {count} × {failure}, by the checks on a schedule: {title}"),)
    yield from _rows(one)
    for past in one.worst:
        yield (("faint", f"  {_longest(past, epoch)}"),)
    for together in _most(common_cause(one.history, one.rows, one.whole)):
        yield (("", f"  {clock(together.start + epoch)} {_shared(together)}"),)
    if one.kinds:
        most, _ = max(one.kinds, key=lambda kind: one.kinds[kind])
        yield (("faint", f"  `netduet explain {most}` says what to try"),)


def _outages(count: int, longest: float) -> str:
    if not count:
        return "no outage"
    many = "1 outage" if count == 1 else f"{count} outages, the longest"
    return f"{many} of {duration(longest)}"


def _rows(one: Summary) -> Iterator[Line]:
    if one.peers == 1 and not any(row.standing for row in one.rows):
        return
    rows = one.rows
    if len(rows) > ROWS:
        rows = tuple(row for row in rows[:ROWS] if row.sum.outages or row.standing)
    for row in rows:
        yield (("", f"  {_row(row, one.now)}"),)
    rest = len(one.rows) - len(rows)
    if rest and one.rows[len(rows)].sum.outages:
        yield (("faint", f"  and {rest} peers that fared no worse"),)
    elif rest:
        yield (("faint", f"  {rest} peers: no outage"),)


def _row(row: PeerAvailability, now: float) -> str:
    watched = row.seconds(now)
    value = 1.0 - row.down(now) / watched if watched else None
    text = f"{named(row.peer, row.target, row.who)}: {share(value)}, {_outages(row.sum.outages, row.sum.longest)}"
    if row.until is not None:
        text += ", watched no more"
    elif row.standing is not None:
        text += ", out now"
    return text


def _shared(cause: CommonCause) -> str:
    if not cause.node:
        return f"all {cause.peers} peers were out at once: look first at {_SHARED}"
    return f"{cause.peers} peers were out together, all on {cause.node}; none on another node was"


def _most(groups: Iterable[CommonCause]) -> list[CommonCause]:
    """Return those of the most peers, the latest first where several have as many."""
    return sorted(groups, key=lambda cause: (-cause.peers, -cause.start))[:GROUPS]


def _longest(past: OutageRecord, epoch: float) -> str:
    trouble = past.trouble
    peer = named(past.peer, past.peer, past.who)
    return (
        f"{clock(trouble.start + epoch)} {peer}: {duration(trouble.seconds)}, "
        f"{trouble.failure}: {trouble.description}"
    )


assert set(_TOLD) == set(DIRECTIONS.values())  # noqa: S101 - two tables of one thing
