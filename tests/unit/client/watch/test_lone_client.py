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


def test_all_of_three_are_out() -> None:
    """Since the last of them is."""
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
def test_somebody_is_reached_or_too_few_are_known(
    standing: list[tuple[Address, Outage | None]],
) -> None:
    """Then this end is not suspected."""
    assert all_peers_out(standing) is None
