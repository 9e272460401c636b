"""Do connections end as they are meant to?

How they are ended is in ``endings``; here it is judged whether each end arrived
as what it was. All of it is about the end of stream of TCP itself: under TLS, which has
none of its own that all use, this check is to be skipped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from netduet.client.checks.close.measure import (
    Close,
    CloseMethod,
    CloseResult,
    CloseTrial,
)
from netduet.client.net.dial import Address, Cause
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import (
    Figures,
    Finding,
    Judgement,
    Outcome,
    Window,
    merge_judgements,
)
from netduet.wire.untrusted import escape

_DID: Final = {
    CloseMethod.AT_ONCE: "this end ended its sending",
    CloseMethod.PAUSED: "this end ended its sending",
    CloseMethod.FINISH: "the server answered and ended its sending",
    CloseMethod.RESET: "the server reset the connection",
    CloseMethod.OWN_RESET: "this end reset the connection",
}
_OPEN: Final = ("ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2")
"""States of an end that has not heard of the other's end (RFC 9293 §3.3.2)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with an end: its class, and what was seen in words.

    ``sure`` is False when all that was seen is that something did not come.
    """

    failure: str
    what: str
    sure: bool = True
    where: Location | None = None


def judge(close: Close) -> Judgement:
    """Compare how each connection was ended with how that arrived."""
    told = merge_judgements([_judge(place) for place in close.places])
    return replace(told, skipped=None) if told.findings else told


def _judge(place: CloseResult) -> Judgement:
    if not place.able:
        said = "the server is of a version that cannot be asked for ends"
        return Judgement("", skipped=said)
    unready = next(filter(None, map(_unready, place.ends)), "")
    faults = [
        (trial, fault) for trial in place.ends if (fault := _fault(trial)) is not None
    ]
    findings = []
    for failure in dict.fromkeys(fault.failure for _, fault in faults):
        same = [(trial, fault) for trial, fault in faults if fault.failure == failure]
        findings.append(_finding(place.address, same))
    remarks = [
        "the server has not heard of this end's reset yet"
        for trial in place.ends
        if trial.way is CloseMethod.OWN_RESET
        and trial.far.entry is not None
        and trial.far.entry.ended is None
    ]
    remarks += [
        "the path is too slow to tell whether data passes after the server's end"
        for trial in place.ends
        if trial.late
    ]
    figures: Figures = {
        trial.way.value: next(
            (fault.failure for other, fault in faults if other is trial), _fine(trial)
        )
        for trial in place.ends
    }
    skipped = None
    if unready and not findings:
        skipped = f"not judged, for {unready}: that is for the check size to tell"
    return Judgement(
        "" if skipped else _summary(place, faults),
        tuple(findings),
        tuple(remarks),
        figures,
        skipped,
        # It was asked for, and nothing is proven by it.
        blocks=bool(unready),
    )


def _fine(trial: CloseTrial) -> str | None:
    return None if trial.unready or _under_way(trial) else "as it was"


def _unready(trial: CloseTrial) -> str:
    """Return why an end tells nothing, or ""."""
    if trial.unready:
        return f"data does not even pass while both ends are open ({trial.unready})"
    return _under_way(trial)


def _under_way(trial: CloseTrial) -> str:
    """Return why nothing can be told of an end: its bytes are still sent in vain, or "".

    The kernel that has them goes on trying: nothing has cut them off.
    """
    view, ours = trial.far.view, trial.ours
    if trial.ending is not None or trial.whole or view is None or ours is None:
        return ""
    acked = ours.get("bytes_acked")
    # More than an end of sending: what was sent before it has not been heard of, either.
    if isinstance(acked, int) and acked < trial.sent and ours["total_retrans"]:
        return "this end's kernel sends the question again and again"
    if view.retrans and view.unacked:
        return "the server's kernel sends the answer again and again"
    return ""


def _summary(place: CloseResult, faults: list[tuple[CloseTrial, Fault]]) -> str:
    wrong = {trial.way for trial, _ in faults}
    if wrong:
        return f"{len(wrong)} of {len(place.ends)} ends do not arrive as what they are"
    pauses = [trial.pause for trial in place.ends if trial.way is CloseMethod.PAUSED]
    after = "".join(f" and after {pause:g} s" for pause in pauses)
    return (
        f"answers arrive whole after an end of sending, at once{after}; "
        "ends and resets arrive as what they are"
    )


def _fault(trial: CloseTrial) -> Fault | None:
    """Return what is wrong with an end, None when nothing is, or nothing is known."""
    if trial.opening.welcome is None:
        return _unopened(trial)
    if trial.unready or _under_way(trial):
        return None
    if trial.ending is not None and trial.ending.how == "error":
        what = f"the server itself ended the connection: {trial.ending.detail}"
        return Fault("close.interrupted", what)
    if trial.way is CloseMethod.RESET:
        return _judge_reset(trial)
    if trial.way is CloseMethod.OWN_RESET:
        return _judge_own_reset(trial)
    return _judge_answer(trial) or _judge_pushed(trial)


def _unopened(trial: CloseTrial) -> Fault:
    opening = trial.opening
    if opening.refused is not None:
        said = escape(f"{opening.refused.code}: {opening.refused.message}")
        return Fault("close.interrupted", f"the server refused a connection: {said}")
    what = opening.detail or ("closed at once" if opening.closed else "another answer")
    sure = opening.cause is not Cause.TIMEOUT
    return Fault(
        "path.broken", f"a further connection failed: {what}", sure, Location.UNKNOWN
    )


def _judge_answer(trial: CloseTrial) -> Fault | None:
    """Judge an answer at the end of a connection, and the end of sending behind it."""
    did, how = _DID[trial.way], "" if trial.ending is None else trial.ending.how
    if trial.changed:
        return Fault(
            "close.answer_changed", f"{did}, and the answer's bytes are others"
        )
    if trial.whole and how == "eof":
        return None
    if trial.whole and not how:
        what = "the answer came whole, and the server's end of sending never did"
        return Fault("close.fin_changed", what, sure=_never_reached(trial))
    if trial.whole:
        what = f"the answer came whole, and then {_ended(trial)} instead of the end"
        return Fault("close.fin_changed", what)
    if how == Cause.RESET and _reset_there(trial):
        what = (
            f"{did}; then each end was told that the other had reset, and neither had"
        )
        return Fault("close.reset_forged", what)
    if trial.answered or trial.way is CloseMethod.FINISH:
        what = (
            f"{did}; of the answer {trial.answered} of {trial.size} bytes came, then "
        )
        return Fault("close.answer_cut", what + _ended(trial), sure=bool(how))
    if not how and _unfinished(trial):
        what = "this end ended its sending, and the server never came to know"
        return Fault("close.fin_changed", what, sure=_fin_unheard(trial))
    what = f"{did}; then {_ended(trial)} instead of the answer"
    return Fault("close.half_close", what, sure=bool(how))


def _ended(trial: CloseTrial) -> str:
    if trial.ending is None:
        return "nothing more"
    said = {"eof": "an end of stream", "broken": "an end of stream"}
    return said.get(trial.ending.how, f"{trial.ending.how} ({trial.ending.detail})")


def _reset_there(trial: CloseTrial) -> bool:
    """Tell whether the server's record says that this end reset, which it did not."""
    entry = trial.far.entry
    return (
        entry is not None and entry.ended == "reset" and entry.ended_by == Side.CLIENT
    )


