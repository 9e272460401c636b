"""The component `endpointslices`: access to the API for the clients of the mesh alone."""

from __future__ import annotations

import json
import os

import kubernetes_validate
import pytest

from tests.manifests.conftest import KUBERNETES, Manifest, Render
from tests.manifests.model import may_send, pods, workloads


@pytest.fixture(scope="module")
def mesh(
    render: Render, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Manifest]:
    """Render the mesh with the component; return its objects by their kinds."""
    overlay = tmp_path_factory.mktemp("overlay")
    beside = os.path.relpath(KUBERNETES, overlay)
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [f"{beside}/mesh"],
        "components": [f"{beside}/endpointslices"],
    }
    (overlay / "kustomization.yaml").write_text(json.dumps(kustomization))
    rendered = render(overlay)
    for manifest in rendered:
        kubernetes_validate.validate(manifest, "1.30", strict=True)
    return {f"{item['kind']}/{item['metadata']['name']}": item for item in rendered}


def test_account_may_list_endpoint_slices_and_nothing_else(
    mesh: dict[str, Manifest],
) -> None:
    """One verb, one resource, one namespace."""
    assert mesh["Role/netduet-mesh"]["rules"] == [
        {
            "apiGroups": ["discovery.k8s.io"],
            "resources": ["endpointslices"],
            "verbs": ["list"],
        }
    ]
    binding = mesh["RoleBinding/netduet-mesh"]
    assert binding["roleRef"]["kind"] == "Role"
    [subject] = binding["subjects"]
    account = mesh["ServiceAccount/netduet-mesh"]
    assert (subject["kind"], subject["name"]) == ("ServiceAccount", "netduet-mesh")
    assert subject["namespace"] == account["metadata"]["namespace"]
    assert {item["metadata"]["namespace"] for item in mesh.values()} == {"netduet"}


def test_only_the_client_has_the_token(mesh: dict[str, Manifest]) -> None:
    """The server's container has neither the volume nor the setting."""
    [workload] = workloads(mesh.values())
    assert workload.pod["serviceAccountName"] == "netduet-mesh"
    assert workload.pod["automountServiceAccountToken"] is False
    [volume] = workload.pod["volumes"]
    projected = {
        path
        for source in volume["projected"]["sources"]
        for path in (
            source["serviceAccountToken"]["path"]
            if "serviceAccountToken" in source
            else next(iter(source.values()))["items"][0]["path"],
        )
    }
    assert projected == {"token", "ca.crt", "namespace"}
    for _, container in pods(mesh.values()):
        env = {item["name"]: item.get("value") for item in container["env"]}
        folder = env.get("NETDUET_CLIENT_WATCH_SERVICE_ACCOUNT")
        mounts = [mount["mountPath"] for mount in container.get("volumeMounts", ())]
        assert mounts == ([folder] if container["name"] == "client" else [])
        if folder:
            assert env["NETDUET_CLIENT_WATCH_START_DELAY"] == "0"
            assert env["NETDUET_CLIENT_ADMIN_PORT"] == "12347"


def test_policies_let_the_mesh_reach_the_api(mesh: dict[str, Manifest]) -> None:
    """The ports of the API server, before and behind its Service."""
    [workload] = workloads(mesh.values())
    for port in (443, 6443):
        asked = {"port": port, "protocol": "TCP"}
        assert may_send(mesh.values(), workload.labels, asked, {})
    closed = {"port": 80, "protocol": "TCP"}
    assert not may_send(mesh.values(), workload.labels, closed, {})
