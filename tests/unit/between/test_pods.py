"""Pods as places, and the commands of kubectl, against recorded answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from netduet.between.engine import Image
from netduet.between.errors import BetweenError
from netduet.between.options import Options
from netduet.between.pairs import PortRequest
from netduet.between.pod_session import PodSession, dry_run, printed_document
from netduet.between.pods import (
    EphemeralState,
    Kubectl,
    client_arguments,
    ephemeral_state,
    pod_name,
    pod_place,
)
from tests.unit.between.samples import listener, report, snapshot, verdict

SERVER = Image("registry/netduet-server", is_default=False, variable="X")
CLIENT = Image("registry/netduet-client", is_default=False, variable="X")
OPTIONS = Options(SERVER, CLIENT)


def pod(name: str, address: str = "10.1.0.3", **changes: Any) -> dict[str, Any]:
    """Return what ``kubectl get pod -o json`` prints, shortened."""
    status: dict[str, Any] = {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "containerStatuses": [{"name": "main", "restartCount": 0}],
        **changes.pop("status", {}),
    }
    ports = [
        {"containerPort": 5432, "protocol": "TCP"},
        {"containerPort": 53, "protocol": "UDP"},
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}"},
        "spec": {"containers": [{"name": "main", "ports": ports}], **changes},
        "status": status,
    }


def ephemeral(container: str, state: dict[str, Any]) -> dict[str, Any]:
    """Return a pod with an ephemeral container in a state."""
    found = {"name": container, "image": "netduet-server", "state": state}
    return pod("db", status={"ephemeralContainerStatuses": [found]})


class Cluster:
    """Answers as kubectl did; every container that is added ends at once."""

    def __init__(self) -> None:
        """Have two pods and no ephemeral containers."""
        self.commands: list[list[str]] = []
        self.logs: dict[str, str] = {}
        self.containers: dict[str, list[str]] = {"web": [], "db": []}

    def run(self, command: Sequence[str]) -> str:
        """Answer a command."""
        self.commands.append(list(command))
        match command[1]:
            case "get":
                return json.dumps(self._pod(command[3]))
            case "debug":
                added = next(word for word in command if word.startswith("--container"))
                self.containers[command[2]].append(added.partition("=")[2])
                return ""
            case _:
                step = command[-1].partition("=")[2].split("-")[1]
                return self.logs[step]

    def _pod(self, name: str) -> dict[str, Any]:
        states = [
            {
                "name": each,
                "state": {"running": {}}
                if each.startswith("netduet-server")
                else {"terminated": {"exitCode": 0}},
            }
            for each in self.containers[name]
        ]
        address = {"web": "10.1.0.2", "db": "10.1.0.3"}[name]
        return pod(name, address, status={"ephemeralContainerStatuses": states})


@pytest.fixture
def cluster() -> Cluster:
    """Return a cluster with the logs of a run in which all is well."""
    found = Cluster()
    shown = snapshot(listener("0.0.0.0", 5432)).model_dump_json()
    warning = '{"event": "settings.ignored", "level": "warning"}\n'
    path = report(verdict("10.1.0.3:12345")).model_dump_json(by_alias=True, indent=2)
    ports = report(verdict("10.1.0.3:5432")).model_dump_json(by_alias=True, indent=2)
    found.logs = {
        "before": shown,
        "after": shown,
        "server": '{"event": "server.ready"}\n',
        "path": f"{warning}{path}\n",
        "ports": f"{ports}\n{warning}",
    }
    return found


def test_pair_of_pods_is_run_by_kubectl_alone(cluster: Cluster) -> None:
    """Three containers in the pod of the service, two in that of the client."""
    session = PodSession(OPTIONS, Kubectl("shop"), cluster.run)
    result = session.measure("web", "db", ())
    assert result.path.targets[0].target == "10.1.0.3:12345"
    assert result.services is not None
    assert {name: len(found) for name, found in cluster.containers.items()} == {
        "web": 2,
        "db": 3,
    }
    assert all("--namespace=shop" in command for command in cluster.commands)
    debugs = [command for command in cluster.commands if command[1] == "debug"]
    [served] = [command for command in debugs if "serve" in command]
    assert "--image=registry/netduet-server" in served
    assert served[served.index("--") - 1] == "--arguments-only"
    assert served[served.index("--") + 1 :] == [
        "serve",
        "--port=12345",
        f"--service={session.service}",
        "--time-limit=540s",
        "--log-format=json",
    ]
    path, ports = (command for command in debugs if "check" in command)
    assert "--image=registry/netduet-client" in path
    assert path[-2:] == [f"--expect-service={session.service}", "10.1.0.3:12345"]
    assert ports[-2:] == ["--checks=identity,name,path,reach", "10.1.0.3:5432"]


def test_server_that_ends_is_an_error(cluster: Cluster) -> None:
    """With the last line that it printed."""
    cluster.logs["server"] = "netduet: cannot listen on every address, port 12345\n"
    ended = {"terminated": {"exitCode": 2}}

    def run(command: Sequence[str]) -> str:
        answer = cluster.run(command)
        return answer.replace('{"running": {}}', json.dumps(ended))

    with pytest.raises(
        BetweenError, match="server in pod db ended: netduet: cannot li"
    ):
        PodSession(OPTIONS, Kubectl(), run).measure("web", "db", ())


def test_one_pod_is_no_pair(cluster: Cluster) -> None:
    """It is recognised by its uid."""
    with pytest.raises(BetweenError, match="both places are pod db: name two"):
        PodSession(OPTIONS, Kubectl(), cluster.run).measure("db", "db", ())


def test_dry_run_prints_every_command() -> None:
    """In order, quoted for a shell; nothing is run."""
    kubectl = Kubectl("shop")
    shown = dry_run(OPTIONS, kubectl, "web", "db", (PortRequest(5432, "postgres"),))
    assert shown[0] == "kubectl get pod web --namespace=shop -o json"
    assert [line.split()[1] for line in shown].count("debug") == 5
    assert any(line.endswith(" ADDRESS:5432/postgres") for line in shown)


def test_place_of_a_pod_has_addresses_and_tcp_ports() -> None:
    """A restart of one of its containers changes when it was started."""
    place = pod_place(pod("db"))
    [attachment] = place.attachments
    assert (place.name, place.exposed) == ("db", (5432,))
    assert attachment.addresses == ("10.1.0.3",)
    restarted = pod(
        "db", status={"containerStatuses": [{"name": "m", "restartCount": 1}]}
    )
    assert pod_place(restarted).started != place.started


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"status": {"phase": "Pending"}},
            "pod db is not running (Pending): see kubectl",
        ),
        (
            {"hostNetwork": True},
            "pod db uses the network of its node: run netduet on the",
        ),
        (
            {"status": {"podIPs": []}},
            "pod db has no address yet: wait until it is ready",
        ),
    ],
)
def test_pod_that_cannot_be_used_has_a_remedy(
    changes: dict[str, Any], expected: str
) -> None:
    """In one line."""
    with pytest.raises(BetweenError) as caught:
        pod_place(pod("db", **changes))
    assert str(caught.value).startswith(expected)


def test_state_of_an_ephemeral_container_is_read() -> None:
    """Not yet there, waiting, running, ended."""
    for state, expected in (
        ({"waiting": {"reason": "ContainerCreating"}}, EphemeralState()),
        ({"running": {"startedAt": "x"}}, EphemeralState(running=True)),
        ({"terminated": {"exitCode": 1}}, EphemeralState(exit_status=1)),
    ):
        assert ephemeral_state(ephemeral("c", state), "c") == expected
    assert ephemeral_state(pod("db"), "c") == EphemeralState()
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no\nsuch image"}}
    with pytest.raises(
        BetweenError, match="'netduet-server' cannot run in pod db: Image"
    ):
        ephemeral_state(ephemeral("c", waiting), "c")


def test_settings_become_flags() -> None:
    """An image has no other way to get them: kubectl's --env splits at commas."""
    variables = {"NETDUET_CLIENT_MAX_LOSS": "5%", "NETDUET_CLIENT_CHECKS": "udp,size"}
    assert client_arguments(variables, "", ["a:1"]) == [
        "check",
        "--json",
        "--max-loss=5%",
        "--checks=udp,size",
        "a:1",
    ]


def test_word_that_is_no_pod_is_named() -> None:
    """A pod and a container are no pair."""
    assert pod_name("pod/db") == "db"
    for word in ("db", "pod/"):
        with pytest.raises(BetweenError, match="both places must be pods, pod/NAME"):
            pod_name(word)


def test_report_is_found_among_log_lines() -> None:
    """A log line is one line; the document has several."""
    assert printed_document('{"a": 1}\n{\n  "b": 2\n}\n{"c": 3}\n') == b'{\n  "b": 2\n}'
    assert printed_document('{"a": 1}\n') == b""
