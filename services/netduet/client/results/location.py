"""Where a failure is, and the two directions between client and server. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Side(StrEnum):
    """The end that observed a piece of evidence."""

    CLIENT = "client"
    SERVER = "server"

    @property
    def phrase(self) -> str:
        """The end in a sentence: "this client" waits."""
        return "this client" if self is Side.CLIENT else "the server"


class Location(StrEnum):
    """Where a failure is, as reports name it."""

    CLIENT = "client"
    SERVER = "server"
    INTERMEDIARY = "intermediary"
    TO_SERVER = "path →"
    FROM_SERVER = "path ←"
    UNKNOWN = "unknown"

    @property
    def label(self) -> str:
        """The location as verdicts and watch lines explain it."""
        return _LABELS[self]

    @property
    def phrase(self) -> str:
        """The location in a sentence: data is lost "on the way back"."""
        return _PHRASES[self]

    @property
    def direction(self) -> str:
        """The location as metrics and log fields name it."""
        return _DIRECTIONS[self]


class Direction(StrEnum):
    """The direction of data: up to the server, or down from it."""

    UP = "up"
    DOWN = "down"

    @property
    def path(self) -> Location:
        """The path of this direction."""
        return Location.TO_SERVER if self is Direction.UP else Location.FROM_SERVER

    @property
    def phrase(self) -> str:
        """The direction in a sentence: bytes "to the server" are lost."""
        return "to the server" if self is Direction.UP else "from the server"

    @property
    def transfer(self) -> str:
        """The usual name of a transfer in this direction."""
        return "upload" if self is Direction.UP else "download"

    @property
    def opposite(self) -> Direction:
        """The direction of the acknowledgements."""
        return Direction.DOWN if self is Direction.UP else Direction.UP

    @property
    def sender(self) -> Side:
        """The end that sends."""
        return Side.CLIENT if self is Direction.UP else Side.SERVER

    @property
    def receiver(self) -> Side:
        """The end that receives."""
        return self.opposite.sender


_LABELS: Final = {
    Location.CLIENT: "this end",
    Location.SERVER: "the server's end",
    Location.INTERMEDIARY: "something in between",
    Location.TO_SERVER: "the path to the server",
    Location.FROM_SERVER: "the path back from the server",
    Location.UNKNOWN: "cannot be determined from this end",
}

_DIRECTIONS: Final = {
    Location.CLIENT: "client",
    Location.SERVER: "server",
    Location.INTERMEDIARY: "both",
    Location.TO_SERVER: "to_server",
    Location.FROM_SERVER: "from_server",
    Location.UNKNOWN: "unknown",
}

_PHRASES: Final = {
    Location.CLIENT: "at this end",
    Location.SERVER: "at the server's end",
    Location.INTERMEDIARY: "in between",
    Location.TO_SERVER: "on the way to the server",
    Location.FROM_SERVER: "on the way back",
    Location.UNKNOWN: "location unknown",
}
