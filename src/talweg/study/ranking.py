"""From the record of a study to its ranking: what wins, by how much and how sure that is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from talweg.study.history import History, Lane, remembered
from talweg.study.pairs import Pairs
from talweg.study.statistics import mean_interval

NEAR_BEST = 0.95
"""Share of the way from the constant prediction to the study's best that a good rate must go."""


@dataclass(frozen=True)
class Row:
    """One contender's place in a study. Scores are in the metric's own unit (accuracy: 0 to 1).

    Attributes:
        rank: 1 + the number of contenders that are significantly better; tied ones share it.
        name: Of the contender; where only rules are compared it is the rule's.
        label: Name for people.
        rule: Name of its rule.
        levels: Factor → name of its level: ``"rule"``, ``"model"``, ``"activation"``,
            ``"schedule"`` and ``"batch size"``.
        lr: The learning rate chosen on validation.
        settings: All hyperparameters of the rule.
        steps: How many steps each of its runs was to make.
        epochs: The same in passes over the training part.
        score: Mean over seeds of the metric on the test part.
        low: Lower end of the 95% interval of ``score``, within the metric's bounds; NaN for one
            seed.
        high: Upper end.
        scores: One per seed; a lane that diverged counts as the constant prediction.
        loss: Mean test loss of the lanes that did not diverge.
        steps_to_target: By when half of the seeds had got there; None if fewer did.
        epochs_to_target: The same in epochs.
        reached: Share of seeds that reached the target.
        diverged: Share of all its lanes that diverged, tuning included.
        good: Lowest and highest of the good rates around the best; None if there is none.
        good_decades: ``log10(highest/lowest)`` of them.
        gap: Mean paired difference to the best rule (its score minus the best's); 0 for the best.
        gap_low: Lower end of the gap's 95% interval.
        gap_high: Upper end.
        p: Holm-adjusted p of that difference; NaN for the best, or with one seed.
        ties: Labels of the contenders that it is not significantly different from.
    """

    rank: int
    name: str
    label: str
    rule: str
    levels: dict[str, str]
    lr: float
    settings: dict[str, Any]
    steps: int
    epochs: float
    score: float
    low: float
    high: float
    scores: tuple[float, ...]
    loss: float
    steps_to_target: float | None
    epochs_to_target: float | None
    reached: float
    diverged: float
    good: tuple[float, float] | None
    good_decades: float
    gap: float
    gap_low: float
    gap_high: float
    p: float
    ties: tuple[str, ...]


@dataclass(frozen=True)
class Rate:
    """What tuning found of one learning rate of one contender."""

    lr: float
    score: float
    loss: float
    diverged: int
    lanes: int


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
        lanes = [lane for lane in lanes if history.is_finished(lane.lane)]
    for lr in sorted({lane.lr for lane in lanes}):
        here = [lane.lane for lane in lanes if lane.lr == lr]
        diverged = sum(lane in history.diverged for lane in here)
        scores = [history.last(lane, "validation", metric) for lane in here]
        losses = [history.last(lane, "validation", "loss") for lane in here]
        if not diverged and all(score is None for score in scores):
            continue
        score, loss = (math.nan, math.nan) if diverged else (_mean(scores), _mean(losses))
        found.append(Rate(lr, score, loss, diverged, len(here)))
    return found


def _mean(values: Sequence[float | None]) -> float:
    """The mean of those that are known; NaN if none is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else math.nan


@remembered
def best_rate(history: History, contender: str) -> Rate | None:
    """The rate with the best mean validation score, the lower loss deciding between equals.

    If every rate diverged, the one with the fewest diverged lanes, the lowest first. None if
    nothing was measured, or in a study that was stopped if all that is known are rates that
    diverged: the others might not have.
    """
    found = rates(history, contender)
    usable = [rate for rate in found if not math.isnan(rate.score)]
    sign = sign_of(history)
    if usable:
        return min(usable, key=lambda rate: (-sign * rate.score, rate.loss, rate.lr))
    if history.any_finished and len(found) < len(history.contenders[contender]["lrs"]):
        return None
    return min(found, key=lambda rate: (rate.diverged, rate.lr), default=None)


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


@remembered
def ranked_on(history: History) -> str:
    """``"test"`` once every contender has finished on a fresh seed, else ``"validation"``.

    One whose lanes all diverged has finished; one of whose lanes some did and the others are on
    their way has not.
    """

    def has_finished(name: str) -> bool:
        lanes = [lane.lane for lane in history.of("final", name)]
        return any(history.has_made_all(lane, "test") for lane in lanes) or (
            bool(lanes) and all(lane in history.diverged for lane in lanes)
        )

    every = history.contenders
    return "test" if every and all(map(has_finished, every)) else "validation"


def ranked_lanes(history: History, contender: str, split: str) -> list[Lane]:
    """The lanes whose scores on ``split`` (what `ranked_on` says) make a contender's row."""
    if split == "test":
        final = history.of("final", contender)
        return [lane for lane in final if history.is_finished(lane.lane, "test")]
    chosen = best_rate(history, contender)
    return [
        lane
        for lane in history.of("tune", contender)
        if chosen
        and lane.lr == chosen.lr
        and (history.is_finished(lane.lane) or not history.any_finished)
    ]


