"""Which instance answers at an address, or that several do behind a load balancer. Pure.

Behind a load balancer each connection may reach another instance. That is reported once, and
not on each change; the replacement of an instance by another is reported each time.
"""

from __future__ import annotations

from typing import Final

from netduet.client.results.instance import Instance

BALANCER_SECONDS: Final = 60.0
"""Two changes within these seconds mean that several instances answer: connections come
each second or so, and an instance is hardly replaced twice a minute."""

CONFIRM_SECONDS: Final = 3.0
"""Seconds for which a change must last to be reported; behind a load balancer it hardly
does."""

SINGLE_SECONDS: Final = 300.0
"""Seconds for which only one of several instances must answer to be the only one."""

MAX_INSTANCES: Final = 4
"""Instances behind a load balancer that are remembered and reported."""


class PeerIdentity:
    """Tracks which instance answers at one address."""

    def __init__(self) -> None:
        self.instance: Instance | None = None
        """The instance, as reported; None if unknown or if there are several."""
        self._reported: tuple[Instance, ...] = ()
        self._latest: Instance | None = None
        self._changed = float("-inf")
        self._several = False
        self._recent: dict[Instance, None] = {}

    @property
    def answered(self) -> bool:
        """Whether an instance has answered there."""
        return self._latest is not None

    def record(self, instance: Instance, now: float) -> None:
        """Record the instance of a welcome, at a monotonic second."""
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

    def report_again(self) -> None:
        """Report the instance again, if there is one: another process answers."""
        if not self._several:
            self._reported = ()

    def take_change(self, now: float) -> tuple[Instance, ...]:
        """Return a change once: the instance, or some of several; () without a change."""
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
