"""What tuning found: each contender at each of its learning rates, and which one is chosen."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from talweg.study.history import History, remembered

NEAR_BEST = 0.95
"""Share of the way from the constant prediction to the study's best that a good rate must go."""


@dataclass(frozen=True)
class Rate:
    """What tuning found of one learning rate of one contender.

    Attributes:
        lr: The rate.
        score: Mean over seeds of the last validation score; NaN if a lane diverged.
        loss: The same of the validation loss.
        diverged: How many of its lanes diverged.
        lanes: How many it has.
        stopped: The step at which pruning stopped it, for which ``score`` and ``loss`` are then;
            None if it was trained to the end, or as far as the study came.
    """

    lr: float
    score: float
    loss: float
    diverged: int
    lanes: int
    stopped: int | None = None


def preference(rate: Rate, sign: int) -> tuple[float, ...]:
    """What rates after the same number of steps are sorted by, the best one first.

    By score, and by the lower loss between equals; then come those that diverged, the one with the
    fewest diverged lanes first.

    Args:
        rate: One of them.
        sign: 1 if a higher score is better, else −1.
    """
    if math.isnan(rate.score):
        return math.inf, math.inf, rate.diverged, rate.lr
    return -sign * rate.score, math.inf if math.isnan(rate.loss) else rate.loss, 0, rate.lr


def sign_of(history: History) -> int:
    """1 if a higher score is better, else −1."""
    return 1 if history.record["task"]["higher_is_better"] else -1


def baseline(history: History, split: str) -> float:
    """The score of the constant prediction on a part of the data."""
    return history.record["task"]["test_baseline" if split == "test" else "baseline"]


def is_met(history: History, scores: Any, mark: float) -> Any:
    """Where scores reach a mark; one that they equal but for rounding counts as reached."""
    sign = sign_of(history)
    return sign * np.asarray(scores) >= sign * mark - 1e-9 * abs(mark)


@remembered
def rates(history: History, contender: str) -> list[Rate]:
    """Tuning results of a contender by rate: means over seeds of the last validation readings.

    A rate at which a lane diverged has a NaN score; rates without a reading are left out. In a
    study that was stopped, lanes that have not finished count only if none has: those that run
    one after another are not compared at different steps.
    """
    metric = history.record["task"]["metric"]
    found: list[Rate] = []
    lanes = history.of("tune", contender)
    if history.any_finished:
        lanes = [x for x in lanes if history.is_finished(x.lane) or x.lane in history.stopped]
    for lr in sorted({lane.lr for lane in lanes}):
        here = [lane.lane for lane in lanes if lane.lr == lr]
        diverged = sum(lane in history.diverged for lane in here)
        scores = [history.last(lane, "validation", metric) for lane in here]
        losses = [history.last(lane, "validation", "loss") for lane in here]
        if not diverged and all(score is None for score in scores):
            continue
        score, loss = (
            (math.nan, math.nan) if diverged else (mean_of_known(scores), mean_of_known(losses))
        )
        stopped = max((history.stopped.get(lane, 0) for lane in here), default=0) or None
        found.append(Rate(lr, score, loss, diverged, len(here), stopped))
    return found


def mean_of_known(values: Sequence[float | None]) -> float:
    """The mean of those that are known; NaN if none is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else math.nan


@remembered
def best_rate(history: History, contender: str) -> Rate | None:
    """The rate with the best mean validation score, the lower loss deciding between equals.

    One that pruning stopped is chosen only if all that went on diverged: the best of those that
    came furthest. If every rate diverged, the one with the fewest diverged lanes, the lowest first.
    None if nothing was measured, or in a study that was stopped if all that is known are rates that
    diverged: the others might not have.
    """
    found = rates(history, contender)
    usable = [rate for rate in found if not math.isnan(rate.score)]
    left = [rate for rate in usable if rate.stopped is None]
    if not left:
        if history.any_finished and len(found) < len(history.contenders[contender]["lrs"]):
            return None
        furthest = max((rate.stopped or 0 for rate in usable), default=0)
        left = [rate for rate in usable if rate.stopped == furthest] or found
    sign = sign_of(history)
    return min(left, key=lambda rate: preference(rate, sign), default=None)


@remembered
def near_best(history: History) -> float | None:
    """The validation score from which on a rate is good, and the target if none is given.

    It lies `NEAR_BEST` of the way from the constant prediction to the best score in tuning; there
    is none if nothing beat the constant prediction.
    """
    sign, constant = sign_of(history), baseline(history, "validation")
    best = [best_rate(history, name) for name in history.contenders]
    scores = [sign * rate.score for rate in best if rate is not None and not math.isnan(rate.score)]
    if not scores or max(scores) <= sign * constant:
        return None
    return constant + NEAR_BEST * (sign * max(scores) - constant)


def good_range(history: History, contender: str) -> tuple[tuple[float, float], bool] | None:
    """The good rates around the best one of a contender; None if that is not good itself.

    Returns:
        The lowest and the highest of them, and whether there may be more: whether pruning stopped
        the next lower or the next higher rate, which does not count as good then.
    """
    enough, best = near_best(history), best_rate(history, contender)
    if enough is None or best is None:
        return None
    found = rates(history, contender)
    is_good = [
        rate.stopped in (None, best.stopped) and bool(is_met(history, rate.score, enough))
        for rate in found
    ]
    place = next((i for i, rate in enumerate(found) if rate.lr == best.lr), None)
    if place is None or not is_good[place]:
        return None
    first = last = place
    while first > 0 and is_good[first - 1]:
        first -= 1
    while last + 1 < len(found) and is_good[last + 1]:
        last += 1
    beside = [*found[max(first - 1, 0) : first], *found[last + 1 : last + 2]]
    is_least = any(rate.stopped is not None and not rate.diverged for rate in beside)
    return (found[first].lr, found[last].lr), is_least
