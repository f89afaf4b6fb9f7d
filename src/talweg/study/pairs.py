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


class Contrasts:
    """A family of differences, each tested against 0 over the seeds.

    Args:
        rows: One per difference, one value per seed.
        freedom: Degrees of freedom that the scores behind all of them have for each of a
            difference's own: no pooled variance knows more.
    """

    def __init__(self, rows: Sequence[Sequence[float]], freedom: int) -> None:
        settled = [_settled(np.asarray(row, dtype=float)) for row in rows]
        self.counts = np.array([len(row) for row in settled], dtype=float)
        self.means = np.array([row.mean() if len(row) else math.nan for row in settled])
        own = np.array([row.var(ddof=1) if len(row) > 1 else math.nan for row in settled])
        alone = np.maximum(self.counts - 1, 0)
        self.most = max(freedom, 1)
        self.prior = prior_of(np.nan_to_num(own), alone)
        self.variances, self.freedom = self._moderated(own, alone)

    def _moderated(
        self, own: NDArray[np.float64], alone: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        freedom = np.minimum(alone + self.prior.freedom, alone * self.most)
        if math.isinf(self.prior.freedom):
            return np.full_like(own, self.prior.variance), freedom
        lent = self.prior.freedom * self.prior.variance
        with np.errstate(invalid="ignore"):
            return (lent + alone * own) / (self.prior.freedom + alone), freedom

    @cached_property
    def raw(self) -> list[float]:
        """The two-sided p of each difference, unadjusted; NaN for fewer than two seeds.

        Where nothing tells a spread, a constant difference is left to the sign test ``2·0.5ⁿ``.
        """
        found: list[float] = []
        for mean, variance, count, freedom in zip(
            self.means, self.variances, self.counts, self.freedom, strict=True
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
    def adjusted(self) -> list[float]:
        """The same, adjusted by Holm's method for all of them."""
        return holm(self.raw)


def _settled(row: NDArray[np.float64]) -> NDArray[np.float64]:
    """A row that is constant but for rounding made so, and one that is 0 but for rounding 0."""
    size = np.abs(row).max(initial=0.0)
    if len(row) > 1 and row.std(ddof=1) <= 1e-9 * size:
        row = np.full_like(row, row.mean())
    return np.where(np.abs(row) < 1e-14, 0.0, row)


class Pairs:
    """All pairs of some rows of scores.

    Args:
        scores: One row per contender, one score per seed; pairs share the seeds that both have.
    """

    def __init__(self, scores: Sequence[Sequence[float]]) -> None:
        self.pairs = list(combinations(range(len(scores)), 2))
        self._place = {pair: place for place, pair in enumerate(self.pairs)}
        rows: list[list[float]] = []
        for one, other in self.pairs:
            shared = zip(scores[one], scores[other], strict=False)
            rows.append([a - b for a, b in shared])
        self._contrasts = Contrasts(rows, len(scores) - 1)
        self.prior = self._contrasts.prior
        self.raw = self._contrasts.raw

    def p(self, one: int, other: int) -> float:
        """The p of a pair, adjusted by Holm's method for all of them."""
        return self._contrasts.adjusted[self._place[min(one, other), max(one, other)]]

    def differ(self, one: int, other: int) -> bool:
        """Whether a pair differs significantly."""
        return self.p(one, other) < SIGNIFICANCE

    @property
    def least_p(self) -> float:
        """The least adjusted p: that all rows are of one mean; NaN for fewer than two seeds."""
        return min((p for p in self._contrasts.adjusted if not math.isnan(p)), default=math.nan)

    def gap(self, one: int, other: int) -> tuple[float, float, float]:
        """The mean of one's scores less the other's, and its 95% interval, for this pair alone."""
        family = self._contrasts
        place = self._place[min(one, other), max(one, other)]
        mean = family.means[place] * (1 if one < other else -1)
        if family.counts[place] < 2:
            return float(mean), math.nan, math.nan
        error = math.sqrt(family.variances[place] / family.counts[place])
        half = float(stdtrit(family.freedom[place], 0.975)) * error
        return float(mean), float(mean - half), float(mean + half)

    def least(self, seeds: int, among: Sequence[tuple[int, int]]) -> float:
        """The difference that a typical pair must show to be significant with so many seeds.

        Args:
            seeds: How many, at least 2.
            among: The pairs that are typical.
        """
        family = self._contrasts
        chosen = [self._place[min(pair), max(pair)] for pair in among]
        variance = float(np.median(family.variances[chosen])) if chosen else 0.0
        freedom = min(seeds - 1 + self.prior.freedom, (seeds - 1) * family.most)
        level = 1 - SIGNIFICANCE / len(self.pairs) / 2
        return float(stdtrit(freedom, level)) * math.sqrt(variance / seeds)


def interaction_p(scores: NDArray[np.float64]) -> float:
    """The p that two factors do not depend on one another.

    By all differences of differences ``(y_ik − y_jk) − (y_il − y_jl)``, as pairs are compared.

    Args:
        scores: ``[level of one, level of the other, seed]``.
    """
    first, second, _ = scores.shape
    rows = [
        (scores[i, k] - scores[j, k] - scores[i, m] + scores[j, m]).tolist()
        for i, j in combinations(range(first), 2)
        for k, m in combinations(range(second), 2)
    ]
    adjusted = Contrasts(rows, (first - 1) * (second - 1)).adjusted
    return min((p for p in adjusted if not math.isnan(p)), default=math.nan)
