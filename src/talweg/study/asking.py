"""What a comparison is asked for, read and checked: rules, rates, factors, metrics."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from numbers import Integral
from typing import Any, TypeAlias

from talweg.activations import ACTIVATIONS
from talweg.core import (
    Rule,
    UserError,
    choose,
    is_finite,
    listing,
    parse_call,
    split_calls,
    whole_number,
)
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
Schedules: TypeAlias = Mapping[str, Schedule] | Sequence[str | Schedule]


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
    chosen = list(models) if isinstance(models, Iterable) else [models]  # pyright: ignore[reportUnnecessaryIsInstance]
    if not all(isinstance(each, str) for each in chosen):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"models must be names, or {{name: model}}, got {models!r}")
    values = [models[each] for each in chosen] if isinstance(models, Mapping) else chosen
    for name in chosen:
        if not name.strip() or not name.isprintable():
            raise UserError(f"a model's name must be printable, got {name!r}")
    levels = [Level(name, name, value) for name, value in zip(chosen, values, strict=True)]
    return several("models", levels)


def activation_levels(
    activation: str | None, activations: Sequence[str] | None
) -> list[Level] | None:
    """The activations to compare; None if none is named."""
    if activations is None:
        return None if activation is None else [_activation_level(activation)]
    if activation is not None:
        raise UserError("give either activation or activations")
    names = split_calls(activations) if isinstance(activations, str) else activations
    if not isinstance(names, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"activations must be names (talweg list activations), got {names!r}")
    return several("activations", [_activation_level(name) for name in names])


def _activation_level(name: str) -> Level:
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"an activation is a name (talweg list activations), got {name!r}")
    known = ACTIVATIONS[name].name  # complains of one that is none
    return Level(known, known, known)


def check_crossing(
    models: Sequence[Level],
    activations: Sequence[Level] | None,
    hidden: Sequence[int] | None,
    layers: int | None,
) -> None:
    """Complains of what no model takes, and of several activations for one that has none."""
    ready = [
        MODELS[level.value]
        for level in models
        if isinstance(level.value, str) and level.value in MODELS
    ]
    asked = {"activation": activations, "hidden": hidden, "layers": layers}
    for name, value in asked.items():
        takes = [each.activation if name == "activation" else each.hidden for each in ready]
        if len(models) > 1 and value is not None and not any(takes):
            raise UserError(f"none of the models takes {name}: {listing([m.name for m in models])}")
    for each in ready if activations and len(activations) > 1 else ():
        if each.activation is None:
            raise UserError(
                f"{each.name} has no activation and cannot be crossed with several: "
                f"compare it in a study of its own"
            )


def schedule_levels(schedule: str | Schedule | None, schedules: Schedules | None) -> list[Level]:
    """The schedules of the learning rate to compare."""
    if schedules is None:
        return [_schedule_level(schedule)]
    if schedule is not None:
        raise UserError("give either schedule or schedules")
    if isinstance(schedules, str):
        schedules = split_calls(schedules)
    if isinstance(schedules, Mapping):
        named_ones = [
            Level(str(name), str(name), schedule_of(each)) for name, each in schedules.items()
        ]
        return several("schedules", named_ones)
    if not isinstance(schedules, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"schedules must be names or schedules, got {schedules!r}")
    levels = several("schedules", [_schedule_level(each) for each in schedules])
    for one, other in combinations(levels, 2):
        if one.value == other.value:
            raise UserError(f"schedules {one.name!r} and {other.name!r} are the same")
    return levels


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
    """The batch sizes to compare; None for all of the ``count`` samples."""
    if batch_sizes is None:
        return [_batch_level(batch_size)]
    if batch_size != 64:
        raise UserError("give either batch_size or batch_sizes")
    if not isinstance(batch_sizes, Iterable) or isinstance(batch_sizes, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"batch_sizes must be whole numbers or None, got {batch_sizes!r}")
    levels = several("batch_sizes", [_batch_level(each) for each in batch_sizes])
    for one, other in combinations(levels, 2):
        if min(one.value or count, count) == min(other.value or count, count):
            raise UserError(
                f"batch sizes {one.name} and {other.name} are the same on {count} samples"
            )
    return levels


def _batch_level(size: int | None) -> Level:
    if size is None:
        return Level("full", "full batch", None)
    size = whole_number("batch_size", size)
    return Level(str(size), f"batch {size}", size)


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
    if isinstance(hidden, str):
        raise UserError(f"hidden must be whole numbers, got {hidden!r}")
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
