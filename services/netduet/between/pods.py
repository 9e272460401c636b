"""Pods as places of the pair, and the kubectl commands that put it there. Pure.

Pods: Kubernetes API v1, Pod; ephemeral containers: kubectl debug(1) and
https://kubernetes.io/docs/concepts/workloads/pods/ephemeral-containers/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from netduet.between.errors import BetweenError
from netduet.between.places import Attachment, Place

POD_PREFIX: Final = "pod/"
POD_NETWORK: Final = "the pod network"

_CLIENT_PREFIX: Final = "NETDUET_CLIENT_"
_STUCK: Final = frozenset(
    (
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
    )
)
"""Reasons of a container that waits for what does not happen by itself."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """The commands, for one namespace; "" is the one of the user's context."""

    namespace: str = ""
    program: str = "kubectl"

    def get(self, pod: str) -> list[str]:
        """Return the command that prints a pod."""
        return [self.program, "get", "pod", pod, *self._in_namespace(), "-o", "json"]

    def debug(
        self, pod: str, container: str, image: str, arguments: Sequence[str]
    ) -> list[str]:
        """Return the command that adds an ephemeral container, and does not attach."""
        return [
            self.program,
            "debug",
            pod,
            *self._in_namespace(),
            f"--container={container}",
            f"--image={image}",
            "--image-pull-policy=IfNotPresent",
            "--profile=restricted",
            "--attach=false",
            "--quiet",
            "--arguments-only",
            "--",
            *arguments,
        ]

    def logs(self, pod: str, container: str) -> list[str]:
        """Return the command that prints what a container has printed."""
        return [
            self.program,
            "logs",
            pod,
            *self._in_namespace(),
            f"--container={container}",
        ]

    def _in_namespace(self) -> list[str]:
        return [f"--namespace={self.namespace}"] if self.namespace else []


def pod_name(word: str) -> str:
    """Return the name in ``pod/NAME``.

    Raises:
        BetweenError: it names no pod.
    """
    name = word.removeprefix(POD_PREFIX)
    if not word.startswith(POD_PREFIX) or not name:
        raise BetweenError(
            f"{word!r} is no pod: both places must be pods, pod/NAME, or both containers"
        )
    return name


def pod_place(pod: Mapping[str, Any]) -> Place:
    """Return the place of a pod from ``kubectl get pod -o json``.

    Raises:
        BetweenError: the pair cannot stand in it.
    """
    name, spec, status = pod["metadata"]["name"], pod["spec"], pod.get("status", {})
    phase = status.get("phase", "Unknown")
    if phase != "Running":
        raise BetweenError(
            f"pod {name} is not running ({phase}): see kubectl describe pod {name}"
        )
    if spec.get("hostNetwork"):
        raise BetweenError(
            f"pod {name} uses the network of its node: run netduet on the node, or in a "
            "pod with hostNetwork: true"
        )
    addresses = tuple(each["ip"] for each in status.get("podIPs", ()) if each.get("ip"))
    if not addresses:
        raise BetweenError(f"pod {name} has no address yet: wait until it is ready")
    return Place(
        str(pod["metadata"].get("uid", name)),
        name,
        (Attachment(POD_NETWORK, addresses),),
        exposed=tuple(
            sorted(
                port["containerPort"]
                for container in spec.get("containers", ())
                for port in container.get("ports") or ()
                if port.get("protocol", "TCP") == "TCP"
            )
        ),
        started=_started(status),
    )


def _started(status: Mapping[str, Any]) -> str:
    """Return what changes when a container of a pod restarts."""
    return " ".join(
        f"{each.get('name')}:{each.get('restartCount', 0)}"
        for each in status.get("containerStatuses", ())
    )


@dataclass(frozen=True, slots=True)
class EphemeralState:
    """An ephemeral container: whether it runs, and how it ended."""

    running: bool = False
    exit_status: int | None = None


def ephemeral_state(pod: Mapping[str, Any], container: str) -> EphemeralState:
    """Return the state of an ephemeral container in ``kubectl get pod -o json``.

    Raises:
        BetweenError: it cannot start; the message has the reason.
    """
    statuses = pod.get("status", {}).get("ephemeralContainerStatuses", ())
    found = [each for each in statuses if each["name"] == container]
    state = found[0].get("state", {}) if found else {}
    waiting = state.get("waiting", {})
    if waiting.get("reason") in _STUCK:
        image = found[0].get("image", "")
        detail = " ".join(str(waiting.get("message", "")).split())
        raise BetweenError(
            f"image {image!r} cannot run in pod {pod['metadata']['name']}: "
            f"{waiting['reason']}: {detail}: push it where the nodes can pull it, and "
            "name it with --server-image and --client-image"
        )
    if "terminated" in state:
        return EphemeralState(exit_status=int(state["terminated"]["exitCode"]))
    return EphemeralState(running="running" in state)


def server_arguments(port: int, service: str, time_limit: float) -> list[str]:
    """Return the arguments of a server that ends by itself."""
    return [
        "serve",
        f"--port={port}",
        f"--service={service}",
        f"--time-limit={time_limit:.0f}s",
        "--log-format=json",
    ]


def client_arguments(
    variables: Mapping[str, str], expect_service: str, targets: Sequence[str]
) -> list[str]:
    """Return the arguments of a client: its variables as flags."""
    flags = [
        f"--{name.removeprefix(_CLIENT_PREFIX).lower().replace('_', '-')}={value}"
        for name, value in variables.items()
    ]
    expected = [f"--expect-service={expect_service}"] if expect_service else []
    return ["check", "--json", *expected, *flags, *targets]
