"""What a count of few says about the share behind it: exact bounds. Pure."""

from __future__ import annotations

import math
from typing import Final

ERROR_PROBABILITY: Final = 1e-4
"""How often a bound may be wrong: it holds with a confidence of 99.99 %."""

_BISECTION_STEPS: Final = 50
_NEGLIGIBLE_SHARE: Final = 1e-12


def lower_bound(
    count: int, trials: int, error_probability: float = ERROR_PROBABILITY
) -> float:
    """Return the one-sided lower bound of a share, of which ``count`` ``of`` were seen.

    Exact (C. J. Clopper and E. S. Pearson, Biometrika 26, 1934, pp. 404-413): the
    share under which as many or more would be seen with a probability of ``doubt``.
    """
    if count <= 0:
        return 0.0
    # At the seen share itself about half of all counts are as high.
    low, high = 0.0, count / trials
    for _ in range(_BISECTION_STEPS):
        middle = (low + high) / 2
        if _binomial_tail(count, trials, middle) < error_probability:
            low = middle
        else:
            high = middle
    return low


def upper_bound(
    count: int, trials: int, error_probability: float = ERROR_PROBABILITY
) -> float:
    """Return the one-sided upper bound: the lower one of what is not counted."""
    return 1.0 - lower_bound(trials - count, trials, error_probability)


def p_by_chance(passed: int, others: int, failed: int) -> float:
    """Return how likely chance alone lets ``passed`` of the ones beside, and none, pass.

    Of ``failed`` ones none passed, of ``beside`` others ``passed`` did. If all had the
    same chance, any choice of the passed ones would be as likely (R. A. Fisher's exact
    test, hypergeometric): this is the share of choices that hold none of the failed.
    """
    return math.comb(others, passed) / math.comb(others + failed, passed)


def p_initial_run(run_length: int, count: int, passed: int) -> float:
    """Return how likely chance puts so many of the passed ones at the beginning.

    Of ``count`` in a row ``passed`` did, and the first ``head`` of them all. If all had
    the same chance, any order would be as likely (hypergeometric).
    """
    return math.comb(count - run_length, passed - run_length) / math.comb(count, passed)


def _binomial_tail(count: int, trials: int, share: float) -> float:
    """Return the probability that a binomial variable is ``count`` or more.

    For shares below ``count / of``: its terms then fall from the first one on.
    """
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
