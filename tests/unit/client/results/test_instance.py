"""The name of an instance with node and zone, safe to show."""

from __future__ import annotations

import pytest

from netduet.client.results.instance import (
    MAX_NAME_LENGTH,
    UNKNOWN_INSTANCE,
    instance_named,
    instance_of,
)
from tests.unit.client.fake_server import HOSTILE_TEXT, make_welcome


@pytest.mark.parametrize(
    ("node", "zone", "expected", "brief", "place"),
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
def test_missing_node_and_zone_are_not_shown(
    node: str, zone: str, expected: str, brief: str, place: str
) -> None:
    """There is no placeholder for an unknown node or zone."""
    who = instance_of(make_welcome(instance="web-2", node=node, zone=zone))
    assert (str(who), who.brief, who.node_and_zone) == (expected, brief, place)


def test_remote_names_are_escaped_and_truncated() -> None:
    """A server may send any name for itself."""
    who = instance_named(HOSTILE_TEXT, HOSTILE_TEXT, "z" * 1000)
    assert str(who).isprintable()
    assert who.zone == "z" * MAX_NAME_LENGTH
    assert str(UNKNOWN_INSTANCE) == ""
