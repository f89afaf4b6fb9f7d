"""State that does not start at 0."""

import torch
from torch import Tensor

from talweg.core import Scalar


def filled(params: Tensor, value: Scalar) -> Tensor:
    """A tensor shaped like ``params``, of its dtype, that holds a value, or one for each lane."""
    if isinstance(value, Tensor):
        value = value.to(params.device, params.dtype)
    return torch.zeros_like(params).add_(value)
