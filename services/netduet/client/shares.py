"""What a count of few says about the share behind it: exact bounds. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

DOUBT: Final = 1e-4
"""How often a bound may be wrong: it holds with a confidence of 99.99 %."""

_HALVINGS: Final = 50


def at_least(count: int, of: int, doubt: float = DOUBT) -> float:
    """Return the one-sided lower bound of a share, of which ``count`` ``of`` were seen.

    Exact (C. J. Clopper and E. S. Pearson, Biometrika 26, 1934, pp. 404-413): the
    share under which as many or more would be seen with a probability of ``doubt``.
    """
    if count <= 0:
        return 0.0
    return _solve(lambda share: _tail(count, of, share) < doubt)


def at_most(count: int, of: int, doubt: float = DOUBT) -> float:
    """Return the one-sided upper bound: the lower one of what is not counted."""
    return 1.0 - at_least(of - count, of, doubt)


def by_chance(passed: int, beside: int, failed: int) -> float:
    """Return how likely chance alone lets ``passed`` of the ones beside, and none, pass.

    Of ``failed`` ones none passed, of ``beside`` others ``passed`` did. If all had the
    same chance, any choice of the passed ones would be as likely (R. A. Fisher's exact
    test, hypergeometric): this is the share of choices that hold none of the failed.
    """
    return math.comb(beside, passed) / math.comb(beside + failed, passed)


def _solve(too_low: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if too_low(middle):
            low = middle
        else:
            high = middle
    return low


def _tail(count: int, of: int, share: float) -> float:
    """Return the probability that a binomial variable is ``count`` or more."""
    if count <= of * share:  # sum the shorter side
        return 1.0 - _sum(range(count - 1, -1, -1), of, share)
    return _sum(range(count, of + 1), of, share)


def _sum(numbers: range, of: int, share: float) -> float:
    """Sum probabilities that fall from the first on, until they no longer count."""
    total = 0.0
    for number in numbers:
        term = math.exp(
            math.lgamma(of + 1)
            - math.lgamma(number + 1)
            - math.lgamma(of - number + 1)
            + number * math.log(share)
            + (of - number) * math.log1p(-share)
        )
        total += term
        if term <= total * 1e-12:
            break
    return total
