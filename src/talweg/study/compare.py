"""`talweg.compare`: every rule × learning rate × seed at once, by a fair protocol.

Every rule gets the same number of learning rates, steps and tuning seeds. The rate is chosen on
the validation part, the chosen setting is trained again on fresh seeds, and its score is taken on
the test part, which nothing before has seen.
"""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from numbers import Real
from typing import Any, TypeAlias

import torch

from talweg.core import Rule, UserError, choose, parse_call, split_calls, whole_number
from talweg.data import BatchOrder, Splits, split
from talweg.data import load as load_data
from talweg.lanes import Engine, Plan, one_interrupt, schedules_of
from talweg.lanes.checks import sizes_of
from talweg.losses import LOSSES, Loss, PerSample, loss_named
from talweg.metrics import METRICS, Metric, metrics_of
from talweg.models import Model, ModelSource, mlp_source, source_of
from talweg.rules import STANDARD, NamedRule, default_lrs, named
from talweg.schedules import Schedule, schedule_of
from talweg.study.folder import RunFolder
from talweg.study.live import Board, Display, Log
from talweg.study.record import constant_score, new_record
from talweg.study.result import Study, load
from talweg.study.runner import Runner

OneRule: TypeAlias = str | Rule | NamedRule
Rates: TypeAlias = float | Sequence[float]

TUNE_SEEDS_FROM = 1000
"""Tuning seeds start here, or past the final ones, which start at 0: no seed is used in both."""


