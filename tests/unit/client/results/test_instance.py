"""Who somebody is, and where, in words that are safe to show."""

from __future__ import annotations

import pytest

from netduet.client.results.instance import LONGEST, UNSAID, instance_named, instance_of
from tests.unit.client.far_end import NASTY, welcome


@pytest.mark.parametrize(
    ("node", "zone", "said", "brief", "place"),
    [
        ("", "", "web-2", "web-2", ""),
        ("node-1", "", "web-2 on node-1", "web-2 (node-1)", "node-1"),
        ("", "eu-1b", "web-2 in eu-1b", "web-2 (eu-1b)", "eu-1b"),
        (
            *("node-1", "eu-1b"),
            "web-2 on node-1 in eu-1b",
            "web-2 (node-1, eu-1b)",
            "node-1 in eu-1b",
        ),
    ],
)
def test_only_what_was_said_is_told(
    node: str, zone: str, said: str, brief: str, place: str
) -> None:
    """No word stands for a node or a zone that nobody named."""
    who = instance_of(welcome(instance="web-2", node=node, zone=zone))
    assert (str(who), who.brief, who.node_and_zone) == (said, brief, place)


def test_names_of_a_stranger_are_safe_and_short() -> None:
    """A far end may call itself anything."""
    who = instance_named(NASTY, NASTY, "z" * 1000)
    assert str(who).isprintable()
    assert who.zone == "z" * LONGEST
    assert str(UNSAID) == ""
