"""A test that notices soon when a share of trials rises. Pure."""

from __future__ import annotations

import math


class Cusum:
    """A cumulative sum of evidence that a share is ``raised``, and not ``base``.

    E. S. Page, "Continuous Inspection Schemes", Biometrika 41, 1954: the logarithms of
    the likelihood ratios of the trials are added up, and never below 0. If the share is
    ``base``, a score of ln(1 / p) comes on average once in 1 / p trials or more rarely
    (G. Lorden, Annals of Mathematical Statistics 42, 1971).
    """

    def __init__(self, base: float, raised: float) -> None:
        """Start without evidence; ``base`` < ``raised``, both shares."""
        self.score = 0.0
        self._hit = math.log(raised / base)
        self._miss = math.log((1.0 - raised) / (1.0 - base))

    def add(self, *, hit: bool) -> None:
        """Add a trial."""
        self.score = max(0.0, self.score + (self._hit if hit else self._miss))


def threshold(probability: float) -> float:
    """Return the score that comes, by chance, once in ``1 / probability`` trials."""
    return -math.log(probability)
