"""`race`: every rule from the same start, each at its own best rate."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from talweg.core import Rule, UserError, check_number, is_finite, split_calls, whole_number
from talweg.landscapes import LANDSCAPES, Landscape, LineFit
from talweg.lanes.progress import watched
from talweg.race.descent import Noise, paths
from talweg.race.result import Race, Racer
from talweg.rules import STANDARD, NamedRule, default_lrs, named

RATES = 25
"""Rates that every rule gets."""


def race(
    landscape: str | Landscape = "rosenbrock",
    rules: str | Sequence[str | Rule | NamedRule] | None = None,
    steps: int = 500,
    *,
    noise: float = 0.0,
    batch_size: int | None = None,
    seeds: int | None = None,
    start: Sequence[float] | None = None,
    tolerance: float = 1e-4,
    rates: int = RATES,
    progress: bool = True,
) -> Race:
    """Races rules on a landscape, from the same start, as lanes of one tensor program.

    Each gets as many rates, evenly spaced in the logarithm over its own usual range; the one that
    gets it to the minimum soonest, or else nearest, is shown. With noise all rules of a seed see
    the same of it. The same call gives the same bits.

    Args:
        landscape: A landscape, or its name.
        rules: Rules or names, or names with commas between; None for the standard set.
        steps: Updates of each lane.
        noise: Standard deviation of what is added to each coordinate of a gradient.
        batch_size: Samples that a step sees, on ``"line-fit"``; None for all.
        seeds: Runs at each rate; None for 1 with exact gradients, 5 otherwise.
        start: Where all begin; None for the usual place.
        tolerance: Within what share of the start's height above the least value a point counts as
            at the minimum; with exact gradients once it stays there.
        rates: Rates for each rule.
        progress: Whether to show any.

    Raises:
        UserError: For input that cannot be used, in one line.

    >>> result = race("ravine", ["sgd", "momentum"], steps=200, progress=False)
    >>> result.best.name
    'momentum'
    """
    chosen = landscape if isinstance(landscape, Landscape) else LANDSCAPES[landscape]
    rules = split_calls(rules) if isinstance(rules, str) else rules
    entries = [named(rule) for rule in (STANDARD if rules is None else rules)]
    if not entries:
        raise UserError("rules must name at least one rule (talweg list rules)")
    steps = whole_number("steps", steps)
    rates = whole_number("rates", rates, at_least=2)
    for name, value in (("noise", noise), ("tolerance", tolerance)):
        check_number(name, value, at_least=0)
    if batch_size is not None:
        if not isinstance(chosen.function, LineFit):
            raise UserError(f"batch_size is for line-fit; {chosen.name} has no samples: use noise")
        batch_size = whole_number("batch_size", batch_size)
    stochastic = Noise(noise, batch_size)
    count = (1 if stochastic.is_exact else 5) if seeds is None else whole_number("seeds", seeds)
    begin = chosen.start if start is None else start
    size = len(chosen.start)
    if not isinstance(begin, Sequence) or len(begin) != size or not all(map(is_finite, begin)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"start must be {size} finite numbers, got {start!r}")
    grids = [default_lrs(entry.rule, rates) for entry in entries]
    lanes = [
        (entry.with_lr(lr), seed)
        for entry, grid in zip(entries, grids, strict=True)
        for lr in grid
        for seed in range(count)
    ]
    with watched(f"racing {len(lanes)} lanes", steps, progress) as tick:
        walked = paths(
            chosen, [rule for rule, _ in lanes], [seed for _, seed in lanes], begin, steps,
            stochastic, tick,
        )  # fmt: skip
    height = float(chosen(torch.tensor(begin, dtype=torch.float64))) - chosen.least
    per_rule = walked.view(steps + 1, len(entries), rates, count, -1)
    racers = [
        _racer(chosen, entry, grid, per_rule[:, place], tolerance * height, stochastic.is_exact)
        for place, (entry, grid) in enumerate(zip(entries, grids, strict=True))
    ]
    racers.sort(key=lambda one: (one.steps is None, one.steps or one.gap))
    if batch_size is not None:
        racers = _with_exact_paths(chosen, entries, racers, begin, steps)
    return Race(
        chosen, tuple(racers), steps, tolerance, rates, count, stochastic.is_exact, batch_size
    )


def _with_exact_paths(
    landscape: Landscape,
    entries: Sequence[NamedRule],
    racers: Sequence[Racer],
    begin: Sequence[float],
    steps: int,
) -> list[Racer]:
    """Racers with where they would have been with exact gradients."""
    known = {entry.name: entry for entry in entries}
    rules = [known[racer.name].with_lr(racer.lr) for racer in racers]
    walked = paths(landscape, rules, [0] * len(rules), begin, steps, Noise(), lambda _: None)
    return [replace(racer, exact_path=walked[:, lane]) for lane, racer in enumerate(racers)]


def _racer(
    landscape: Landscape,
    entry: NamedRule,
    grid: Sequence[float],
    walked: Tensor,
    near: float,
    must_stay: bool,
) -> Racer:
    """A rule at the rate that served it best.

    Args:
        landscape: Where it walked.
        entry: The rule.
        grid: Its rates.
        walked: ``[step, rate, seed, n]``; NaN where it diverged.
        near: How far above the least value counts as there.
        must_stay: Whether it only counts as there once it stays, and not when it passes by.
    """
    gaps = (landscape(walked) - landscape.least).nan_to_num(nan=math.inf)
    there = gaps <= near
    if must_stay:
        there = there.flip(0).cummin(0).values.flip(0)
    reached = _first(there)
    ends = gaps[-1].mean(-1)
    means = reached.mean(-1)
    best = min(range(len(grid)), key=lambda place: (means[place], float(ends[place])))
    left: dict[float, float | None] = {}
    if landscape.saddles:
        at = torch.tensor(landscape.saddles, dtype=torch.float64)
        level = float((landscape(at) - landscape.least).min())
        gone = _first(gaps <= 0.99 * level).mean(-1)
        left = {lr: _known(steps) for lr, steps in zip(grid, gone, strict=True)}
    return Racer(
        entry.name,
        entry.label,
        grid[best],
        _known(means[best]),
        left.get(grid[best]),
        left,
        float(ends[best]),
        int((~gaps[-1].isfinite()).sum()),
        walked[:, best, 0].clone(),
    )


def _first(there: Tensor) -> np.ndarray:
    """``[step, rate, seed]`` → the first step at which it holds, or infinity, ``[rate, seed]``."""
    steps = torch.where(there.any(0), there.to(torch.int8).argmax(0).double(), torch.inf)
    return steps.numpy()


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
