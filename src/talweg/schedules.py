"""Schedules: how a hyperparameter changes from step to step. Pure functions of the step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from talweg.core import Registry, Scalar, UserError, first_line


@dataclass(frozen=True)
class Span:
    """How long a run is: the number of its steps, and of the steps in one epoch."""

    steps: int
    epoch_steps: int


Schedule: TypeAlias = Callable[[Scalar, Tensor, Span], Scalar]
"""``(start value, steps counted from 0, span) -> values``, broadcast against each other."""

SCHEDULES: Registry[Schedule] = Registry("schedule")


@dataclass(frozen=True)
class Constant:
    """``lr0`` at every step. Meets Σ lr = ∞, not Σ lr² < ∞."""

    def __call__(self, start: Scalar, step: Tensor, span: Span) -> Scalar:  # noqa: ARG002
        """``start``, at every step."""
        return start


@dataclass(frozen=True)
class Linear:
    """``(1−α)·lr0 + α·lr_end`` with ``α = min(k/τ, 1)``; constant afterwards.

    Meets Σ lr = ∞, not Σ lr² < ∞, as any decay that stops above 0.

    Args:
        tau: ``τ``, steps until the end value; None for 100 epochs or the whole run if shorter.
        end: ``lr_end`` as a share of ``lr0``.

    Source: Goodfellow, Bengio, Courville (2016), eq. 8.14.
    """

    tau: int | None = None
    end: float = 0.01

    def __post_init__(self) -> None:
        if self.tau is not None and self.tau < 1:
            raise UserError(f"tau must be a positive number of steps, got {self.tau}")
        if self.end < 0:
            raise UserError(f"end must be a number of at least 0, got {self.end}")

    def __call__(self, start: Scalar, step: Tensor, span: Span) -> Scalar:
        """The value at each step."""
        tau = self.tau or max(min(100 * span.epoch_steps, span.steps), 1)
        share = (step / tau).clamp(max=1.0)
        return start * (1 - share + share * self.end)


SCHEDULES.add("constant", Constant())
SCHEDULES.add("linear", Linear())


def schedule_of(schedule: str | Schedule | None) -> Schedule:
    """The schedule of that name, the schedule itself, or a constant one for None.

    Raises:
        UserError: If it is none of these.
    """
    if schedule is None:
        return Constant()
    if isinstance(schedule, str):
        return SCHEDULES[schedule]
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
