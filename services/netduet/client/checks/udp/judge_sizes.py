"""Which sizes of datagrams pass, unfragmented and fragmented. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from netduet.client.checks.udp.results import (
    SMALL_BYTES,
    DatagramTrial,
    UdpResult,
    UdpSizes,
)
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import Evidence, Figures, Finding, Judgement
from netduet.client.stats.proportions import ERROR_PROBABILITY, p_by_chance

_NEAR: Final = "small ones sent in between arrive"


def judge_sizes(result: UdpResult) -> Judgement:
    """Distinguish sizes that vanish from those that are too large, and from loss."""
    sizes = result.sizes
    if sizes is None:
        return Judgement("")
    return Judgement(
        "; ".join(_summary_parts(sizes)),
        tuple(_findings(result, sizes)),
        tuple(_remarks(result, sizes)),
        _figures(sizes),
    )


def vanishing_direction(trial: DatagramTrial | None) -> Location | None:
    """Return the direction in which this size vanishes while small ones pass."""
    if trial is None or trial.control is None:
        return None
    flow, control = trial.flow, trial.control
    if None in {flow.arrived, flow.answers, control.arrived, control.answers}:
        return None
    if not flow.arrived:
        chance = p_by_chance(control.arrived or 0, control.sent, flow.sent)
        return Location.TO_SERVER if chance < ERROR_PROBABILITY else None
    if not flow.returned:
        chance = p_by_chance(control.returned, control.answers or 0, flow.answers or 0)
        return Location.FROM_SERVER if chance < ERROR_PROBABILITY else None
    return None


def _black_holes(sizes: UdpSizes) -> dict[Location, tuple[DatagramTrial, int | None]]:
    """Return per vanishing direction the trial and the largest size that passes."""
    black_holes: dict[Location, tuple[DatagramTrial, int | None]] = {}
    for trial in (sizes.largest_trial, sizes.return_trial):
        direction = vanishing_direction(trial)
        if trial is not None and direction is not None:
            black_holes[direction] = (
                trial,
                sizes.largest_up
                if direction == Location.TO_SERVER
                else sizes.largest_down,
            )
    return black_holes


def _findings(result: UdpResult, sizes: UdpSizes) -> Iterator[Finding]:
    black_holes = _black_holes(sizes)
    for where, (trial, largest) in black_holes.items():
        yield _black_hole(result, sizes, where, trial, largest)
    fragments, lost = sizes.fragments, vanishing_direction(sizes.fragments)
    if fragments is not None and lost is not None and lost not in black_holes:
        seen = (
            f"{result.address}: fragmented datagrams of {fragments.size} bytes are lost "
            f"{lost.phrase}; {_NEAR}"
        )
        figures: Figures = {"size": fragments.size}
        yield Finding("udp.fragments", seen, _trial_evidence(fragments), figures, lost)


def _black_hole(
    result: UdpResult,
    sizes: UdpSizes,
    where: Location,
    trial: DatagramTrial,
    largest: int | None,
) -> Finding:
    headers = sizes.headers
    limit = (
        ""
        if largest is None
        else f"; the largest that gets through has {largest} bytes"
    )
    mtu = "" if largest is None else f" (MTU {largest + headers})"
    seen = (
        f"{result.address}: unfragmented datagrams of {trial.size} bytes are lost "
        f"{where.phrase}{limit}{mtu}; {_NEAR}; no ICMP error came"
    )
    figures: Figures = {
        "vanishes": trial.size,
        "passes": largest,
        "mtu": None if largest is None else largest + headers,
        "interface_mtu": sizes.interface_mtu,
    }
    return Finding("udp.black_hole", seen, _trial_evidence(trial), figures, where)


def _trial_evidence(trial: DatagramTrial) -> Evidence:
    flow, control = trial.flow, trial.control
    if control is None:
        return ()
    sent = f"sent {flow.sent} datagrams of {trial.size} bytes and {control.sent} of {SMALL_BYTES}"
    if flow.unsent:
        sent += (
            f"; {flow.unsent} large ones did not leave this host: the link refuses them "
            f"({flow.error})"
        )
    server_text = f"received {flow.arrived} large ones and {control.arrived} small ones"
    answers_text = (
        f"received {flow.returned} large responses and {control.returned} small ones"
    )
    return (Side.CLIENT, sent), (Side.SERVER, server_text), (Side.CLIENT, answers_text)


def _remarks(result: UdpResult, sizes: UdpSizes) -> Iterator[str]:
    mtu, interface = sizes.mtu, sizes.interface_mtu
    if mtu is not None and interface is not None and mtu < interface:
        offender = next(
            (notice.offender for notice in reversed(sizes.mtu_notices)), None
        )
        source = (
            "already known to this host"
            if offender is None
            else f"ICMP from {offender or 'a router'} reported it, as it should"
        )
        yield (
            f"{result.address}: the path MTU is {mtu}, the interface MTU {interface}: {source}"
        )
    black_holes = _black_holes(sizes)
    where = vanishing_direction(sizes.fragments)
    if where is not None and where in black_holes:
        yield (
            f"{result.address}: fragments are lost too {where.phrase}: "
            "each is as long as the unfragmented datagrams that are lost"
        )
    for trial, kind in (
        (sizes.largest_trial, "datagrams of"),
        (sizes.fragments, "fragments of datagrams of"),
    ):
        if _is_undecided(trial) and trial is not None:
            yield (
                f"{result.address}: cannot tell whether {kind} {trial.size} bytes get through: "
                "none did, and too few small ones did"
            )


def _is_undecided(trial: DatagramTrial | None) -> bool:
    """Whether nothing came back, without an explanation."""
    if trial is None or trial.control is None or trial.flow.returned:
        return False
    return vanishing_direction(trial) is None


def passes(trial: DatagramTrial | None) -> tuple[bool | None, bool | None]:
    """Return whether a size passes up, and down; None if unknown."""
    if trial is None:
        return None, None
    if trial.flow.returned:
        return True, True
    direction = vanishing_direction(trial)
    if direction == Location.TO_SERVER:
        return False, None
    return (True, False) if direction == Location.FROM_SERVER else (None, None)


def _largest_passed(sizes: UdpSizes) -> tuple[int | None, int | None]:
    """Return the largest datagram that passes unfragmented, up and down."""
    up, down = passes(sizes.largest_trial)
    size = sizes.largest_trial.size
    return_size = sizes.return_trial.size if sizes.return_trial is not None else None
    upward = size if up else sizes.largest_up
    if down:
        return upward, size
    if sizes.return_trial is not None and passes(sizes.return_trial)[1]:
        return upward, return_size
    return upward, sizes.largest_down


def _summary_parts(sizes: UdpSizes) -> Iterator[str]:
    up, down = _largest_passed(sizes)
    if up is None and down is None:
        return
    if up == down:
        yield f"up to {up} bytes get through unfragmented in both directions"
    else:
        up_text, down_text = (size or "an unknown size" for size in (up, down))
        yield f"up to {up_text} bytes get through unfragmented up, {down_text} down"
    if passes(sizes.fragments) == (True, True):
        yield "fragmented datagrams get through too"


def _figures(sizes: UdpSizes) -> Figures:
    up, down = _largest_passed(sizes)
    fragments_up, fragments_down = passes(sizes.fragments)
    return {
        "interface_mtu": sizes.interface_mtu,
        "path_mtu": sizes.mtu,
        "up_largest": up,
        "down_largest": down,
        "up_fragments": fragments_up,
        "down_fragments": fragments_down,
    }
