"""Whether a silent host is alive: what the other transport says. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from netduet.client.checks.investigation.explanation import Explanation
from netduet.client.net.port_probe import Response
from netduet.client.results.location import Side

if TYPE_CHECKING:
    from netduet.client.checks.investigation.results import Clues
    from netduet.client.results.verdict import Finding

_ANSWERS: Final = frozenset({Response.OPEN, Response.RESET})
"""Answers that carry the target's address."""


def explain_by_other(finding: Finding, clues: Clues) -> Iterator[Explanation]:
    """Yield that the host answers the other transport, or is silent there too."""
    probe = clues.other
    if probe is None:
        return
    failing, tried = ("TCP", "datagrams")
    if finding.failure == "reach.no_response":
        failing, tried = ("UDP", "connection attempts")
    answered = probe.response in _ANSWERS or (
        probe.response is Response.PORT_UNREACHABLE and probe.offender == clues.target
    )
    if answered:
        text = f"the host is alive: {tried} to the same port get an answer"
        yield Explanation(
            ((Side.CLIENT, f"{text} ({probe.response.value})"),),
            f"a firewall, security group or network policy drops {failing} to this "
            f"port; the host itself is alive: it answers {tried}",
            figures={"alive": True},
        )
    elif probe.response is Response.DROPPED:
        text = f"{tried} to the same port get no answer either"
        yield Explanation(((Side.CLIENT, text),), figures={"alive": None})
