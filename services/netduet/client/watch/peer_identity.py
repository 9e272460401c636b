"""Who answers at an address: one instance, or several behind a balancer. Pure.

Behind a balancer each connection may reach another instance. That is said once, and
not at each change; that one took another's place is said each time.
"""

from __future__ import annotations

from typing import Final

from netduet.client.results.instance import Instance

SEVERAL: Final = 60.0
"""Seconds within which who answers changes twice, where several do: connections come
each second or so, and hardly anything is replaced twice a minute."""

CALM: Final = 3.0
"""Seconds for which a change must stand to be told: behind a balancer it hardly does."""

SETTLED: Final = 300.0
"""Seconds for which one alone must answer, where several did, to be the only one."""

SHOWN: Final = 4
"""Instances of a balancer that are remembered, and told."""


class PeerIdentity:
    """Follows who answers at one address."""

    def __init__(self) -> None:
        """Know nobody."""
        self.who: Instance | None = None
        """The one who answers, as it was told; None: not known, or several."""
        self._told: tuple[Instance, ...] = ()
        self._latest: Instance | None = None
        self._changed = float("-inf")
        self._several = False
        self._lately: dict[Instance, None] = {}

    @property
    def met(self) -> bool:
        """Somebody has answered there."""
        return self._latest is not None

    def take(self, who: Instance, now: float) -> None:
        """Take who welcomed a connection, at a monotonic second."""
        if self._several and now - self._changed >= SETTLED:
            self._several = False
            self._lately.clear()
        self._lately.pop(who, None)
        self._lately[who] = None
        if len(self._lately) > SHOWN:
            del self._lately[next(iter(self._lately))]
        if self._latest is not None and who != self._latest:
            self._several = self._several or now - self._changed < SEVERAL
            self._changed = now
        self._latest = who

    def news(self, now: float) -> tuple[Instance, ...]:
        """Return, once, who it is: one, or some of several; () when that is told."""
        if self._latest is None:
            return ()
        if self._several:
            if len(self._told) > 1:
                return ()
            self._told, self.who = tuple(self._lately), None
            return self._told
        calm = not self._told or now - self._changed >= CALM
        if self._told == (self._latest,) or not calm:
            return ()
        self._told, self.who = (self._latest,), self._latest
        return self._told
