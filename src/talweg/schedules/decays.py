"""Schedules that fall from where they start."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.core import UserError, is_finite
from talweg.schedules.base import Curve, RobbinsMonro, Span, length, number, steps_in

STAYS = "it stays above a rate larger than 0: the sum is infinite, and so is that of the squares"
GEOMETRIC = "it falls geometrically: both sums are finite, so it can stop short of the minimum"
ENDS = "it reaches 0 after finitely many steps: both sums are finite"


def ending(end: float) -> RobbinsMonro:
    """Of a schedule that keeps its last value."""
    return RobbinsMonro(True, False, STAYS) if end > 0 else RobbinsMonro(False, True, ENDS)


def mixed(low: Tensor | float, high: Tensor | float, share: Tensor) -> Tensor:
    """Between two values: the first at a share of 0, the second at 1."""
    return low * (1 - share) + high * share


@dataclass(frozen=True)
class Constant(Curve):
    """``lr0`` at every step."""

    def share(self, step: Tensor, span: Span) -> Tensor:
        return torch.ones_like(step)

    @property
    def conditions(self) -> RobbinsMonro:
        return RobbinsMonro(True, False, STAYS)


@dataclass(frozen=True)
class Linear(Curve):
    """``(1−α)·lr0 + α·lr_end`` with ``α = min(k/τ, 1)``; constant afterwards.

    Args:
        tau: ``τ``, the length of the decay; None for 100 epochs or the whole run if shorter.
        end: ``lr_end`` as a share of ``lr0``.

    Source: Goodfellow, Bengio, Courville (2016), eq. 8.14; `torch.optim.lr_scheduler.LinearLR`.
    """

    tau: float | None = length(None)
    end: float = number(0.01, at_least=0)

    def share(self, step: Tensor, span: Span) -> Tensor:
        tau = steps_in(self.tau, span, min(100 * span.epoch_steps, span.steps))
        return mixed(1.0, self.end, (step / tau).clamp(max=1.0))

    @property
    def conditions(self) -> RobbinsMonro:
        return ending(self.end)


@dataclass(frozen=True)
class InverseTime(Curve):
    """``lr0/(1 + k/k0)^power``.

    Args:
        k0: The length in which it falls to half, with a power of 1; None for an epoch.
        power: Above 0; above 1/2 and at most 1 meets both Robbins–Monro conditions.

    Source: Robbins & Monro (1951); Bottou (2012).
    """

    k0: float | None = length(None)
    power: float = number(1.0, above=0)

    def share(self, step: Tensor, span: Span) -> Tensor:
        return (1 + step / steps_in(self.k0, span, span.epoch_steps)) ** -self.power

    @property
    def conditions(self) -> RobbinsMonro:
        return RobbinsMonro(
            self.power <= 1,
            self.power > 0.5,
            f"it falls as k^−{self.power:g}: the sum is infinite for powers up to 1, that of the "
            f"squares finite for powers above 1/2",
        )


@dataclass(frozen=True)
class Step(Curve):
    """``lr0·factor^⌊k/every⌋``.

    Args:
        every: Between two falls; None for a third of the run.
        factor: What is left at each, above 0.

    Source: `torch.optim.lr_scheduler.StepLR`.
    """

    every: float | None = length(None)
    factor: float = number(0.1, above=0)

    def share(self, step: Tensor, span: Span) -> Tensor:
        every = math.ceil(steps_in(self.every, span, span.steps / 3))
        return self.factor ** torch.floor(step / every)

    @property
    def conditions(self) -> RobbinsMonro:
        if self.factor >= 1:
            return RobbinsMonro(True, False, STAYS)
        return RobbinsMonro(False, True, GEOMETRIC)


@dataclass(frozen=True)
class MultiStep(Curve):
    """``lr0·factor^n`` after the ``n``-th of some steps.

    Args:
        at: The steps, or shares of the run below 1, rounded up.
        factor: What is left at each, above 0.

    Source: `torch.optim.lr_scheduler.MultiStepLR`.
    """

    at: tuple[float, ...] = (0.5, 0.75)
    factor: float = number(0.1, above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        at: object = self.at
        if not isinstance(at, tuple) or not at or not all(is_finite(x) and x > 0 for x in at):  # pyright: ignore
            raise UserError(f"at must be a tuple of positive numbers, got {at!r}")

    def share(self, step: Tensor, span: Span) -> Tensor:
        falls = [math.ceil(one * span.steps if one < 1 else one) for one in self.at]
        passed = torch.stack([(step >= fall).double() for fall in falls]).sum(0)
        return self.factor**passed

    @property
    def conditions(self) -> RobbinsMonro:
        return RobbinsMonro(True, False, STAYS)


@dataclass(frozen=True)
class Exponential(Curve):
    """``lr0·end^(k/τ)``: the same factor at each step.

    Args:
        tau: ``τ``, the length in which it falls to ``end``; None for the whole run.
        end: As a share of ``lr0``, above 0.

    Source: `torch.optim.lr_scheduler.ExponentialLR`, whose ``gamma`` is ``end^(1/τ)``.
    """

    tau: float | None = length(None)
    end: float = number(0.01, above=0)

    def share(self, step: Tensor, span: Span) -> Tensor:
        return self.end ** (step / steps_in(self.tau, span, span.steps))

    @property
    def conditions(self) -> RobbinsMonro:
        if self.end >= 1:
            return RobbinsMonro(True, False, STAYS)
        return RobbinsMonro(False, True, GEOMETRIC)


@dataclass(frozen=True)
class Polynomial(Curve):
    """``lr_end + (lr0 − lr_end)·(1 − min(k/τ, 1))^power``.

    Args:
        tau: ``τ``, the length of the decay; None for the whole run.
        power: Above 0.
        end: ``lr_end`` as a share of ``lr0``.

    Source: `torch.optim.lr_scheduler.PolynomialLR`, with ``end=0``.
    """

    tau: float | None = length(None)
    power: float = number(2.0, above=0)
    end: float = number(0.0, at_least=0)

    def share(self, step: Tensor, span: Span) -> Tensor:
        left = (1 - step / steps_in(self.tau, span, span.steps)).clamp(min=0.0)
        return self.end + (1 - self.end) * left**self.power

    @property
    def conditions(self) -> RobbinsMonro:
        return ending(self.end)


@dataclass(frozen=True)
class Cosine(Curve):
    """``lr_end + (lr0 − lr_end)·(1 + cos(π·min(k/τ, 1)))/2``.

    Args:
        tau: ``τ``, the length of the decay; None for the whole run.
        end: ``lr_end`` as a share of ``lr0``.

    Source: Loshchilov & Hutter, "SGDR" (2017), eq. 5; `torch.optim.lr_scheduler.CosineAnnealingLR`,
    which climbs again after ``τ``.
    """

    tau: float | None = length(None)
    end: float = number(0.0, at_least=0)

    def share(self, step: Tensor, span: Span) -> Tensor:
        way = (step / steps_in(self.tau, span, span.steps)).clamp(max=1.0)
        return mixed(self.end, 1.0, (1 + torch.cos(torch.pi * way)) / 2)

    @property
    def conditions(self) -> RobbinsMonro:
        return ending(self.end)