def rank(history: History) -> list[Row]:
    """The ranking, best first; of what is there, if the study was interrupted."""
    split = ranked_on(history)
    rows = [row for name in history.contenders if (row := _row(history, name, split))]
    sign = sign_of(history)
    rows.sort(key=lambda row: (-sign * row.score, _known(row.loss)))
    return _compared(rows, sign)


def _known(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _row(history: History, name: str, split: str) -> Row | None:
    record, contender = history.record, history.contenders[name]
    chosen = best_rate(history, name)
    if chosen is None:
        return None
    lanes = [lane.lane for lane in ranked_lanes(history, name, split)]
    last = [history.last(lane, split, record["task"]["metric"]) for lane in lanes]
    scores = [baseline(history, split) if score is None else score for score in last]
    score, low, high = within_bounds(mean_interval(scores), record["task"])
    everywhere = [x.lane for phase in ("tune", "final") for x in history.of(phase, name)]
    steps = [_steps_to(history, lane) for lane in lanes]
    reached = sorted(step for step in steps if step is not None)
    half = (len(steps) + 1) // 2
    to_target = float(reached[half - 1]) if len(reached) >= half else None
    good = _good_range(history, name, chosen)
    return Row(
        rank=1,
        name=name,
        label=contender["label"],
        rule=contender["levels"]["rule"],
        levels=dict(contender["levels"]),
        lr=chosen.lr,
        settings={**contender["settings"], "lr": chosen.lr},
        steps=contender["steps"],
        epochs=contender["steps"] / contender["steps_per_epoch"],
        score=score,
        low=low,
        high=high,
        scores=tuple(scores),
        loss=_mean([history.last(lane, split, "loss") for lane in lanes]),
        steps_to_target=to_target,
        epochs_to_target=None if to_target is None else to_target / contender["steps_per_epoch"],
        reached=len(reached) / len(steps),
        diverged=sum(lane in history.diverged for lane in everywhere) / len(everywhere),
        good=good,
        good_decades=math.log10(good[1] / good[0]) if good else 0.0,
        gap=0.0,
        gap_low=math.nan,
        gap_high=math.nan,
        p=math.nan,
        ties=(),
    )


def within_bounds(
    interval: tuple[float, float, float], task: dict[str, Any]
) -> tuple[float, float, float]:
    """An interval without the part in which no score can lie."""
    mean, low, high = interval
    lowest, highest = task["lowest"], task["highest"]
    if lowest is not None and low < lowest:
        low = lowest
    if highest is not None and high > highest:
        high = highest
    return mean, low, high


def _steps_to(history: History, lane: int) -> int | None:
    """The first reading at which a lane's validation score met the target."""
    target = history.record["target"]
    series = history.series(lane, "validation", history.record["task"]["metric"])
    if target is None or series is None:
        return None
    met = np.flatnonzero(is_met(history, series.values, target))
    return int(series.steps[met[0]]) if len(met) else None


def _good_range(history: History, contender: str, best: Rate) -> tuple[float, float] | None:
    enough = near_best(history)
    if enough is None:
        return None
    found = rates(history, contender)
    is_good = [bool(is_met(history, rate.score, enough)) for rate in found]
    place = next((i for i, rate in enumerate(found) if rate.lr == best.lr), None)
    if place is None or not is_good[place]:
        return None
    first = last = place
    while first > 0 and is_good[first - 1]:
        first -= 1
    while last + 1 < len(found) and is_good[last + 1]:
        last += 1
    return found[first].lr, found[last].lr


def _compared(rows: Sequence[Row], sign: int) -> list[Row]:
    """Adds ranks, gaps and ties; every pair is one test of the family that Holm adjusts."""
    pairs = Pairs([row.scores for row in rows])
    compared: list[Row] = []
    for place, row in enumerate(rows):
        others = [other for other in range(len(rows)) if other != place]
        surely = [other for other in others if pairs.differ(place, other)]
        better = [other for other in surely if sign * (rows[other].score - row.score) > 0]
        extra: dict[str, Any] = {}
        if place > 0:
            gap, low, high = pairs.gap(place, 0)
            extra = {"gap": gap, "gap_low": low, "gap_high": high, "p": pairs.p(0, place)}
        ties = tuple(rows[other].label for other in others if other not in surely)
        compared.append(replace(row, rank=1 + len(better), ties=ties, **extra))
    return compared
