"""Intervals and Holm's correction."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit


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