def compare(
    model: Model = "mlp",
    data: Any = "digits",
    rules: OneRule | Sequence[OneRule] | None = None,
    lrs: Rates | Mapping[str, Rates] | None = None,
    seeds: int = 5,
    tune_seeds: int = 2,
    epochs: int = 20,
    batch_size: int | None = 64,
    loss: str | Loss | PerSample | None = None,
    metric: str | Metric | None = None,
    schedule: str | Schedule | None = None,
    target: str | int | None = None,
    device: str | torch.device | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: bool = True,
    *,
    reach: float | None = None,
    hidden: int | Sequence[int] | None = None,
    activation: str | None = None,
    strategy: str = "auto",
    kind: str | None = None,
    missing: str | None = None,
    scale: bool = True,
    split_seed: int = 0,
) -> Study:
    """Trains every rule × learning rate × seed at once and says which rule wins.

    Args:
        model: A callable that returns a module, a module to re-initialise, ``"file.py:name"``, or
            ``"mlp"``.
        data: ``"digits"``, ``"iris"``, ``"wine"``, ``"breast_cancer"``, ``"diabetes"``; a csv,
            parquet, npz or npy file; ``(X, y)``; a torch Dataset; or `talweg.data.Data`.
        rules: Names such as ``"adam"`` or ``"momentum(form=average)"``, or `talweg.rules`
            objects (their ``lr`` is replaced by those of the grid), one or several; None for the
            standard set.
        lrs: Learning rates for all rules, or ``{rule name: rates}``; None for nine over each
            rule's own range. Every rule must get the same number.
        seeds: Fresh seeds that the chosen settings are trained on.
        tune_seeds: Other seeds, that rates are chosen on.
        epochs: Passes over the training part, in both phases.
        batch_size: Samples per batch; None for full-batch descent.
        loss: A name, a function of ``(output, target)``, or None for the usual one.
        metric: What decides: ``"accuracy"``, ``"rmse"``, ``"r2"``, a `Metric`, or None for the
            first of these that fits.
        schedule: Of the learning rate: a schedule, or its name, with options if need be.
        target: For tables, the column to predict.
        device: Where to compute; None for a GPU if there is one.
        out: The run folder; None for ``runs/NAME-DATE-TIME``.
        progress: Whether to show progress on the error stream.
        reach: The target: the validation score whose first reaching is timed. None for 95% of
            the way from the constant prediction to the best score found in tuning.
        hidden: Units of the MLP's hidden layers; None for 128 and 128.
        activation: The MLP's activation; None for ReLU.
        strategy: See `talweg.lanes.train`.
        kind: ``"classification"`` or ``"regression"``; None to go by the target.
        missing: ``"median"`` fills gaps in the features, ``"error"`` refuses them; None fills
            them in tables and refuses them in arrays.
        scale: Whether to standardise features and regression targets, fitted on the training part.
        split_seed: Draws the training, validation and test parts.

    Returns:
        The study. After Ctrl-C it holds what was done by then; see `Study.partial`.

    Raises:
        UserError: For input that cannot be used, in one line, before anything is written.
    """
    seeds = whole_number("seeds", seeds)
    tune_seeds = whole_number("tune_seeds", tune_seeds)
    epochs = whole_number("epochs", epochs)
    batch_size = None if batch_size is None else whole_number("batch_size", batch_size)
    split_seed = whole_number("split_seed", split_seed, at_least=0)
    if not isinstance(scale, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"scale must be true or false, got {scale!r}")
    if isinstance(target, float):
        raise UserError(
            f"target is the column to predict; for a score to reach, pass reach={target}"
        )
    chosen = _rules(rules)
    grids = _grids(chosen, lrs)
    loaded = load_data(data, target=target, kind=kind, missing=missing)
    splits = split(loaded, seed=split_seed, scale=scale)
    metrics = _metrics(metric, splits.kind)
    _check_scores(metrics[0], splits)
    reach = _reach(reach, metrics[0])
    steps = epochs * BatchOrder(len(splits.train), batch_size, 0).steps_per_epoch
    lane_counts = [sum(map(len, grids)) * tune_seeds, len(chosen) * seeds]
    log = Log()
    engine = Engine(
        _source(model, splits, hidden, activation),
        splits.train,
        loss=_loss(loss, splits.kind),
        batch_size=batch_size,
        strategy=strategy,
        device=device,
        compiled=None,
        lane_counts=lane_counts,
        lane_steps=sum(lane_counts) * steps,
        say=log,
    )
    record = new_record(
        name=loaded.name,
        asked={
            "data": loaded.name,
            "model": engine.source.name,
            "rules": [rule.name for rule in chosen],
            "seeds": seeds,
            "tune_seeds": tune_seeds,
            "epochs": epochs,
            "batch_size": batch_size,
            "schedule": _schedule_name(schedule),
            "target": target,
            "reach": reach,
            "strategy": strategy,
            "scale": scale,
            "split_seed": split_seed,
        },
        splits=splits,
        engine=engine,
        metric=metrics[0],
        rules=list(zip(chosen, grids, strict=True)),
        epochs=epochs,
        reach=reach,
        log=log.lines,
    )
    folder = RunFolder.create(out, loaded.name, record)
    plan = Plan(
        rules=(),
        seeds=(),
        steps=steps,
        schedules=[schedules_of(schedule)],
        evaluate={},
        metrics=metrics,
        scale=torch.tensor(splits.target_scale[1]),
    )
    labels = {rule.name: rule.label for rule in chosen}
    board = Board(record["task"], labels)
    by_name = {rule.name: rule for rule in chosen}
    with one_interrupt() as interrupt:
        with Display(board, record["task"], sum(lane_counts) * steps, progress) as display:
            for line in (*splits.notes, *log.lines):
                display.say(line)
            log.listeners.append(display.say)
            runner = Runner(engine, plan, splits, by_name, record, folder, display, interrupt.check)
            first = max(TUNE_SEEDS_FROM, seeds)
            runner.run(range(first, first + tune_seeds), range(seeds))
        study = load(folder.path)
        study.rules = by_name
        study.report()
    return study


def _reach(reach: float | None, metric: Metric) -> float | None:
    if reach is None:
        return None
    if isinstance(reach, bool) or not isinstance(reach, Real) or not math.isfinite(reach):
        raise UserError(f"reach must be a finite number, got {reach!r}")
    low, high = metric.lowest, metric.highest
    if (low is not None and reach < low) or (high is not None and reach > high):
        bounds = [f"at least {low:g}"] if low is not None else []
        bounds += [f"at most {high:g}"] if high is not None else []
        raise UserError(
            f"reach must be {' and '.join(bounds)}, as the metric is {metric.name}, got {reach:g}"
        )
    return float(reach)


def _check_scores(metric: Metric, splits: Splits) -> None:
    """Complains of a metric that is not defined on these parts, as R² is of one value."""
    for part in ("validation", "test"):
        if math.isnan(constant_score(splits, getattr(splits, part), metric)):
            raise UserError(
                f"{metric.name} is not defined on the {part} part: all its targets are equal; "
                f"choose another metric"
            )


