"""What is known about a failure class."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from netduet.client.results.location import Location


class Severity(IntEnum):
    """How much a failure class hurts applications; the lowest number is the worst."""

    UNREACHABLE = 1
    """Nothing works: no name, no connection, not the right server."""
    DATA = 2
    """Data is changed, or lost with the connection that carried it."""
    STALL = 3
    """Data stops: an outage, a black hole, a connection that dies unnoticed."""
    CONNECTIONS = 4
    """Connections are not made, kept or ended as they should be."""
    DATAGRAMS = 5
    """Datagrams are lost, refused, changed in order or in number."""
    PERFORMANCE = 6
    """Everything works, and is slow or uneven."""
    PROBE = 7
    """This client itself is what failed: little is known of the network."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure class: meaning, usual location, causes, and next steps.

    ``causes`` are ordered, the likeliest first. ``severity`` decides which of several
    findings is the root. ``aliases`` are older names, still accepted. ``need`` is the
    requirement that it violates (a ``needs.Need``), "" for what every application
    needs; ``also_need`` is another one, without which it matters to none. ``consequence`` is what an application notices, and which known middlebox
    does that. ``by_proxy``: a TCP proxy in its default state causes it.
    """

    name: str
    title: str
    meaning: str
    where: Location
    causes: tuple[str, ...]
    next: tuple[str, ...]
    severity: Severity = Severity.CONNECTIONS
    aliases: tuple[str, ...] = ()
    need: str = ""
    also_need: str = ""
    consequence: str = ""
    by_proxy: bool = False
