"""A share that rises is noticed, and one that does not is not."""

from __future__ import annotations

import random

from netduet.client.stats.cusum import Cusum, threshold


def trials_until(share: float, score: float, most: int) -> int:
    """Return after how many trials the score is reached; ``most`` if it is not."""
    draw = random.Random(1)
    test = Cusum(0.04, 0.12)
    for number in range(1, most):
        test.add(hit=draw.random() < share)
        if test.score >= score:
            return number
    return most


def test_raised_share_is_noticed_soon() -> None:
    """The larger it is, the sooner."""
    assert trials_until(0.5, threshold(1e-7), 1000) < 60
    assert trials_until(0.125, threshold(1e-7), 5000) < 1000


def test_base_share_is_not_noticed() -> None:
    """By chance it would be once in ten million trials."""
    assert trials_until(0.04, threshold(1e-7), 300_000) == 300_000


def test_evidence_against_it_does_not_add_up() -> None:
    """However long all was well, the first hits count in full."""
    test = Cusum(0.04, 0.12)
    test.add(hit=True)
    first = test.score
    for _ in range(1000):
        test.add(hit=False)
    assert test.score == 0.0
    test.add(hit=True)
    assert test.score == first
