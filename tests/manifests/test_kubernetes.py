"""deploy/kubernetes: valid by the API schemas, hardened, and consistent."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest
import yaml
from kubernetes_validate.utils import all_versions

from netduet import __version__
from netduet.config.units import parse_duration
from tests.manifests.conftest import FOLDERS, KUBERNETES, Manifest, Render
from tests.manifests.model import (
    may_receive,
    may_send,
    pods,
    selector_matches,
    workloads,
)

OLDEST: Final = (1, 30)
"""Where `sleep` of preStop is there without a feature gate."""
VERSIONS: Final = [
    f"{major}.{minor}"
    for major, minor in sorted(
        {tuple(map(int, item.split(".")[:2])) for item in all_versions()}
    )
    if (major, minor) >= OLDEST
]
SERVER: Final = ("server", "mesh")
LABELS: Final = ("app.kubernetes.io/name", "app.kubernetes.io/component")
PORTS: Final = [{"port": 12345, "protocol": item} for item in ("TCP", "UDP")]
DNS: Final = {"port": 53, "protocol": "UDP"}
HTTPS: Final = {"port": 443, "protocol": "TCP"}
ADMIN: Final = {"port": 12346, "protocol": "TCP"}


def labels_of(manifests: list[Manifest], name: str) -> Mapping[str, str]:
    """Return the labels of the pods of one workload."""
    [found] = {
        tuple(sorted(workload.labels.items()))
        for workload in workloads(manifests)
        if workload.name == name
    }
    return dict(found)


def env_of(container: Manifest) -> dict[str, str]:
    """Return a container's environment; what the cluster fills in is ``n``."""
    return {
        variable["name"]: variable.get("value", "n")
        for variable in container.get("env", ())
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_are_valid(everything: list[Manifest], version: str) -> None:
    """Each object is valid by the API schemas of that version, without extra fields."""
    assert len(VERSIONS) >= 6
    judged = [
        manifest
        for manifest in everything
        if "monitoring.coreos" not in manifest["apiVersion"]
    ]
    assert len(judged) == len(everything) - 2
    for validation in judged:
        kubernetes_validate.validate(validation, version, strict=True)


def test_schemas_are_strict(everything: list[Manifest]) -> None:
    """A misspelt field is an error, so the test above is meaningful."""
    [server] = [manifest for manifest in everything if manifest["kind"] == "Deployment"]
    changed = json.loads(json.dumps(server))
    changed["spec"]["strategy"]["rollingUpdate"]["maxUnavalable"] = 0
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(changed, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("folder", FOLDERS)
def test_plain_files_equal_rendered_ones(render: Render, folder: str) -> None:
    """Except for the image names, `kubectl apply -f` gives the same as `-k`."""
    plain = []
    for path in sorted((KUBERNETES / folder).glob("*.yaml")):
        if path.name != "kustomization.yaml":
            plain += list(yaml.safe_load_all(path.read_text()))
    for _, container in pods(plain):
        container["image"] += f":{__version__}"

    def key(manifest: Manifest) -> tuple[str, str]:
        return manifest["kind"], manifest["metadata"]["name"]

    assert sorted(render(KUBERNETES / folder), key=key) == sorted(plain, key=key)


def test_default_is_a_server_and_a_cron_job(render: Render) -> None:
    """The base folder has no other pods."""
    made = {
        (workload.kind, workload.name) for workload in workloads(render(KUBERNETES))
    }
    assert made == {("Deployment", "netduet-server"), ("CronJob", "netduet-check")}


def test_containers_are_hardened(everything: list[Manifest]) -> None:
    """Pod security `restricted`, plus a read-only root and a numeric user."""
    seen = list(pods(everything))
    assert len(seen) == 6
    for workload, container in seen:
        assert workload.pod["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert workload.pod["automountServiceAccountToken"] is False
        assert workload.pod["enableServiceLinks"] is False
        for shared in ("hostNetwork", "hostPID", "hostIPC", "volumes"):
            assert shared not in workload.pod


def test_resources_are_requested_without_a_cpu_limit(
    everything: list[Manifest],
) -> None:
    """A throttled prober would give wrong results; memory is limited."""
    for _, container in pods(everything):
        resources = container["resources"]
        assert set(resources["requests"]) == {"cpu", "memory"}
        assert set(resources["limits"]) == {"memory"}


def test_long_running_containers_have_probes(everything: list[Manifest]) -> None:
    """Servers have liveness and readiness on the admin port, clients only liveness."""
    for workload, container in pods(everything):
        probes = {name for name in container if name.endswith("Probe")}
        if workload.kind in ("Job", "CronJob"):
            assert probes == set()
            continue
        named = {port["name"]: port["containerPort"] for port in container["ports"]}
        half = container["name"]
        expected = {"startupProbe", "livenessProbe"}
        assert probes == expected | ({"readinessProbe"} if half == "server" else set())
        for name in probes:
            asked = container[name]["httpGet"]
            env = env_of(container)
            assert env[f"NETDUET_{half.upper()}_ADMIN_HOST"] == "*"
            port = env[f"NETDUET_{half.upper()}_ADMIN_PORT"]
            assert str(named[asked["port"]]) == port
            assert asked["path"] in ("/livez", "/readyz")
        assert container["livenessProbe"]["httpGet"]["path"] == "/livez"


def test_grace_period_covers_prestop_and_drain(everything: list[Manifest]) -> None:
    """Kubernetes includes preStop: a kill during the drain would lose connections."""
    seen = [
        (workload, container)
        for workload, container in pods(everything)
        if container["name"] == "server"
    ]
    assert len(seen) == len(SERVER)
    for owner, container in seen:
        env = env_of(container)
        own = [
            float(str(parse_duration(env[f"NETDUET_SERVER_{name}"])))
            for name in ("SHUTDOWN_DELAY", "DRAIN_TIMEOUT")
        ]
        sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        probe = container["readinessProbe"]
        unready = probe["periodSeconds"] * probe["failureThreshold"]
        assert own[0] >= unready, "the delay is for those who ask /readyz"
        assert owner.pod["terminationGracePeriodSeconds"] >= sleep + sum(own) + 3


def test_environment_is_valid(everything: list[Manifest]) -> None:
    """`netduet config check` accepts the environment of each container."""
    for _, container in pods(everything):
        done = subprocess.run(
            [Path(sys.executable).with_name("netduet"), "config", "check"],
            env=env_of(container),
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), container


def test_images_are_named_once(everything: list[Manifest]) -> None:
    """They are in one file, with this version; each container has its own command."""
    component = yaml.safe_load((KUBERNETES / "images/kustomization.yaml").read_text())
    known = {
        f"{replacement['newName']}:{replacement['newTag']}"
        for replacement in component["images"]
    }
    assert {replacement["newTag"] for replacement in component["images"]} == {
        __version__
    }
    assert {container["image"] for _, container in pods(everything)} == known
    for _, container in pods(everything):
        assert container["name"] in container["image"]


def test_names_and_labels_are_consistent(everything: list[Manifest]) -> None:
    """One namespace, unique names, and selectors that match their own pods."""
    named = [
        (manifest["kind"], manifest["metadata"]["name"]) for manifest in everything
    ]
    # The Job and the CronJob are one check: apart by their kind.
    assert len(named) == len(set(named))
    for entry in everything:
        home = entry["metadata"].get("namespace", entry["metadata"]["name"])
        assert home == "netduet"
        assert entry["metadata"]["labels"]["app.kubernetes.io/part-of"] == "netduet"
        if entry["kind"] in ("Deployment", "DaemonSet"):
            labels = entry["spec"]["template"]["metadata"]["labels"]
            assert selector_matches(entry["spec"]["selector"], labels)
            assert entry["metadata"]["labels"] == labels
    for workload in workloads(everything):
        assert set(LABELS) <= set(workload.labels)


def test_services_lead_to_existing_ports(everything: list[Manifest]) -> None:
    """Each selector matches one workload, each port is one of its ports."""
    services = {
        manifest["metadata"]["name"]: manifest["spec"]
        for manifest in everything
        if manifest["kind"] == "Service"
    }
    assert set(services) == {"netduet", "netduet-each", "netduet-mesh"}
    for spec in services.values():
        [workload] = [
            workload
            for workload in workloads(everything)
            if selector_matches({"matchLabels": spec["selector"]}, workload.labels)
        ]
        there = {
            (port["name"], port["protocol"]): port["containerPort"]
            for container in workload.pod["containers"]
            for port in container["ports"]
        }
        for port in spec["ports"]:
            assert there[port["targetPort"], port["protocol"]] == port["port"]
    assert "clusterIP" not in services["netduet"]
    for name in ("netduet-each", "netduet-mesh"):
        assert services[name]["clusterIP"] == "None"
        assert services[name]["publishNotReadyAddresses"] is False


def test_targets_are_existing_services(everything: list[Manifest]) -> None:
    """Each target of each command is the name of a Service."""
    services = {
        manifest["metadata"]["name"]
        for manifest in everything
        if manifest["kind"] == "Service"
    }
    asked = [
        container["args"]
        for _, container in pods(everything)
        if container["name"] == "client"
    ]
    assert sorted(asked) == [
        ["check", "--expect", "blocked", "netduet", "netduet-each"],
        ["check", "netduet", "netduet-each"],
        ["check", "netduet", "netduet-each"],
        ["watch", "netduet-mesh"],
    ]
    for args in asked:
        assert {
            argument for argument in args if argument.startswith("netduet")
        } <= services


def test_policies_allow_only_clients(everything: list[Manifest]) -> None:
    """Only clients reach the server; other pods are blocked there."""
    server = labels_of(everything, "netduet-server")
    client = labels_of(everything, "netduet-check")
    blocked = labels_of(everything, "netduet-blocked")
    mesh = labels_of(everything, "netduet-mesh")
    other: dict[str, str] = {}
    for port in PORTS:
        for sender, receiver, sent, received in (
            (client, server, True, True),
            (mesh, mesh, True, True),
            (blocked, server, True, False),
            (other, server, False, False),
            (mesh, server, False, False),
            (server, client, False, False),
            (client, mesh, False, False),
        ):
            here, there = dict(sender), dict(receiver)
            assert may_send(everything, here, port, there) is sent
            assert may_receive(everything, there, port, here) is received
    for pod in (client, blocked, mesh, other):
        assert may_send(everything, dict(pod), DNS, {})
        assert not may_send(everything, dict(pod), HTTPS, {})
        assert not may_receive(everything, dict(server), ADMIN, dict(pod))


def test_pods_know_their_node_and_zone(everything: list[Manifest]) -> None:
    """Both come from the cluster; the client's instance is the pod's host name."""
    zone = "metadata.labels['topology.kubernetes.io/zone']"
    expected = {
        "server": {
            "NETDUET_SERVER_INSTANCE": "metadata.name",
            "NETDUET_SERVER_NODE": "spec.nodeName",
            "NETDUET_SERVER_ZONE": zone,
        },
        "client": {
            "NETDUET_CLIENT_NODE": "spec.nodeName",
            "NETDUET_CLIENT_ZONE": zone,
        },
    }
    for _, container in pods(everything):
        sources: dict[str, Any] = {
            variable["name"]: variable["valueFrom"]["fieldRef"]["fieldPath"]
            for variable in container["env"]
            if "valueFrom" in variable
        }
        assert sources == expected[container["name"]]


def test_servers_stay_available_in_updates_and_drains(
    everything: list[Manifest],
) -> None:
    """An update starts a new pod first; a drain removes one at a time."""
    [server] = [manifest for manifest in everything if manifest["kind"] == "Deployment"]
    strategy = server["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxUnavailable": 0, "maxSurge": 1}
    [budget] = [
        manifest for manifest in everything if manifest["kind"] == "PodDisruptionBudget"
    ]
    assert budget["spec"]["maxUnavailable"] == 1
    labels = server["spec"]["template"]["metadata"]["labels"]
    assert selector_matches(budget["spec"]["selector"], labels)
    spread = server["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [constraint["topologyKey"] for constraint in spread] == [
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    ]
    assert all(
        selector_matches(constraint["labelSelector"], labels) for constraint in spread
    )


def test_jobs_end_with_one_verdict(everything: list[Manifest]) -> None:
    """No retry, no lingering pod, and the verdict is the pod's termination message."""
    for manifest in everything:
        if manifest["kind"] not in ("Job", "CronJob"):
            continue
        spec = manifest["spec"]
        spec = spec["jobTemplate"]["spec"] if manifest["kind"] == "CronJob" else spec
        assert spec["backoffLimit"] == 0
        assert spec["activeDeadlineSeconds"] <= 900
        pod = spec["template"]["spec"]
        assert pod["restartPolicy"] == "Never"
        for container in pod["containers"]:
            assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
