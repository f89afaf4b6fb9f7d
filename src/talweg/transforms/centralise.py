"""Gradient centralisation."""

from dataclasses import dataclass

from torch import Tensor

from talweg.core import Scalars, State
from talweg.transforms.base import Transform


@dataclass(frozen=True)
class Centralise(Transform):
    """The rule on gradients without their mean: each unit's weights get a gradient of mean 0.

    The mean is over all dimensions but the first, of a tensor of more than one; biases and norms
    are left alone.

    Args:
        rule: The rule inside.

    Source: Yong et al., "Gradient centralization: a new optimization technique for deep neural
    networks" (2020).
    """

    def inward(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, Tensor]:
        if grad.ndim < 2:
            return params, grad
        return params, grad - grad.mean(tuple(range(1, grad.ndim)), keepdim=True)

    @property
    def is_per_tensor(self) -> bool:
        return True
