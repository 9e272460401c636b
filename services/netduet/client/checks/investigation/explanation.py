"""What a clue adds to a finding. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from netduet.client.results.location import Location
from netduet.client.results.verdict import Evidence, Figures, Finding


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a clue adds; "", empty or None for what it leaves as it is.

    ``failure`` is a class that fits better than the finding's own; ``superseded`` are
    causes of the class that no longer apply beside ``cause``.
    """

    evidence: Evidence = ()
    cause: str = ""
    where: Location | None = None
    place: str = ""
    failure: str = ""
    figures: Figures = field(default_factory=dict)
    superseded: tuple[str, ...] = ()

    def added_to(self, finding: Finding) -> Finding:
        """Return the finding with this; of several causes and places the first wins."""
        return replace(
            finding,
            failure=self.failure or finding.failure,
            evidence=(*finding.evidence, *self.evidence),
            figures={**finding.figures, **self.figures},
            where=self.where or finding.where,
            causes=(*finding.causes, *((self.cause,) if self.cause else ())),
            place=finding.place or self.place,
            superseded=(*finding.superseded, *self.superseded),
        )
