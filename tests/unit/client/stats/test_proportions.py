"""Confidence bounds of proportions."""

from __future__ import annotations

import math

import pytest

from netduet.client.stats.proportions import (
    lower_bound,
    p_by_chance,
    p_more_often,
    upper_bound,
)


def binomial(count: int, of: int, share: float) -> float:
    """Return the probability of exactly this count."""
    return math.comb(of, count) * share**count * (1 - share) ** (of - count)


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        # The exact 95 % interval (2.5 % on each side), as tables print it.
        (0, 10, 0.0, 0.3085),
        (1, 10, 0.0025, 0.4450),
        (5, 10, 0.1871, 0.8129),
        (10, 10, 0.6915, 1.0),
        (4, 20, 0.0573, 0.4366),
    ],
)
def test_bounds_match_published_tables(
    count: int, of: int, low: float, high: float
) -> None:
    """The bounds are those of Clopper and Pearson."""
    found = (lower_bound(count, of, 0.025), upper_bound(count, of, 0.025))
    assert found == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("count", "of"), [(1, 300), (30, 300), (150, 300), (299, 300)])
def test_lower_bound_has_the_stated_probability(count: int, of: int) -> None:
    """At the lower bound, as many or more happen once in 10,000 times."""
    low = lower_bound(count, of)
    tail = sum(binomial(number, of, low) for number in range(count, of + 1))
    assert tail == pytest.approx(1e-4, rel=1e-6)


def test_bounds_of_large_counts_are_exact() -> None:
    """The bounds of a long burst are close around its share."""
    low, high = lower_bound(1500, 30_000), upper_bound(1500, 30_000)
    assert (round(low, 4), round(high, 4)) == (0.0454, 0.0548)


@pytest.mark.parametrize(("lost", "fails"), [(17, False), (18, True)])
def test_loss_above_2_percent_needs_18_of_300(lost: int, fails: bool) -> None:
    """Of 300 datagrams, 18 must be lost to prove that more than 2 % are."""
    assert (lower_bound(lost, 300) > 0.02) is fails


def test_empty_sample_has_the_widest_bounds() -> None:
    """Without any datagram the share may be anything."""
    assert (lower_bound(0, 0), upper_bound(0, 0)) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("passed", "beside", "failed", "chance"),
    [
        (0, 16, 19, 1.0),
        (1, 1, 1, 1 / 2),
        (2, 2, 2, 1 / 6),
        (16, 16, 19, 1 / math.comb(35, 16)),
    ],
)
def test_probability_of_an_initial_run(
    passed: int, beside: int, failed: int, chance: float
) -> None:
    """It is one over the number of ways to choose those that passed."""
    assert p_by_chance(passed, beside, failed) == pytest.approx(chance)


@pytest.mark.parametrize(
    ("count", "trials", "other", "other_trials", "expected"),
    [
        # The lady tasting tea (R. A. Fisher, The Design of Experiments, 1935, ch. II).
        (4, 4, 0, 4, 1 / 70),
        (3, 4, 1, 4, 17 / 70),
        (0, 4, 4, 4, 1.0),
        (0, 4, 0, 4, 1.0),
    ],
)
def test_p_more_often_is_fishers_exact_test(
    count: int, trials: int, other: int, other_trials: int, expected: float
) -> None:
    """Given the sum, counts at least so high have this share of all choices."""
    found = p_more_often(count, trials, other, other_trials)
    assert math.isclose(found, expected)
