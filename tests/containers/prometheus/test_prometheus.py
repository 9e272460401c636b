"""The rules and the configuration, as a real Prometheus and promtool take them."""

from __future__ import annotations

import re

import yaml

from tests.containers.prometheus.conftest import (
    ADMIN,
    CLIENTS,
    RULES,
    SERVERS,
    StartPrometheus,
    alert_names,
    rules,
)
from tests.containers.sandbox import ContainerResult, Sandbox, wait_for_end


def promtool(sandbox: Sandbox, image: str, *words: str) -> ContainerResult:
    """Run promtool, where the rules are."""
    return wait_for_end(sandbox.start(image, command=["promtool", *words]))


def test_promtool_accepts_rules_and_configuration(
    sandbox: Sandbox, prometheus_image: str
) -> None:
    """The rules and the example configuration are valid; the rules' tests pass."""
    for words in (
        ("check", "rules", "netduet.rules.yaml"),
        ("check", "config", "prometheus.yaml"),
        ("test", "rules", "netduet.rules.test.yaml"),
    ):
        done = promtool(sandbox, prometheus_image, *words)
        assert done.status == 0, done.out + done.err


def test_each_alert_fires_in_a_rule_test() -> None:
    """An alert that never fired in promtool may never fire."""
    tested = yaml.safe_load((RULES / "netduet.rules.test.yaml").read_text())
    fired = {
        case["alertname"]
        for group in tested["tests"]
        for case in group.get("alert_rule_test", ())
        if case["exp_alerts"]
    }
    assert fired == alert_names()


def input_series() -> list[tuple[str, set[str]]]:
    """Return the metrics that the rules' tests feed in, with the names of their labels."""
    tested = yaml.safe_load((RULES / "netduet.rules.test.yaml").read_text())
    fed = []
    for group in tested["tests"]:
        for series in group["input_series"]:
            name, _, labels = series["series"].partition("{")
            fed.append((name, set(re.findall(r"(\w+)=", labels))))
    return fed


def test_metrics_of_rules_exist(
    sandbox: Sandbox, start_prometheus: StartPrometheus
) -> None:
    """The shipped configuration has each metric of the rules from a real pair.

    What the rules' tests feed in has the labels that the real processes give it.
    """
    network = sandbox.network()
    # Only a process with a limit of the CPU tells on every kernel how it was held back.
    limit = {"cpu_period": 100_000, "cpu_quota": 200_000}
    sandbox.server(network, SERVERS, env=ADMIN, **limit)
    sandbox.start_client(network, "watch", SERVERS, alias=CLIENTS, env=ADMIN)
    prometheus = start_prometheus(network)
    prometheus.wait_until(
        "scraped", lambda prometheus: prometheus.values("up") == [1, 1]
    )
    prometheus.wait_until(
        "watched", lambda prometheus: prometheus.values("netduet_peer_up") == [1]
    )
    asked = {
        name
        for group in rules()["groups"]
        for rule in group["rules"]
        for name in re.findall(r"\b(?:netduet|process)_\w+", rule["expr"])
    }
    assert len(asked) >= 14
    # Its series come with the first outage of a kind.
    for name in sorted(asked - {"netduet_outages_total"}):
        assert prometheus.values(f"count({name})") != [], name
    unlike = [
        (name, labels)
        for name, labels in input_series()
        if labels not in (prometheus.label_names(name) or [labels])
    ]
    assert not unlike, "\n".join(map(str, unlike))
