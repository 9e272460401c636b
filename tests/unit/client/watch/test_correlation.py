"""Outages of several peers at once: when a common cause is reported."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netduet.client.net.dial import Address
from netduet.client.outages.outage import Outage, OutageEnded
from netduet.client.report.text import plain
from netduet.client.results.instance import Instance
from netduet.client.results.location import Location
from netduet.client.watch import text
from netduet.client.watch.availability import AvailabilityTracker, OutageRecord
from netduet.client.watch.correlation import (
    CommonCause,
    all_peers_out,
    find_common_causes,
)

NODES = {"a": "n1", "b": "n1", "c": "n1", "d": "n2", "e": ""}
"""Peers, and the nodes that they are on."""


def out(start: float, end: float, *, proven: bool = True) -> Outage:
    """Return an outage."""
    where = Location.TO_SERVER
    return Outage("stream.outage", where, start, end, "nothing came", proven=proven)


def make_tracker(
    history: int = 100, met_at: float = 1.0, **nodes: str
) -> AvailabilityTracker:
    """Return a tracker of peers whose nodes are known since ``met_at``."""
    made = AvailabilityTracker(0.0, history)
    for peer, node in (nodes or NODES).items():
        made.add(peer, "web", 0.0).set_instance(Instance(f"web-{peer}", node), met_at)
    return made


def common_causes(
    made: AvailabilityTracker, *outages: tuple[str, Outage]
) -> list[CommonCause]:
    """Return the common causes of these outages, in order of their ends."""
    for peer, outage in outages:
        made.record(peer, OutageEnded(0, outage))
    totals = made.summary(1000.0)
    return list(find_common_causes(totals.history, totals.rows, totals.complete_since))


def test_outages_of_all_peers_of_a_node_share_the_node() -> None:
    """Two of three overlap, and the peer on another node was up."""
    outages = ("a", out(10, 20)), ("b", out(12, 19)), ("c", out(50, 60))
    assert common_causes(make_tracker(), *outages) == [CommonCause("n1", 2, 10)]


THREE = {"1.1.1.1:1": "n1", "1.1.1.2:1": "n2", "1.1.1.3:1": ""}
"""Peers on three hosts."""

ALL = [
    ("1.1.1.1:1", out(10, 20)),
    ("1.1.1.2:1", out(12, 19)),
    ("1.1.1.3:1", out(11, 30)),
]


def test_outages_of_all_peers_share_this_end() -> None:
    """All that they share is the client."""
    assert common_causes(make_tracker(**THREE), *ALL) == [CommonCause("", 3, 10)]
    made = make_tracker(**THREE)
    for peer, outage in ALL:
        made.record(peer, OutageEnded(0, outage))
    lines = [plain(line) for line in text.summary(made.summary(1000.0), 0.0)]
    assert any("all 3 peers were out at the same time" in line for line in lines)


@pytest.mark.parametrize(
    ("peers", "outages"),
    [
        ({**THREE, "1.1.1.4:1": ""}, ALL),
        (dict(list(THREE.items())[:2]), ALL[:2]),
        ({"1.1.1.1:1": "", "1.1.1.1:2": "", "1.1.1.1:3": ""}, None),
        (THREE, [*ALL[:2], (ALL[2][0], out(19, 30))]),
        (THREE, [*ALL[:2], (ALL[2][0], out(11, 30, proven=False))]),
        (
            THREE,
            [*ALL[:2], (ALL[2][0], replace(out(11, 30), failure="stream.restarted"))],
        ),
    ],
    ids=[
        "another was well",
        "two may be so by chance",
        "one host",
        "never all at one time",
        "one end did not run",
        "one was reached, and restarted",
    ],
)
def test_partial_or_separate_outages_do_not_suspect_this_end(
    peers: dict[str, str], outages: list[tuple[str, Outage]] | None
) -> None:
    """Not all peers, not at the same time, or not a network outage."""
    if outages is None:
        outages = [(peer, outage) for peer, (_, outage) in zip(peers, ALL, strict=True)]
    assert [
        cause
        for cause in common_causes(make_tracker(**peers), *outages)
        if not cause.node
    ] == []


@pytest.mark.parametrize(
    "outages",
    [
        [("a", out(10, 20))],
        [("a", out(10, 20)), ("b", out(20, 30))],
        [("a", out(10, 20)), ("a", out(15, 30))],
        [("a", out(10, 20)), ("b", out(12, 19)), ("d", out(13, 14))],
        [("a", out(10, 20)), ("b", out(12, 19)), ("e", out(13, 14))],
        [("a", out(10, 20)), ("b", out(12, 19, proven=False))],
        [("a", out(10, 20)), ("b", out(12, 19)), ("d", out(13, 14, proven=False))],
        [("a", out(10, 20)), ("d", out(19, 30)), ("b", out(29, 40))],
    ],
    ids=[
        "one alone",
        "one behind the other",
        "one peer twice",
        "one elsewhere too",
        "one of an unknown node",
        "one that proves nothing",
        "one elsewhere that proves nothing",
        "one elsewhere in between",
    ],
)
def test_uncertain_common_cause_is_not_reported(
    outages: list[tuple[str, Outage]],
) -> None:
    """Other peers were out too, or may have been."""
    assert common_causes(make_tracker(), *outages) == []


def test_single_node_has_no_common_cause() -> None:
    """A peer on another node must have been watched all the time."""
    both = ("a", out(10, 20)), ("b", out(12, 19))
    assert common_causes(make_tracker(a="n1", b="n1"), *both) == []
    assert common_causes(make_tracker(a="n1", b="n1", d=""), *both) == []
    assert common_causes(make_tracker(met_at=15.0), *both) == []
    made = make_tracker()
    made.remove("d", 15.0)
    assert common_causes(made, *both) == []
    made = make_tracker()
    made.remove("d", 25.0)
    assert common_causes(made, *both) == [CommonCause("n1", 2, 10)]


def test_incomplete_history_has_no_common_cause() -> None:
    """A forgotten outage elsewhere may have been at the same time."""
    both = ("a", out(10, 20)), ("b", out(12, 21))
    assert common_causes(make_tracker(history=2), ("d", out(11, 19)), *both) == []
    assert common_causes(make_tracker(history=2), ("d", out(2, 9)), *both) == [
        CommonCause("n1", 2, 10)
    ]


def test_outage_keeps_the_instance_of_its_time() -> None:
    """A new instance at the address does not change past outages."""
    made = make_tracker()
    made.record("a", OutageEnded(1, out(10, 20)))
    made.peers["a"].set_instance(Instance("web-9", "n9"), 30.0)
    assert made.history[0] == OutageRecord("a", Instance("web-a", "n1"), out(10, 20))


def test_summary_names_the_common_cause() -> None:
    """Peers are named with their instance, and a shared node has its own line."""
    made = make_tracker()
    for peer in "abc":
        made.record(peer, OutageEnded(1, out(10, 20)))
    lines = [plain(line) for line in text.summary(made.summary(1000.0), 0.0)]
    assert (
        "  1970-01-01 00:00:10Z 3 peers were out together, all on node n1; "
        "no peer on another node was"
    ) in lines
    assert "  a (web-a on n1): 99.000 %, 1 outage of 10.00 s" in lines
    assert any(
        line.startswith("  1970-01-01 00:00:10Z a (web-a on n1): ") for line in lines
    )


OUT = Outage("stream.outage", Location.UNKNOWN, 100.0, 101.0, "nothing comes back")
LATER = replace(OUT, start=100.5)


def at(host: int, port: int = 1) -> Address:
    """Return an address."""
    return Address(2, f"192.0.2.{host}", port)


def test_three_of_three_peers_out_suspects_this_end() -> None:
    """It starts with the last of the three outages."""
    assert all_peers_out([(at(1), OUT), (at(2), LATER), (at(3), OUT)]) == 100.5


@pytest.mark.parametrize(
    "standing",
    [
        [],
        [(at(1), OUT), (at(2), OUT)],
        [(at(1, 1), OUT), (at(1, 2), OUT), (at(1, 3), OUT)],
        [(at(1), OUT), (at(2), OUT), (at(3), None)],
        [(at(1), OUT), (at(2), OUT), (at(3), replace(OUT, failure="watch.refused"))],
        [(at(1), OUT), (at(2), OUT), (at(3), replace(OUT, proven=False))],
    ],
    ids=["nobody", "two", "one host", "one is well", "one refuses", "one is unproven"],
)
def test_reachable_peer_or_few_peers_do_not_suspect_this_end(
    standing: list[tuple[Address, Outage | None]],
) -> None:
    """Then this end is not suspected."""
    assert all_peers_out(standing) is None
