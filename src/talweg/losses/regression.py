"""Losses for numbers: what the model returns against the target, averaged over a sample's values.

``e = ŷ − y``. Outputs are ``[batch]``, ``[batch, 1]`` or ``[batch, …]`` with as many values as the
target has.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from talweg.core import check_number


def averaged(values: Tensor) -> Tensor:
    """``[batch, …]`` → ``[batch]``."""
    return values.reshape(len(values), -1).mean(1)


def error(output: Tensor, target: Tensor) -> Tensor:
    """``ŷ − y``, shaped like the target."""
    return output.reshape(target.shape) - target


def squared_error(output: Tensor, target: Tensor) -> Tensor:
    """``e²``: the likelihood of Gaussian noise of fixed variance, up to a constant."""
    return averaged(error(output, target).square())


def absolute_error(output: Tensor, target: Tensor) -> Tensor:
    """``|e|``: the likelihood of Laplace noise of fixed scale, up to a constant."""
    return averaged(error(output, target).abs())


def log_cosh(output: Tensor, target: Tensor) -> Tensor:
    """``ln cosh e``: squared near 0, absolute far away; its second derivative is continuous."""
    size = error(output, target).abs()
    return averaged(size + functional.softplus(-2 * size) - torch.log(size.new_tensor(2.0)))


@dataclass(frozen=True)
class Huber:
    """``e²/2 where |e| ≤ delta, delta·(|e| − delta/2)`` beyond.

    Args:
        delta: Where the squared becomes the absolute error, above 0.

    Source: Huber (1964); `torch.nn.HuberLoss`.
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        check_number("delta", self.delta, above=0)

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """``[batch]``."""
        zero = torch.zeros_like(target)
        away = error(output, target)
        return averaged(functional.huber_loss(away, zero, reduction="none", delta=self.delta))


@dataclass(frozen=True)
class Quantile:
    """``max(q·(−e), (q − 1)·(−e))``: its minimum is the target's quantile ``q``.

    Args:
        q: Above 0 and below 1.

    Source: Koenker & Bassett (1978).
    """

    q: float = 0.5

    def __post_init__(self) -> None:
        check_number("q", self.q, above=0, below=1)

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """``[batch]``."""
        below = -error(output, target)
        return averaged(torch.maximum(self.q * below, (self.q - 1) * below))
