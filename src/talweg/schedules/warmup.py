"""One schedule after another."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from talweg.core import UserError
from talweg.schedules.base import Curve, RobbinsMonro, Span, length, number, steps_in
from talweg.schedules.decays import Constant, Cosine, mixed


@dataclass(frozen=True)
class WarmUp(Curve):
    """A straight line up to ``lr0``, and then another schedule for what is left of the run.

    Args:
        steps: The length of the rise.
        then: A schedule, or its name.
        begin: Where the rise begins, as a share of ``lr0``.

    Source: Goyal et al. (2017); PyTorch's ``SequentialLR`` of a ``LinearLR`` and another.
    """

    steps: float = length(0.05)
    then: Any = Cosine()
    begin: float = number(0.01, at_least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.then, str):
            from talweg.schedules.table import schedule_of

            object.__setattr__(self, "then", schedule_of(self.then))
        if not isinstance(self.then, Curve):
            raise UserError(f"then must be a schedule of talweg.schedules, got {self.then!r}")

    def share(self, step: Tensor, span: Span) -> Tensor:
        warm = int(steps_in(self.steps, span, 1))
        rest = replace(span, steps=max(span.steps - warm, 1))
        after = self.then.share((step - warm).clamp(min=0.0), rest)
        return torch.where(step < warm, mixed(self.begin, 1.0, step / warm), after)

    @property
    def conditions(self) -> RobbinsMonro:
        then = self.then.conditions
        return replace(then, why=f"as what follows: {then.why}")


@dataclass(frozen=True)
class Joined(Curve):
    """Two schedules, one after the other; each sees its own part as the whole run.

    Args:
        first: A schedule.
        second: What follows.
        at: The length of the first.

    Source: PyTorch's ``SequentialLR``.
    """

    first: Curve = Constant()
    second: Curve = Cosine()
    at: float = length(0.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        for part in (self.first, self.second):
            if not isinstance(part, Curve):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise UserError(f"a part must be a schedule of talweg.schedules, got {part!r}")

    def share(self, step: Tensor, span: Span) -> Tensor:
        at = int(steps_in(self.at, span, 1))
        before = self.first.share(step, replace(span, steps=at))
        rest = replace(span, steps=max(span.steps - at, 1))
        return torch.where(step < at, before, self.second.share((step - at).clamp(min=0.0), rest))

    @property
    def conditions(self) -> RobbinsMonro:
        then = self.second.conditions
        return replace(then, why=f"as what follows: {then.why}")
