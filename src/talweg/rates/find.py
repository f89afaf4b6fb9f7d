"""The search: many rates and seeds at once, for a few steps."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from talweg.core import Rule, UserError, is_finite, whole_number
from talweg.data import as_samples
from talweg.lanes import Augment, Engine
from talweg.lanes.checks import source_for
from talweg.lanes.progress import watched
from talweg.losses import Loss, PerSample
from talweg.models import Model
from talweg.rates.found import FoundRate, interval, suggestion
from talweg.rates.trial import LEAST_SEEDS, LEAST_STEPS, Trial
from talweg.rules import NamedRule, named

A_DECADE = 4
"""Rates in a decade of the first search."""
BETWEEN = 7
"""Rates between the last that trained and the first that diverged, of the second search."""
WORSE = 2.0
"""How many times the loss of a run that hardly moved, on the same batches, is called diverged."""


def find_lr(
    model: Model = "mlp",
    data: Any = "digits",
    rule: str | Rule | NamedRule = "adam",
    lrs: Sequence[float] | None = None,
    seeds: int | Sequence[int] = 8,
    steps: int = 100,
    batch_size: int | None = 64,
    loss: str | Loss | PerSample | None = None,
    device: str | torch.device | None = None,
    progress: bool = True,
    *,
    target: str | int | None = None,
    strategy: str = "auto",
    memory: str | int | None = None,
    augment: Augment | None = None,
    precision: str | None = None,
) -> FoundRate:
    """Finds a learning rate to start from: all rates and seeds at once, as lanes.

    Rates are constant. The best one is that with the least training loss at the end; the
    suggestion is the next one above it, unless a seed diverged there or the loss is larger than at
    the next one below.

    Args:
        model: As for `lanes.train`: a name, a callable, a module or ``"file.py:name"``.
        data: As for `lanes.train`; all of it is trained on.
        rule: A rule, or its name with options.
        lrs: Rates to try; None for four a decade, from a tenth of the rule's usual range to ten
            times that, and then some around the edge of divergence.
        seeds: Runs at each rate, at least 2, or their seeds: each with its own start and order of
            batches.
        steps: Updates of each run, at least 10.
        batch_size: Samples per batch; None for all.
        loss: As for `lanes.train`.
        device: Where to compute; None for a GPU if there is one.
        progress: Whether to show any.
        target: The column to predict, where the data does not say.
        strategy: ``"auto"``, ``"stacked"`` or ``"serial"``.
        memory: A limit on what data and lanes take, such as ``"2G"``; see `lanes.train`.
        augment: As for `lanes.train`.
        precision: As for `lanes.train`.

    Returns:
        What was found. Ctrl-C ends the search with what it knows by then, if every rate was tried
        for 10 steps with 2 seeds.

    Raises:
        UserError: For input that cannot be used, in one line.

    >>> import torch
    >>> x = torch.randn(60, 2); y = x.sum(1)
    >>> found = find_lr(lambda: torch.nn.Linear(2, 1), (x, y), "sgd", batch_size=None, seeds=2,
    ...                 steps=30, progress=False)
    >>> found.lr < found.edge[1]
    True
    """
    chosen = named(rule)
    numbers = _seeds(seeds)
    steps = whole_number("steps", steps, at_least=LEAST_STEPS)
    first = _grid(chosen) if lrs is None else _given(lrs)
    samples = as_samples(data, target=target, memory=memory)
    source = source_for(model, samples)
    more = BETWEEN if lrs is None else 0
    lane_counts = [len(first) * len(numbers), *([more * len(numbers)] if more else [])]
    engine = Engine(
        source,
        samples,
        loss=loss,
        batch_size=batch_size,
        strategy=strategy,
        device=device,
        compiled=None,
        lane_counts=lane_counts,
        lane_steps=sum(lane_counts) * steps,
        say=lambda _line: None,
        memory=memory,
        augment=augment,
        precision=precision,
    )
    interrupted, made = False, steps
    with watched("trying rates", sum(lane_counts) * steps, progress) as tick:
        trial = Trial(engine, chosen, numbers, steps, tick)
        try:
            losses = trial.losses(first)
        except KeyboardInterrupt:
            so_far = trial.so_far()
            if so_far is None:
                raise
            (losses, made), interrupted = so_far, True
        still = losses[0]
        losses = _without_diverged(losses, still)
        if not np.isfinite(losses).all(1).any():
            raise UserError(f"some seed diverged at every rate, down to {first[0]:.3g}: try lower")
        best, start = suggestion(first, losses)
        sure = interval(first, losses)
        rates, found = list(first), losses
        edge = _edge(rates, found, best)
        if edge and more and not interrupted:
            between = _between(*edge)
            try:
                closer = _without_diverged(trial.losses(between), still)
            except KeyboardInterrupt:
                interrupted = True
            else:
                rates, found = [*rates, *between], np.concatenate((found, closer))
                order = np.argsort(rates)
                rates, found = [rates[place] for place in order], found[order]
                edge = _edge(rates, found, rates.index(first[best]))
    return FoundRate(
        rule=chosen.label,
        task=f"{source.name}, {data if isinstance(data, str) else 'the given data'}",
        lr=first[start],
        interval=sure,
        best=first[best],
        edge=edge,
        rates=tuple(rates),
        losses=tuple(tuple(row) for row in found.tolist()),
        steps=made,
        interrupted=interrupted,
    )


def _without_diverged(losses: np.ndarray, still: np.ndarray) -> np.ndarray:
    """``[rate, seed]``, infinite where the loss is far above that of a run that hardly moved."""
    return np.where(losses > WORSE * still, np.inf, losses)


def _grid(rule: NamedRule) -> list[float]:
    low, high = np.log10(rule.rule.lr_range)
    count = round((high - low + 2) * A_DECADE) + 1
    return [float(f"{10**e:.4g}") for e in np.linspace(low - 1, high + 1, count)]


def _seeds(seeds: int | Sequence[int]) -> list[int]:
    if not isinstance(seeds, Iterable):
        return [*range(whole_number("seeds", seeds, at_least=LEAST_SEEDS))]
    numbers = [whole_number("a seed", seed, at_least=0) for seed in seeds]
    if len(set(numbers)) < max(len(numbers), LEAST_SEEDS):
        raise UserError(f"seeds must be at least {LEAST_SEEDS} different numbers, got {numbers}")
    return numbers


def _given(lrs: Sequence[float]) -> list[float]:
    if not isinstance(lrs, Iterable) or not all(map(is_finite, lrs)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"lrs must be numbers, got {lrs!r}")
    rates = sorted({float(lr) for lr in lrs})
    if len(rates) < 3:
        raise UserError(f"lrs must be at least 3 different rates, got {len(rates)}")
    return rates


def _edge(rates: Sequence[float], losses: np.ndarray, best: int) -> tuple[float, float] | None:
    """The last rate from the best one upward at which no seed diverged, and the one after it."""
    for place in range(best + 1, len(rates)):
        if not np.isfinite(losses[place]).all():
            return rates[place - 1], rates[place]
    return None


def _between(low: float, high: float) -> list[float]:
    """Rates evenly between two, in the logarithm."""
    inner = np.geomspace(low, high, BETWEEN + 2)[1:-1]
    return [float(f"{lr:.4g}") for lr in inner]
