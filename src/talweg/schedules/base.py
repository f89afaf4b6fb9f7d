"""What a schedule is."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias

from torch import Tensor

from talweg.core import Scalar, UserError, check_number, is_finite


@dataclass(frozen=True)
class Span:
    """How long a run is: the number of its steps, and of the steps in one epoch."""

    steps: int
    epoch_steps: int


Schedule: TypeAlias = Callable[[Scalar, Tensor, Span], Scalar]
"""``(start value, steps counted from 0, span) -> values``, broadcast against each other."""


@dataclass(frozen=True)
class RobbinsMonro:
    """Which of the conditions a schedule of learning rates meets, were it to run for ever.

    Both are sufficient for stochastic gradient descent to converge under the usual assumptions:
    Robbins & Monro (1951).

    Attributes:
        reaches: Whether ``Σ lr = ∞``: the path can get anywhere.
        settles: Whether ``Σ lr² < ∞``: the noise dies down.
        why: The reason, in a sentence.
    """

    reaches: bool
    settles: bool
    why: str

    @property
    def meets_both(self) -> bool:
        """Whether convergence follows."""
        return self.reaches and self.settles


@dataclass(frozen=True)
class Curve(ABC):
    """A schedule with a closed form: at each step a share of the value that it starts from.

    Pure: what it gives at a step depends on nothing but the step, so that a run which goes on after
    a pause goes on as it would have. Lengths are steps, or shares of the run if they are below 1.
    """

    def __post_init__(self) -> None:
        for spec in fields(self):
            if checks := spec.metadata.get("checks"):
                checks(spec.name, getattr(self, spec.name))

    @abstractmethod
    def share(self, step: Tensor, span: Span) -> Tensor:
        """The share at each step.

        Args:
            step: Steps, counted from 0, any shape; float64.
            span: How long the run is.
        """

    @property
    @abstractmethod
    def conditions(self) -> RobbinsMonro:
        """Which of the Robbins–Monro conditions it meets, and why."""

    def __call__(self, start: Scalar, step: Tensor, span: Span) -> Scalar:
        """The value at each step.

        Args:
            start: The value whose shares these are, a number or one for each lane.
            step: Steps, counted from 0.
            span: How long the run is.
        """
        return start * self.share(step.double(), span)


def number(default: float, above: float = -math.inf, at_least: float = -math.inf) -> Any:
    """A field for a number within bounds."""

    def checks(name: str, value: object) -> None:
        check_number(name, value, above=above, at_least=at_least)

    return field(default=default, metadata={"checks": checks})


def length(default: float | None) -> Any:
    """A field for a number of steps, a share of the run below 1, or None."""

    def checks(name: str, value: object) -> None:
        if value is None:
            return
        if not (is_finite(value) and value > 0 and (value < 1 or value % 1 == 0)):
            raise UserError(
                f"{name} must be a number of steps, or a share of the run below 1, got {value!r}"
            )

    return field(default=default, metadata={"checks": checks})


def steps_in(given: float | None, span: Span, usual: float) -> float:
    """A length in steps, at least 1.

    Args:
        given: Steps, or a share of the run below 1; None for the usual one.
        span: How long the run is.
        usual: The usual one, in steps.
    """
    if given is None:
        given = usual
    elif given < 1:
        given = given * span.steps
    return max(float(given), 1.0)
