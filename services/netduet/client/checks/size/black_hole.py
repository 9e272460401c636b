"""Is packet length the limit? What trials prove. Pure.

The evidence of an MTU black hole is the sender's: its kernel retransmits a packet that
is never acknowledged, or cannot send it at all (a drop on this host shows no
retransmission). The receiving program plays no part, because a kernel acknowledges even
for a frozen program. So this evidence holds however starved an end is; any other stall
may be a delay.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from typing import Final

from netduet.client.checks.size.results import SizeTrial, TrialOutcome
from netduet.client.net.dial import Address
from netduet.client.results.location import Direction

FAILED_OUTCOMES: Final = (
    TrialOutcome.STALLED,
    TrialOutcome.ENDED,
    TrialOutcome.UNOPENED,
)

_MIN_FAILURES: Final = 2
"""Connections on which a size must fail: a single packet may be lost at random."""

_MAX_SHORT_STALLS: Final = 1
"""Short packets that may stall although longer ones pass."""

_NO_LIMIT_BYTES: Final = 1 << 32
_SYN_BYTES: Final = 1
"""Bytes by which two kernels' counts may differ, because a SYN counts as one or not."""

_MIN_HEADER_BYTES: Final = {socket.AF_INET: 40, socket.AF_INET6: 60}
_MAX_OPTION_BYTES: Final = 40
_TIMESTAMP_BYTES: Final = 12


MIN_COUNTED_BYTES: Final = 64 * 1024
"""Least number of bytes that may be a device's limit: less is a flight or two."""

SAME_BYTES_CAUSE: Final = (
    "a firewall or proxy stops each connection after the same number of bytes "
    "(connbytes, quota, a full inspection buffer)"
)

_MAX_COUNT_DIFFERENCE: Final = 0.15
"""Share by which the numbers of bytes of two connections may differ."""


def smallest_failure(trials: tuple[SizeTrial, ...]) -> list[SizeTrial]:
    """Return the trials of the smallest size that failed each time, at least twice.

    If it is a full packet, the other trials only search for the limit. A packet that
    its own kernel could not send was not lost by chance, whatever the other trials
    show.
    """
    unsendable = [
        trial for trial in trials if trial.is_full_packet and cannot_leave(trial)
    ]
    if unsendable:
        return unsendable
    trials_by_size: dict[int, list[SizeTrial]] = {}
    for trial in trials:
        if not trial.plan.one_packet:
            trials_by_size.setdefault(trial.plan.size or 0, []).append(trial)
    for _, tried in sorted(trials_by_size.items()):
        if len(tried) >= _MIN_FAILURES and all(
            trial.outcome in FAILED_OUTCOMES for trial in tried
        ):
            return tried
    return []


def by_instance(trials: tuple[SizeTrial, ...]) -> dict[str, tuple[SizeTrial, ...]]:
    """Return the trials of an instance whose full packets all fail, by its name.

    All trials, under "", unless several instances answered and the others' passed.
    """
    trials_by_name: dict[str, list[SizeTrial]] = {}
    for trial in trials:
        trials_by_name.setdefault(trial.instance, []).append(trial)
    failing = {
        name: tuple(tried)
        for name, tried in trials_by_name.items()
        if name
        and sum(trial.is_full_packet for trial in tried) >= _MIN_FAILURES
        and not any(trial.is_full_packet and trial.delivered for trial in tried)
    }
    others = [
        trial
        for trial in trials
        if trial.instance not in failing and trial.is_full_packet and trial.delivered
    ]
    return dict(failing) if failing and others else {"": trials}


def is_black_hole(trials: tuple[SizeTrial, ...]) -> bool:
    """Whether packet length is the limit, and the sender's kernel confirms it."""
    stalled = [
        trial
        for trial in trials
        if trial.is_full_packet and trial.outcome is TrialOutcome.STALLED
    ]
    observed = [trial for trial in stalled if trial.after is not None]
    if any(map(cannot_leave, stalled)):
        observed = [trial for trial in observed if cannot_leave(trial)]
    elif len(stalled) < _MIN_FAILURES:
        return False
    if not observed or not all(
        is_unacknowledged(trial) or cannot_leave(trial) for trial in observed
    ):
        return False
    # If short packets stall and longer ones pass, length is not the cause.
    passed = largest_passed(trials)
    short_stalls = [trial for trial in trials if _stalls_below(trial, passed)]
    return len(short_stalls) <= _MAX_SHORT_STALLS


