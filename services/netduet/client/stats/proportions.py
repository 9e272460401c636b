"""Exact confidence bounds and tests of proportions. Pure."""

from __future__ import annotations

import math
from typing import Final

ERROR_PROBABILITY: Final = 1e-4
"""Probability that a bound is wrong: its confidence is 99.99 %."""

_BISECTION_STEPS: Final = 50
_NEGLIGIBLE_SHARE: Final = 1e-12


def lower_bound(
    count: int, trials: int, error_probability: float = ERROR_PROBABILITY
) -> float:
    """Return the one-sided lower confidence bound of ``count`` in ``trials``.

    Exact (C. J. Clopper and E. S. Pearson, Biometrika 26, 1934, pp. 404-413): the
    proportion at which ``count`` or more have the probability ``error_probability``.
    """
    if count <= 0:
        return 0.0
    # At the observed proportion about half of all counts are as high.
    low, high = 0.0, count / trials
    for _ in range(_BISECTION_STEPS):
        middle = (low + high) / 2
        if p_at_least(count, trials, middle) < error_probability:
            low = middle
        else:
            high = middle
    return low


def upper_bound(
    count: int, trials: int, error_probability: float = ERROR_PROBABILITY
) -> float:
    """Return the one-sided upper confidence bound."""
    return 1.0 - lower_bound(trials - count, trials, error_probability)


def p_by_chance(passed: int, others: int, failed: int) -> float:
    """Return the probability that chance lets none of the failed ones pass.

    None of ``failed`` ones passed, ``passed`` of ``others`` did. With equal chances any
    choice of those that pass is equally likely (R. A. Fisher's exact test,
    hypergeometric): the result is the share of choices without any of the failed ones.
    """
    return math.comb(others, passed) / math.comb(others + failed, passed)


def p_more_often(count: int, trials: int, other: int, other_trials: int) -> float:
    """Return the probability that chance makes the events at least so frequent here.

    ``count`` of ``trials`` are events, ``other`` of ``other_trials`` elsewhere. With equal
    rates, given the sum, the count is hypergeometric (R. A. Fisher's exact test,
    one-sided).
    """
    events, total = count + other, trials + other_trials
    most = min(events, trials)
    ways = sum(
        math.comb(trials, number) * math.comb(other_trials, events - number)
        for number in range(count, most + 1)
    )
    return ways / math.comb(total, events)


def p_initial_run(run_length: int, count: int, passed: int) -> float:
    """Return the probability that chance puts so many of the passed ones first.

    ``passed`` of ``count`` in a row passed, among them the first ``run_length``. With
    equal chances any order is equally likely (hypergeometric).
    """
    return math.comb(count - run_length, passed - run_length) / math.comb(count, passed)


def p_at_least(count: int, trials: int, share: float) -> float:
    """Return the probability that ``count`` or more of the trials hit by chance.

    Each hits with a probability of ``share``. It is 1 for what is no more than expected;
    beyond, the terms of the binomial distribution fall from the first one on.
    """
    if count <= trials * share:
        return 1.0
    if share <= 0:
        return 0.0
    total = 0.0
    for number in range(count, trials + 1):
        term = math.exp(
            math.lgamma(trials + 1)
            - math.lgamma(number + 1)
            - math.lgamma(trials - number + 1)
            + number * math.log(share)
            + (trials - number) * math.log1p(-share)
        )
        total += term
        if term <= total * _NEGLIGIBLE_SHARE:
            break
    return total
