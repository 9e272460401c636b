"""Are half-closes, FIN and RST delivered unchanged?

``measure`` closes connections in different ways; this module judges whether each close
arrived unchanged. It is about TCP's own end of stream, so the check should be skipped
under TLS, which has no equivalent that all programs use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from netduet.client.checks.base import CheckOptions
from netduet.client.checks.close.results import (
    CloseMethod,
    CloseResult,
    CloseTrial,
)
from netduet.client.checks.close.termination import is_terminated
from netduet.client.checks.close.unjudged import (
    doubt_finding,
    retransmission_reason,
    unjudged_reason,
)
from netduet.client.net.dial import Address, Cause
from netduet.client.results.instance import instance_of
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import (
    Figures,
    Finding,
    Judgement,
    Outcome,
)
from netduet.client.stats.instances import InstanceTrial, name_instance
from netduet.net.time_span import TimeSpan
from netduet.wire.untrusted import escape

_ACTIONS: Final = {
    CloseMethod.AT_ONCE: "this end closed its sending side",
    CloseMethod.PAUSED: "this end closed its sending side",
    CloseMethod.FINISH: "the server responded and closed its sending side",
    CloseMethod.RESET: "the server reset the connection",
    CloseMethod.OWN_RESET: "this end reset the connection",
}
_STATES_BEFORE_FIN: Final = ("ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2")
"""States of an end that has not received the other end's FIN (RFC 9293 §3.3.2)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a close: its failure class and a description.

    ``proven`` is False if the only symptom is that something did not arrive.
    """

    failure: str
    description: str
    proven: bool = True
    where: Location | None = None


def judge(result: CloseResult, _: CheckOptions) -> Judgement:
    """Compare each way of closing with what arrived."""
    reason = next(filter(None, map(unjudged_reason, result.trials)), "")
    faults = [
        (trial, fault)
        for trial in result.trials
        if (fault := judge_trial(trial)) is not None
    ]
    findings = []
    for failure in dict.fromkeys(fault.failure for _, fault in faults):
        class_faults = [
            (trial, fault) for trial, fault in faults if fault.failure == failure
        ]
        finding = _finding(result.address, class_faults)
        findings.append(name_instance(finding, _instance_trials(result, finding)))
    remarks = [
        "the server has not received this end's reset yet"
        for trial in result.trials
        if trial.method is CloseMethod.OWN_RESET
        and trial.server.entry is not None
        and trial.server.entry.ended is None
    ]
    remarks += [
        "the path is too slow to tell whether data passes after the server's FIN"
        for trial in result.trials
        if trial.late
    ]
    figures: Figures = {
        trial.method.value: next(
            (fault.failure for other, fault in faults if other is trial),
            _delivered_figure(trial),
        )
        for trial in result.trials
    }
    figures["terminated"] = is_terminated(result.trials)
    skipped = doubt = None
    if reason and not findings:
        skipped = f"not judged, because {reason}: see the size check"
        doubt = doubt_finding(result, reason)
    return Judgement(
        "" if skipped else _summary(result, faults),
        tuple(findings),
        tuple(remarks),
        figures,
        skipped,
        # It was requested, but proves nothing.
        blocks=bool(reason),
        doubt=doubt,
    )


def _instance_trials(result: CloseResult, finding: Finding) -> Iterator[InstanceTrial]:
    """Yield the trials of the ways that a finding is about, by instance."""
    for trial in (*result.trials, *result.repeated):
        welcome = trial.handshake.welcome
        if welcome is None or _delivered_figure(trial) is None:
            continue
        if trial.method.value in str(finding.figures["ends"]).split():
            fault = judge_trial(trial)
            failed = fault is not None and fault.failure == finding.failure
            yield InstanceTrial(instance_of(welcome), failed)


def _delivered_figure(trial: CloseTrial) -> str | None:
    return None if trial.open_failure or retransmission_reason(trial) else "as it was"


def _summary(result: CloseResult, faults: list[tuple[CloseTrial, Fault]]) -> str:
    failed_methods = {trial.method for trial, _ in faults}
    if failed_methods:
        verb = "is" if len(failed_methods) == 1 else "are"
        count = f"{len(failed_methods)} of {len(result.trials)} ways to close"
        return f"{count} {verb} not delivered unchanged"
    pauses = [
        trial.pause for trial in result.trials if trial.method is CloseMethod.PAUSED
    ]
    after = "".join(f" and {pause:g} s later" for pause in pauses)
    return f"after a half-close, responses sent at once{after} arrive in full; FIN and RST are delivered unchanged"


def judge_trial(trial: CloseTrial) -> Fault | None:
    """Return the fault of a close; None if there is none or nothing is known."""
    if trial.handshake.welcome is None:
        return _judge_failed_handshake(trial)
    if trial.open_failure or retransmission_reason(trial):
        return None
    if trial.ending is not None and trial.ending.how == "error":
        description = f"the server itself ended the connection: {trial.ending.detail}"
        return Fault("close.interrupted", description)
    if trial.method is CloseMethod.RESET:
        return _judge_reset(trial)
    if trial.method is CloseMethod.OWN_RESET:
        return _judge_own_reset(trial)
    return _judge_answer(trial) or _judge_pushed(trial)


def _judge_failed_handshake(trial: CloseTrial) -> Fault:
    handshake = trial.handshake
    if handshake.refused is not None:
        text = escape(f"{handshake.refused.code}: {handshake.refused.message}")
        return Fault("close.interrupted", f"the server refused a connection: {text}")
    description = f"a later connection failed: {handshake.failure}"
    proven = handshake.missed_deadline is None
    return Fault("path.broken", description, proven, Location.UNKNOWN)


def _judge_answer(trial: CloseTrial) -> Fault | None:
    """Judge the answer before the close, and the FIN after it."""
    action = _ACTIONS[trial.method]
    how = "" if trial.ending is None else trial.ending.how
    if trial.changed:
        return Fault(
            "close.answer_changed", f"{action}, and the bytes of the response differ"
        )
    if trial.whole and how == "eof":
        return None
    if trial.whole and not how:
        description = "the response arrived completely, but the server's FIN never did"
        return Fault(
            "close.fin_changed", description, proven=_server_ended_unnoticed(trial)
        )
    if trial.whole:
        description = (
            f"the response arrived completely, then {_describe_ending(trial)} instead "
            "of the FIN"
        )
        return Fault("close.fin_changed", description)
    if how == Cause.RESET and _is_forged_reset(trial):
        description = (
            f"{action}; then each end received a reset that the other had not sent"
        )
        return Fault("close.reset_forged", description)
    if trial.answered or trial.method is CloseMethod.FINISH:
        description = (
            f"{action}; {trial.answered} of {trial.size} bytes of the response "
            "arrived, then "
        )
        return Fault(
            "close.answer_cut", description + _describe_ending(trial), proven=bool(how)
        )
    if not how and _server_missed_fin(trial):
        description = (
            "this end closed its sending side, but the server never received the FIN"
        )
        return Fault(
            "close.fin_changed", description, proven=_fin_lost_after_sending(trial)
        )
    ending = f"{_describe_ending(trial)} instead of the response"
    if trial.ending is None:
        ending = "nothing arrived"
    description = f"{action}; then {ending}"
    return Fault("close.half_close", description, proven=bool(how))


def _describe_ending(trial: CloseTrial) -> str:
    if trial.ending is None:
        return "nothing more"
    text = {"eof": "an end of stream", "broken": "an end of stream"}
    return text.get(trial.ending.how, f"{trial.ending.how} ({trial.ending.detail})")


def _is_forged_reset(trial: CloseTrial) -> bool:
    """Whether the server recorded a reset from this end, which sent none."""
    entry = trial.server.entry
    return (
        entry is not None and entry.ended == "reset" and entry.ended_by == Side.CLIENT
    )


def _server_missed_fin(trial: CloseTrial) -> bool:
    """Whether the server's kernel has not received this end's FIN."""
    view = trial.server.view
    return view is not None and view.state == "ESTABLISHED"


def _fin_lost_after_sending(trial: CloseTrial) -> bool:
    """Whether the kernels prove that this end's FIN was lost on the path.

    Something else acknowledged it, or it was retransmitted.
    """
    if trial.tcp_info is None:
        return False
    if trial.tcp_info.state == "FIN_WAIT1":
        return bool(trial.tcp_info.total_retrans)
    return trial.tcp_info.state == "FIN_WAIT2"


def _server_ended_unnoticed(trial: CloseTrial) -> bool:
    """Whether the server closed as requested, and this kernel received nothing of it."""
    entry, client_info = trial.server.entry, trial.tcp_info
    done = entry is not None and (entry.ended or "").startswith("asked.")
    return done and client_info is not None and client_info.state in _STATES_BEFORE_FIN


def _judge_pushed(trial: CloseTrial) -> Fault | None:
    entry = trial.server.entry
    if (
        not trial.pushed
        or trial.late
        or entry is None
        or entry.bytes_received >= trial.sent
    ):
        return None
    arrived = max(0, trial.pushed - (trial.sent - entry.bytes_received))
    description = (
        f"{_ACTIONS[trial.method]}; {arrived} of {trial.pushed} bytes sent to it "
        "afterwards arrived"
    )
    return Fault("close.half_close", description, proven=entry.ended is not None)


def _judge_reset(trial: CloseTrial) -> Fault | None:
    if trial.ending is None:
        description = f"{_ACTIONS[trial.method]}, and nothing arrived"
        return Fault(
            "close.reset_lost", description, proven=_server_ended_unnoticed(trial)
        )
    if trial.ending.how == Cause.RESET:
        return None
    description = (
        f"{_ACTIONS[trial.method]}, but {_describe_ending(trial)} arrived instead"
    )
    return Fault("close.reset_hidden", description)


def _judge_own_reset(trial: CloseTrial) -> Fault | None:
    entry = trial.server.entry
    if entry is None or entry.ended is None or entry.ended == "reset":
        return None
    if entry.ended_by != Side.CLIENT:
        description = f"the server itself ended the connection: {escape(entry.ended)}"
        return Fault("close.interrupted", description)
    description = f"{_ACTIONS[trial.method]}, but the server saw a normal close"
    return Fault("close.reset_hidden", description, where=Location.TO_SERVER)


def _finding(address: Address, faults: list[tuple[CloseTrial, Fault]]) -> Finding:
    """Return a finding of one class, with the evidence of all its trials."""
    first, fault = faults[0]
    seen = f"{address}: {fault.description}"
    pauses = [trial.pause for trial, _ in faults if trial.method is CloseMethod.PAUSED]
    if pauses and len(faults) == 1:
        seen += f" (with a pause of {pauses[0]:g} s; without a pause it works)"
    where = fault.where
    proven = any(fault.proven for _, fault in faults)
    recorded = any(trial.server.entry is not None for trial, _ in faults)
    if where is None and not (proven and recorded):
        where = Location.UNKNOWN
    interrupted = fault.failure == "close.interrupted"
    missed = None if proven else _wait_window(first)
    evidence = tuple(
        dict.fromkeys(line for trial, _ in faults for line in _evidence(trial))
    )
    figures: Figures = {
        "ends": " ".join(trial.method.value for trial, _ in faults),
        "size": first.size,
        "answered": first.answered,
        "pushed": first.pushed,
    }
    return Finding(
        fault.failure,
        seen,
        evidence,
        figures,
        Location.SERVER if interrupted else where,
        missed,
        Outcome.INCONCLUSIVE if interrupted else Outcome.FAIL,
    )


def _wait_window(trial: CloseTrial) -> TimeSpan | None:
    if trial.wait is not None:
        return trial.wait
    return trial.handshake.span


def _evidence(trial: CloseTrial) -> list[tuple[Side, str]]:
    refused = trial.handshake.refused
    if refused is not None:
        return [(Side.SERVER, escape(f"it refused: {refused.message}"))]
    if trial.handshake.welcome is None:
        handshake = trial.handshake
        return [(Side.CLIENT, f"after {handshake.seconds:.1f} s: {handshake.failure}")]
    pause = f", response after {trial.pause:g} s" if trial.pause else ""
    client_text = f"{_ACTIONS[trial.method].removeprefix('this end ')}{pause}: "
    if trial.method is CloseMethod.OWN_RESET:
        client_text += "this end cannot observe the effect"
    else:
        received = (
            f"{trial.answered} of {trial.size} bytes arrived, then "
            if trial.size
            else ""
        )
        client_text += f"{received}{_describe_ending(trial)}"
        client_text += (
            f"; {trial.pushed} bytes were sent after it" if trial.pushed else ""
        )
    return [
        (Side.CLIENT, client_text),
        (Side.SERVER, f"same connection: {_describe_record(trial)}"),
    ]


def _describe_record(trial: CloseTrial) -> str:
    entry, view = trial.server.entry, trial.server.view
    if entry is None:
        return f"the server's record is unavailable: {trial.server.missing}"
    counts = f"received {entry.bytes_received} and sent {entry.bytes_sent} bytes"
    if entry.ended is None:
        state = "" if view is None else f" ({escape(view.state)})"
        return f"still open{state}, {counts}"
    descriptions = {
        "asked.finish": "it responded and closed its sending side, as requested",
        "asked.reset": "it reset the connection, as requested",
        "asked.after_eof": "it received this end's FIN and responded",
    }
    by = "this end" if entry.ended_by == Side.CLIENT else "the server"
    how = {"eof": "a normal close", "reset": "a reset"}.get(entry.ended, entry.ended)
    text = descriptions.get(entry.ended, f"ended by {by}: {escape(how)}")
    return f"{text}; {counts}"
