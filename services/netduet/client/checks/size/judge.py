"""Judges the trials of sizes: findings, notes, figures. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from netduet.client.checks.base import CheckOptions
from netduet.client.checks.size.black_hole import (
    FAILED_OUTCOMES,
    SAME_BYTES_CAUSE,
    acks_are_lost,
    by_instance,
    cannot_leave,
    is_black_hole,
    is_unacknowledged,
    largest_passed,
    packet_length,
    same_bytes,
    smallest_failure,
    smallest_stalled,
    waits_for_server,
)
from netduet.client.checks.size.content import add_content
from netduet.client.checks.size.notes import notes
from netduet.client.checks.size.results import (
    SizeResult,
    SizeTrial,
    TrialOutcome,
)
from netduet.client.checks.size.summary import describe_results
from netduet.client.net.dial import Address, Cause
from netduet.client.results.location import Direction, Location, Side
from netduet.client.results.verdict import (
    NEEDS_SERVER,
    Evidence,
    Figures,
    Finding,
    Judgement,
)
from netduet.wire.errors import Code
from netduet.wire.frames import HEADER_SIZE
from netduet.wire.messages import LedgerEntry, TcpInfo
from netduet.wire.untrusted import escape

_REFUSED: Final[dict[str, str]] = {
    Code.TOO_MANY_CONNECTIONS: "identity.busy",
    Code.OVERLOADED: "identity.busy",
    Code.DRAINING: "identity.draining",
}


def judge(result: SizeResult, _: CheckOptions) -> Judgement:
    """Distinguish black holes, other stalls, changed bytes, early ends and loss."""
    if result.needs_server:
        return Judgement("", skipped=NEEDS_SERVER, needs_server=True)
    findings: list[Finding] = []
    remarks: list[str] = []
    figures: Figures = {}
    for direction, trials in result.directions:
        found = [
            finding
            for instance, its_trials in by_instance(trials).items()
            for finding in _name_instance(
                instance, _findings(result.address, direction, its_trials)
            )
        ]
        found = [add_content(finding, trials, result.replays) for finding in found]
        findings += found
        faults = {finding.failure for finding in found}
        remarks += notes(direction, trials, faults)
        figures |= _figures(direction, trials)
    # The rate of a path that drops large packets means nothing.
    blocks = bool(findings)
    return Judgement("", tuple(findings), tuple(remarks), figures, blocks=blocks)


def _name_instance(instance: str, findings: list[Finding]) -> list[Finding]:
    """Return the findings with the instance in front."""
    if not instance:
        return findings
    prefix = f"instance {instance} at"
    return [
        replace(finding, seen=f"{prefix} {finding.seen}", culprit=instance)
        for finding in findings
    ]


def finish(merged: Judgement, results: Sequence[SizeResult]) -> Judgement:
    """Summarize all addresses; report a fault that several of them share once."""
    results = [result for result in results if not result.needs_server]
    if not results:
        return merged
    return replace(
        merged,
        summary=describe_results(results),
        findings=_merge_same_kind(merged.findings),
    )


def _merge_same_kind(findings: Iterable[Finding]) -> tuple[Finding, ...]:
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


# Findings of one direction


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
    phrase = direction.phrase
    text = f"{address}: packets {phrase} with {stalled:,} bytes or more are lost"
    if passed is not None and mtu is not None:
        text += (
            f" without an ICMP error; packets of up to {passed.size:,} bytes arrive: "
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
        text,
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
    server_is_late = waits_for_server(last)
    if server_is_late and direction is Direction.UP:
        text = (
            f"{address}: {last.size:,} bytes reach the server, which does not respond"
        )
    elif server_is_late:
        text = f"{address}: the server does not send the requested {last.size:,} bytes"
    else:
        text = f"{address}: {last.size:,} bytes {direction.phrase} do not arrive"
        if last.arrived:
            text += f" completely (only {last.arrived:,} do)"
    text += f"; no progress for {last.seconds:.1f} s"
    acks_lost = acks_are_lost(last)
    if acks_lost:
        text += "; the acknowledgements of the received bytes are lost"
    if passed:
        text += f"; {passed:,} bytes do arrive"
    counted = None if server_is_late else same_bytes(failed)
    if counted is not None:
        text += f"; each time about {counted:,} bytes arrive, on a new connection"
    path = direction.opposite.path if acks_lost else direction.path
    figures = _sender_figures(direction, last) | {
        "passed": passed or None,
        "stalled": last.size,
        "arrived": last.arrived,
    }
    return Finding(
        "size.stalled",
        text,
        _evidence(direction, last),
        figures,
        where=Location.SERVER if server_is_late else path,
        # Retransmissions of the kernel rule out a late program.
        missed_deadline=None if is_unacknowledged(last) else last.window,
        causes=() if counted is None else (SAME_BYTES_CAUSE,),
    )


def _unopened(address: Address, trial: SizeTrial) -> Finding:
    """Judge connections that were not made or welcomed, whatever the size."""
    side = Side.SERVER if trial.refusal_code else Side.CLIENT
    missed = trial.window if trial.cause is Cause.TIMEOUT else None
    return Finding(
        _REFUSED.get(trial.refusal_code, "path.broken"),
        f"{address}: another connection failed: {trial.detail}",
        ((side, f"after {trial.seconds:.1f} s: {trial.detail}"),),
        where=Location.SERVER if trial.refusal_code else Location.UNKNOWN,
        missed_deadline=missed,
        causes=(trial.detail,) if trial.refusal_code else (),
    )


def _cut(address: Address, direction: Direction, trial: SizeTrial) -> Finding:
    text = (
        f"{address}: the connection ends while it carries {trial.size:,} bytes "
        f"{direction.phrase}: {_describe_end(trial)}"
    )
    after = f"after {trial.seconds:.1f} s: {_describe_end(trial)}"
    evidence = [(Side.CLIENT, after)]
    if trial.record is not None:
        evidence.append((Side.SERVER, _describe_record(trial.record)))
    return Finding(
        "size.cut",
        text,
        tuple(evidence),
        {"direction": direction.value, "size": trial.size},
        where=_ended_where(trial) or direction.path,
    )


def _ended_at_server(trial: SizeTrial) -> bool:
    """Whether the connection ended at the server without this client noticing."""
    return trial.record is not None and trial.record.ended is not None


def _describe_end(trial: SizeTrial) -> str:
    return trial.detail or "the server saw it end, this client did not"


def _ended_where(trial: SizeTrial) -> Location | None:
    """Return the location of an end that this client did not cause, None if unknown."""
    record = trial.record
    if record is None:
        return None
    if record.ended is not None and record.ended_by != Side.CLIENT:
        return Location.SERVER
    # Neither end caused it: each blames the other, or still has it open.
    return Location.INTERMEDIARY


def _describe_record(record: LedgerEntry) -> str:
    counts = f"received {record.bytes_received:,} and sent {record.bytes_sent:,} bytes"
    if record.ended is None:
        return f"this connection is still open; {counts}"
    if record.ended_by != Side.CLIENT:
        return f"the server ended the connection: {escape(record.ended)}; {counts}"
    ends = {"reset": "a reset", "eof": "a FIN"}
    end = ends.get(record.ended, f"an end ({escape(record.ended)})")
    return f"the server received {end} that this client never sent; {counts}"


def _changed(address: Address, direction: Direction, trial: SizeTrial) -> Finding:
    payload = trial.size - HEADER_SIZE
    text = (
        f"{address}: of {payload:,} bytes {direction.phrase}, byte {trial.changed_at:,} "
        "arrives altered"
    )
    evidence = "it compared all of them with the bytes sent"
    return Finding(
        "size.changed",
        text,
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
        text = f"{trial.arrived:,} of these {trial.size:,} bytes arrived"
        evidence.append((direction.receiver, text))
    if trial.ack_gap:
        text = f"it acknowledged {trial.ack_gap:,} bytes more than the sender knows of"
        evidence.append((direction.receiver, text))
    if trial.missing:
        text = f"the server's kernel could not be queried: {trial.missing}"
        evidence.append((Side.CLIENT, text))
    return tuple(evidence)


def _describe_sender(trial: SizeTrial, after: TcpInfo) -> str:
    seconds = f"{trial.seconds:.1f} s"
    mtu = f"its path MTU is {after.pmtu:,}"
    if is_unacknowledged(trial) and trial.is_one_packet:
        times = "once" if trial.retransmits == 1 else f"{trial.retransmits} times"
        return (
            f"the kernel sent the packet with {trial.size:,} bytes and retransmitted it {times} "
            f"in {seconds} without an acknowledgement; {mtu}"
        )
    if is_unacknowledged(trial):
        retransmissions = f"retransmission{'s' * (trial.retransmits != 1)}"
        return (
            f"the kernel made {trial.retransmits} {retransmissions}; "
            f"{_packets_are(after.unacked)} unacknowledged, and no acknowledgement "
            f"arrived in {seconds}; {mtu}"
        )
    if cannot_leave(trial):
        return (
            f"the kernel could not send a packet with {after.notsent_bytes:,} bytes in {seconds}: "
            f"its own link or firewall refuses it; {mtu}"
        )
    if after.notsent_bytes:
        return (
            f"{after.notsent_bytes:,} bytes wait to be sent: the other end of this TCP connection "
            "accepts no more"
        )
    if after.unacked:
        return f"{_packets_are(after.unacked)} in flight; nothing was retransmitted"
    return "all data was sent and acknowledged"


def _packets_are(count: int) -> str:
    return "1 packet is" if count == 1 else f"{count} packets are"


def _sender_figures(direction: Direction, trial: SizeTrial) -> Figures:
    figures: Figures = {
        "direction": direction.value,
        "seconds": round(trial.seconds, 3),
        "retransmits": trial.retransmits,
    }
    for name in ("snd_mss", "pmtu", "unacked", "notsent_bytes"):
        key = name.removesuffix("_bytes")
        figures[key] = None if trial.after is None else getattr(trial.after, name)
    return figures


# Summary


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
