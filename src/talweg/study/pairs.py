"""Every pair of a family compared by its seeds, each lending the others what it knows of spread.

With few seeds the variance of one pair's difference is hardly known, and a t-test by it alone needs
huge differences. All pairs of a study are of a kind, so their variances are drawn towards a common
one by as much as they turn out to be alike: the moderated t-test, Smyth, "Linear models and
empirical Bayes methods for assessing differential expression in microarray experiments" (2004).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, polygamma, stdtr, stdtrit

from talweg.study.statistics import holm

SIGNIFICANCE = 0.05
FEWEST = 3
"""Pairs that differ by more than a constant, below which there is nothing to lend."""
SHARED = 0.5
"""What the prior's degrees of freedom count: pairs share contenders and tell less than as many
independent ones. ``tests/study/test_pairs.py`` measures how often a difference is found where there
is none."""


@dataclass(frozen=True)
class Prior:
    """What all pairs say of one pair's variance: as much as ``freedom`` more seeds would."""

    variance: float
    freedom: float


def prior_of(variances: NDArray[np.float64], freedom: NDArray[np.float64]) -> Prior:
    """The prior of sample variances, by the moments of their logarithms (Smyth 2004, section 6.2).

    Args:
        variances: One per pair; those that are 0 say nothing.
        freedom: Their degrees of freedom.
    """
    known = (freedom > 0) & (variances > 1e-18 * variances.max(initial=0.0))
    if known.sum() < FEWEST:
        return Prior(0.0, 0.0)
    half = freedom[known] / 2
    logs = np.log(variances[known]) - digamma(half) + np.log(half)
    mean = float(logs.mean())
    excess = float(logs.var(ddof=1) - polygamma(1, half).mean())
    if excess <= 0:
        return Prior(math.exp(mean), math.inf)
    own = inverse_trigamma(excess)
    return Prior(math.exp(mean + float(digamma(own)) - math.log(own)), SHARED * 2 * own)


def inverse_trigamma(value: float) -> float:
    """``x`` with ``ψ′(x) = value``, by Newton's method (Smyth 2004, appendix).

    >>> round(inverse_trigamma(float(polygamma(1, 2.5))), 9)
    2.5
    """
    x = 0.5 + 1 / value
    for _ in range(50):
        slope = float(polygamma(1, x))
        step = slope * (1 - slope / value) / float(polygamma(2, x))
        x += step
        if abs(step) < 1e-10 * x:
            break
    return x


class Pairs:
    """All pairs of some rows of scores.

    Args:
        scores: One row per contender, one score per seed; pairs share the seeds that both have.
    """

    def __init__(self, scores: Sequence[Sequence[float]]) -> None:
        self.scores = [np.asarray(row, dtype=float) for row in scores]
        self.pairs = list(combinations(range(len(scores)), 2))
        self._place = {pair: place for place, pair in enumerate(self.pairs)}
        rows = [self._difference(*pair) for pair in self.pairs]
        self._counts = np.array([len(row) for row in rows], dtype=float)
        self._means = np.array([row.mean() if len(row) else math.nan for row in rows])
        own = np.array([row.var(ddof=1) if len(row) > 1 else math.nan for row in rows])
        self._alone = np.maximum(self._counts - 1, 0)
        self.prior = prior_of(np.nan_to_num(own), self._alone)
        self._variances, self._freedom = self._moderated(own, self._alone)

    def _difference(self, one: int, other: int) -> NDArray[np.float64]:
        count = min(len(self.scores[one]), len(self.scores[other]))
        difference = self.scores[one][:count] - self.scores[other][:count]
        size = np.abs(difference).max(initial=0.0)
        if len(difference) > 1 and difference.std(ddof=1) <= 1e-9 * size:
            return np.full_like(difference, difference.mean())  # the same but for rounding
        return difference

    def _moderated(
        self, own: NDArray[np.float64], alone: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Variances and degrees of freedom, no more of these than all scores together have."""
        freedom = np.minimum(alone + self.prior.freedom, self._all(alone))
        if math.isinf(self.prior.freedom):
            return np.full_like(own, self.prior.variance), freedom
        lent = self.prior.freedom * self.prior.variance
        with np.errstate(invalid="ignore"):
            return (lent + alone * own) / (self.prior.freedom + alone), freedom

    def _all(self, alone: NDArray[np.float64]) -> NDArray[np.float64]:
        return alone * max(len(self.scores) - 1, 1)

    @cached_property
    def raw(self) -> list[float]:
        """The two-sided p of each pair, unadjusted; NaN for fewer than two seeds.

        Where nothing tells a spread, a constant difference is left to the sign test ``2·0.5ⁿ``.
        """
        found: list[float] = []
        for mean, variance, count, freedom in zip(
            self._means, self._variances, self._counts, self._freedom, strict=True
        ):
            if count < 2:
                found.append(math.nan)
            elif mean == 0:
                found.append(1.0)
            elif not variance > 0:
                found.append(2 * 0.5**count)
            else:
                found.append(float(2 * stdtr(freedom, -abs(mean) / math.sqrt(variance / count))))
        return found

    @cached_property
    def _adjusted(self) -> list[float]:
        return holm(self.raw)

    def p(self, one: int, other: int) -> float:
        """The p of a pair, adjusted by Holm's method for all of them."""
        return self._adjusted[self._place[min(one, other), max(one, other)]]

    def differ(self, one: int, other: int) -> bool:
        """Whether a pair differs significantly."""
        return self.p(one, other) < SIGNIFICANCE

    def gap(self, one: int, other: int) -> tuple[float, float, float]:
        """The mean of one's scores less the other's, and its 95% interval, for this pair alone."""
        place = self._place[min(one, other), max(one, other)]
        mean = self._means[place] * (1 if one < other else -1)
        if self._counts[place] < 2:
            return float(mean), math.nan, math.nan
        error = math.sqrt(self._variances[place] / self._counts[place])
        half = float(stdtrit(self._freedom[place], 0.975)) * error
        return float(mean), float(mean - half), float(mean + half)

    def least(self, seeds: int, among: Sequence[tuple[int, int]]) -> float:
        """The difference that a typical pair must show to be significant with so many seeds.

        Args:
            seeds: How many, at least 2.
            among: The pairs that are typical.
        """
        chosen = [self._place[min(pair), max(pair)] for pair in among]
        variance = float(np.median(self._variances[chosen])) if chosen else 0.0
        alone = np.array([seeds - 1.0])
        freedom = float(np.minimum(alone + self.prior.freedom, self._all(alone))[0])
        level = 1 - SIGNIFICANCE / len(self.pairs) / 2
        return float(stdtrit(freedom, level)) * math.sqrt(variance / seeds)
