"""What a study looks like, as plain arrays: learning curves, the score at every rate, seeds.

Nothing here draws: the report and a notebook plot the same numbers.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talweg.study.history import History, Lane
from talweg.study.ranking import ranked_lanes
from talweg.study.result import Study
from talweg.study.tuning import baseline, best_rate


@dataclass(frozen=True)
class Curve:
    """One contender's progress at its best learning rate, over seeds.

    Attributes:
        epochs: Passes over the training part at each point, ``[point]``, ascending.
        steps: The same in steps.
        mean: The mean over seeds, ``[point]``.
        low: The lowest seed, ``[point]``.
        high: The highest seed, ``[point]``.
        n: How many seeds each point averages, ``[point]``; it falls where a lane diverged.
        lr: The learning rate of these lanes.
        phase: ``"final"``, or ``"tune"`` while the final lanes have not begun.
    """

    epochs: NDArray[np.float64]
    steps: NDArray[np.int64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    n: NDArray[np.int64]
    lr: float
    phase: str


@dataclass(frozen=True)
class RatePoint:
    """One learning rate of one contender, over the tuning seeds.

    Attributes:
        lr: The learning rate.
        mean: The mean of the last validation scores; NaN if no lane has one.
        low: The lowest of them.
        high: The highest of them.
        n: How many lanes they are taken over: those that have trained and did not diverge.
        diverged: The share of this rate's lanes that diverged, 0 to 1.
        stopped: The step at which pruning stopped it, where its last scores are from; None if it
            was not.
    """

    lr: float
    mean: float
    low: float
    high: float
    n: int
    diverged: float
    stopped: int | None = None


@dataclass(frozen=True)
class SeedScore:
    """The score that one seed adds to a contender's row of the ranking.

    Attributes:
        seed: The seed.
        score: Its last score; that of the constant prediction if the lane diverged.
        diverged: The step at which it diverged, or None.
    """

    seed: int
    score: float
    diverged: int | None


def curves(study: Study, split: str, metric: str) -> dict[str, Curve]:
    """The curve of every contender that has one, in the order of the record.

    Curves come from the final lanes. A contender whose final lanes have not begun is shown by its
    tuning lanes at the best rate so far; one with nothing to show is left out. Bands are the
    lowest and the highest seed: they cover every lane, whatever the number of seeds.

    Args:
        study: The study.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        metric: ``"loss"`` or the name of a metric of the task.
    """
    history = study.history
    found: dict[str, Curve] = {}
    for name in names(study):
        for phase in ("final", "tune"):
            curve = _curve(history, _lanes_at_best(history, name, phase), split, metric)
            if curve:
                found[name] = curve
                break
    return found


def sensitivity(study: Study) -> dict[str, list[RatePoint]]:
    """The last validation score at every learning rate of every contender, over the tuning seeds.

    Rates ascend. The scores of one that pruning stopped are older than the others': ``stopped``
    says so. A lane that diverged counts in ``diverged`` alone; rates that have neither a score nor
    a diverged lane, and contenders without such rates, are left out.
    """
    history = study.history
    found: dict[str, list[RatePoint]] = {}
    for name in names(study):
        lanes = history.of("tune", name)
        points = [
            _rate_point(history, lr, [lane.lane for lane in lanes if lane.lr == lr])
            for lr in sorted({lane.lr for lane in lanes})
        ]
        points = [point for point in points if point.n or point.diverged]
        if points:
            found[name] = points
    return found


def seed_scores(study: Study) -> dict[str, list[SeedScore]]:
    """The scores behind the ranking, seed by seed; contenders that have none are left out.

    They are test scores of the final lanes, or validation scores of the tuning lanes at the best
    rate, as `Study.ranked_on` says.
    """
    history, split = study.history, study.ranked_on
    task = study.record["task"]
    found: dict[str, list[SeedScore]] = {}
    for name in names(study):
        scores: list[SeedScore] = []
        for lane in ranked_lanes(history, name, split):
            score, step = history.last(lane.lane, split, task["metric"]), None
            if lane.lane in history.diverged:
                score, step = baseline(history, split), history.diverged[lane.lane]
            if score is not None:
                scores.append(SeedScore(lane.seed, score, step))
        if scores:
            found[name] = scores
    return found


def names(study: Study) -> list[str]:
    """The names of the contenders that were asked for, in the order of the record."""
    return list(study.history.contenders)


def _lanes_at_best(history: History, contender: str, phase: str) -> list[Lane]:
    """The final lanes of a contender, or its tuning lanes at the best rate so far."""
    lanes = history.of(phase, contender)
    if phase == "final":
        return lanes
    best = best_rate(history, contender)
    return [lane for lane in lanes if best and lane.lr == best.lr]


def _curve(history: History, lanes: list[Lane], split: str, metric: str) -> Curve | None:
    """Mean, lowest and highest of the lanes at every step that one of them was measured at."""
    at: dict[int, list[float]] = {}
    epoch_of: dict[int, float] = {}
    for lane in lanes:
        series = history.series(lane.lane, split, metric)
        if series:
            points = zip(series.steps, series.epochs, series.values, strict=True)
            for step, epoch, value in points:
                if math.isfinite(value):
                    at.setdefault(int(step), []).append(float(value))
                    epoch_of[int(step)] = float(epoch)
    if not at:
        return None
    steps = sorted(at)
    columns = [at[step] for step in steps]
    return Curve(
        epochs=np.array([epoch_of[step] for step in steps]),
        steps=np.array(steps),
        mean=np.array([sum(values) / len(values) for values in columns]),
        low=np.array([min(values) for values in columns]),
        high=np.array([max(values) for values in columns]),
        n=np.array([len(values) for values in columns]),
        lr=lanes[0].lr,
        phase=lanes[0].phase,
    )


def _rate_point(history: History, lr: float, lanes: list[int]) -> RatePoint:
    metric = history.record["task"]["metric"]
    diverged = sum(lane in history.diverged for lane in lanes) / len(lanes)
    last = [history.last(lane, "validation", metric) for lane in lanes]
    scores = [score for score in last if score is not None and math.isfinite(score)]
    stopped = max((history.stopped.get(lane, 0) for lane in lanes), default=0) or None
    if not scores:
        return RatePoint(lr, math.nan, math.nan, math.nan, 0, diverged)
    mean, low, high = float(np.mean(scores)), min(scores), max(scores)
    return RatePoint(lr, mean, low, high, len(scores), diverged, stopped)
