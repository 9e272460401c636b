"""Notes on the trials of sizes that are not failures. Pure."""

from __future__ import annotations

from typing import Final

from netduet.client.checks.size.black_hole import FAILED_OUTCOMES
from netduet.client.checks.size.results import SizeTrial, TrialOutcome
from netduet.client.results.location import Direction

_MIN_RETRANSMITS: Final = 3
_MIN_RETRANSMIT_SHARE: Final = 0.005
"""Share of retransmitted packets that is noted; a kernel probes with one by itself."""

_DEFAULT_REASON: Final = "packets are lost"

_PROBING_RETRANSMITS: Final = 3
"""Retransmissions after which a kernel tries shorter packets (tcp_mtu_probing)."""


def notes(
    direction: Direction, trials: tuple[SizeTrial, ...], faults: set[str]
) -> list[str]:
    """Return the notes on a direction; ``faults`` are the classes of its findings."""
    phrase = direction.phrase
    remarks = [*_mtu_notes(direction, trials), *_speed_notes(direction, trials)]
    has_black_hole = "size.black_hole" in faults
    larger = [
        trial.size for trial in trials if trial.delivered and not trial.is_one_packet
    ]
    if has_black_hole and larger:
        remarks.append(
            f"{min(larger):,} bytes {phrase} pass nevertheless: a virtual link "
            "forwards many packets as one, bypassing the length check that a single "
            "packet fails; so some transfers work and others hang"
        )
    limited = [trial.size for trial in trials if trial.size < (trial.plan.size or 0)]
    limited = [] if any(trial.plan.one_packet for trial in trials) else limited
    if limited:
        remarks.append(
            f"more than {max(limited):,} bytes {phrase} were not tried: "
            "the server accepts no larger frames"
        )
    if not faults:
        remarks += _loss_notes(direction, trials)
    return remarks


def _mtu_notes(direction: Direction, trials: tuple[SizeTrial, ...]) -> list[str]:
    views = [view for trial in trials for view in (trial.before, trial.after) if view]
    if not views or not trials[0].delivered:
        return []
    first, min_pmtu = views[0], min(view.pmtu for view in views)
    phrase = direction.phrase
    if min_pmtu < first.pmtu:
        text = (
            f"the path MTU {phrase} is {min_pmtu:,}, the link MTU {first.pmtu:,}: "
            "a router reported it (path MTU discovery works)"
        )
        return [text]
    shorter = min(view.snd_mss for view in views)
    if shorter < first.snd_mss and trials[0].retransmits >= _PROBING_RETRANSMITS:
        text = (
            f"full-size packets {phrase} were lost until the kernel reduced their "
            f"size by itself (to {shorter:,} bytes): larger packets are lost "
            "without an ICMP error"
        )
        return [text]
    return []


def _speed_notes(direction: Direction, trials: tuple[SizeTrial, ...]) -> list[str]:
    return [
        f"{trial.size:,} bytes {direction.phrase} took more than "
        f"{trial.seconds:.1f} s, with steady progress: the path is slow"
        for trial in trials
        if trial.outcome is TrialOutcome.SLOW
    ]


def _loss_notes(direction: Direction, trials: tuple[SizeTrial, ...]) -> list[str]:
    phrase = direction.phrase
    remarks = []
    failed = [trial for trial in trials if trial.outcome in FAILED_OUTCOMES]
    if failed:
        reason = failed[-1].detail or _DEFAULT_REASON
        remarks.append(
            f"{len(failed)} of {len(trials)} trials {phrase} failed, and passed when "
            f"repeated: {reason}"
        )
    retransmits = sum(trial.retransmits for trial in trials if trial.delivered)
    sent = sum(
        -(-trial.size // trial.before.snd_mss)
        for trial in trials
        if trial.delivered and trial.before is not None
    )
    if retransmits >= _MIN_RETRANSMITS and retransmits >= _MIN_RETRANSMIT_SHARE * sent:
        remarks.append(
            f"{retransmits:,} of about {sent:,} packets {phrase} had to be retransmitted; "
            "all data arrived"
        )
    return remarks
