"""Where on the path packets are lost: what the routers say that answer. Pure.

Routers that do not answer are not spoken of. One that answers may itself drop what it
should forward, so a fault is at the last one that answers, or beyond it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from netduet.client.checks.investigation.explanation import Explanation
from netduet.client.results.location import Location, Side

if TYPE_CHECKING:
    from netduet.client.checks.investigation.results import Clues
    from netduet.client.net.hops import Hop, Trace
    from netduet.client.results.verdict import Finding

_MAX_SHOWN: Final = 8
"""Hops that are listed: the last ones."""

MIN_VISITS: Final = 3
"""Times that a router must be met to be part of a loop; two may be a change of paths."""

_PROBES: Final = {"tcp": "SYNs", "udp": "datagrams"}


def explain_by_hops(finding: Finding, clues: Clues) -> Iterator[Explanation]:
    """Yield up to where the packets of the failing kind get."""
    if clues.large is not None:
        if finding.where is Location.FROM_SERVER:
            yield from _explain_way_back(clues.large)
        else:
            yield from _explain_large(clues.large)
        return
    if clues.data is not None:
        yield from _explain_data(clues.data, clues.syns)
        return
    is_udp = finding.failure.startswith("udp.") or finding.failure.endswith(
        "no_response"
    )
    traces = (clues.datagrams, clues.syns) if is_udp else (clues.syns, clues.datagrams)
    failing, other = traces
    if failing is None or clues.refusal is not None:
        return
    yield from _explain(failing)
    if other is not None and other.reached is not None and failing.reached is None:
        yield _arrival(other)


def _explain(trace: Trace) -> Iterator[Explanation]:
    probes = _PROBES[trace.transport]
    loop = looping_routers(trace)
    if loop:
        text = (
            f"{probes} with growing TTL meet the same routers again and again: "
            f"{', '.join(loop)}, up to hop {trace.hops[-1].ttl}"
        )
        yield Explanation(
            ((Side.CLIENT, text),),
            f"packets loop between {' and '.join(loop)}",
            place=f"in a loop between {' and '.join(loop)}",
            figures={"loop": ", ".join(loop)},
        )
    elif trace.rejected_by:
        text = (
            f"{probes} with TTL {trace.rejected_at} are rejected by ICMP, by "
            f"{trace.rejected_by}"
        )
        yield Explanation(((Side.CLIENT, text),), place=f"at {trace.rejected_by}")
    elif trace.reached is not None:
        yield _arrival(trace)
    elif trace.last is not None:
        last = trace.last
        text = f"{probes} {_answers(trace)}"
        yield Explanation(
            ((Side.CLIENT, text),),
            place=f"beyond {last} nothing comes back",
            figures=_last_hop(last),
        )


def _explain_data(data: Trace, syns: Trace | None) -> Iterator[Explanation]:
    """Yield where data vanishes on connections whose handshake passes."""
    if syns is not None and syns.reached is not None:
        yield _arrival(syns)
    last = data.last
    if last is not None:
        text = f"packets with data {_answers(data)}"
        yield Explanation(
            ((Side.CLIENT, text),),
            place=f"beyond {last} nothing comes back for data",
            figures=_last_hop(last),
        )


def _explain_large(trace: Trace) -> Iterator[Explanation]:
    """Yield where full packets vanish, if they do on the way to the server."""
    last = trace.last
    if last is None or trace.reached is not None:
        return
    if trace.rejected_by or looping_routers(trace):
        return
    text = f"datagrams of {trace.size} bytes {_answers(trace)}"
    yield Explanation(
        ((Side.CLIENT, text),),
        place=f"packets of {trace.size} bytes vanish beyond {last}",
        figures=_last_hop(last),
    )


def _explain_way_back(trace: Trace) -> Iterator[Explanation]:
    """Yield that full packets vanish on the way back, which no TTL of ours reaches.

    Only if they reach the target: its answers to them are small.
    """
    if trace.reached is None:
        return
    text = (
        f"datagrams of {trace.size} bytes reach the target; the way back cannot be "
        "traced from this end"
    )
    yield Explanation(
        ((Side.CLIENT, text),),
        place=f"packets of {trace.size} bytes vanish on the way back",
    )


def _last_hop(last: Hop) -> dict[str, int | float | str | bool | None]:
    return {"last_hop": last.ttl, "last_hop_address": last.address}


def looping_routers(trace: Trace, min_visits: int = MIN_VISITS) -> tuple[str, ...]:
    """Return the routers of a loop, in order, none if there is no loop."""
    if trace.reached is not None:
        return ()
    visits: dict[str, int] = {}
    for hop in trace.hops:
        visits[hop.address] = visits.get(hop.address, 0) + 1
    return tuple(address for address, count in visits.items() if count >= min_visits)


def _arrival(trace: Trace) -> Explanation:
    """Return that packets reach the target, and which routers answer on the way."""
    text = f"{_PROBES[trace.transport]} reach the target"
    if trace.hops:
        text += f"; with less TTL, {_hops(trace)} answer{'s' * (len(trace.hops) == 1)}"
    return Explanation(((Side.CLIENT, text),))


def _answers(trace: Trace) -> str:
    return f"with growing TTL are answered by {_hops(trace)}, and by nothing beyond"


def _hops(trace: Trace) -> str:
    return ", ".join(map(str, trace.hops[-_MAX_SHOWN:]))
