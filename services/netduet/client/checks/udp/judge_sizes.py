"""Which sizes of datagrams pass, whole and in fragments. Pure."""

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
from netduet.client.stats.proportions import DOUBT, p_by_chance

_NEAR: Final = "small ones sent in between arrive"


def judge_sizes(measured: UdpResult) -> Judgement:
    """Tell sizes that vanish from those that are merely too large, and from loss."""
    sizes = measured.sizes
    if sizes is None:
        return Judgement("")
    return Judgement(
        ", ".join(_summary_parts(sizes)),
        tuple(_findings(measured, sizes)),
        tuple(_remarks(measured, sizes)),
        _figures(sizes),
    )


def vanishing_direction(trial: DatagramTrial | None) -> Location | None:
    """Return on which way datagrams of this size vanish while small ones pass."""
    if trial is None or trial.control is None:
        return None
    flow, beside = trial.flow, trial.control
    if None in {flow.arrived, flow.answers, beside.arrived, beside.answers}:
        return None
    if not flow.arrived:
        chance = p_by_chance(beside.arrived or 0, beside.sent, flow.sent)
        return Location.TO_SERVER if chance < DOUBT else None
    if not flow.returned:
        chance = p_by_chance(beside.returned, beside.answers or 0, flow.answers or 0)
        return Location.FROM_SERVER if chance < DOUBT else None
    return None


def _black_holes(sizes: UdpSizes) -> dict[Location, tuple[DatagramTrial, int | None]]:
    """Return the ways on which whole datagrams vanish: the trial, the largest that passes."""
    holes: dict[Location, tuple[DatagramTrial, int | None]] = {}
    for trial in (sizes.largest_trial, sizes.return_trial):
        way = vanishing_direction(trial)
        if trial is not None and way is not None:
            holes[way] = (
                trial,
                sizes.largest_up if way == Location.TO_SERVER else sizes.largest_down,
            )
    return holes


def _findings(measured: UdpResult, sizes: UdpSizes) -> Iterator[Finding]:
    holes = _black_holes(sizes)
    for where, (trial, largest) in holes.items():
        yield _black_hole(measured, sizes, where, trial, largest)
    fragments, lost = sizes.fragments, vanishing_direction(sizes.fragments)
    if fragments is not None and lost is not None and lost not in holes:
        seen = (
            f"{measured.address}: datagrams of {fragments.size} bytes, which travel in "
            f"fragments, vanish {lost.phrase}; {_NEAR}"
        )
        figures: Figures = {"size": fragments.size}
        yield Finding("udp.fragments", seen, _trial_evidence(fragments), figures, lost)


def _black_hole(
    measured: UdpResult,
    sizes: UdpSizes,
    where: Location,
    trial: DatagramTrial,
    largest: int | None,
) -> Finding:
    headers = sizes.headers
    limit = "" if largest is None else f", the largest that passes has {largest}"
    mtu = "" if largest is None else f": an MTU of {largest + headers}"
    seen = (
        f"{measured.address}: datagrams of {trial.size} bytes that may not be fragmented "
        f"vanish {where.phrase}{limit}{mtu}; {_NEAR}, and nobody says why"
    )
    figures: Figures = {
        "vanishes": trial.size,
        "passes": largest,
        "mtu": None if largest is None else largest + headers,
        "interface_mtu": sizes.interface_mtu,
    }
    return Finding("udp.black_hole", seen, _trial_evidence(trial), figures, where)


def _trial_evidence(trial: DatagramTrial) -> Evidence:
    """Return what each end saw of a trial."""
    flow, beside = trial.flow, trial.control
    if beside is None:
        return ()
    sent = f"sent {flow.sent} of {trial.size} bytes, and {beside.sent} of {SMALL_BYTES} bytes"
    if flow.unsent:
        sent += (
            f"; {flow.unsent} large ones did not even leave: the link itself refuses them "
            f"({flow.error})"
        )
    theirs = (
        f"received {flow.arrived} of the large ones, and {beside.arrived} small ones"
    )
    back = f"got {flow.returned} large answers back, and {beside.returned} small ones"
    return (Side.CLIENT, sent), (Side.SERVER, theirs), (Side.CLIENT, back)


def _remarks(measured: UdpResult, sizes: UdpSizes) -> Iterator[str]:
    mtu, interface = sizes.mtu, sizes.interface_mtu
    if mtu is not None and interface is not None and mtu < interface:
        teller = next((told.offender for told in reversed(sizes.mtu_notices)), None)
        said = (
            "this host knew already"
            if teller is None
            else f"ICMP from {teller or 'a router'} said so, as it should"
        )
        yield (
            f"{measured.address}: the path MTU is {mtu}, the interface's {interface}: {said}"
        )
    holes = _black_holes(sizes)
    where = vanishing_direction(sizes.fragments)
    if where is not None and where in holes:
        yield (
            f"{measured.address}: fragments vanish too {where.phrase}: "
            "each is as long as what vanishes whole"
        )
    for trial, what in (
        (sizes.largest_trial, "datagrams of"),
        (sizes.fragments, "fragments of datagrams of"),
    ):
        if _undecided(trial) and trial is not None:
            yield (
                f"{measured.address}: whether {what} {trial.size} bytes pass could not be "
                "told: none did, nor enough small ones"
            )


def _undecided(trial: DatagramTrial | None) -> bool:
    """Tell whether nothing came back, and nothing can be made of it."""
    if trial is None or trial.control is None or trial.flow.returned:
        return False
    return vanishing_direction(trial) is None


def passes(trial: DatagramTrial | None) -> tuple[bool | None, bool | None]:
    """Return whether a size passes up, and down; None where it is not known."""
    if trial is None:
        return None, None
    if trial.flow.returned:
        return True, True
    way = vanishing_direction(trial)
    if way == Location.TO_SERVER:
        return False, None
    return (True, False) if way == Location.FROM_SERVER else (None, None)


def _largest_passed(sizes: UdpSizes) -> tuple[int | None, int | None]:
    """Return the largest datagram that passes whole, up and down."""
    up, down = passes(sizes.largest_trial)
    size = sizes.largest_trial.size
    back = sizes.return_trial.size if sizes.return_trial is not None else None
    upward = size if up else sizes.largest_up
    if down:
        return upward, size
    if sizes.return_trial is not None and passes(sizes.return_trial)[1]:
        return upward, back
    return upward, sizes.largest_down


def _summary_parts(sizes: UdpSizes) -> Iterator[str]:
    up, down = _largest_passed(sizes)
    if up is None and down is None:
        return
    if up == down:
        yield f"up to {up} bytes pass whole both ways"
    else:
        there, back = (size or "an unknown size" for size in (up, down))
        yield f"up to {there} bytes pass whole there, {back} back"
    if passes(sizes.fragments) == (True, True):
        yield "and fragments do"


def _figures(sizes: UdpSizes) -> Figures:
    up, down = _largest_passed(sizes)
    there, back = passes(sizes.fragments)
    return {
        "interface_mtu": sizes.interface_mtu,
        "path_mtu": sizes.mtu,
        "up_largest": up,
        "down_largest": down,
        "up_fragments": there,
        "down_fragments": back,
    }
