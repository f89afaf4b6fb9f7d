"""What a comparison is asked for, read and checked: rules, rates, factors, metrics."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from numbers import Integral
from typing import Any, TypeAlias

from talweg.activations import ACTIVATIONS
from talweg.core import Rule, UserError, choose, is_finite, parse_call, split_calls, whole_number
from talweg.data import Splits
from talweg.losses import LOSSES, Loss, PerSample, loss_named
from talweg.metrics import METRICS, Metric, metrics_of
from talweg.models import MODELS, Model
from talweg.rules import STANDARD, NamedRule, default_lrs, named
from talweg.schedules import Schedule, schedule_of
from talweg.study.contenders import Level
from talweg.study.record import constant_score

OneRule: TypeAlias = str | Rule | NamedRule
Rates: TypeAlias = float | Sequence[float]
Models: TypeAlias = Mapping[str, Model] | Sequence[str]


def rule_levels(rules: OneRule | Sequence[OneRule] | None) -> list[Level]:
    """The rules to compare; the standard set for None."""
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
    levels = distinct("rule", [Level(rule.name, rule.label, rule) for rule in chosen])
    for one, other in combinations(chosen, 2):
        if one.with_lr(1.0) == other.with_lr(1.0):
            raise UserError(f"{one.name} and {other.name} are the same rule")
    return levels


def grids_of(
    rules: Sequence[NamedRule], lrs: Rates | Mapping[str, Rates] | None
) -> dict[str, list[float]]:
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
    return {
        rule.name: sorted(float(lr) for lr in grid) for rule, grid in zip(rules, grids, strict=True)
    }


def model_levels(model: Model, models: Models | None) -> list[Level]:
    """The models to compare, by the names that they are given or have."""
    if models is None:
        return [Level(model if isinstance(model, str) else "model", "", model)]
    if model != "mlp":
        raise UserError("give either model or models")
    if isinstance(models, str):
        models = split_calls(models)
    if isinstance(models, Mapping):
        named_models: list[tuple[str, Model]] = list(models.items())
    elif isinstance(models, Iterable) and all(isinstance(each, str) for each in models):  # pyright: ignore[reportUnnecessaryIsInstance]
        named_models = [(each, each) for each in models]
    else:
        raise UserError(f"models must be names, or {{name: model}}, got {models!r}")
    return several("models", [Level(str(name), str(name), each) for name, each in named_models])


def activation_levels(
    activation: str | None, activations: Sequence[str] | None
) -> list[Level] | None:
    """The activations to compare; None if none is named."""
    if activations is None:
        return None if activation is None else [Level(activation, activation, activation)]
    if activation is not None:
        raise UserError("give either activation or activations")
    names = split_calls(activations) if isinstance(activations, str) else activations
    if not isinstance(names, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"activations must be names (talweg list activations), got {names!r}")
    canonical = [_activation_name(name) for name in names]
    return several("activations", [Level(name, name, name) for name in canonical])


def _activation_name(name: object) -> str:
    if not isinstance(name, str):
        raise UserError(f"an activation is a name (talweg list activations), got {name!r}")
    _ = ACTIVATIONS[name]  # complains of one that is none
    return name if name in ACTIVATIONS else name.replace("_", "-")


def check_crossing(models: Sequence[Level], activations: Sequence[Level] | None) -> None:
    """Complains of several activations for a model that has none: it would be trained twice."""
    for model in models if activations and len(activations) > 1 else ():
        name = model.value
        if isinstance(name, str) and name in MODELS and MODELS[name].activation is None:
            raise UserError(
                f"{model.name} has no activation and cannot be crossed with several: "
                f"compare it in a study of its own"
            )


def schedule_levels(
    schedule: str | Schedule | None, schedules: Sequence[str | Schedule] | None
) -> list[Level]:
    """The schedules of the learning rate to compare."""
    if schedules is None:
        return [_schedule_level(schedule)]
    if schedule is not None:
        raise UserError("give either schedule or schedules")
    if isinstance(schedules, str):
        schedules = split_calls(schedules)
    if not isinstance(schedules, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"schedules must be names or schedules, got {schedules!r}")
    return several("schedules", [_schedule_level(each) for each in schedules])


def _schedule_level(schedule: str | Schedule | None) -> Level:
    chosen = schedule_of(schedule)  # complains of one that is none
    if schedule is None:
        name = "constant"
    else:
        name = schedule.strip() if isinstance(schedule, str) else _written(schedule)
    return Level(name, name, chosen)


def _written(schedule: Schedule) -> str:
    return getattr(schedule, "__name__", None) or repr(schedule)


def batch_levels(
    batch_size: int | None, batch_sizes: Sequence[int | None] | None, count: int
) -> list[Level]:
    """The batch sizes to compare, None for all of the ``count`` samples; values are in samples."""
    if batch_sizes is None:
        return [_batch_level(batch_size, count)]
    if not isinstance(batch_sizes, Iterable) or isinstance(batch_sizes, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"batch_sizes must be whole numbers or None, got {batch_sizes!r}")
    levels = several("batch_sizes", [_batch_level(each, count) for each in batch_sizes])
    for one, other in combinations(levels, 2):
        if one.value == other.value:
            raise UserError(
                f"batch sizes {one.name} and {other.name} are the same on {count} samples"
            )
    return levels


def _batch_level(size: int | None, count: int) -> Level:
    if size is None:
        return Level("full", "full batch", count)
    size = whole_number("batch_size", size)
    return Level(str(size), f"batch {size}", min(size, count))


def several(what: str, levels: list[Level]) -> list[Level]:
    """Levels, at least one of them and no two alike."""
    if not levels:
        raise UserError(f"{what} must hold at least one, got none")
    return distinct(what.rstrip("s").replace("_", " "), levels)


def distinct(what: str, levels: list[Level]) -> list[Level]:
    """Levels, no two alike."""
    names = [level.name for level in levels]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"{what} {twice!r} is given twice")
    return levels


def length_of(epochs: int | None, steps: int | None) -> tuple[int | None, int | None]:
    """``(epochs, steps)`` of each run, one of them None: 20 epochs if neither is given."""
    if steps is None:
        return whole_number("epochs", 20 if epochs is None else epochs), None
    if epochs is not None:
        raise UserError("give either epochs or steps")
    return None, whole_number("steps", steps)


def units_of(hidden: int | Sequence[int] | None) -> list[int] | None:
    """Units of each hidden layer, as a list that JSON can hold; models check them."""
    if hidden is None:
        return None
    layers = hidden if isinstance(hidden, Iterable) else [hidden]
    return [int(units) if isinstance(units, Integral) else units for units in layers]


def reach_of(reach: float | None, metric: Metric) -> float | None:
    """The validation score whose first reaching is timed; None to choose it after tuning."""
    if reach is None:
        return None
    if not is_finite(reach):
        raise UserError(f"reach must be a finite number, got {reach!r}")
    low, high = metric.lowest, metric.highest
    if (low is not None and reach < low) or (high is not None and reach > high):
        bounds = [f"at least {low:g}"] if low is not None else []
        bounds += [f"at most {high:g}"] if high is not None else []
        raise UserError(
            f"reach must be {' and '.join(bounds)}, as the metric is {metric.name}, got {reach:g}"
        )
    return float(reach)


def check_scores(metric: Metric, splits: Splits) -> None:
    """Complains of a metric that is not defined on these parts, as R² is of one value."""
    for part in ("validation", "test"):
        if math.isnan(constant_score(splits, getattr(splits, part), metric)):
            raise UserError(
                f"{metric.name} is not defined on the {part} part: all its targets are equal; "
                f"choose another metric"
            )


def loss_of(loss: str | Loss | PerSample | None, kind: str) -> str | Loss | PerSample | None:
    """The loss asked for, if it is one for this kind of task."""
    if isinstance(loss, str) and loss_named(loss).kind != kind:
        fitting = [name for name, entry in LOSSES.items() if entry.kind == kind]
        raise UserError(f"{loss} is no loss for {kind} (allowed: {', '.join(fitting)})")
    return loss


def metrics_to_take(metric: str | Metric | None, kind: str) -> list[Metric]:
    """What is measured; the first decides."""
    usual = metrics_of(kind)
    if metric is None:
        return usual
    first: Any = METRICS[metric] if isinstance(metric, str) else metric
    if not isinstance(first, Metric):
        raise UserError(f"a metric is a name or a Metric, got {type(first).__name__}")
    if first.kind != kind:
        fitting = ", ".join(entry.name for entry in usual)
        raise UserError(f"{first.name} is no metric for {kind} (allowed: {fitting})")
    return [first, *(entry for entry in usual if entry.name != first.name)]
