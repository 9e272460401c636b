"""What the counts of a load balancer prove. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Final

from netduet.client.checks.balance.initial_run import FAILED_OUTCOMES, initial_run
from netduet.client.checks.balance.results import (
    AddressTrials,
    BalanceResult,
    BalanceTrial,
    ConnectionOutcome,
)
from netduet.client.results.location import Side
from netduet.client.results.verdict import (
    NEEDS_SERVER,
    Figures,
    Finding,
    Judgement,
)
from netduet.client.stats.proportions import (
    ERROR_PROBABILITY,
    lower_bound,
)
from netduet.net.time_span import TimeSpan
from netduet.wire.untrusted import escape

MIN_TIMEOUT_SHARE: Final = 0.05
"""Share of timeouts that loss alone, with its retransmissions, never reaches."""
MIN_ERROR_SHARE: Final = 0.01
"""Share of refusals, resets or closes, none of which loss causes."""
MAX_INSTANCES_SHOWN: Final = 6
_BLOCKING_FAILURES: Final = frozenset(
    {
        "balance.unhealthy_backend",
        "balance.stopped_responding",
        "balance.wrong_service",
        "churn.rate_limited",
    }
)
_TIMEOUTS: Final = frozenset(
    {ConnectionOutcome.CONNECT_TIMEOUT, ConnectionOutcome.ANSWER_TIMEOUT}
)


def judge(balance: BalanceResult) -> Judgement:
    """Judge each address, and the instances of all addresses together."""
    if balance.needs_server:
        return Judgement("", skipped=NEEDS_SERVER, needs_server=True)
    known = _trial_by_boot_id(balance)
    findings = [
        finding
        for address_trials in balance.by_address
        for finding in _judge_address(address_trials, balance)
    ]
    missing = _judge_instance_count(balance, len(known))
    if missing is not None:
        findings.append(missing)
    figures: Figures = {
        "connections": len(balance.trials),
        "answered": sum(
            address_trials.outcomes[ConnectionOutcome.ANSWERED]
            for address_trials in balance.by_address
        ),
        "instances": len(known),
    }
    summary = "; ".join(
        _summary(address_trials) for address_trials in balance.by_address
    )
    # If a share of connections fails, other checks would measure chance.
    blocks = any(finding.failure in _BLOCKING_FAILURES for finding in findings)
    remarks = _remarks(balance, known, findings)
    doubts = (_doubt(address_trials) for address_trials in balance.by_address)
    doubt = next((each for each in doubts if each is not None), None)
    return Judgement(
        summary, tuple(findings), remarks, figures, blocks=blocks, doubt=doubt
    )


def _doubt(address_trials: AddressTrials) -> Finding | None:
    """Return that no connection was answered, though ``reach`` had made some.

    Which ports pass, or what stopped, is for other checks to find.
    """
    trials = address_trials.trials
    failed = [trial for trial in trials if trial.outcome in FAILED_OUTCOMES]
    if not failed or len(failed) < len(trials):
        return None
    seen = (
        f"{address_trials.address}: none of {len(trials)} connections was answered, "
        "though connections had been accepted before"
    )
    how = "; ".join(
        f"{count} {outcome}" for outcome, count in address_trials.outcomes.items()
    )
    is_late = all(trial.outcome in _TIMEOUTS for trial in failed)
    missed = TimeSpan.covering(failed) if is_late else None
    return Finding("path.broken", seen, ((Side.CLIENT, how),), missed_deadline=missed)


def _trial_by_boot_id(balance: BalanceResult) -> dict[str, BalanceTrial]:
    """Return one trial of each instance of the right service, by boot id."""
    return {
        trial.boot_id: trial
        for trial in balance.trials
        if trial.boot_id and not _is_other_service(trial, balance.expected_service)
    }


def _is_other_service(trial: BalanceTrial, expected: str) -> bool:
    return bool(trial.service and expected and trial.service != expected)


def _describe_shares(address_trials: AddressTrials) -> str:
    """Describe how many each one answered: "lab-1 answered 52 of 60, lab-2 4"."""
    counts, trials = address_trials.instances, address_trials.trials
    names = {trial.boot_id: trial.label for trial in trials}
    parts = [
        f"{names[key]} {count}"
        for key, count in counts.most_common(MAX_INSTANCES_SHOWN)
    ]
    if not parts:
        return f"none of {len(trials)} connections got a response"
    name, _, count = parts[0].rpartition(" ")
    parts[0] = f"{name} answered {count} of {len(trials)}"
    if len(counts) > MAX_INSTANCES_SHOWN:
        parts.append(f"and {len(counts) - MAX_INSTANCES_SHOWN} more instances")
    return ", ".join(parts)


def _summary(address_trials: AddressTrials) -> str:
    all_answered = set(address_trials.outcomes) <= {ConnectionOutcome.ANSWERED}
    if len(address_trials.instances) == 1 and all_answered:
        name = address_trials.trials[0].label
        return (
            f"{address_trials.address}: one instance, {name}, answered all "
            f"{len(address_trials.trials)} connections"
        )
    return f"{address_trials.address}: {_describe_shares(address_trials)}"


def _judge_address(
    address_trials: AddressTrials, balance: BalanceResult
) -> list[Finding]:
    found = [
        _judge_failures(address_trials),
        _judge_services(address_trials, balance.expected_service),
        _judge_shares(address_trials, balance.max_uneven),
    ]
    return [finding for finding in found if finding is not None]


def _judge_failures(address_trials: AddressTrials) -> Finding | None:
    """Find a share of connections that fails while others are answered.

    A dead backend fails its share from the first connection on; a limit on new
    connections, or a server that dies meanwhile, does not.
    """
    counts = address_trials.outcomes
    if not counts[ConnectionOutcome.ANSWERED]:
        return None  # not the load balancer's fault: reach and identity report it
    total = len(address_trials.trials)
    failed = {
        outcome: counts[outcome] for outcome in FAILED_OUTCOMES if counts[outcome]
    }
    proven = {
        outcome: count
        for outcome, count in failed.items()
        if lower_bound(count, total)
        > (MIN_TIMEOUT_SHARE if outcome in _TIMEOUTS else MIN_ERROR_SHARE)
    }
    if not proven:
        return None
    count = sum(proven.values())
    how = "; ".join(f"{number} {outcome}" for outcome, number in proven.items())
    run_length = initial_run(address_trials)
    name = "balance.unhealthy_backend"
    seen = (
        f"{address_trials.address}: {count} of {total} connections failed, while "
        f"others were answered: {how}{_describe_dead_backends(count, address_trials)}"
    )
    if run_length:
        name = "balance.stopped_responding"
        seen = (
            f"{address_trials.address}: the first {run_length} of {total} "
            f"connections were answered; of the later ones, {count} failed: {how}; "
            "a backend that is down would have failed from the start"
        )
    if run_length and address_trials.passes_slowly:
        name = "churn.rate_limited"
        seen = (
            f"{address_trials.address}: the first {run_length} of {total} connections "
            f"were answered; of the later ones, {count} failed: {how}; all of "
            f"{len(address_trials.later)} that were made slowly afterwards were answered"
        )
    evidence = (
        (Side.CLIENT, _describe_shares(address_trials)),
        (
            Side.SERVER,
            (
                "no evidence from the server: no netduet server responded on the "
                "failed connections"
            ),
        ),
    )
    figures: Figures = {"failed": count, "of": total, "answered_at_first": run_length}
    missed = None
    if all(outcome in _TIMEOUTS for outcome in proven):
        late = [trial for trial in address_trials.trials if trial.outcome in proven]
        missed = TimeSpan.covering(late)
    return Finding(name, seen, evidence, figures, missed_deadline=missed)


def _describe_dead_backends(count: int, address_trials: AddressTrials) -> str:
    """Describe how many dead backends the share of failures suggests."""
    answering = len(address_trials.instances)
    share = count / len(address_trials.trials)
    down = round(answering * share / (1 - share)) if share < 1 else 0
    if not down:
        return ""
    return f"; consistent with {down} of {answering + down} backends being down"


def _judge_services(address_trials: AddressTrials, expected: str) -> Finding | None:
    counts = address_trials.outcomes
    foreign = counts[ConnectionOutcome.FOREIGN]
    others = [
        trial for trial in address_trials.trials if _is_other_service(trial, expected)
    ]
    correct = counts[ConnectionOutcome.ANSWERED] - len(others)
    if not correct or not (foreign or others):
        return None  # all are other programs: identity reports it
    parts = []
    if foreign:
        parts.append(f"{foreign} were answered by something other than netduet")
    if others:
        services = ", ".join(sorted({f'"{escape(trial.service)}"' for trial in others}))
        parts.append(
            f"{len(others)} were answered by a netduet server for the service "
            f'{services}; expected "{escape(expected)}"'
        )
    count = len(address_trials.trials)
    seen = f"{address_trials.address}: of {count} connections, {'; '.join(parts)}"
    evidence = ((Side.CLIENT, _describe_shares(address_trials)),)
    figures: Figures = {"foreign": foreign, "other_service": len(others)}
    return Finding("balance.wrong_service", seen, evidence, figures)


def _judge_shares(address_trials: AddressTrials, max_uneven: float) -> Finding | None:
    """Find an instance that gets over ``max_uneven`` times the others' average.

    Its share is then over ``max_uneven / (others + max_uneven)``. The bound is exact;
    the error probability is divided by the number of instances, because the busiest is
    chosen.
    """
    counts = address_trials.instances
    instance_count, total = len(counts), sum(counts.values())
    if instance_count < 2:  # noqa: PLR2004 - one alone cannot be uneven
        return None
    if any(trial.outcome in _TIMEOUTS for trial in address_trials.trials):
        return None  # late instances are not counted: the shares are not the load balancer's
    [(busiest, count)] = counts.most_common(1)
    if lower_bound(count, total, ERROR_PROBABILITY / instance_count) <= max_uneven / (
        instance_count - 1 + max_uneven
    ):
        return None
    name = next(t.label for t in address_trials.trials if t.boot_id == busiest)
    seen = (
        f"{address_trials.address}: {_describe_shares(address_trials)}: {name} "
        f"gets more than {max_uneven:g} times the average of the others, and more than chance would explain"
    )
    evidence = ((Side.SERVER, "each instance identified itself in its response"),)
    figures: Figures = {"most": count, "of": total, "instances": instance_count}
    return Finding("balance.uneven", seen, evidence, figures)


def _judge_instance_count(balance: BalanceResult, found: int) -> Finding | None:
    if not balance.expected_instances or found >= balance.expected_instances:
        return None
    seen = (
        f"{found} instance{'s' * (found != 1)} responded to {len(balance.trials)} connections; "
        f"{balance.expected_instances} were expected"
    )
    evidence = tuple(
        (
            Side.CLIENT,
            f"{address_trials.address}: {_describe_shares(address_trials)}",
        )
        for address_trials in balance.by_address
    )
    late = [trial for trial in balance.trials if trial.outcome in _TIMEOUTS]
    missed = TimeSpan.covering(late)
    return Finding(
        "balance.missing", seen, evidence, {"found": found}, missed_deadline=missed
    )


def _remarks(
    balance: BalanceResult, known: dict[str, BalanceTrial], findings: list[Finding]
) -> tuple[str, ...]:
    remarks = []
    versions = sorted({escape(trial.software) for trial in known.values()})
    if len(versions) > 1:
        remarks.append(f"the instances run different versions: {', '.join(versions)}")
    names = Counter(trial.instance for trial in known.values())
    remarks += [
        f"{count} processes are named {escape(name)}: it was restarted during the "
        "check, or several containers share the name"
        for name, count in names.items()
        if count > 1
    ]
    remarks += _address_remarks(balance)
    # With a dead backend, one failure proves nothing about an instance's own address.
    for boot_id, own_address, trial in () if findings else balance.direct_trials:
        if trial.outcome is not ConnectionOutcome.ANSWERED and boot_id in known:
            name = known[boot_id].label
            remarks.append(
                f"{name} responds through the load balancer, but not at its own address "
                f"{own_address}"
            )
    return tuple(remarks)


def _address_remarks(balance: BalanceResult) -> list[str]:
    remarks = []
    all_instances = {trial.boot_id for trial in balance.trials if trial.boot_id}
    single_instance = [
        address_trials
        for address_trials in balance.by_address
        if len(address_trials.instances) == 1
    ]
    count = len(balance.by_address)
    if len(all_instances) > 1 and len(single_instance) == count:
        remarks.append(
            f"balancing by DNS: the name has {count} addresses, each with one "
            "instance (or with a sticky load balancer)"
        )
    elif len(all_instances) > 1:
        remarks += [
            f"{address_trials.address}: all connections reach one instance, although "
            "the name has others: a sticky load balancer, or none"
            for address_trials in single_instance
        ]
    for address_trials in balance.by_address:
        if _judge_failures(address_trials) is not None:
            continue  # the finding has it
        remarks += [
            f"{address_trials.address}: {count} of {len(address_trials.trials)} "
            f"connections {outcome}"
            for outcome, count in address_trials.outcomes.items()
            if outcome not in {ConnectionOutcome.ANSWERED, ConnectionOutcome.FOREIGN}
        ]
    return remarks
