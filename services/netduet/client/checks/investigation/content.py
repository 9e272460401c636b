"""Whether packets are dropped for what they contain. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from netduet.client.checks.investigation.explanation import Explanation
from netduet.client.results.location import Location, Side

if TYPE_CHECKING:
    from netduet.client.checks.investigation.results import Clues
    from netduet.client.results.verdict import Finding


def explain_by_content(_: Finding, clues: Clues) -> Iterator[Explanation]:
    """Yield that the same data passes when it is changed."""
    trial = clues.content
    if trial is None or not trial.depends_on_content:
        return
    text = (
        f"the same {trial.size} bytes pass when changed: acknowledged on "
        f"{trial.changed_passed} of {trial.count} connections, unchanged on none of "
        f"{trial.count}"
    )
    yield Explanation(
        ((Side.CLIENT, text),),
        "a device in between drops or resets what it recognises in the data (an "
        "inspecting firewall, an application gateway, a virus scanner)",
        Location.INTERMEDIARY,
        failure="identity.content_dropped",
    )
