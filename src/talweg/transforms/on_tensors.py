"""Rules that work on a model's parameter tensors one by one, on a flat vector of all of them."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from talweg.core import Scalars, State
from talweg.transforms.base import Transform


@dataclass(frozen=True)
class OnTensors(Transform):
    """The rule on each of the tensors that lie one after another in the last dimension.

    Args:
        rule: The rule inside.
        sizes: Elements of each tensor.
    """

    sizes: tuple[int, ...] = field(default=(), metadata={"kind": "layout"})

    @property
    def structure(self) -> tuple[Any, ...]:
        return (*super().structure, self.sizes)

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        names = tuple(state)
        rows = (x.split(self.sizes, dim=-1) for x in (params, grad, *state.values()))
        stepped = [
            self.rule.step(own, slope, dict(zip(names, held, strict=True)), scalars)
            for own, slope, *held in zip(*rows, strict=True)
        ]
        new = {name: torch.cat([held[name] for _, held in stepped], dim=-1) for name in names}
        return torch.cat([own for own, _ in stepped], dim=-1), new

    @property
    def is_per_tensor(self) -> bool:
        return False
