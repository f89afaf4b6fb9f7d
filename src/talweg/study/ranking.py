"""From the record of a study to its ranking: what wins, by how much and how sure that is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from talweg.study.history import History, Lane, remembered
from talweg.study.pairs import Pairs
from talweg.study.statistics import mean_interval
from talweg.study.tuning import baseline, best_rate, good_range, is_met, mean_of_known, sign_of


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
        good_is_least: Whether ``good`` may be wider: pruning stopped a rate beside it.
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
    good_is_least: bool
    good_decades: float
    gap: float
    gap_low: float
    gap_high: float
    p: float
    ties: tuple[str, ...]


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
        and (chosen.stopped or history.is_finished(lane.lane) or not history.any_finished)
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
    good, is_least = good_range(history, name) or (None, False)
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
        loss=mean_of_known([history.last(lane, split, "loss") for lane in lanes]),
        steps_to_target=to_target,
        epochs_to_target=None if to_target is None else to_target / contender["steps_per_epoch"],
        reached=len(reached) / len(steps),
        diverged=sum(lane in history.diverged for lane in everywhere) / len(everywhere),
        good=good,
        good_is_least=is_least,
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
