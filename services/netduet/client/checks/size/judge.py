"""What the trials of sizes tell: findings, remarks, figures. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from netduet.client.checks.size.black_hole import (
    FAILED_OUTCOMES,
    acks_are_lost,
    cannot_leave,
    is_black_hole,
    is_unacknowledged,
    largest_passed,
    packet_length,
    smallest_failure,
    smallest_stalled,
    waits_for_server,
)
from netduet.client.checks.size.notes import TO, notes
from netduet.client.checks.size.results import (
    SegmentCounters,
    Size,
    SizeResult,
    SizeTrial,
    TrialOutcome,
)
from netduet.client.net.dial import Address, Cause
from netduet.client.results.location import Direction, Location, Side
from netduet.client.results.verdict import Evidence, Figures, Finding, Judgement
from netduet.wire.errors import Code
from netduet.wire.frames import HEADER_SIZE
from netduet.wire.messages import LedgerEntry
from netduet.wire.untrusted import escape

_REFUSED: Final[dict[str, str]] = {
    Code.TOO_MANY_CONNECTIONS: "identity.busy",
    Code.DRAINING: "identity.draining",
}


def judge(size: Size) -> Judgement:
    """Tell a black hole from a stall of another kind, changed bytes, a cut, and loss."""
    able = [course for course in size.courses if not course.lacking]
    if not able:
        return Judgement("", skipped=_lacking(size.courses))
    findings: list[Finding] = []
    remarks: list[str] = []
    figures: Figures = {}
    for number, course in enumerate(able, 1):
        prefix = f"{number}." if number > 1 else ""
        for direction, trials in course.ways:
            found = _findings(course.address, direction, trials)
            findings += found
            faults = {finding.failure for finding in found}
            remarks += notes(direction, trials, faults)
            told = _figures(direction, trials)
            figures |= {f"{prefix}{name}": one for name, one in told.items()}
    unable = [course for course in size.courses if course.lacking]
    if unable:
        remarks.append(_lacking(unable))
    kept = tuple(dict.fromkeys(remarks))
    # A path that does not carry large packets says nothing of how much it carries.
    blocks = bool(findings)
    return Judgement(
        _summary(able), _merge_same_kind(findings), kept, figures, blocks=blocks
    )


def _lacking(courses: Sequence[SizeResult]) -> str:
    names = " and ".join(
        dict.fromkeys(name for measured in courses for name in measured.lacking)
    )
    where = ", ".join(str(measured.address) for measured in courses)
    return f"the server at {where} is of a version that does not offer {names}"


def _merge_same_kind(findings: list[Finding]) -> tuple[Finding, ...]:
    """Return each kind of finding once, the others of its kind told beside it."""
    kinds: dict[tuple[str, str | None], list[Finding]] = {}
    for finding in findings:
        kinds.setdefault((finding.failure, finding.where), []).append(finding)
    return tuple(
        replace(
            first,
            seen="; ".join(dict.fromkeys(finding.seen for finding in (first, *others))),
        )
        for first, *others in kinds.values()
    )


# What is wrong one way


def _findings(
    address: Address, direction: Direction, trials: tuple[SizeTrial, ...]
) -> list[Finding]:
    findings = []
    changed = next(
        (trial for trial in trials if trial.outcome is TrialOutcome.CHANGED), None
    )
    if changed is not None:
        findings.append(_changed(address, direction, changed))
    failed = smallest_failure(trials)
    if not failed:
        return findings
    last = failed[-1]
    if last.is_full_packet and is_black_hole(trials):
        findings.append(_black_hole(address, direction, trials))
    elif last.outcome is TrialOutcome.STALLED and not _ended_at_server(last):
        findings.append(_stalled(address, direction, failed, trials))
    elif last.outcome is TrialOutcome.UNOPENED:
        findings.append(_unopened(address, last))
    else:
        findings.append(_cut(address, direction, last))
    return findings


def _black_hole(
    address: Address, direction: Direction, trials: tuple[SizeTrial, ...]
) -> Finding:
    stalled = smallest_stalled(trials)
    passed = largest_passed(trials)
    mtu = None if passed is None else packet_length(address, passed)
    to = TO[direction]
    said = f"{address}: packets {to} that carry {stalled:,} bytes or more vanish"
    if passed is not None and mtu is not None:
        said += (
            f" without a word, those with up to {passed.size:,} arrive: "
            f"set the MTU to {mtu:,} or less at both ends"
        )
    last = [
        trial for trial in trials if trial.is_full_packet and trial.after is not None
    ][-1]
    figures = _sender_figures(direction, last) | {
        "passed": None if passed is None else passed.size,
        "stalled": stalled,
        "mtu": mtu,
    }
    return Finding(
        "size.black_hole",
        said,
        _evidence(direction, last),
        figures,
        where=direction.path,
    )


def _stalled(
    address: Address,
    direction: Direction,
    failed: list[SizeTrial],
    trials: tuple[SizeTrial, ...],
) -> Finding:
    last = next((trial for trial in reversed(failed) if trial.after), failed[-1])
    passed = max((trial.size for trial in trials if trial.delivered), default=0)
    awaited = waits_for_server(last)
    if awaited and direction is Direction.UP:
        said = f"{address}: {last.size:,} bytes reach the server and are not answered"
    elif awaited:
        said = f"{address}: the server does not send the {last.size:,} bytes asked for"
    else:
        said = f"{address}: {last.size:,} bytes {TO[direction]} do not arrive"
        if last.arrived:
            said += f" whole, {last.arrived:,} of them do"
    said += f", then nothing moves for {last.seconds:.1f} s"
    deaf = acks_are_lost(last)
    if deaf:
        said += ", for the acknowledgements of what arrived do not come back"
    if passed:
        said += f"; {passed:,} bytes did arrive"
    path = direction.opposite.path if deaf else direction.path
    figures = _sender_figures(direction, last) | {
        "passed": passed or None,
        "stalled": last.size,
        "arrived": last.arrived,
    }
    return Finding(
        "size.stalled",
        said,
        _evidence(direction, last),
        figures,
        where=Location.SERVER if awaited else path,
        # What a kernel sent in vain was not late because a program was.
        missed_deadline=None if is_unacknowledged(last) else last.window,
    )


def _unopened(address: Address, trial: SizeTrial) -> Finding:
    """Judge connections that were not even made or welcomed: no size is to blame."""
    side = Side.SERVER if trial.refusal_code else Side.CLIENT
    missed = trial.window if trial.cause is Cause.TIMEOUT else None
    return Finding(
        _REFUSED.get(trial.refusal_code, "path.broken"),
        f"{address}: a further connection failed: {trial.detail}",
        ((side, f"after {trial.seconds:.1f} s: {trial.detail}"),),
        where=Location.SERVER if trial.refusal_code else Location.UNKNOWN,
        missed_deadline=missed,
    )


def _cut(address: Address, direction: Direction, trial: SizeTrial) -> Finding:
    said = (
        f"{address}: the connection ends while it carries {trial.size:,} bytes "
        f"{TO[direction]}: {_describe_end(trial)}"
    )
    after = f"after {trial.seconds:.1f} s: {_describe_end(trial)}"
    evidence = [(Side.CLIENT, after)]
    if trial.record is not None:
        evidence.append((Side.SERVER, _describe_record(trial.record)))
    return Finding(
        "size.cut",
        said,
        tuple(evidence),
        {"direction": direction.value, "size": trial.size},
        where=_ended_where(trial) or direction.path,
    )


def _ended_at_server(trial: SizeTrial) -> bool:
    """Tell whether the connection has ended for the server, and this end was not told."""
    return trial.record is not None and trial.record.ended is not None


def _describe_end(trial: SizeTrial) -> str:
    return trial.detail or "for the server it has ended, and this end was never told"


def _ended_where(trial: SizeTrial) -> Location | None:
    """Return which side ended a connection that this end did not end, None if unknown."""
    record = trial.record
    if record is None:
        return None
    if record.ended is not None and record.ended_by != Side.CLIENT:
        return Location.SERVER
    # Neither end did: each holds the other for it, or has it open.
    return Location.INTERMEDIARY


def _describe_record(record: LedgerEntry) -> str:
    counts = f"received {record.bytes_received:,} and sent {record.bytes_sent:,} bytes"
    if record.ended is None:
        return f"the same connection is still open; {counts}"
    if record.ended_by != Side.CLIENT:
        return f"it ended the connection itself: {escape(record.ended)}; {counts}"
    did = {"reset": "reset the connection", "eof": "ended its sending"}
    told = did.get(record.ended, f"ended the connection ({escape(record.ended)})")
    return f"it was told that this end had {told}, which it had not; {counts}"


def _changed(address: Address, direction: Direction, trial: SizeTrial) -> Finding:
    payload = trial.size - HEADER_SIZE
    said = (
        f"{address}: of {payload:,} bytes {TO[direction]}, byte {trial.changed_at:,} "
        "arrives as another one"
    )
    evidence = "it compared all of them with what the other end sent"
    return Finding(
        "size.changed",
        said,
        ((direction.receiver, evidence),),
        {
            "direction": direction.value,
            "size": payload,
            "changed_at": trial.changed_at,
        },
        where=direction.path,
    )


# Evidence


def _evidence(direction: Direction, trial: SizeTrial) -> Evidence:
    evidence = []
    if trial.after is not None:
        evidence.append((direction.sender, _describe_sender(trial, trial.after)))
    if trial.arrived is not None:
        said = f"{trial.arrived:,} of these {trial.size:,} bytes have arrived"
        evidence.append((direction.receiver, said))
    if trial.ack_gap:
        said = f"it has acknowledged {trial.ack_gap:,} bytes more than the sender heard"
        evidence.append((direction.receiver, said))
    if trial.missing:
        said = f"the server's kernel could not be asked: {trial.missing}"
        evidence.append((Side.CLIENT, said))
    return tuple(evidence)


def _describe_sender(trial: SizeTrial, after: SegmentCounters) -> str:
    seconds = f"{trial.seconds:.1f} s"
    mtu = f"it takes the path MTU for {after.pmtu:,}"
    if is_unacknowledged(trial) and trial.is_one_packet:
        times = (
            "once more" if trial.retransmits == 1 else f"{trial.retransmits} times more"
        )
        return (
            f"the kernel sent the packet with {trial.size:,} bytes, and {times} in "
            f"{seconds}, and no acknowledgement came; {mtu}"
        )
    if is_unacknowledged(trial):
        return (
            f"the kernel sent packets again ({trial.retransmits} times); {after.unacked} "
            f"are without an acknowledgement, and none came in {seconds}; {mtu}"
        )
    if cannot_leave(trial):
        return (
            f"the kernel could not send a packet with {after.notsent:,} bytes at all in "
            f"{seconds}: its own link or its own firewall refuses it; {mtu}"
        )
    if after.notsent:
        return (
            f"{after.notsent:,} bytes wait to be sent: who takes them at the other "
            "end of this TCP connection takes no more"
        )
    if after.unacked:
        return f"{after.unacked} packets are under way, and none had to be sent again"
    return "all that was handed to the kernel was sent and acknowledged"


def _sender_figures(direction: Direction, trial: SizeTrial) -> Figures:
    figures: Figures = {
        "direction": direction.value,
        "seconds": round(trial.seconds, 3),
        "retransmits": trial.retransmits,
    }
    for name in ("snd_mss", "pmtu", "unacked", "notsent"):
        figures[name] = None if trial.after is None else getattr(trial.after, name)
    return figures


# The whole


def _summary(courses: Sequence[SizeResult]) -> str:
    told = {course.address: _describe_result(course) for course in courses}
    if len(set(told.values())) == 1:
        return _describe_result(courses[0])
    return "; ".join(f"{address}: {text}" for address, text in told.items())


def _describe_result(course: SizeResult) -> str:
    up, down = (_describe_direction(trials) for _, trials in course.ways)
    if up == down:
        return f"{up}, both ways"
    return f"to the server {up}; from the server {down}"


def _describe_direction(trials: tuple[SizeTrial, ...]) -> str:
    passed = [trial.size for trial in trials if trial.delivered]
    whole = [trial.size for trial in trials if trial.is_full_packet and trial.delivered]
    if whole:
        return (
            f"full packets ({whole[0]:,} bytes) arrive, and up to {max(passed):,} bytes"
        )
    longest = largest_passed(trials)
    if longest is not None:
        return f"packets with up to {longest.size:,} bytes arrive"
    return "not even short packets arrive" if passed else "nothing arrives"


def _figures(direction: Direction, trials: tuple[SizeTrial, ...]) -> Figures:
    first = trials[0]
    view = first.after or first.before
    failed = [trial.size for trial in trials if trial.outcome in FAILED_OUTCOMES]
    return {
        f"{direction.value}_full_packet": first.size,
        f"{direction.value}_path_mtu": None if view is None else view.pmtu,
        f"{direction.value}_largest_passed": max(
            (trial.size for trial in trials if trial.delivered), default=None
        ),
        f"{direction.value}_least_failed": min(failed, default=None),
        f"{direction.value}_retransmits": sum(trial.retransmits for trial in trials),
    }
