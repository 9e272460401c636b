"""Who answers at an address: one instance, or several behind a balancer. Pure.

Behind a balancer each connection may reach another instance. That is said once, and
not at each change; that one took another's place is said each time.
"""

from __future__ import annotations

from typing import Final

from netduet.client.results.instance import Instance

BALANCER_SECONDS: Final = 60.0
"""Seconds within which who answers changes twice, where several do: connections come
each second or so, and hardly anything is replaced twice a minute."""

CONFIRM_SECONDS: Final = 3.0
"""Seconds for which a change must stand to be told: behind a balancer it hardly does."""

SINGLE_SECONDS: Final = 300.0
"""Seconds for which one alone must answer, where several did, to be the only one."""

MAX_INSTANCES: Final = 4
"""Instances of a balancer that are remembered, and told."""


class PeerIdentity:
    """Follows who answers at one address."""

    def __init__(self) -> None:
        """Know nobody."""
        self.instance: Instance | None = None
        """The one who answers, as it was told; None: not known, or several."""
        self._reported: tuple[Instance, ...] = ()
        self._latest: Instance | None = None
        self._changed = float("-inf")
        self._several = False
        self._recent: dict[Instance, None] = {}

    @property
    def answered(self) -> bool:
        """Somebody has answered there."""
        return self._latest is not None

    def record(self, instance: Instance, now: float) -> None:
        """Take who welcomed a connection, at a monotonic second."""
        if self._several and now - self._changed >= SINGLE_SECONDS:
            self._several = False
            self._recent.clear()
        self._recent.pop(instance, None)
        self._recent[instance] = None
        if len(self._recent) > MAX_INSTANCES:
            del self._recent[next(iter(self._recent))]
        if self._latest is not None and instance != self._latest:
            self._several = self._several or now - self._changed < BALANCER_SECONDS
            self._changed = now
        self._latest = instance

    def take_change(self, now: float) -> tuple[Instance, ...]:
        """Return, once, who it is: one, or some of several; () when that is told."""
        if self._latest is None:
            return ()
        if self._several:
            if len(self._reported) > 1:
                return ()
            self._reported, self.instance = tuple(self._recent), None
            return self._reported
        stable = not self._reported or now - self._changed >= CONFIRM_SECONDS
        if self._reported == (self._latest,) or not stable:
            return ()
        self._reported, self.instance = (self._latest,), self._latest
        return self._reported
