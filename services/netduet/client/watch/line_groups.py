"""Lines of one kind about several peers, close in time, as one line. Pure.

A rolling update changes many peers within seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

GROUP_SECONDS: Final = 2.0
"""Seconds for which a line waits for others of its kind."""

MAX_SUBJECTS: Final = 20
"""Peers that a line lists; the others are counted."""


@dataclass(frozen=True, slots=True)
class LineKind:
    """The word of a line, and its text about a peer or several.

    ``singular`` and ``plural`` have ``{names}``, ``plural`` also ``{count}``.
    """

    word: str
    singular: str
    plural: str


ADDED: Final = LineKind(
    "+", "now watching {names}", "now watching {count} addresses: {names}"
)
IDENTIFIED: Final = LineKind("IS", "{names}", "{names}")


def removed(reason: str) -> LineKind:
    """Return the kind of line that says why peers are no longer watched."""
    reason = reason.replace("{", "{{").replace("}", "}}")
    return LineKind(
        "-",
        f"{{names}} is no longer watched: {reason}",
        f"{{count}} peers are no longer watched: {{names}}: {reason}",
    )


class LineGroups:
    """Collects lines until they are due."""

    def __init__(self) -> None:
        self._groups: dict[LineKind, list[str]] = {}
        self._since: float | None = None

    def add(self, kind: LineKind, name: str, now: float) -> None:
        """Add a line about a peer."""
        self._groups.setdefault(kind, []).append(name)
        if self._since is None:
            self._since = now

    def take(self, now: float, *, all_of_them: bool) -> list[tuple[str, str]]:
        """Return word and text of the lines that are due, in the order of their first.

        All are due together, when the oldest is or at once.
        """
        since = self._since
        if since is None or not (all_of_them or now - since >= GROUP_SECONDS):
            return []
        groups, self._groups, self._since = self._groups, {}, None
        return [(kind.word, _text(kind, names)) for kind, names in groups.items()]


def _text(kind: LineKind, names: list[str]) -> str:
    if len(names) == 1:
        return kind.singular.format(names=names[0])
    separator = "; " if kind is IDENTIFIED else ", "
    shown = separator.join(names[:MAX_SUBJECTS])
    if len(names) > MAX_SUBJECTS:
        shown += f" and {len(names) - MAX_SUBJECTS} more"
    return kind.plural.format(count=len(names), names=shown)
