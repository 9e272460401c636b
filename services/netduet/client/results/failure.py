"""What is told about a class of failure, and the sides it can be at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CLIENT: Final = "client"
SERVER: Final = "server"
INTERMEDIARY: Final = "intermediary"
FORTH: Final = "path →"
BACK: Final = "path ←"
UNKNOWN: Final = "unknown"

SIDES: Final = {
    CLIENT: "this end",
    SERVER: "the server's end",
    INTERMEDIARY: "something in between",
    FORTH: "the path to the server",
    BACK: "the path back from the server",
    UNKNOWN: "cannot be told from here",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """A class of failure: what it is, where it sits, its causes, the next thing to try.

    ``causes`` are ordered, the likeliest first.
    """

    name: str
    title: str
    meaning: str
    where: str
    causes: tuple[str, ...]
    next: tuple[str, ...]
