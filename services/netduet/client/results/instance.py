"""The identity of a server or client: instance, node and zone. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from netduet.client.results.target import join
from netduet.wire.untrusted import escape

if TYPE_CHECKING:
    from netduet.wire.messages import Welcome

MAX_NAME_LENGTH: Final = 256
"""Characters of each name that are shown; the settings accept as many."""


@dataclass(frozen=True, slots=True)
class Instance:
    """Names that are safe to show; "" if unknown.

    ``address`` is the address and port at which it says it answers.
    """

    instance: str
    node: str = ""
    zone: str = ""
    address: str = field(default="", compare=False)

    def __str__(self) -> str:
        """Return all known names: ``web-2 on node-1 in eu-1b``."""
        text = self.instance
        if self.node:
            text += f" on {self.node}"
        if self.zone:
            text += f" in {self.zone}"
        return text

    @property
    def node_and_zone(self) -> str:
        """Node and zone, as far as known: ``node-1 in eu-1b``."""
        return " in ".join(filter(None, (self.node, self.zone)))

    @property
    def brief(self) -> str:
        """The short form for lists: ``web-2 (node-1, eu-1b)``."""
        where = ", ".join(filter(None, (self.node, self.zone)))
        return f"{self.instance} ({where})" if where else self.instance


UNKNOWN_INSTANCE: Final = Instance("")
"""Nothing is known."""


def instance_of(welcome: Welcome) -> Instance:
    """Return the names from a welcome, made safe to show."""
    own = welcome.local
    return replace(
        instance_named(welcome.instance, welcome.node, welcome.zone),
        address=escape(join(own.address[:MAX_NAME_LENGTH], own.port)),
    )


def instance_named(instance: str, node: str, zone: str) -> Instance:
    """Return these names, made safe to show."""
    return Instance(
        *(escape(text[:MAX_NAME_LENGTH]) for text in (instance, node, zone))
    )
