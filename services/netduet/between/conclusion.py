"""What the targets of a pair mean together, with the evidence of both namespaces. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from netduet.between.far_end import (
    REFUSED,
    listener_blame,
    listeners,
    listing,
    queue_length,
    target_port,
    with_evidence,
)
from netduet.between.observations import notes
from netduet.between.pair_result import PairResult
from netduet.between.places import Attachment
from netduet.client.report.json_report import PairPart, TargetPart
from netduet.client.results.verdict import Outcome

_UNREACHABLE: Final = ("name.", "reach.")
"""Failure classes of a target to which no connection could be made."""


@dataclass(frozen=True, slots=True)
class PairConclusion:
    """A pair judged: its targets, with the far end's evidence, and the conclusion."""

    targets: tuple[TargetPart, ...]
    pair: PairPart


def conclude_pair(result: PairResult) -> PairConclusion:
    """Judge a pair: the network between, and each port of the service."""
    client, service = result.client.title, result.service.title
    path = [_placed(each, client) for each in result.path.targets]
    services = [
        _placed(with_evidence(each, result), client)
        for each in (() if result.services is None else result.services.targets)
    ]
    targets = (*path, *services)
    outcome = _overall(targets)
    pair = PairPart(
        client=client,
        service=service,
        outcome=outcome,
        conclusion=_sentence(result, path, services),
        notes=[*result.notes, *notes(result, services)],
        path_targets=[each.target for each in path],
        service_targets=[each.target for each in services],
        before=result.before,
        after=result.after,
        client_namespace=result.near,
    )
    return PairConclusion(targets, pair)


def _overall(targets: Sequence[TargetPart]) -> Outcome:
    """Return FAIL over INCONCLUSIVE over PASS; all that was skipped proves nothing."""
    outcomes = {each.outcome for each in targets}
    if Outcome.FAIL in outcomes:
        return Outcome.FAIL
    return Outcome.PASS if outcomes == {Outcome.PASS} else Outcome.INCONCLUSIVE


def _placed(target: TargetPart, client: str) -> TargetPart:
    return target.model_copy(update={"client": client})


def _sentence(
    result: PairResult, path: Sequence[TargetPart], services: Sequence[TargetPart]
) -> str:
    client, service = result.client.title, result.service.title
    between = f"between {client} and {service}"
    path_outcome = _overall(path)
    reached = _is_reached(path)
    good = [each.target for each in services if each.outcome is Outcome.PASS]
    bad = [each for each in services if each.outcome is Outcome.FAIL]
    open_clause = [f"{listing(good)} {_are(good)} reachable"] if good else []
    unknown = [
        each.target
        for each in services
        if each.outcome not in {Outcome.PASS, Outcome.FAIL}
    ]
    if unknown:
        open_clause.append(f"there is no verdict on {listing(unknown)}")
    works = f"the network {between} {_does(path)}"
    if path_outcome is Outcome.PASS:
        reasons = [_reason(each, result, path_works=True) for each in bad]
        if not reasons:
            return ", and ".join([works, *open_clause])
        return "; ".join(
            [
                f"{works}, but {reasons[0]}",
                *reasons[1:],
                *open_clause,
            ]
        )
    reasons = [_reason(each, result, path_works=False) for each in bad]
    if path_outcome is not Outcome.FAIL:
        first = f"there is no verdict on the network {between}"
        return "; ".join([first, *reasons, *open_clause])
    if reached:
        root = next((each.root for each in path if each.root is not None), None)
        title = "a check failed" if root is None else f"{root.title} ({root.failure})"
        return "; ".join(
            [f"the network {between} is broken: {title}", *reasons, *open_clause]
        )
    if not result.route.is_shared:
        return "; ".join([_no_shared_network(result), *open_clause])
    if good:
        return (
            f"{listing(good)} {_are(good)} reachable, but {listing([each.target for each in path])} "
            "is not, where netduet-server listens beside it: a policy allows single "
            "ports; name an allowed port that is free with --port N"
        )
    blocked = (
        f"the network between {client} and {service}, or a policy, lets no connections "
        "through"
    )
    names = [each.target for each in (*path, *services)]
    if services:
        return f"neither {' nor '.join(names)} is reachable: {blocked}"
    return (
        f"{listing(names)} {_are(names)} not reachable, where netduet-server listens "
        f"beside {service}: {blocked}"
    )


def _does(path: Sequence[TargetPart]) -> str:
    """Return what was proven of a network that passed."""
    needs = dict.fromkeys(need for each in path for need in each.needs)
    if needs:
        return f"has what is needed ({', '.join(needs)})"
    return (
        "works through a TCP proxy" if any(each.proxied for each in path) else "works"
    )


def _no_shared_network(result: PairResult) -> str:
    client, service = result.client, result.service
    return (
        f"{client.title} ({_networks(client.attachments)}) and {service.title} "
        f"({_networks(service.attachments)}) share no network, and {service.title} is "
        f"not reachable by routing: docker network connect "
        f"{service.attachments[0].network} {client.name}"
    )


def _networks(attachments: Sequence[Attachment]) -> str:
    names = [each.network for each in attachments]
    return f"on {listing(names)}" if names else "on no network"


def _is_reached(targets: Sequence[TargetPart]) -> bool:
    """Whether connections were accepted at every target."""
    return all(
        each.root is None or not each.root.failure.startswith(_UNREACHABLE)
        for each in targets
    )


def _reason(target: TargetPart, result: PairResult, *, path_works: bool) -> str:
    """Return why a port of the service failed, as far as both ends show it."""
    root, service = target.root, result.service.title
    name = target.target
    if root is None:
        return f"{name} failed"
    if not root.failure.startswith(_UNREACHABLE):
        return f"{name} accepts connections and fails: {root.title} ({root.failure})"
    if root.failure.startswith("name."):
        return f"{name} is not reachable: {root.title}"
    if result.restarted:
        return f"{name} is not reachable: {service} was restarted or removed during the run"
    port = target_port(name)
    blame = listener_blame(service, port, result)
    if blame:
        return f"{name} is not reachable: {blame}"
    if result.overflows and queue_length(result.after, port):
        return (
            f"{name} is not reachable: its accept queue is full "
            f"({queue_length(result.after, port)} connections wait, "
            f"{result.overflows} were dropped during the run): {service} does not "
            "accept them"
        )
    if not path_works:
        return f"{name} is not reachable"
    verb = "refuses" if root.failure == REFUSED else "drops"
    return (
        f"{name} is not reachable although {service} listens on "
        f"{listing([str(each) for each in listeners(result.before, port)])}: a policy or "
        f"firewall {verb} port {port} and lets port {result.port} through"
    )


def _are(words: Sequence[object]) -> str:
    return "is" if len(words) == 1 else "are"
