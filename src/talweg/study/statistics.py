"""Intervals, paired tests and Holm's correction."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtr, stdtrit


def mean_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Mean and its Student interval: ``mean ± t·s/√n``.

    Args:
        values: One per seed.
        level: Probability that the interval covers the expectation.

    Returns:
        ``(mean, low, high)``; the ends are NaN for fewer than two values.

    >>> tuple(round(v, 3) for v in mean_interval([1.0, 2.0, 3.0]))
    (2.0, -0.484, 4.484)
    """
    sample = np.asarray(values, dtype=float)
    mean = float(sample.mean()) if len(sample) else math.nan
    if len(sample) < 2:
        return mean, math.nan, math.nan
    half = stdtrit(len(sample) - 1, (1 + level) / 2) * sample.std(ddof=1) / len(sample) ** 0.5
    return mean, float(mean - half), float(mean + half)


def paired_p(a: Sequence[float], b: Sequence[float]) -> float:
    """Two-sided p of the paired t-test that ``a`` and ``b`` have one mean.

    Differences that are all the same leave the t-test without a spread to measure by (two rules
    may miss the same number of test samples in every seed); then the sign test ``2·0.5^n`` is
    used, and equal values give 1. Fewer than two pairs give NaN: nothing can be said.

    >>> round(paired_p([0.97, 0.98, 0.96], [0.95, 0.95, 0.955]), 3)
    0.128
    """
    difference = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    if len(difference) < 2:
        return math.nan
    size = np.abs(difference).max()
    if size == 0:
        return 1.0
    if difference.std(ddof=1) <= 1e-9 * size:
        return float(2 * 0.5 ** len(difference))
    t = difference.mean() / (difference.std(ddof=1) / len(difference) ** 0.5)
    return float(2 * stdtr(len(difference) - 1, -abs(t)))


def least_difference(spread: float, seeds: int, tests: int, level: float = 0.05) -> float:
    """The smallest mean difference that is significant at Holm's first, strictest step.

    Args:
        spread: Standard deviation over seeds of the paired difference.
        seeds: How many there are, at least 2.
        tests: How many tests the family has.
        level: The family's probability of a false difference.

    >>> round(least_difference(1.0, seeds=5, tests=21), 2)
    3.06
    """
    return float(stdtrit(seeds - 1, 1 - level / tests / 2) * spread / seeds**0.5)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment of a family of p-values; NaN stays and does not count.

    Source: Holm, "A simple sequentially rejective multiple test procedure" (1979).

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=float)
    adjusted = np.full(len(p), math.nan)
    known = np.flatnonzero(~np.isnan(p))
    highest = 0.0
    for rank, index in enumerate(known[np.argsort(p[known], kind="stable")]):
        highest = max(highest, min(1.0, (len(known) - rank) * p[index]))
        adjusted[index] = highest
    return adjusted.tolist()
