"""How long a transfer lasts."""

from __future__ import annotations

import pytest

from netduet.client.checks.load.extent import TransferExtent
from netduet.config.units import MIB

EXTENT = TransferExtent(0.4, 24 * MIB, 20 * MIB)


@pytest.mark.parametrize(
    ("carried", "seconds", "expected"),
    [
        (0, 0.4, False),
        (3 * MIB, 0.4, False),
        (7 * MIB, 0.4, True),
        (19 * MIB, 1.25, False),
        (20 * MIB, 0.4, False),
    ],
)
def test_transfer_is_longer_if_it_then_carries_enough(
    carried: int, seconds: float, expected: bool
) -> None:
    """A slow path would take too long, and a fast one is done."""
    assert EXTENT.is_worth_longer(carried, seconds) is expected


def test_transfer_without_least_bytes_is_never_longer() -> None:
    """Its time alone counts."""
    assert not TransferExtent(0.4, MIB).is_worth_longer(1, 0.4)
