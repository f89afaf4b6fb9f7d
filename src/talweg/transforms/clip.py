"""Clipping."""

from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.core import Scalar, Scalars, State, hyper
from talweg.transforms.base import Transform


@dataclass(frozen=True)
class ClipValue(Transform):
    """Takes no coordinate of the gradient for larger than a limit, in either direction.

    ``g ← min(max(g, −limit), limit)``. This changes the gradient's direction.

    Args:
        rule: The rule inside.
        limit: Positive.

    Source: `torch.nn.utils.clip_grad_value_`.
    """

    limit: Scalar = hyper(1.0, "the largest coordinate", above=0)

    def scalars(self, t: Scalar) -> Scalars:
        return {**super().scalars(t), "clip.limit": self.limit}

    def inward(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, Tensor]:
        limit = scalars["clip.limit"]
        grad = torch.where(grad > limit, limit, grad)
        return params, torch.where(grad < -limit, -limit, grad)
