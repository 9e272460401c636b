"""The pods of deploy/kubernetes, run on the engine as a cluster would.

There is no cluster in a test: a pod here is a container with the user, the limits, the
environment and the arguments of its manifest, and an alias for each Service.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from tests.containers.sandbox import (
    ContainerResult,
    Sandbox,
    wait_for_end,
    wait_for_output,
)

KUBERNETES = Path(__file__).parents[2] / "deploy/kubernetes"
FILLED_IN = {
    "metadata.name": "netduet-server-0",
    "spec.nodeName": "node-1",
    "metadata.labels['topology.kubernetes.io/zone']": "",
}
PROBE = """
import sys, urllib.request
for url in sys.argv[1:]:
    print(urllib.request.urlopen(url, timeout=5).status)
"""

Container = dict[str, Any]


def containers(path: str) -> dict[str, Container]:
    """Return the containers of the first workload of a file, by name."""
    manifest = next(iter(yaml.safe_load_all((KUBERNETES / path).read_text())))
    found = manifest["spec"]["template"]["spec"]["containers"]
    return {container["name"]: container for container in found}


def play(
    sandbox: Sandbox, container: Container, network: Network | None, **options: Any
) -> DockerContainer:
    """Start a container as its manifest says."""
    env = {
        entry["name"]: entry["value"]
        if "value" in entry
        else FILLED_IN[entry["valueFrom"]["fieldRef"]["fieldPath"]]
        for entry in container.get("env", ())
    }
    return sandbox.start(
        container["image"],
        network,
        command=container.get("args"),
        env=env,
        user="65532:65532",
        read_only=container["securityContext"]["readOnlyRootFilesystem"],
        cap_drop=container["securityContext"]["capabilities"]["drop"],
        security_opt=["no-new-privileges:true"],
        mem_limit=container["resources"]["limits"]["memory"].replace("Mi", "m"),
        **options,
    )


def probes(container: Container, host: str) -> list[str]:
    """Return the addresses that the kubelet would ask."""
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    asked = [container[name]["httpGet"] for name in container if name.endswith("Probe")]
    return [f"http://{host}:{ports[get['port']]}{get['path']}" for get in asked]


def served(sandbox: Sandbox, network: Network, alias: str) -> DockerContainer:
    """Start the Deployment's pod, and wait until it answers."""
    container = containers("server/server.yaml")["server"]
    wait = ["netduet-healthcheck"]
    return play(sandbox, container, network, alias=alias, wait=wait)


def ask(sandbox: Sandbox, network: Network, *urls: str) -> ContainerResult:
    """Ask as the kubelet does: from outside the pod, over HTTP."""
    command = ["python3", "-c", PROBE, *urls]
    return wait_for_end(sandbox.start(sandbox.images.python, network, command=command))


def test_server_pod_answers_probes_and_passes_checks(sandbox: Sandbox) -> None:
    """The Job's pod passes, and names the node of the server."""
    network = sandbox.network()
    served(sandbox, network, "netduet")
    container = containers("server/server.yaml")["server"]
    asked = ask(sandbox, network, *probes(container, "netduet"))
    assert asked.out.split() == ["200"] * 3, asked.err
    served(sandbox, network, "netduet-each")
    job = containers("check/check.yaml")["client"]
    [profile] = [
        variable for variable in job["env"] if variable["name"].endswith("_PROFILE")
    ]
    profile["value"] = "quick"
    done = wait_for_end(play(sandbox, job, network))
    assert done.status == 0, done.out
    output = " ".join(done.out.split())
    assert "instance netduet-server-0 on node-1" in output
    assert re.search(r"run from \S+ on node-1", output)


def test_isolation_job_fails_without_network_policies(sandbox: Sandbox) -> None:
    """The engine enforces no policies: the Job that proves them says so."""
    network = sandbox.network()
    served(sandbox, network, "netduet")
    served(sandbox, network, "netduet-each")
    done = wait_for_end(
        play(sandbox, containers("blocked/blocked.yaml")["client"], network)
    )
    assert done.status == 1, done.out
    assert "isolation.open" in done.out


def test_mesh_pod_runs_server_and_client(sandbox: Sandbox) -> None:
    """They share one network: their ports do not collide, and both are probed."""
    network = sandbox.network()
    pod = containers("mesh/mesh.yaml")
    wait = ["netduet-healthcheck"]
    server = play(sandbox, pod["server"], network, alias="netduet-mesh", wait=wait)
    shared = f"container:{server.get_container_id()}"
    client = play(sandbox, pod["client"], None, network_mode=shared)
    wait_for_output(client, "(up to 8 addresses per name), from node-1")
    wait_for_output(client, "is instance netduet-server-0 on node-1")
    urls = [
        url for container in pod.values() for url in probes(container, "netduet-mesh")
    ]
    asked = ask(sandbox, network, *urls)
    assert asked.out.split() == ["200"] * 5, asked.err