def _unfinished(trial: CloseTrial) -> bool:
    """Tell whether the server's kernel knows nothing of our end of sending."""
    view = trial.far.view
    return view is not None and view.state == "ESTABLISHED"


def _fin_unheard(trial: CloseTrial) -> bool:
    """Tell whether the kernels prove that our end of sending was lost on the way.

    Something else has acknowledged it, or it was sent again and again.
    """
    if trial.ours is None:
        return False
    if trial.ours["state"] == "FIN_WAIT1":
        return bool(trial.ours["total_retrans"])
    return trial.ours["state"] == "FIN_WAIT2"


def _never_reached(trial: CloseTrial) -> bool:
    """Tell whether the server did its part, and even our kernel knows nothing of it."""
    entry, ours = trial.far.entry, trial.ours
    done = entry is not None and (entry.ended or "").startswith("asked.")
    return done and ours is not None and ours["state"] in _OPEN


def _judge_pushed(trial: CloseTrial) -> Fault | None:
    """Judge what was sent after the server had ended its sending."""
    entry = trial.far.entry
    if (
        not trial.pushed
        or trial.late
        or entry is None
        or entry.bytes_received >= trial.sent
    ):
        return None
    arrived = max(0, trial.pushed - (trial.sent - entry.bytes_received))
    what = (
        f"{_DID[trial.way]}; of {trial.pushed} bytes sent to it afterwards "
        f"{arrived} arrived"
    )
    return Fault("close.half_close", what, sure=entry.ended is not None)


