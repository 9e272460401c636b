"""The sentence that a verdict begins with: what was tested, and no more. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netduet.client.results.expectation import compare_expectation
from netduet.client.results.needs import Need
from netduet.client.results.target import Expect
from netduet.client.results.verdict import NEEDS_SERVER, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netduet.client.results.failure import Failure


def sentence(target_verdict: Verdict, known: Mapping[str, Failure]) -> str:
    """Return the sentence of a verdict, without its outcome.

    ``known`` describes the classes of failure that were found.
    """
    target, root = target_verdict.target, target_verdict.root
    match target_verdict.outcome:
        case Outcome.PASS:
            return _passed(target_verdict)
        case Outcome.FAIL if root is not None:
            text = f"{known[root.failure].title} ({root.failure})"
            if root.culprit and _has_several_instances(target_verdict):
                return f"instance {root.culprit}: {text}"
            return text
        case Outcome.SKIP:
            return f"no verdict on {target}: {_untested(target_verdict)}"
        case _ if target_verdict.interrupted:
            return f"interrupted before all checks of {target} were done"
        case _:
            return f"no verdict on {target}: see below"


def _has_several_instances(target_verdict: Verdict) -> bool:
    """Whether several netduet servers answer at the target."""
    figures = [result.figures for result in target_verdict.results]
    figures += [] if target_verdict.root is None else [target_verdict.root.figures]
    counts = [each.get("instances") for each in figures]
    return any(isinstance(count, int) and count > 1 for count in counts)


def _passed(target_verdict: Verdict) -> str:
    target, here = target_verdict.target, target_verdict.client or "here"
    if target_verdict.expected is Expect.BLOCKED:
        how = compare_expectation(target_verdict).how
        return f"{target} is blocked, as expected" + (f": {how}" if how else "")
    if target_verdict.service is not None:
        return _service_sentence(target_verdict)
    if target_verdict.requirements:
        needs = ", ".join(target_verdict.requirements)
        return f"the network between {here} and {target} has what is needed: {needs}"
    if target_verdict.notes:
        return (
            f"the network between {here} and {target} works through a TCP proxy; the "
            "notes say what it does not carry"
        )
    return f"the network between {here} and {target} works"


def _untested(target_verdict: Verdict) -> str:
    """Return what was skipped that was asked for, and what could test it."""
    if target_verdict.unmet:
        return f"requested, but not run: {', '.join(target_verdict.unmet)}"
    if not target_verdict.unmet_needs:
        return "required checks were skipped"
    text = f"needed, but not proven: {', '.join(target_verdict.unmet_needs)}"
    checks = {Need(word.partition("=")[0]).check for word in target_verdict.unmet_needs}
    if any(
        each.needs_server for each in target_verdict.results if each.check in checks
    ):
        text += f" ({NEEDS_SERVER})"
    return text


def _service_sentence(target_verdict: Verdict) -> str:
    """Return what was tested of a service other than netduet-server, and no more."""
    passed = sum(each.outcome is Outcome.PASS for each in target_verdict.results)
    service = target_verdict.service
    if target_verdict.is_over_udp:
        does = f"answers as {service} over UDP"
    elif service:
        does = f"accepts connections and answers as {service}"
    else:
        does = "accepts connections; what it serves was not tested"
    return f"{target_verdict.target} {does} ({passed} checks from {target_verdict.client or 'this end'})"
