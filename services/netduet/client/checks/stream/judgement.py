"""What outages mean: which are too long, whose they are, which prove nothing. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from netduet.client.checks.stream import words
from netduet.client.checks.stream.incidents import (
    HALF,
    Incident,
    Sorted,
    sort_out,
)
from netduet.client.checks.stream.measured import Place, Stream
from netduet.client.checks.stream.telling import figures, losses, summary
from netduet.client.failures.declaration import BACK
from netduet.client.streaming.events import Closure, Outage, Pause, Restart
from netduet.client.verdict import (
    Finding,
    Judgement,
    Outcome,
    Side,
    Window,
    merged,
)
from netduet.wire.foreign import escape

ENOUGH: Final = 0.25
"""Share of our own datagrams that must have left, or nothing is proven."""


def judge(stream: Stream) -> Judgement:
    """Judge each address by itself."""
    return merged([judge_place(one, stream.max_outage) for one in stream.places])


def judge_place(place: Place, longest: float) -> Judgement:
    """Judge one address: outages longer than ``longest`` seconds are failures."""
    told = sort_out(place)
    findings = tuple(_findings(place, told, longest))
    return Judgement(
        summary(place, told),
        findings,
        tuple(_remarks(place, told, longest)),
        figures(place, told),
    )


def _findings(place: Place, told: Sorted, longest: float) -> Iterator[Finding]:
    yield from _unsent(place)
    for one in told.incidents:
        if one.seconds > longest:
            yield _incident(place, one)
    for restart in told.restarts:
        if _moved(restart) and restart.end - restart.begin > longest:
            yield _restarted(place, restart)
    for closure in told.closures:
        if closure.last - closure.begin > longest:
            yield _closed(place, closure)
    for pause in told.pauses:
        if pause.seconds > longest or pause.broken:
            yield _paused(place, pause)


def _unsent(place: Place) -> Iterator[Finding]:
    """Say that too little was measured: no verdict about the network."""
    told = place.datagrams
    planned = told.up.sent + told.unsent
    if not told.passed or told.up.sent >= ENOUGH * planned:
        return
    why = f"({told.error})" if told.error else "because it did not run often enough"
    seen = (
        f"{place.address}: this end itself sent only {told.up.sent} of {planned} "
        f"datagrams, {why}"
    )
    said = f"did not run for {told.stalled:.1f} s of {place.seconds:.1f} s"
    evidence = ((Side.CLIENT, said),)
    yield Finding("stream.unsent", seen, evidence, outcome=Outcome.INCONCLUSIVE)


def _incident(place: Place, one: Incident) -> Finding:
    if one.restart is not None and _moved(one.restart):
        return _restarted(place, one.restart)
    evidence = words.losses(place, one)
    numbers: dict[str, int | float | str | bool | None] = {
        "begin": round(one.begin - place.begin, 3),
        "seconds": round(one.seconds, 3),
        "lost": sum(outage.lost for outage in one.outages),
    }
    why = _excuse(place, one)
    outcome = Outcome.INCONCLUSIVE if why else Outcome.FAIL
    # Where both streams show that their ends ran, no stall elsewhere excuses anything.
    shown = one.outages and one.ended
    missed = None if shown else Window(one.begin, one.end)
    return Finding(
        "stream.outage",
        words.incident(place, one),
        (*evidence, *why),
        numbers,
        one.where,
        missed,
        outcome,
    )


def _excuse(place: Place, one: Incident) -> words.Evidence:
    """Return why an outage proves nothing about the network; nothing if it does."""
    if one.starved >= HALF * one.seconds:
        said = (
            f"one of the ends itself did not run for {one.starved:.1f} s of it: "
            "its own starvation may be all there is"
        )
        return ((Side.CLIENT, said),)
    back = [outage for outage in one.outages if outage.where == BACK]
    dropped = place.datagrams.dropped
    if back and dropped and dropped >= HALF * max(two.lost for two in back):
        said = f"{dropped} datagrams arrived, and this end's own buffer was full"
        return ((Side.CLIENT, said),)
    return ()


def _moved(restart: Restart) -> bool:
    """Tell whether another start of a server answers than before."""
    return restart.boots[0] != restart.boots[1]


def _restarted(place: Place, one: Restart) -> Finding:
    seen = (
        f"{place.address}: another start of the server answers since "
        f"{words.at(place, one.end)}; {words.seconds(one.end - one.begin)} "
        "passed from the last datagram of the one before to the first of this one"
    )
    said = f"the server that answers now has the boot id {escape(one.boots[1])[:8]}…"
    was = f"the one before had {escape(one.boots[0])[:8]}…"
    if one.said:
        was += f", and took its leave: {one.said}"
    evidence = ((Side.SERVER, was), (Side.SERVER, said))
    length = {"seconds": round(one.end - one.begin, 3)}
    return Finding("stream.restarted", seen, evidence, {**length})


def _closed(place: Place, one: Closure) -> Finding:
    seen = (
        f"{place.address}: {one.failed} new connections in a row did not work, for "
        f"{words.bounds(one)}, {words.at(place, one.begin)}, while what was there "
        "went on"
    )
    evidence = (
        (Side.CLIENT, f"of the last of them: {escape(one.why)}"),
        *words.of_both_ends(place),
    )
    numbers: dict[str, int | float | str | bool | None] = {
        "failed": one.failed,
        "seconds_at_least": round(one.last - one.begin, 3),
        "seconds_at_most": round(one.end - one.before, 3),
    }
    missed = _unproven(place, one.begin, one.end)
    return Finding("stream.new_connections", seen, evidence, numbers, missed=missed)


def _paused(place: Place, one: Pause) -> Finding:
    when = words.at(place, one.begin)
    if one.broken:
        seen = f"{place.address}: the old connection broke {when}: {escape(one.broken)}"
    else:
        seen = (
            f"{place.address}: the old connection stood still for "
            f"{words.seconds(one.seconds)}, {when}, while new ones worked"
        )
    numbers = {"seconds": round(one.seconds, 3)}
    evidence = words.of_both_ends(place)
    outcome = Outcome.FAIL
    if one.stalled >= HALF * one.seconds > 0 and not one.broken:
        outcome = Outcome.INCONCLUSIVE
        away = f"this client itself did not run for {one.stalled:.1f} s of it"
        evidence = (*evidence, (Side.CLIENT, away))
    missed = None if one.broken else _unproven(place, one.begin, one.end)
    return Finding(
        "stream.old_connections",
        seen,
        evidence,
        {**numbers},
        missed=missed,
        outcome=outcome,
    )


def _unproven(place: Place, begin: float, end: float) -> Window | None:
    """Return the time, unless the server's own stream shows that it ran in it."""
    told = place.datagrams
    away = sum(
        max(0.0, min(end, upto) - max(begin, since))
        for since, upto in told.server_stalls
    )
    shown = told.passed and away < HALF * (end - begin)
    return None if shown else Window(begin, end)