def _judge_reset(trial: CloseTrial) -> Fault | None:
    if trial.ending is None:
        what = f"{_DID[trial.way]}, and nothing came"
        return Fault("close.reset_lost", what, sure=_never_reached(trial))
    if trial.ending.how == Cause.RESET:
        return None
    what = f"{_DID[trial.way]}, and {_ended(trial)} came instead"
    return Fault("close.reset_hidden", what)


def _judge_own_reset(trial: CloseTrial) -> Fault | None:
    entry = trial.far.entry
    if entry is None or entry.ended is None or entry.ended == "reset":
        return None
    if entry.ended_by != Side.CLIENT:
        what = f"the server itself ended the connection: {escape(entry.ended)}"
        return Fault("close.interrupted", what)
    what = f"{_DID[trial.way]}, and for the server it ended properly"
    return Fault("close.reset_hidden", what, where=Location.TO_SERVER)


def _finding(address: Address, same: list[tuple[CloseTrial, Fault]]) -> Finding:
    """Return a finding of one class, with the evidence of all ends that show it."""
    end, fault = same[0]
    seen = f"{address}: {fault.what}"
    pauses = [trial.pause for trial, _ in same if trial.way is CloseMethod.PAUSED]
    if pauses and len(same) == 1:
        seen += f" (when it paused for {pauses[0]:g} s; without a pause all is well)"
    where = fault.where
    sure = any(fault.sure for _, fault in same)
    recorded = any(trial.far.entry is not None for trial, _ in same)
    if where is None and not (sure and recorded):
        where = Location.UNKNOWN
    interrupted = fault.failure == "close.interrupted"
    missed = None if sure else _wait(end)
    evidence = tuple(
        dict.fromkeys(line for trial, _ in same for line in _evidence(trial))
    )
    figures: Figures = {
        "ends": " ".join(trial.way.value for trial, _ in same),
        "size": end.size,
        "answered": end.answered,
        "pushed": end.pushed,
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


def _wait(end: CloseTrial) -> Window | None:
    if end.waited is not None:
        return end.waited
    return Window(end.opening.start, end.opening.end)


def _evidence(trial: CloseTrial) -> list[tuple[Side, str]]:
    refused = trial.opening.refused
    if refused is not None:
        return [(Side.SERVER, escape(f"it refused: {refused.message}"))]
    if trial.opening.welcome is None:
        said = trial.opening.detail or "no welcome"
        return [(Side.CLIENT, f"after {trial.opening.seconds:.1f} s: {said}")]
    pause = f", answer after {trial.pause:g} s" if trial.pause else ""
    here = f"{_DID[trial.way].removeprefix('this end ')}{pause}: "
    if trial.way is CloseMethod.OWN_RESET:
        here += "nothing can be seen of it here"
    else:
        came = (
            f"{trial.answered} of {trial.size} bytes came, then " if trial.size else ""
        )
        here += f"{came}{_ended(trial)}"
        here += f"; {trial.pushed} bytes were sent after it" if trial.pushed else ""
    return [(Side.CLIENT, here), (Side.SERVER, f"the same one: {_recorded(trial)}")]


def _recorded(trial: CloseTrial) -> str:
    entry, view = trial.far.entry, trial.far.view
    if entry is None:
        return f"the server's record could not be had: {trial.far.missing}"
    counts = f"received {entry.bytes_received} and sent {entry.bytes_sent} bytes"
    if entry.ended is None:
        state = "" if view is None else f" ({escape(view.state)})"
        return f"still open{state}, {counts}"
    told = {
        "asked.finish": "it answered and ended its sending, as it was asked to",
        "asked.reset": "it reset the connection, as it was asked to",
        "asked.after_eof": "it had this end's end of sending, and answered",
    }
    by = "this end" if entry.ended_by == Side.CLIENT else "the server"
    how = {"eof": "a proper end", "reset": "a reset"}.get(entry.ended, entry.ended)
    said = told.get(entry.ended, f"ended by {by}: {escape(how)}")
    return f"{said}; {counts}"
