"""The words that name a protocol in a target: ``db:5432/postgres``, ``redis://cache``."""

from __future__ import annotations

from typing import Final

from netduet.client.protocols import PROTOCOLS
from netduet.client.results.target import ANY_PROTOCOL, TCP_ALONE, Scheme

SCHEMES: Final[dict[str, Scheme]] = {
    word: Scheme(protocol.name, protocol.alias_ports.get(word, protocol.ports[0]))
    for protocol in PROTOCOLS
    for word in (protocol.name, *protocol.aliases)
} | {word: Scheme(word, 12_345) for word in (ANY_PROTOCOL, TCP_ALONE)}
"""Each name and alias, in lower case, with its protocol and the default port."""
