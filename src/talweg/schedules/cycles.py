"""Schedules that rise as well."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.core import UserError, check_flag, choose
from talweg.schedules.base import Curve, RobbinsMonro, Span, length, number, steps_in
from talweg.schedules.decays import STAYS, ending, mixed

AGAIN = "it comes back to its start again and again: both sums are infinite"


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise choose(name, str(value), choices)


@dataclass(frozen=True)
class WarmRestarts(Curve):
    """A cosine to ``lr_end`` that begins anew, each round ``growth`` times as long.

    Args:
        first: The length of the first round; None for a seventh of the run, which with the usual
            growth makes three rounds.
        growth: At least 1.
        end: ``lr_end`` as a share of ``lr0``.

    Source: Loshchilov & Hutter, "SGDR" (2017), eq. 5;
    `torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`.
    """

    first: float | None = length(None)
    growth: float = number(2.0, at_least=1)
    end: float = number(0.0, at_least=0)

    def share(self, step: Tensor, span: Span) -> Tensor:
        first = math.ceil(steps_in(self.first, span, span.steps / 7))
        if self.growth == 1:
            way = step % first / first
        else:
            # Which round: the largest n with first·(growth^n − 1)/(growth − 1) ≤ step.
            passed = 1 + step * (self.growth - 1) / first
            rounds = torch.floor(torch.log(passed) / math.log(self.growth) + 1e-9)
            begun = first * (self.growth**rounds - 1) / (self.growth - 1)
            way = (step - begun) / (first * self.growth**rounds)
        return mixed(self.end, 1.0, (1 + torch.cos(torch.pi * way)) / 2)

    @property
    def conditions(self) -> RobbinsMonro:
        return RobbinsMonro(True, False, AGAIN)


@dataclass(frozen=True)
class Cyclic(Curve):
    """Up from ``low·lr0`` to ``lr0`` and down again.

    Args:
        up: The length of a rise; None for an eighth of the run: four cycles.
        down: The length of a fall; None for that of a rise.
        low: Where a cycle begins, as a share of ``lr0``.
        mode: ``"triangular"``; ``"triangular2"``: each peak half as high as the one before.

    Source: Smith, "Cyclical learning rates for training neural networks" (2017);
    `torch.optim.lr_scheduler.CyclicLR`.
    """

    up: float | None = length(None)
    down: float | None = length(None)
    low: float = number(0.1, at_least=0)
    mode: str = "triangular"

    def __post_init__(self) -> None:
        super().__post_init__()
        _one_of("mode", self.mode, ("triangular", "triangular2"))

    def share(self, step: Tensor, span: Span) -> Tensor:
        up = math.ceil(steps_in(self.up, span, span.steps / 8))
        total = up + math.ceil(steps_in(self.down, span, up))
        cycle = torch.floor(step / total)
        within = step - cycle * total
        height = torch.where(within <= up, within / up, (total - within) / max(total - up, 1))
        return self.low + (1 - self.low) * height * (0.5**cycle if "2" in self.mode else 1.0)

    @property
    def conditions(self) -> RobbinsMonro:
        return RobbinsMonro(self.low > 0 or "2" not in self.mode, False, AGAIN)


@dataclass(frozen=True)
class OneCycle(Curve):
    """Up to ``lr0`` and down to next to nothing, once; ``lr0`` is the peak.

    From ``lr0/div`` up to ``lr0`` over ``rise`` of the run, then down to ``lr0/(div·final_div)``.

    Args:
        rise: Share of the run, above 0 and below 1.
        div: At least 1.
        final_div: At least 1.
        anneal: ``"cos"`` or ``"linear"``.
        three_phase: Whether it falls to ``lr0/div`` in as long as it rose, and from there on
            further.

    Source: Smith & Topin, "Super-convergence" (2018); `torch.optim.lr_scheduler.OneCycleLR`.
    """

    rise: float = number(0.3, above=0)
    div: float = number(25.0, at_least=1)
    final_div: float = number(1e4, at_least=1)
    anneal: str = "cos"
    three_phase: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _one_of("anneal", self.anneal, ("cos", "linear"))
        check_flag("three_phase", self.three_phase)
        if not self.rise < 1:
            raise UserError(f"rise must be a share of the run below 1, got {self.rise!r}")

    def share(self, step: Tensor, span: Span) -> Tensor:
        total, begins = span.steps, 1 / self.div
        stops = begins / self.final_div
        peak = self.rise * total - 1
        phases = [(0.0, peak, begins, 1.0)]
        if self.three_phase:
            level = 2 * peak
            phases += [(peak, level, 1.0, begins), (level, total - 1, begins, stops)]
        else:
            phases += [(peak, total - 1, 1.0, stops)]
        found = torch.full_like(step, stops)
        for since, until, low, high in reversed(phases):
            way = ((step - since) / max(until - since, 1e-9)).clamp(0.0, 1.0)
            way = way if self.anneal == "linear" else (1 - torch.cos(torch.pi * way)) / 2
            found = torch.where(step <= until, mixed(low, high, way), found)
        return found

    @property
    def conditions(self) -> RobbinsMonro:
        return RobbinsMonro(True, False, STAYS)


@dataclass(frozen=True)
class WarmupStableDecay(Curve):
    """Up to ``lr0``, level, and down at the end.

    Args:
        warm: The length of the rise, a straight line from 0 exclusive.
        decay: The length of the fall.
        end: Where it ends, as a share of ``lr0``.
        shape: Of the fall: ``"linear"``, or ``"sqrt"``: ``1 − √(share of the fall)``.

    Source: Hu et al., "MiniCPM" (2024); Hägele et al. (2024), whose fall is ``"sqrt"``.
    """

    warm: float = length(0.05)
    decay: float = length(0.2)
    end: float = number(0.0, at_least=0)
    shape: str = "linear"

    def __post_init__(self) -> None:
        super().__post_init__()
        _one_of("shape", self.shape, ("linear", "sqrt"))

    def share(self, step: Tensor, span: Span) -> Tensor:
        warm = steps_in(self.warm, span, 1)
        decay = steps_in(self.decay, span, 1)
        fallen = ((step - (span.steps - decay)) / decay).clamp(0.0, 1.0)
        fallen = fallen.sqrt() if self.shape == "sqrt" else fallen
        return ((step + 1) / warm).clamp(max=1.0) * mixed(1.0, self.end, fallen)

    @property
    def conditions(self) -> RobbinsMonro:
        return ending(self.end)
