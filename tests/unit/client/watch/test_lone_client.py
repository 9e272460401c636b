"""When no peer can be reached any more: tables of troubles, no network."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netduet.client.net.dial import Address
from netduet.client.outages.outage import Outage
from netduet.client.results.location import Location
from netduet.client.watch.lone_client import all_peers_out

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
