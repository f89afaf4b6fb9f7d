"""Pruning: rates that are behind in tuning are stopped, so that time goes to those that lead.

Successive halving (Jamieson & Talwalkar, "Non-stochastic best arm identification and hyperparameter
optimization", 2016, algorithm 1), within each contender: its rates compete with one another and
never with those of another, and as many of each go on, so that all contenders keep equal budgets.
It is gentler than halving: curves of rates cross, small ones overtake late, and what is stopped
early for being slow is lost (Li et al., "Hyperband", 2018, section 3.2, which therefore tries
several degrees). Nor is a rate stopped for a sample or two, which is chance where few samples
decide. `RUNGS` and `CLOSE` are chosen by benchmarks/pruning.py.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from talweg.core import counted
from talweg.lanes import Reading
from talweg.metrics import METRICS
from talweg.study.history import History, Lane
from talweg.study.tuning import Rate, preference

Rungs: TypeAlias = Sequence[tuple[float, float]]
RUNGS: Rungs = ((1 / 8, 3 / 4), (1 / 4, 2 / 3), (1 / 2, 1 / 2))
"""``(share of the steps, share of the rates that go on from there)``; both are rounded up."""
LEAST = 3
"""No contender is left with fewer rates, if it has as many."""
CLOSE = 2
"""Validation samples by which a rate may be behind the last that goes on, and go on as well."""


def stages(rates: int, rungs: Rungs = RUNGS) -> list[tuple[float, int]]:
    """From which share of the steps on how many of a contender's rates are trained.

    >>> stages(9)
    [(0.0, 9), (0.125, 7), (0.25, 6), (0.5, 5)]
    """
    found = [(0.0, rates)]
    for begin, share in rungs:
        found.append((begin, min(rates, max(math.ceil(share * rates - 1e-9), LEAST))))
    return found


def share_made(rates: int) -> float:
    """The share of tuning's steps that are made if no lane diverges and none is close to another.

    >>> round(share_made(9), 3)
    0.667
    """
    every = stages(rates)
    ends = [begin for begin, _ in every[1:]] + [1.0]
    made = sum(count * (end - begin) for (begin, count), end in zip(every, ends, strict=True))
    return made / rates


def margin(task: Mapping[str, Any], samples: int) -> float:
    """The difference of scores that stops no rate: that of `CLOSE` validation samples.

    Args:
        task: A record's task.
        samples: How many the validation part has.

    Returns:
        0 for scores that are no share of the samples, which tell more than a count does.
    """
    return CLOSE / samples if METRICS[task["metric"]].is_share else 0.0


def weakest(rates: Sequence[Rate], kept: int, sign: int, margin: float = 0.0) -> list[Rate]:
    """The rates of one contender that are stopped so that ``kept`` go on, and those close to them.

    The order is that in which a rate is chosen at the end.

    Args:
        rates: Those that go on so far, after the same number of steps.
        kept: How many are to go on.
        sign: 1 if a higher score is better, else −1.
        margin: By how much a score may be behind that of the last of these.
    """
    ordered = sorted(rates, key=lambda rate: preference(rate, sign))
    behind = ordered[kept:]
    if not kept or not margin:
        return behind
    enough = sign * ordered[kept - 1].score - margin - 1e-6 * margin
    return [rate for rate in behind if not sign * rate.score >= enough]


class Pruner:
    """Decides which lanes of one engine call stop, from what is read of them.

    Args:
        lanes: Its lanes, of any contenders.
        steps: Steps of each.
        metric: The metric that decides.
        sign: 1 if a higher score is better, else −1.
        margin: The difference of scores that stops no rate.
        rungs: When how many go on: see `RUNGS`.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        steps: int,
        metric: str,
        sign: int,
        margin: float = 0.0,
        rungs: Rungs = RUNGS,
    ) -> None:
        self._steps = steps
        self._metric = metric
        self._sign = sign
        self._margin = margin
        self._lanes: dict[str, dict[float, list[int]]] = {}
        for lane in lanes:
            own = self._lanes.setdefault(lane.contender, {})
            own.setdefault(lane.lr, []).append(lane.lane)
        self._stages = {name: stages(len(own), rungs) for name, own in self._lanes.items()}
        self._last: dict[int, tuple[float, float]] = {}
        self._gone: set[int] = set()

    def read(self, reading: Reading) -> None:
        """Takes in a reading."""
        if ("train", "diverged") in reading.values:
            self._last |= dict.fromkeys(reading.lanes, (math.nan, math.nan))
            self._gone |= set(reading.lanes)
            return
        scores, losses = (reading.values["validation", name] for name in (self._metric, "loss"))
        self._last |= dict(zip(reading.lanes, zip(scores, losses, strict=True), strict=True))

    def stop(self, step: int) -> list[int]:
        """The lanes that make no more steps: all seeds of the rates that are behind.

        Args:
            step: Steps that those still trained have made; their scores there have been read.
        """
        chosen: list[int] = []
        for name, own in self._lanes.items():
            kept = [count for begin, count in self._stages[name] if step >= begin * self._steps][-1]
            found = [self._rate(lr) for lr in own.items()]
            for rate in weakest(found, kept, self._sign, self._margin):
                chosen += [lane for lane in own.pop(rate.lr) if lane not in self._gone]
        return chosen

    def _rate(self, lanes: tuple[float, list[int]]) -> Rate:
        lr, numbers = lanes
        scores, losses = zip(*(self._last[lane] for lane in numbers), strict=True)
        lost = sum(not math.isfinite(sum(self._last[lane])) for lane in numbers)
        score, loss = (
            math.nan if lost else sum(values) / len(values) for values in (scores, losses)
        )
        return Rate(lr, score, loss, lost, len(numbers))


@dataclass(frozen=True)
class Saving:
    """What pruning spared.

    Attributes:
        stopped: Tuning lanes that it stopped.
        lanes: Tuning lanes in all.
        steps: Steps that those which were stopped did not make.
        of_steps: Steps of all tuning lanes, had none been stopped.
    """

    stopped: int
    lanes: int
    steps: int
    of_steps: int

    def __str__(self) -> str:
        return (
            f"pruning stopped {self.stopped} of {counted(self.lanes, 'tuning lane')} early: "
            f"{100 * self.steps / self.of_steps:.0f}% of tuning's steps were not made"
        )


def saving(history: History) -> Saving:
    """What pruning spared in a study so far."""
    lanes = history.of("tune")
    steps = {lane.lane: history.contenders[lane.contender]["steps"] for lane in lanes}
    return Saving(
        len(history.stopped),
        len(lanes),
        sum(steps[lane] - made for lane, made in history.stopped.items()),
        sum(steps.values()),
    )
