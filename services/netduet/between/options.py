"""What a run of ``netduet between`` is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from netduet.between.engine import Image

DEFAULT_PORT: Final = 12_345

MAX_SECONDS: Final[Mapping[str, float]] = {
    "quick": 120.0,
    "full": 900.0,
    "soak": 24 * 3600.0,
}
"""Timeout of a client by profile: several times its usual duration."""

SERVICE_CHECKS: Final = frozenset(
    ("name", "reach", "identity", "path", "size", "idle", "churn", "stream")
)
"""Checks that judge a service other than netduet-server, too."""

_LIGHT_CHECKS: Final = frozenset(("name", "reach", "identity", "path"))
"""Checks that need a few connections alone: they run while the path is checked.

No other of a live service in a quick run: the pair's own server answers the rest."""

_CHECKS: Final = "NETDUET_CLIENT_CHECKS"
_NEED: Final = "NETDUET_CLIENT_NEED"
_EXPECT_PROTOCOL: Final = "NETDUET_CLIENT_EXPECT_PROTOCOL"


@dataclass(frozen=True, slots=True)
class Options:
    """Images, the pair's port, and the client's settings."""

    server_image: Image
    client_image: Image
    port: int | None = None
    """None: 12345, or another one if it is taken; 0: any free one."""
    profile: str = "quick"
    timeout: float | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of the client, without target and expected service."""

    @property
    def path_environment(self) -> dict[str, str]:
        """The client's variables for netduet-server."""
        return {
            name: value
            for name, value in self.environment.items()
            if name != _EXPECT_PROTOCOL
        }

    @property
    def service_environment(self) -> dict[str, str]:
        """The client's variables for the service."""
        checks = self._service_checks
        kept = {name: text for name, text in self.environment.items() if name != _NEED}
        return kept | ({_CHECKS: ",".join(sorted(checks))} if checks else {})

    @property
    def services_are_checked_at_once(self) -> bool:
        """Whether the service's ports are checked while the path is."""
        checks = self._service_checks
        return bool(checks) and checks <= _LIGHT_CHECKS

    @property
    def _service_checks(self) -> frozenset[str]:
        """Checks of the service by name: none if the profile decides."""
        named = self.environment.get(_CHECKS, "")
        if named:
            return SERVICE_CHECKS & set(named.split(",")) | {"identity"}
        return _LIGHT_CHECKS if self.profile == "quick" else frozenset()

    @property
    def max_seconds(self) -> float:
        """Seconds that a client has."""
        return MAX_SECONDS[self.profile] if self.timeout is None else self.timeout
