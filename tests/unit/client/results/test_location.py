"""Locations of failures, and the two directions."""

from __future__ import annotations

import pytest

from netduet.client.results.location import Direction, Location, Side


@pytest.mark.parametrize("location", Location)
def test_location_has_all_its_names(location: Location) -> None:
    """Verdicts, sentences and metrics all name each location."""
    assert location.label
    assert location.phrase
    assert location.direction.isidentifier()


@pytest.mark.parametrize(
    ("direction", "path", "sender", "receiver"),
    [
        (Direction.UP, Location.TO_SERVER, Side.CLIENT, Side.SERVER),
        (Direction.DOWN, Location.FROM_SERVER, Side.SERVER, Side.CLIENT),
    ],
)
def test_direction_knows_its_path_and_ends(
    direction: Direction, path: Location, sender: Side, receiver: Side
) -> None:
    """Upload goes from the client to the server, download back."""
    assert (direction.path, direction.sender, direction.receiver) == (
        path,
        sender,
        receiver,
    )
    assert direction.opposite.opposite is direction
    assert direction.opposite.path is not path
