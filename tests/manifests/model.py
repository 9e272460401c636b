"""Manifests as their tests see them: workloads, selectors, network policies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]
Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Workload:
    """What makes pods: its kind and name, and the template of its pods."""

    kind: str
    name: str
    template: Manifest

    @property
    def pod(self) -> Manifest:
        """The pod's specification."""
        spec: Manifest = self.template["spec"]
        return spec

    @property
    def labels(self) -> Labels:
        """The pod's labels."""
        labels: Labels = self.template["metadata"]["labels"]
        return labels


def workloads(manifests: Iterable[Manifest]) -> Iterator[Workload]:
    """Yield all that makes pods."""
    for manifest in manifests:
        spec = manifest.get("spec", {})
        if manifest["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if "template" in spec:
            yield Workload(
                manifest["kind"], manifest["metadata"]["name"], spec["template"]
            )


def pods(manifests: Iterable[Manifest]) -> Iterator[tuple[Workload, Manifest]]:
    """Yield each container, with the workload that it is of."""
    for workload in workloads(manifests):
        assert "initContainers" not in workload.pod
        for container in workload.pod["containers"]:
            yield workload, container


def selector_matches(selector: Mapping[str, Any], labels: Labels) -> bool:
    """Tell whether a selector of labels chooses a pod (LabelSelector, meta/v1)."""
    wanted = selector.get("matchLabels", {})
    if any(labels.get(name) != value for name, value in wanted.items()):
        return False
    for expression in selector.get("matchExpressions", ()):
        assert expression["operator"] == "In", "the tests read no other operator"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return True


def may_send(
    manifests: Iterable[Manifest], sender: Labels, port: Manifest, to: Labels
) -> bool:
    """Tell whether a pod's policies let it send to another pod of the namespace."""
    return _allowed(manifests, "Egress", sender, port, to)


def may_receive(
    manifests: Iterable[Manifest], receiver: Labels, port: Manifest, sender: Labels
) -> bool:
    """Tell whether a pod's policies let it be reached by another of the namespace."""
    return _allowed(manifests, "Ingress", receiver, port, sender)


def _allowed(
    manifests: Iterable[Manifest],
    way: str,
    pod: Labels,
    port: Manifest,
    other: Labels,
) -> bool:
    """Read policies as networking.k8s.io/v1 says: any rule of any policy may allow.

    A pod that no policy of this way chooses is open.
    """
    policies = [
        manifest["spec"]
        for manifest in manifests
        if manifest["kind"] == "NetworkPolicy"
        and way in manifest["spec"]["policyTypes"]
        and selector_matches(manifest["spec"]["podSelector"], pod)
    ]
    rules = [rule for spec in policies for rule in spec.get(way.lower(), ())]
    return not policies or any(_fits(rule, port, other) for rule in rules)


def _fits(rule: Manifest, port: Manifest, other: Labels) -> bool:
    ports = rule.get("ports")
    if ports is not None and port not in ports:
        return False
    peers = rule.get("from", rule.get("to"))
    if peers is None:
        return True
    return any(
        "namespaceSelector" not in peer and selector_matches(peer["podSelector"], other)
        for peer in peers
    )
