"""What `train` is asked for, checked."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from talweg.core import Rule, UserError, choose, whole_number
from talweg.data import Samples, as_samples
from talweg.lanes.checks import check_alike
from talweg.lanes.scheduled import needs_length
from talweg.metrics import Metric
from talweg.rules import named
from talweg.schedules import Schedule, schedule_of

OneSchedule: TypeAlias = str | Schedule | Mapping[str, str | Schedule]
"""A schedule of the learning rate, or ``{hyperparameter: schedule}``."""


def rules_of(rules: Rule | str | Sequence[Rule | str]) -> list[Rule]:
    """The rules, one per lane.

    Raises:
        UserError: If there are none, or one is unknown.
    """
    given = [rules] if isinstance(rules, (Rule, str)) else rules
    if not isinstance(given, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"rules must be names or talweg.rules objects, got {given!r}")
    chosen = [named(rule).rule for rule in given]
    if not chosen:
        raise UserError("rules must name at least one rule")
    return chosen


def seeds_of(seeds: int | Sequence[int], count: int) -> list[int]:
    """The seeds of so many lanes, given one each or a single one for all.

    Raises:
        UserError: If they are of another number, or one is no seed.
    """
    given = list(seeds) if isinstance(seeds, Iterable) else [seeds]
    _check_count("seeds", given, count)
    checked = [whole_number("a seed", seed, at_least=0) for seed in given]
    return checked * (count // len(checked))


def schedules_of(schedule: OneSchedule | None) -> dict[str, Schedule]:
    """Hyperparameter → schedule, from any way to ask for it.

    Raises:
        UserError: If one is no schedule.
    """
    if isinstance(schedule, Mapping):
        return {name: schedule_of(value) for name, value in schedule.items()}
    return {} if schedule is None else {"lr": schedule_of(schedule)}


def lane_schedules(
    schedule: OneSchedule | Sequence[OneSchedule | None] | None, rules: Sequence[Rule]
) -> list[dict[str, Schedule]]:
    """The schedules of each lane, given one by one or for all.

    What is given for all lanes moves those whose rules have the hyperparameter.

    Raises:
        UserError: If they are of another number, or a lane has no such hyperparameter.
    """
    if isinstance(schedule, str) or not isinstance(schedule, Sequence):
        given: Sequence[OneSchedule | None] = [schedule]
    else:
        given = schedule
    _check_count("schedules", given, len(rules))
    each = [schedules_of(one) for one in given]
    if len(each) == 1:
        _check_names(each[0], rules)
        return each * len(rules)
    for found, rule in zip(each, rules, strict=True):
        _check_names(found, [rule])
    return each


def check_endless(schedules: Sequence[Mapping[str, Schedule]]) -> None:
    """Complains of schedules that need to know how long a run is which nobody knows.

    Raises:
        UserError: If there is one.
    """
    for own in schedules:
        for name, schedule in own.items():
            if needs_length(schedule):
                raise UserError(
                    f"the schedule of {name} goes by the length of the run, which a stream does "
                    f"not tell: give steps, or a schedule whose lengths are all in steps"
                )


def held_out(
    evaluate: Mapping[str, Any] | None,
    trained: Samples,
    classes: int | None = None,
    memory: str | int | None = None,
) -> dict[str, Samples]:
    """The samples to evaluate on, by name.

    Args:
        evaluate: What was asked for.
        trained: What is trained on.
        classes: How many there are; None to go by the samples trained on.
        memory: What the process may take in all; see `talweg.data.load`.

    Raises:
        UserError: If they are not like those trained on.
    """
    if evaluate is not None and not isinstance(evaluate, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"evaluate must be {{name: (X, y)}}, got {type(evaluate).__name__}")
    found = {name: as_samples(samples, memory=memory) for name, samples in (evaluate or {}).items()}
    for name, samples in found.items():
        check_alike(name, samples, trained, classes)
    return found


def fitting(metrics: Sequence[Metric], samples: Samples) -> list[Metric]:
    """The metrics.

    Raises:
        UserError: If one does not fit the target.
    """
    kind = "regression" if samples.y.is_floating_point() else "classification"
    for metric in metrics:
        if not isinstance(metric, Metric):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UserError(f"metrics must be talweg.metrics.Metric objects, got {metric!r}")
        if metric.kind != kind:
            raise UserError(f"{metric.name} is no metric for {kind}")
    return list(metrics)


def _check_count(what: str, given: Sequence[object], count: int) -> None:
    if len(given) not in (1, count):
        raise UserError(f"{what} must be one per rule ({count}) or a single one, got {len(given)}")


def _check_names(schedules: Mapping[str, Schedule], rules: Sequence[Rule]) -> None:
    hypers = {name: None for rule in rules for name in rule.hypers}
    for name in schedules:
        if name not in hypers:
            raise choose("hyperparameter in schedule", name, hypers)
