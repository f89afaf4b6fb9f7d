"""The schedules that have a name."""

from dataclasses import fields, replace

import torch

from talweg.core import Registry, UserError, choose, first_line, parse_call
from talweg.schedules.base import Curve, Schedule, Span
from talweg.schedules.cycles import Cyclic, OneCycle, WarmRestarts, WarmupStableDecay
from talweg.schedules.decays import (
    Constant,
    Cosine,
    Exponential,
    InverseTime,
    Linear,
    MultiStep,
    Polynomial,
    Step,
)
from talweg.schedules.warmup import WarmUp

SCHEDULES: Registry[Curve] = Registry("schedule", "talweg list schedules")
for _name, _schedule in (
    ("constant", Constant()),
    ("linear", Linear()),
    ("inverse-time", InverseTime()),
    ("step", Step()),
    ("multi-step", MultiStep()),
    ("exponential", Exponential()),
    ("polynomial", Polynomial()),
    ("cosine", Cosine()),
    ("warm-restarts", WarmRestarts()),
    ("cyclic", Cyclic()),
    ("one-cycle", OneCycle()),
    ("warm-up", WarmUp()),
    ("warmup-stable-decay", WarmupStableDecay()),
):
    SCHEDULES.add(_name, _schedule)


def schedule_of(schedule: str | Schedule | None) -> Schedule:
    """The schedule of that name, the schedule itself, or a constant one for None.

    Raises:
        UserError: If it is none of these.

    >>> schedule_of("step(every=0.5, factor=0.2)")
    Step(every=0.5, factor=0.2)
    """
    if schedule is None:
        return Constant()
    if isinstance(schedule, str):
        return _named(schedule)
    if isinstance(schedule, Curve):
        return schedule
    if not callable(schedule):
        raise UserError(f"a schedule is a name or a callable, got {type(schedule).__name__}")
    steps = torch.arange(3, dtype=torch.float64).view(-1, 1, 1)
    try:
        torch.as_tensor(schedule(0.1, steps, Span(3, 1)), dtype=torch.float64).expand(3, 1, 1)
    except Exception as error:
        raise UserError(
            f"a schedule takes (start value, steps, span) and gives a value for each step: "
            f"{first_line(error)}"
        ) from error
    return schedule


def _named(text: str) -> Curve:
    name, settings = parse_call(text)
    schedule = SCHEDULES[name]
    own = {spec.name: None for spec in fields(schedule)}
    for key in settings:
        if key not in own:
            raise choose(f"option of {name}", key, own)
    return replace(schedule, **settings)  # pyright: ignore[reportArgumentType]
