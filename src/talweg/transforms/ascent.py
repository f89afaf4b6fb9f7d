"""Maximising instead of minimising."""

from dataclasses import dataclass

from torch import Tensor

from talweg.core import Scalars, State
from talweg.transforms.base import Transform


@dataclass(frozen=True)
class Ascent(Transform):
    """The rule on the negative gradient, so that it climbs: PyTorch's ``maximize=True``.

    Args:
        rule: The rule inside.
    """

    def inward(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, Tensor]:
        return params, -grad
