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
from netduet.client.results.verdict import (
    Figures,
    Finding,
    Judgement,
    Outcome,
    Side,
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
    where: str | None = None


def judge(close: Close) -> Judgement:
    """Compare how each connection was ended with how that arrived."""
    told = merge_judgements([_judge(place) for place in close.places])
    return replace(told, skipped=None) if told.findings else told


def _judge(place: CloseResult) -> Judgement:
    if not place.able:
        said = "the server is of a version that cannot be asked for ends"
        return Judgement("", skipped=said)
    unready = next(filter(None, map(_unready, place.ends)), "")
    faults = [(one, fault) for one in place.ends if (fault := _fault(one)) is not None]
    findings = []
    for failure in dict.fromkeys(fault.failure for _, fault in faults):
        same = [(one, fault) for one, fault in faults if fault.failure == failure]
        findings.append(_finding(place.address, same))
    remarks = [
        "the server has not heard of this end's reset yet"
        for one in place.ends
        if one.way is CloseMethod.OWN_RESET
        and one.far.entry is not None
        and one.far.entry.ended is None
    ]
    remarks += [
        "the path is too slow to tell whether data passes after the server's end"
        for one in place.ends
        if one.late
    ]
    figures: Figures = {
        one.way.value: next(
            (fault.failure for other, fault in faults if other is one), _fine(one)
        )
        for one in place.ends
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


def _fine(one: CloseTrial) -> str | None:
    return None if one.unready or _under_way(one) else "as it was"


def _unready(one: CloseTrial) -> str:
    """Return why an end tells nothing, or ""."""
    if one.unready:
        return f"data does not even pass while both ends are open ({one.unready})"
    return _under_way(one)


def _under_way(one: CloseTrial) -> str:
    """Return why nothing can be told of an end: its bytes are still sent in vain, or "".

    The kernel that has them goes on trying: nothing has cut them off.
    """
    view, ours = one.far.view, one.ours
    if one.ending is not None or one.whole or view is None or ours is None:
        return ""
    acked = ours.get("bytes_acked")
    # More than an end of sending: what was sent before it has not been heard of, either.
    if isinstance(acked, int) and acked < one.sent and ours["total_retrans"]:
        return "this end's kernel sends the question again and again"
    if view.retrans and view.unacked:
        return "the server's kernel sends the answer again and again"
    return ""


def _summary(place: CloseResult, faults: list[tuple[CloseTrial, Fault]]) -> str:
    wrong = {one.way for one, _ in faults}
    if wrong:
        return f"{len(wrong)} of {len(place.ends)} ends do not arrive as what they are"
    pauses = [one.pause for one in place.ends if one.way is CloseMethod.PAUSED]
    after = "".join(f" and after {pause:g} s" for pause in pauses)
    return (
        f"answers arrive whole after an end of sending, at once{after}; "
        "ends and resets arrive as what they are"
    )


def _fault(one: CloseTrial) -> Fault | None:
    """Return what is wrong with an end, None when nothing is, or nothing is known."""
    if one.opening.welcome is None:
        return _unopened(one)
    if one.unready or _under_way(one):
        return None
    if one.ending is not None and one.ending.how == "error":
        what = f"the server itself ended the connection: {one.ending.detail}"
        return Fault("close.interrupted", what)
    if one.way is CloseMethod.RESET:
        return _judge_reset(one)
    if one.way is CloseMethod.OWN_RESET:
        return _judge_own_reset(one)
    return _judge_answer(one) or _judge_pushed(one)


def _unopened(one: CloseTrial) -> Fault:
    opening = one.opening
    if opening.refused is not None:
        said = escape(f"{opening.refused.code}: {opening.refused.message}")
        return Fault("close.interrupted", f"the server refused a connection: {said}")
    what = opening.detail or ("closed at once" if opening.closed else "another answer")
    sure = opening.cause is not Cause.TIMEOUT
    return Fault("path.broken", f"a further connection failed: {what}", sure, "unknown")


def _judge_answer(one: CloseTrial) -> Fault | None:
    """Judge an answer at the end of a connection, and the end of sending behind it."""
    did, how = _DID[one.way], "" if one.ending is None else one.ending.how
    if one.changed:
        return Fault(
            "close.answer_changed", f"{did}, and the answer's bytes are others"
        )
    if one.whole and how == "eof":
        return None
    if one.whole and not how:
        what = "the answer came whole, and the server's end of sending never did"
        return Fault("close.fin_changed", what, sure=_never_reached(one))
    if one.whole:
        what = f"the answer came whole, and then {_ended(one)} instead of the end"
        return Fault("close.fin_changed", what)
    if how == Cause.RESET and _reset_there(one):
        what = (
            f"{did}; then each end was told that the other had reset, and neither had"
        )
        return Fault("close.reset_forged", what)
    if one.answered or one.way is CloseMethod.FINISH:
        what = f"{did}; of the answer {one.answered} of {one.size} bytes came, then "
        return Fault("close.answer_cut", what + _ended(one), sure=bool(how))
    if not how and _unfinished(one):
        what = "this end ended its sending, and the server never came to know"
        return Fault("close.fin_changed", what, sure=_fin_unheard(one))
    what = f"{did}; then {_ended(one)} instead of the answer"
    return Fault("close.half_close", what, sure=bool(how))


def _ended(one: CloseTrial) -> str:
    if one.ending is None:
        return "nothing more"
    said = {"eof": "an end of stream", "broken": "an end of stream"}
    return said.get(one.ending.how, f"{one.ending.how} ({one.ending.detail})")


def _reset_there(one: CloseTrial) -> bool:
    """Tell whether the server's record says that this end reset, which it did not."""
    entry = one.far.entry
    return (
        entry is not None and entry.ended == "reset" and entry.ended_by == Side.CLIENT
    )


def _unfinished(one: CloseTrial) -> bool:
    """Tell whether the server's kernel knows nothing of our end of sending."""
    view = one.far.view
    return view is not None and view.state == "ESTABLISHED"


def _fin_unheard(one: CloseTrial) -> bool:
    """Tell whether the kernels prove that our end of sending was lost on the way.

    Something else has acknowledged it, or it was sent again and again.
    """
    if one.ours is None:
        return False
    if one.ours["state"] == "FIN_WAIT1":
        return bool(one.ours["total_retrans"])
    return one.ours["state"] == "FIN_WAIT2"


def _never_reached(one: CloseTrial) -> bool:
    """Tell whether the server did its part, and even our kernel knows nothing of it."""
    entry, ours = one.far.entry, one.ours
    done = entry is not None and (entry.ended or "").startswith("asked.")
    return done and ours is not None and ours["state"] in _OPEN


def _judge_pushed(one: CloseTrial) -> Fault | None:
    """Judge what was sent after the server had ended its sending."""
    entry = one.far.entry
    if not one.pushed or one.late or entry is None or entry.bytes_received >= one.sent:
        return None
    arrived = max(0, one.pushed - (one.sent - entry.bytes_received))
    what = (
        f"{_DID[one.way]}; of {one.pushed} bytes sent to it afterwards "
        f"{arrived} arrived"
    )
    return Fault("close.half_close", what, sure=entry.ended is not None)


def _judge_reset(one: CloseTrial) -> Fault | None:
    if one.ending is None:
        what = f"{_DID[one.way]}, and nothing came"
        return Fault("close.reset_lost", what, sure=_never_reached(one))
    if one.ending.how == Cause.RESET:
        return None
    what = f"{_DID[one.way]}, and {_ended(one)} came instead"
    return Fault("close.reset_hidden", what)


def _judge_own_reset(one: CloseTrial) -> Fault | None:
    entry = one.far.entry
    if entry is None or entry.ended is None or entry.ended == "reset":
        return None
    if entry.ended_by != Side.CLIENT:
        what = f"the server itself ended the connection: {escape(entry.ended)}"
        return Fault("close.interrupted", what)
    what = f"{_DID[one.way]}, and for the server it ended properly"
    return Fault("close.reset_hidden", what, where="path →")


def _finding(address: Address, same: list[tuple[CloseTrial, Fault]]) -> Finding:
    """Return a finding of one class, with the evidence of all ends that show it."""
    end, fault = same[0]
    seen = f"{address}: {fault.what}"
    pauses = [one.pause for one, _ in same if one.way is CloseMethod.PAUSED]
    if pauses and len(same) == 1:
        seen += f" (when it paused for {pauses[0]:g} s; without a pause all is well)"
    where = fault.where
    sure = any(one.sure for _, one in same)
    recorded = any(one.far.entry is not None for one, _ in same)
    if where is None and not (sure and recorded):
        where = "unknown"
    interrupted = fault.failure == "close.interrupted"
    missed = None if sure else _wait(end)
    evidence = tuple(dict.fromkeys(line for one, _ in same for line in _evidence(one)))
    figures: Figures = {
        "ends": " ".join(one.way.value for one, _ in same),
        "size": end.size,
        "answered": end.answered,
        "pushed": end.pushed,
    }
    return Finding(
        fault.failure,
        seen,
        evidence,
        figures,
        "server" if interrupted else where,
        missed,
        Outcome.INCONCLUSIVE if interrupted else Outcome.FAIL,
    )


def _wait(end: CloseTrial) -> Window | None:
    if end.waited is not None:
        return end.waited
    return Window(end.opening.start, end.opening.end)


def _evidence(one: CloseTrial) -> list[tuple[Side, str]]:
    refused = one.opening.refused
    if refused is not None:
        return [(Side.SERVER, escape(f"it refused: {refused.message}"))]
    if one.opening.welcome is None:
        said = one.opening.detail or "no welcome"
        return [(Side.CLIENT, f"after {one.opening.seconds:.1f} s: {said}")]
    pause = f", answer after {one.pause:g} s" if one.pause else ""
    here = f"{_DID[one.way].removeprefix('this end ')}{pause}: "
    if one.way is CloseMethod.OWN_RESET:
        here += "nothing can be seen of it here"
    else:
        came = f"{one.answered} of {one.size} bytes came, then " if one.size else ""
        here += f"{came}{_ended(one)}"
        here += f"; {one.pushed} bytes were sent after it" if one.pushed else ""
    return [(Side.CLIENT, here), (Side.SERVER, f"the same one: {_recorded(one)}")]


def _recorded(one: CloseTrial) -> str:
    entry, view = one.far.entry, one.far.view
    if entry is None:
        return f"the server's record could not be had: {one.far.missing}"
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
