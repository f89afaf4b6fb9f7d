"""Saturated outputs of bounded activations."""

from functools import cache

import torch
from torch import Tensor

from talweg.activations import ACTIVATIONS
from talweg.diagnose.measures.measure import Activity, OfActivity, share

FLAT = 1 / 20
"""Of an activation's largest derivative: where it is less, the activation is saturated."""


def saturated(activity: Activity) -> Tensor | None:
    """How many outputs have ``|f′|`` under 1/20 of its maximum; None if f is unbounded."""
    bounds = steep_outputs(activity.activation)
    if bounds is None:
        return None
    low, high = bounds
    middle, half = (low + high) / 2, (high - low) / 2
    return ((activity.real - middle).abs_() > half).sum()


@cache
def steep_outputs(activation: str) -> tuple[float, float] | None:
    """Between which outputs an activation is not saturated.

    None for one that is not known, not bounded, or does not rise all the way.

    >>> steep_outputs("relu")
    >>> low, high = steep_outputs("tanh")
    >>> round(high**2, 3)  # 1 − tanh² is 1/20 there
    0.95
    """
    known = ACTIVATIONS.get(activation) if activation in ACTIVATIONS else None
    if known is None or known.is_layer:
        return None
    about = known.properties
    if not about.is_bounded or not about.is_monotonic or not 0 < about.max_slope < torch.inf:
        return None
    function = known.function()
    x = torch.linspace(-50, 50, 200_001, dtype=torch.float64).requires_grad_()
    values = function(x)
    (slopes,) = torch.autograd.grad(values.sum(), x)
    steep = values.detach()[slopes >= FLAT * about.max_slope]
    return float(steep.min()), float(steep.max())


SATURATED = OfActivity(
    "saturated",
    "share of a layer's outputs where |f′| is under 1/20 of its maximum",
    "a pass over the outputs of bounded activations",
    saturated,
    tell=share,
)