def is_unacknowledged(trial: SizeTrial) -> bool:
    """Whether the sender's kernel retransmits without an acknowledgement."""
    return trial.after is not None and trial.after.unacked > 0 and trial.retransmits > 0


def acks_are_lost(trial: SizeTrial) -> bool:
    """Whether the bytes arrive, but not their acknowledgements."""
    return is_unacknowledged(trial) and trial.ack_gap > _SYN_BYTES


def cannot_leave(trial: SizeTrial) -> bool:
    """Whether the sender's kernel could not send a packet at all.

    A full window of the peer looks different: it holds back several packets, or the
    rest of one.
    """
    after = trial.after
    return (
        trial.is_one_packet and after is not None and after.notsent_bytes >= trial.size
    )


def _stalls_below(trial: SizeTrial, passed: SizeTrial | None) -> bool:
    return (
        trial.is_one_packet
        and trial.outcome is TrialOutcome.STALLED
        and passed is not None
        and trial.size < passed.size
    )


def largest_passed(trials: Iterable[SizeTrial]) -> SizeTrial | None:
    """Return the trial of the longest single packet that arrived.

    Not one as long as a packet that its kernel could not send: it passed as two
    segments, because a TCP option needed room (see ``_send_request`` in ``trial``), and
    a virtual link does not check the length of such segments.
    """
    tried = tuple(trials)
    smallest_unsendable = min(
        (trial.size for trial in tried if cannot_leave(trial)), default=_NO_LIMIT_BYTES
    )
    passed = (
        trial
        for trial in tried
        if trial.is_one_packet and trial.delivered and trial.size < smallest_unsendable
    )
    return max(passed, key=lambda trial: trial.size, default=None)


def smallest_stalled(trials: Iterable[SizeTrial]) -> int:
    """Return the smallest packet that stalled, above all that passed."""
    passed = largest_passed(trials)
    passed_bytes = 0 if passed is None else passed.size
    return min(
        trial.size
        for trial in trials
        if (trial.is_one_packet or trial.is_full_packet)
        and trial.outcome is TrialOutcome.STALLED
        and trial.size > passed_bytes
    )


def packet_length(address: Address, passed: SizeTrial) -> int | None:
    """Return the length of the packet with this payload, including all headers.

    The headers are the kernel's path MTU minus its segment size, unless the peer or a
    middlebox requested smaller segments than the path allows.
    """
    if passed.before is None:
        return None
    least = _MIN_HEADER_BYTES[address.family]
    headers = passed.before.pmtu - passed.before.snd_mss
    if not least <= headers <= least + _MAX_OPTION_BYTES:
        headers = least + _TIMESTAMP_BYTES
    return passed.size + headers


def waits_for_server(trial: SizeTrial) -> bool:
    """Whether the server's kernel shows that the server program is late."""
    before, after = trial.before, trial.after
    if trial.plan.direction is Direction.UP:
        return trial.arrived is not None and trial.arrived >= trial.size
    if before is None or after is None or trial.request_unacked:
        return False
    # Counted before the answer to REPORT was sent, so it errs on the safe side.
    in_flight = after.unacked * after.snd_mss + after.notsent_bytes
    sent = after.bytes_acked + in_flight - before.bytes_acked
    return sent < trial.size


def same_bytes(trials: Sequence[SizeTrial]) -> int | None:
    """Return after how many bytes several trials stopped; None if the numbers differ.

    Each trial has its own connection and its own time, so a number that comes again is
    what a device counts. What is in flight at the end is lost, so they differ a little.
    """
    arrived = [trial.arrived or 0 for trial in trials]
    most = max(arrived, default=0)
    if len(arrived) < _MIN_FAILURES or most < MIN_COUNTED_BYTES:
        return None
    return most if min(arrived) >= (1 - _MAX_COUNT_DIFFERENCE) * most else None
