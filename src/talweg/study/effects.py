"""Which choice decides: main effects and interactions of what a study varies.

A study that crosses factors is a full factorial design with the seeds as blocks. Shares of the
variance are those of its analysis: Montgomery, "Design and Analysis of Experiments", ch. 5. Whether
an effect is sure is not left to the F test, which takes all contenders to scatter alike; where some
fail they do not. It is what the most different pair, or pair of pairs, says over the seeds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from talweg.study.history import History
from talweg.study.pairs import SIGNIFICANCE, Pairs, interaction_p
from talweg.study.ranking import Row, ranked_on, within_bounds
from talweg.study.statistics import holm, mean_interval
from talweg.study.tuning import baseline, best_rate, near_best, sign_of

FAILED = 0.5
"""A contender failed that went less than this share of the way from the constant prediction to what
counts as good, in tuning at its best rate and on fresh seeds."""


@dataclass(frozen=True)
class LevelMean:
    """One level of a factor, averaged over all combinations of the other factors.

    Attributes:
        name: The level's.
        label: Name for people.
        mean: Mean score, each contender at its own best rate.
        low: Lower end of the 95% interval over seeds; NaN for one seed.
        high: Upper end.
        ties: Labels of the levels that it is not significantly different from, after Holm's
            correction within the factor.
        failed: Labels of the contenders with this level that failed: see `has_failed`.
        count: How many contenders have this level.
    """

    name: str
    label: str
    mean: float
    low: float
    high: float
    ties: tuple[str, ...]
    failed: tuple[str, ...]
    count: int


@dataclass(frozen=True)
class Effect:
    """What one factor, or two of them together, explain.

    Attributes:
        factors: One for a main effect, two for an interaction.
        share: Of the variance between contenders' mean scores, 0 to 1; the shares of all main
            effects, interactions and higher ones add up to 1.
        p: That there is no such effect, adjusted by Holm's method; NaN for one seed.
        levels: Of a main effect, best first; empty for an interaction.
        cells: Of an interaction, the mean score at each pair of levels, ``[first, second]`` in the
            order of the record; None for a main effect.
    """

    factors: tuple[str, ...]
    share: float
    p: float
    levels: tuple[LevelMean, ...] = ()
    cells: NDArray[np.float64] | None = None

    @property
    def is_sure(self) -> bool:
        """Whether it is significant at 5%."""
        return self.p < SIGNIFICANCE


def varied(history: History) -> dict[str, dict[str, str]]:
    """The factors with several levels: factor → {name of a level: label}."""
    return {
        factor: levels for factor, levels in history.record["factors"].items() if len(levels) > 1
    }


def effects(history: History, rows: Sequence[Row]) -> list[Effect]:
    """Main effects and two-factor interactions, the largest share first, main effects before.

    None unless at least two factors vary and every contender has scores of as many seeds: a part
    of a factorial design does not tell its effects apart.
    """
    factors = varied(history)
    found = {row.name: row for row in rows}
    seeds = {len(row.scores) for row in rows}
    if len(factors) < 2 or found.keys() != history.contenders.keys() or len(seeds) != 1:
        return []
    scores = _table(history, found, factors)
    names = list(factors)
    cells = scores.mean(-1)
    if np.ptp(cells) <= 1e-12 * np.abs(cells).max():
        return []
    total = float(((cells - cells.mean()) ** 2).sum())
    wholes = [axes for size in (1, 2) for axes in combinations(range(len(names)), size)]
    levels = {
        name: _levels(history, found, name, factors[name], _mean_over_others(scores, (axis, -1)))
        for axis, name in enumerate(names)
    }
    p_values = holm(
        [
            levels[names[axes[0]]][1]
            if len(axes) == 1
            else interaction_p(_mean_over_others(scores, (*axes, -1)))
            for axes in wholes
        ]
    )
    told = [
        Effect(
            factors=tuple(names[axis] for axis in axes),
            share=float((_part(cells, axes) ** 2).sum()) / total,
            p=p,
            levels=levels[names[axes[0]]][0] if len(axes) == 1 else (),
            cells=_mean_over_others(cells, axes) if len(axes) == 2 else None,
        )
        for axes, p in zip(wholes, p_values, strict=True)
    ]
    return sorted(told, key=lambda effect: (len(effect.factors), -effect.share))


def _table(
    history: History, rows: dict[str, Row], factors: dict[str, dict[str, str]]
) -> NDArray[np.float64]:
    """Scores ``[level of each factor …, seed]``."""
    places = {factor: list(levels) for factor, levels in factors.items()}
    seeds = len(next(iter(rows.values())).scores)
    table = np.empty((*map(len, places.values()), seeds))
    for name, row in rows.items():
        levels = history.contenders[name]["levels"]
        table[tuple(places[factor].index(levels[factor]) for factor in places)] = row.scores
    return table


def _mean_over_others(values: NDArray[np.float64], axes: Sequence[int]) -> NDArray[np.float64]:
    """The mean over all axes but these."""
    kept = [axis % values.ndim for axis in axes]
    return values.mean(tuple(axis for axis in range(values.ndim) if axis not in kept))


def _part(cells: NDArray[np.float64], axes: Sequence[int]) -> NDArray[np.float64]:
    """What these factors together add to each cell beyond what fewer of them do; same shape."""
    part = np.zeros_like(cells)
    for size in range(len(axes) + 1):
        for kept in combinations(axes, size):
            others = tuple(axis for axis in range(cells.ndim) if axis not in kept)
            part = part + (-1) ** (len(axes) - size) * cells.mean(others, keepdims=True)
    return part


def _levels(
    history: History,
    rows: dict[str, Row],
    factor: str,
    labels: dict[str, str],
    scores: NDArray[np.float64],
) -> tuple[tuple[LevelMean, ...], float]:
    """A factor's levels, best first, and the p that they are all alike.

    Args:
        history: The study's.
        rows: The ranking by name.
        factor: Its name.
        labels: Name of a level → label.
        scores: ``[level, seed]``, averaged over the other factors.
    """
    pairs = Pairs(scores.tolist())
    found: list[LevelMean] = []
    for place, level in enumerate(labels):
        own = [row for row in rows.values() if row.levels[factor] == level]
        ties = [
            label
            for other, label in enumerate(labels.values())
            if other != place and not pairs.differ(place, other)
        ]
        failed = [row for row in own if has_failed(history, row)]
        found.append(
            LevelMean(
                level,
                labels[level],
                *within_bounds(mean_interval(scores[place].tolist()), history.record["task"]),
                ties=tuple(ties),
                failed=tuple(row.label for row in failed),
                count=len(own),
            )
        )
    sign = sign_of(history)
    return tuple(sorted(found, key=lambda level: -sign * level.mean)), pairs.least_p


def has_failed(history: History, row: Row) -> bool:
    """Whether a contender got less than half-way to a good score at any rate."""
    good, tuned = near_best(history), best_rate(history, row.name)
    if good is None or tuned is None:
        return False
    constant = baseline(history, "validation")
    gone = [row.score - baseline(history, ranked_on(history))]
    gone += [] if math.isnan(tuned.score) else [tuned.score - constant]
    return max(part / (good - constant) for part in gone) < FAILED
