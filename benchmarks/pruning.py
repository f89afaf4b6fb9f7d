"""Pruned comparisons beside full ones: what is lost, and what is saved.

    python benchmarks/pruning.py [--repeats 10] [--first 100] [--json FILE]

Every bundled data set is split anew at each repeat and compared with and without ``prune``, one
after the other, the one that comes first drawn in turn; both take as many lanes at a time. The full
runs, and some with schedules and of 100 epochs, are then replayed with other degrees of pruning.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from run import provenance

import talweg
from talweg.lanes import Reading, strategy
from talweg.study import Study
from talweg.study.history import History
from talweg.study.pruning import RUNGS, Pruner, Rungs, margin, saving
from talweg.study.runner import Runner
from talweg.study.tuning import baseline, best_rate, preference, rates, sign_of

DATA = ("digits", "iris", "wine", "breast_cancer", "diabetes")
FIRST = 100
"""The first split; the rungs were chosen on splits 0 to 9."""
DEGREES: dict[str, Rungs] = {
    "5, 3, 3 of 9": ((1 / 8, 1 / 2), (1 / 4, 1 / 4), (1 / 2, 1 / 8)),
    "6, 4, 3 of 9": ((1 / 8, 2 / 3), (1 / 4, 4 / 9), (1 / 2, 8 / 27)),
    "5 of 9 after 1/8": ((1 / 8, 1 / 2),),
    "6, 5, 5 of 9": ((1 / 8, 2 / 3), (1 / 4, 1 / 2)),
    "7, 6, 5 of 9 (chosen)": RUNGS,
    "5 of 9 after 1/2": ((1 / 2, 1 / 2),),
}
REPLAYED: dict[str, dict[str, object]] = {
    "cosine": {"schedule": "cosine"},
    "warm-up, then cosine": {"schedule": "warm-up(then=cosine)"},
    "100 epochs": {"epochs": 100},
}


class Widths:
    """Has a full run take as many lanes at a time as the pruned one of its task does."""

    def __init__(self) -> None:
        self._found: dict[str, int] = {}
        self._choose = strategy.choose_width

    @contextmanager
    def used(self, name: str) -> Iterator[None]:
        """Inside, widths are those found for a name, or are found."""

        def width(*asked: object, **more: object) -> int:
            return self._found.setdefault(name, self._choose(*asked, **more))  # pyright: ignore

        strategy.choose_width = width
        try:
            yield
        finally:
            strategy.choose_width = self._choose


def timed(data: str, repeat: int, prune: bool) -> tuple[Study, float, float]:
    """A comparison, and the seconds of its tuning and of all its training and evaluation."""
    seconds: list[float] = []
    tune = Runner._tune

    def tuning(self: Runner, *arguments: object) -> None:
        began = time.perf_counter()
        tune(self, *arguments)  # pyright: ignore
        seconds.append(time.perf_counter() - began)

    Runner._tune = tuning
    try:
        study = compared(data=data, split_seed=repeat, prune=prune)
    finally:
        Runner._tune = tune
    return study, seconds[0], study.record["seconds"]


def compared(**asked: object) -> Study:
    """A comparison whose folder is gone; its record and its readings are in memory."""
    with tempfile.TemporaryDirectory() as folder:
        study = talweg.compare(out=Path(folder) / "run", progress=False, **asked)  # pyright: ignore
        _ = study.ranking
    return study


def side_by_side(full: Study, pruned: Study) -> dict[str, float]:
    """What a pruned comparison found, against the full one."""
    first, now = full.ranking[0], pruned.ranking[0]
    sign = sign_of(full.history)
    found = {row.name: row for row in pruned.ranking}
    regrets = [sign * (row.score - found[row.name].score) for row in full.ranking]
    spared = saving(pruned.history)
    return {
        "same winner": now.name == first.name,
        "winner or tied with it": now.name == first.name or now.label in first.ties,
        "same rate": statistics.mean(row.lr == found[row.name].lr for row in full.ranking),
        "regret of a rule": statistics.mean(regrets),
        "regret of the winner": sign * (first.score - now.score),
        "steps of tuning saved": spared.steps / spared.of_steps,
    }


def replayed(history: History, rungs: Rungs) -> dict[str, float]:
    """What other rungs would have chosen and spared, from the readings of a full run."""
    task, sign = history.record["task"], sign_of(history)
    lanes = history.of("tune")
    steps = history.contenders[lanes[0].contender]["steps"]
    close = margin(task, history.record["data"]["validation"])
    pruner = Pruner(lanes, steps, task["metric"], sign, close, rungs)
    stopped: dict[int, int] = {}
    for step in sorted({int(s) for lane in lanes for s in _steps(history, lane.lane)}):
        for lane in lanes:
            pruner.read(_reading(history, lane.lane, step, task["metric"]))
        if 0 < step < steps:
            stopped |= dict.fromkeys(pruner.stop(step), step)
    same: list[bool] = []
    regrets: list[float] = []
    for name in history.contenders:
        gone = {lane.lr for lane in history.of("tune", name) if lane.lane in stopped}
        best = best_rate(history, name)
        left = [rate for rate in rates(history, name) if rate.lr not in gone]
        chosen = min(left, key=lambda rate: preference(rate, sign))
        assert best is not None
        same.append(chosen.lr == best.lr)
        way = best.score - baseline(history, "validation")
        regrets.append((best.score - chosen.score) / way if way and best.score == best.score else 0)
    return {
        "same rate": statistics.mean(same),
        "regret": statistics.mean(regrets),
        "steps of tuning saved": sum(steps - made for made in stopped.values())
        / (steps * len(lanes)),
    }


def _steps(history: History, lane: int) -> np.ndarray:
    series = history.series(lane, "validation", "loss")
    return np.array([]) if series is None else series.steps


def _reading(history: History, lane: int, step: int, metric: str) -> Reading:
    """What was read of a lane then; that it had diverged, if it had."""
    if history.diverged.get(lane, step + 1) <= step:
        return Reading((lane,), step, 0.0, {("train", "diverged"): [1.0]})
    values = {
        ("validation", name): [float(series.values[series.steps == step][0])]
        for name in {metric, "loss"}
        if (series := history.series(lane, "validation", name))
    }
    return Reading((lane,), step, 0.0, values)


def means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Each number's mean over repeats; of ratios, the median."""
    return {
        key: float((statistics.median if "ratio" in key else statistics.mean)(r[key] for r in rows))
        for key in rows[0]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--first", type=int, default=FIRST)
    asked = parser.parse_args()
    splits = range(asked.first, asked.first + asked.repeats)
    fewer = splits[: max(asked.repeats // 5, 1)]
    widths, began = Widths(), time.perf_counter()
    results: dict[str, list[dict[str, float]]] = {name: [] for name in DATA}
    replays: dict[str, dict[str, list[dict[str, float]]]] = {}

    def replay(kind: str, history: History) -> None:
        for degree, rungs in DEGREES.items():
            own = replays.setdefault(kind, {}).setdefault(degree, [])
            own.append(replayed(history, rungs))

    with widths.used("digits"):
        compared(data="digits", prune=True)  # fills the compiler's cache for both
    for repeat in splits:
        for name in DATA:
            with widths.used(name):
                if repeat == asked.first:
                    compared(data=name, prune=True, epochs=1)
                sides = {p: timed(name, repeat, p) for p in (bool(repeat % 2), not repeat % 2)}
            (full, tune, every), (pruned, less_tune, less) = sides[False], sides[True]
            row = side_by_side(full, pruned)
            row |= {"ratio of tuning": less_tune / tune, "ratio of all": less / every}
            results[name].append(row)
            replay(f"constant rate, 20 epochs, {asked.repeats} repeats", full.history)
            sys.stdout.write(f"{repeat} {name} {row}\n")
            sys.stdout.flush()
    for kind, more in REPLAYED.items():
        for repeat in fewer:
            for name in DATA:
                if name != "digits" or "epochs" not in more:
                    study = compared(data=name, split_seed=repeat, seeds=1, **more)
                    replay(f"{kind}, {len(fewer)} repeats", study.history)
    summary = {name: means(rows) for name, rows in results.items()}
    degrees = {
        kind: {degree: means(rows) for degree, rows in each.items()}
        for kind, each in replays.items()
    }
    for title, table in (("", summary), *degrees.items()):
        sys.stdout.write(f"\n{title}\n| | {' | '.join(next(iter(table.values())))} |\n")
        for name, row in table.items():
            sys.stdout.write(f"| {name} | {' | '.join(f'{v:.3g}' for v in row.values())} |\n")
    if asked.json:
        about = {
            **provenance(),
            "repeats": asked.repeats,
            "first split": asked.first,
            "seconds": round(time.perf_counter() - began, 1),
        }
        found = {"provenance": about, "means": summary, "repeats": results, "degrees": degrees}
        asked.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
