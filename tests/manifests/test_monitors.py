"""The component `monitoring`: what Prometheus's operator is told."""

from __future__ import annotations

import yaml

from tests.manifests.conftest import KUBERNETES, Manifest
from tests.manifests.model import pods, selector_matches


def labels_in(manifest: Manifest) -> dict[str, str]:
    """Return the labels of an object."""
    labels: dict[str, str] = manifest["metadata"]["labels"]
    return labels


def test_monitoring_scrapes_servers_and_clients(everything: list[Manifest]) -> None:
    """Each admin port is behind a Service, in the monitor, and open to Prometheus."""
    [monitor] = [item for item in everything if item["kind"] == "ServiceMonitor"]
    scraped = {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]}
    assert scraped == {"admin", "client-admin"}
    [policy] = [
        item["spec"]
        for item in everything
        if item["kind"] == "NetworkPolicy" and item["metadata"]["name"] == "metrics"
    ]
    admitted = [rule["port"] for rule in policy["ingress"][0]["ports"]]
    for workload, container in pods(everything):
        for port in container.get("ports", ()):
            if port["name"] not in scraped:
                continue
            services = [
                item
                for item in everything
                if item["kind"] == "Service"
                and selector_matches(monitor["spec"]["selector"], labels_in(item))
                and selector_matches(
                    {"matchLabels": item["spec"]["selector"]}, workload.labels
                )
                and port["name"] in {each["name"] for each in item["spec"]["ports"]}
            ]
            assert len(services) == 1, "scraped once"
            assert port["containerPort"] in admitted
            assert selector_matches(policy["podSelector"], workload.labels)


def test_operator_gets_the_same_rules(everything: list[Manifest]) -> None:
    """The PrometheusRule has the groups of deploy/prometheus."""
    [rule] = [item for item in everything if item["kind"] == "PrometheusRule"]
    path = KUBERNETES.parent / "prometheus/netduet.rules.yaml"
    shipped = yaml.safe_load(path.read_text())
    # kubectl adds an empty line to a folded expression, which means nothing in PromQL.
    for spec in (rule["spec"], shipped):
        for alert in (alert for group in spec["groups"] for alert in group["rules"]):
            alert["expr"] = " ".join(alert["expr"].split())
    assert rule["spec"] == shipped