def _remarks(place: Place, told: Sorted, longest: float) -> Iterator[str]:
    yield from losses(place)
    for one in told.incidents:
        if one.seconds <= longest:
            did = "; ".join(text for _, text in words.effects(one))
            yield f"{words.incident(place, one)}: short enough to pass; {did}"
    for restart in told.restarts:
        if not _moved(restart):
            yield (
                f"{place.address}: the server began its stream anew "
                f"{words.at(place, restart.end)}, for it had heard nothing for long"
            )
        elif restart.end - restart.begin <= longest:
            yield _restarted(place, restart).seen
    for closure in told.closures:
        if closure.last - closure.begin <= longest:
            yield (
                f"{place.address}: {closure.failed} new connections in a row did not "
                f"work, {words.at(place, closure.begin)}: short enough to pass"
            )
    for pause in told.pauses:
        if pause.seconds <= longest and not pause.broken:
            yield (
                f"{place.address}: the old connection stood still for "
                f"{words.seconds(pause.seconds)}, {words.at(place, pause.begin)}: "
                "short enough to pass"
            )
    yield from _by_chance(place, told)


def _by_chance(place: Place, told: Sorted) -> Iterator[str]:
    """Say what looks like an outage, and may come of scattered losses alone."""
    for one in told.chance:
        match one:
            case Outage():
                what = f"{one.lost} datagrams in a row were lost"
            case Closure():
                what = f"{one.failed} new connections in a row did not work"
            case Pause():
                what = (
                    f"the old connection stood still for {words.seconds(one.seconds)}"
                )
        yield (
            f"{place.address}: {what}, {words.at(place, one.begin)}: that may come of "
            "scattered losses; a longer --stream-time can say more"
        )
