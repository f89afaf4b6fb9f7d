"""Rates that talweg, torch-lr-finder and Lightning suggest, and the losses these lead to.

Run by ``make bench``. Every finder sees the same models, batches of 64, losses and optimizers, on
20 repeats with other seeds; each suggestion is then trained with, from seeds that none has seen.
"""

import argparse
import io
import json
import math
import os
import statistics
import sys
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from finders import BATCH, Suggestion, Task, suggestions
from run import provenance

import talweg
from talweg import lanes
from talweg.rules import RULES
from talweg.study import words

REPEATS = 20
EPOCHS, FRESH, FRESH_FROM = 20, 4, 1_000_000
"""Of the trainings that suggestions lead to: their length, and seeds that no finder has seen."""
PARTS = ("train", "validation")
TASKS = {
    "digits, SGD": Task("digits", "sgd"),
    "digits, Adam": Task("digits", "adam"),
    "diabetes, SGD": Task("diabetes", "sgd"),
    "diabetes, Adam": Task("diabetes", "adam"),
    "digits through 6 tanh layers, SGD": Task("digits", "sgd", (64,) * 6, "tanh"),
}


def ends(task: Task, data: talweg.data.Splits, rates: Sequence[float]) -> dict[float, np.ndarray]:
    """Rate → the training and the validation loss of each fresh seed, ``[seed, 2]``.

    The training loss is the mean of the last epoch's steps. A run that ended with no finite one, or
    with more than twice the loss it began with, has infinite losses.
    """
    chosen = [(lr, FRESH_FROM + seed) for lr in rates for seed in range(FRESH)]
    held_out: dict[int, float] = {}

    def read(reading: lanes.Reading) -> None:
        if ("validation", "loss") in reading.values:
            held_out.update(zip(reading.lanes, reading.values["validation", "loss"], strict=True))

    run = lanes.train(
        task.model, data.train, [RULES[task.rule].with_lr(lr) for lr, _ in chosen],
        [seed for _, seed in chosen], epochs=EPOCHS, batch_size=BATCH,
        evaluate={"validation": data.validation}, each=read,
    )  # fmt: skip
    losses = run.losses.double().numpy()
    last = losses[:, -(losses.shape[1] // EPOCHS) :].mean(1)
    both = np.stack([last, [held_out[lane] for lane in range(len(chosen))]], axis=1)
    both[~np.isfinite(both).all(1) | (last > 2 * losses[:, 0])] = np.inf
    return dict(zip(rates, both.reshape(len(rates), FRESH, 2), strict=True))


def grid(rule: str) -> list[float]:
    """A fine grid from a tenth of the rule's usual range to ten times that: 16 a decade."""
    low, high = np.log10(RULES[rule].rule.lr_range)
    return (10.0 ** np.linspace(low - 1, high + 1, round(16 * (high - low + 2)) + 1)).tolist()


def row(found: Sequence[Suggestion], trained: dict[float, np.ndarray]) -> dict[str, object]:
    """One finder on one task: where its suggestions lie, and what they lead to."""
    known = [one.lr for one in found if one.lr is not None]
    losses = np.concatenate([trained[lr] for lr in known])
    logs = np.log10(known)
    return {
        "gradients": statistics.median(one.gradients for one in found),
        "none": len(found) - len(known),
        "median": float(10 ** np.median(logs)),
        "deviation": float(logs.std(ddof=1)),
        "lowest": min(known),
        "highest": max(known),
        "suggestions": [one.lr for one in found],
        "inside": inside(found),
        **led_to(losses),
    }


def inside(found: Sequence[Suggestion]) -> float | None:
    """Share of the other repeats' suggestions within a repeat's interval; None without any."""
    if any(one.interval is None for one in found):
        return None
    hits = [
        one.interval[0] <= other.lr <= one.interval[1]
        for place, one in enumerate(found)
        for other in found[:place] + found[place + 1 :]
    ]
    return statistics.fmean(hits)


def led_to(losses: np.ndarray) -> dict[str, float | None]:
    """Medians over runs; None where most diverged."""
    train, validation = (float(loss) for loss in np.median(losses, axis=0))
    return {
        "train": train if math.isfinite(train) else None,
        "validation": validation if math.isfinite(validation) else None,
        "diverged": float(np.isinf(losses[:, 0]).mean()),
    }


def study(name: str, repeats: int) -> dict[str, object]:
    """All that is measured on one task."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    task = TASKS[name]
    data = talweg.data.split(talweg.data.load(task.data))
    began = time.perf_counter()
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        found = suggestions(task, data.train, repeats)
    fine = grid(task.rule)
    rates = {one.lr for column in found.values() for one in column if one.lr is not None}
    trained = ends(task, data, sorted(rates | set(fine)))
    best = {
        part: min(fine, key=lambda lr: np.median(trained[lr], axis=0)[column])
        for column, part in enumerate(PARTS)
    }
    rows = {finder: row(column, trained) for finder, column in found.items()}
    return {
        "task": asdict(task),
        "seconds": time.perf_counter() - began,
        "finders": rows,
        "best": {part: {"lr": lr, **led_to(trained[lr])} for part, lr in best.items()},
        "grid": {"lr": fine, **columns([led_to(trained[lr]) for lr in fine])},
    }


def columns(rows: Sequence[dict[str, float | None]]) -> dict[str, list[float | None]]:
    return {key: [row[key] for row in rows] for key in rows[0]}


def rounded(value: object) -> object:
    """Every number in it to five digits."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, (list, tuple)) else value


def table(name: str, found: dict) -> str:
    lines = [
        f"### {name}",
        "",
        "| finder | gradients | median rate | deviation, decades | lowest to highest | none "
        "| training loss | validation loss | diverged |",
        "| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for finder, cells in found["finders"].items():
        lines.append(
            f"| {finder} | {cells['gradients']:,.0f} | {cells['median']:.2g} "
            f"| {cells['deviation']:.2f} | {cells['lowest']:.2g} to {cells['highest']:.2g} "
            f"| {cells['none']} | {shown(cells)} |"
        )
    for part, cells in found["best"].items():
        which = {"train": "training", "validation": "validation"}[part]
        lines.append(f"| *best for {which}* | | {cells['lr']:.2g} | | | | {shown(cells)} |")
    return "\n".join(lines)


def summary(tasks: dict[str, dict]) -> str:
    """A line for each finder over all tasks."""
    lines = [
        "| finder | deviation, decades | training ÷ least | validation ÷ least | diverged |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for finder in next(iter(tasks.values()))["finders"]:
        cells = [task["finders"][finder] for task in tasks.values()]
        ratios = [
            [
                row[part] / task["best"][part][part]
                for row, task in zip(cells, tasks.values(), strict=True)
            ]
            if all(row[part] is not None for row in cells)
            else None
            for part in PARTS
        ]
        over = (
            "–" if one is None else words.number(statistics.geometric_mean(one), 2)
            for one in ratios
        )
        lines.append(
            f"| {finder} | {statistics.fmean(row['deviation'] for row in cells):.2f} "
            f"| {' | '.join(over)} | {statistics.fmean(row['diverged'] for row in cells):.0%} |"
        )
    return "\n".join(lines)


def shown(cells: dict) -> str:
    losses = ("–" if cells[part] is None else f"{cells[part]:.2g}" for part in PARTS)
    return f"{' | '.join(losses)} | {cells['diverged']:.0%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--only", default="", help="Tasks with this in their names.")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="Tasks at a time.")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    names = [name for name in TASKS if asked.only in name]
    found = {}
    with ProcessPoolExecutor(asked.jobs, mp_context=get_context("spawn")) as pool:
        measured = pool.map(partial(study, repeats=asked.repeats), names)
        for name, result in zip(names, measured, strict=True):
            found[name] = result
            print(table(name, result), "\n", flush=True)
    print(summary(found), "\n")
    if asked.json:
        versions = {name: version(name) for name in ("talweg", "torch-lr-finder", "lightning")}
        settings = {"repeats": asked.repeats, "epochs": EPOCHS, "fresh seeds": FRESH}
        told = {"provenance": provenance() | versions | settings, "tasks": rounded(found)}
        asked.json.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