def _rules(rules: OneRule | Sequence[OneRule] | None) -> list[NamedRule]:
    if isinstance(rules, str):
        rules = split_calls(rules)
    elif isinstance(rules, (Rule, NamedRule)):
        rules = [rules]
    if rules is not None and not isinstance(rules, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"rules must be names or talweg.rules objects, got {rules!r}")
    for rule in rules or ():
        if isinstance(rule, str) and "lr" in parse_call(rule)[1]:
            raise UserError(f"learning rates are given as lrs, not within a rule, got {rule!r}")
    chosen = [named(rule) for rule in (STANDARD if rules is None else rules)]
    if not chosen:
        raise UserError("rules must name at least one rule (talweg list rules)")
    names = [rule.name for rule in chosen]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"rule {twice!r} is given twice")
    for one, other in combinations(chosen, 2):
        if one.with_lr(1.0) == other.with_lr(1.0):
            raise UserError(f"{one.name} and {other.name} are the same rule")
    return chosen


def _grids(
    rules: Sequence[NamedRule], lrs: Rates | Mapping[str, Rates] | None
) -> list[list[float]]:
    """Each rule's learning rates, ascending; equal in number, or the budget would not be."""
    if isinstance(lrs, Mapping):
        for name in lrs:
            if name not in {rule.name for rule in rules}:
                raise choose("rule in lrs", name, [rule.name for rule in rules])
        given = [lrs.get(rule.name) for rule in rules]
    else:
        given = [lrs] * len(rules)
    grids = [
        default_lrs(rule.rule) if own is None else list(own if isinstance(own, Iterable) else [own])
        for rule, own in zip(rules, given, strict=True)
    ]
    for rule, grid in zip(rules, grids, strict=True):
        if not grid:
            raise UserError(f"lrs must hold at least one learning rate, got none for {rule.name}")
        for lr in grid:
            rule.with_lr(lr)  # complains of one out of range
        if len(set(grid)) < len(grid):
            raise UserError(f"lrs must be distinct, got {', '.join(f'{lr:g}' for lr in grid)}")
    if len({len(grid) for grid in grids}) > 1:
        counts = ", ".join(
            f"{rule.name} {len(grid)}" for rule, grid in zip(rules, grids, strict=True)
        )
        raise UserError(f"every rule must get the same number of learning rates, got {counts}")
    return [sorted(float(lr) for lr in grid) for grid in grids]


def _source(
    model: Model,
    splits: Splits,
    hidden: int | Sequence[int] | None,
    activation: str | None,
) -> ModelSource:
    if isinstance(model, str) and model == "mlp":
        inputs, outputs = sizes_of(splits.train)
        layers = (128, 128) if hidden is None else hidden
        units = tuple(layers) if isinstance(layers, Iterable) else (layers,)
        shape = inputs, max(outputs, len(splits.classes)), units
        return mlp_source(*shape, activation or "relu")
    for name, value in (("hidden", hidden), ("activation", activation)):
        if value is not None:
            raise UserError(f"{name} shapes the mlp and cannot change a model of your own")
    if isinstance(model, str) and ":" not in model and not model.endswith(".py"):
        raise choose("model", model, ["mlp"], "'mlp' or 'file.py:name'")
    return source_of(model)


def _loss(loss: str | Loss | PerSample | None, kind: str) -> str | Loss | PerSample | None:
    if isinstance(loss, str) and loss_named(loss).kind != kind:
        fitting = [name for name, entry in LOSSES.items() if entry.kind == kind]
        raise UserError(f"{loss} is no loss for {kind} (allowed: {', '.join(fitting)})")
    return loss


def _metrics(metric: str | Metric | None, kind: str) -> list[Metric]:
    """What is measured; the first decides."""
    usual = metrics_of(kind)
    if metric is None:
        return usual
    first = METRICS[metric] if isinstance(metric, str) else metric
    if not isinstance(first, Metric):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"a metric is a name or a Metric, got {type(first).__name__}")
    if first.kind != kind:
        fitting = ", ".join(entry.name for entry in usual)
        raise UserError(f"{first.name} is no metric for {kind} (allowed: {fitting})")
    return [first, *(entry for entry in usual if entry.name != first.name)]


def _schedule_name(schedule: str | Schedule | None) -> str:
    if schedule is None:
        return "constant"
    schedule_of(schedule)  # complains of one that is none
    return schedule if isinstance(schedule, str) else repr(schedule)
