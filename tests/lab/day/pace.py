"""The times of the simulated cluster, as shipped or as kubeadm sets them, times a scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DNS_TTL_SECONDS: Final = 30.0
"""How long CoreDNS caches answers, negative ones as well: the Corefile of kubeadm."""
PRE_STOP_SECONDS: Final = 5.0
SHUTDOWN_DELAY_SECONDS: Final = 5.0
DRAIN_TIMEOUT_SECONDS: Final = 15.0
"""These three: deploy/kubernetes/server/server.yaml and mesh/mesh.yaml."""
PROBE_SECONDS: Final = 2.0
"""Seconds from a server that listens to a pod that is ready: startupProbe, kubelet and
endpoints, about."""
READINESS_SECONDS: Final = 4.0
"""Seconds after which a pod that answers /readyz with 503 is not ready: 2 × 2 s there."""
PROXY_SECONDS: Final = 1.0
"""How late kube-proxy changes its rules: its minSyncPeriod."""
NODE_GRACE_SECONDS: Final = 40.0
"""Seconds after which a silent node is NotReady: the node-monitor-grace-period."""
START_DELAY_SECONDS: Final = 10.0
"""What a client of the mesh waits before it looks up its name: mesh/mesh.yaml."""
RESOLVE_SECONDS: Final = 5.0
CHECKS_SECONDS: Final = 300.0
"""Defaults of the client's watch_resolve_interval and watch_checks_interval."""
_MIN_INTERVAL_SECONDS: Final = 1.0
"""The least that both settings accept."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast everything happens; 1.0 is the real speed.

    What the programs have built in is not scaled: datagrams every 50 ms, a new
    connection each second.
    """

    scale: float = 0.2

    def seconds(self, real: float) -> float:
        """Return how long here what takes so many seconds in a real cluster."""
        return real * self.scale

    def server_environment(self) -> dict[str, str]:
        """Return the server's settings that are times."""
        return {
            "NETDUET_SERVER_SHUTDOWN_DELAY": self._duration(SHUTDOWN_DELAY_SECONDS),
            "NETDUET_SERVER_DRAIN_TIMEOUT": self._duration(DRAIN_TIMEOUT_SECONDS),
        }

    def client_environment(self) -> dict[str, str]:
        """Return the client's settings that are times."""
        return {
            f"NETDUET_CLIENT_WATCH_{name}_INTERVAL": self._duration(
                real, _MIN_INTERVAL_SECONDS
            )
            for name, real in (("RESOLVE", RESOLVE_SECONDS), ("CHECKS", CHECKS_SECONDS))
        }

    def mesh_environment(self) -> dict[str, str]:
        """Return what a client of the mesh has in addition."""
        delay = self._duration(START_DELAY_SECONDS)
        return {"NETDUET_CLIENT_WATCH_START_DELAY": delay}

    def _duration(self, real: float, least: float = 0.0) -> str:
        return f"{max(least, self.seconds(real)):.3f}s"
