"""Activation functions that PyTorch lacks, or whose second derivative it gets wrong.

Each is elementwise on a floating-point tensor of any shape. Value, derivative and second derivative
are finite wherever they lie within the dtype's range: PyTorch's GELU, Mish and hard swish give not
a number or infinity for large inputs, some already at 20 (in their second derivative).
"""

import math

import torch
from torch import Tensor

from talweg.activations.lean import lean

TAIL = 40.0
"""Beyond it exponentials of an input are 0, or all there is, in float64 too."""


@lean
def binary_step(x: Tensor) -> Tensor:
    """``0 for x < 0, 1 for x ≥ 0``. Its derivative is 0: nothing before it can be trained."""
    return torch.floor((torch.sign(x) + 2) / 2)  # all of it has a derivative, which is 0


@lean
def bent_identity(x: Tensor) -> Tensor:
    """``(√(x²+1) − 1)/2 + x``."""
    root = torch.hypot(x, torch.ones_like(x))
    return x + x * (x / (root + 1)) / 2  # nothing is squared, nothing cancels


@lean
def gaussian(x: Tensor) -> Tensor:
    """``e^(−x²)``."""
    return torch.exp(-x.clamp(-TAIL, TAIL).square())


@lean
def gelu(x: Tensor) -> Tensor:
    """``x·Φ(x)`` with the distribution function of the standard normal distribution.

    Source: Hendrycks & Gimpel (2016).
    """
    return x * torch.special.erfc(x.clamp(-TAIL, TAIL) * -math.sqrt(0.5)) / 2


@lean
def gelu_tanh(x: Tensor) -> Tensor:
    """``x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2``, which is nearly `gelu`.

    Source: Hendrycks & Gimpel (2016).
    """
    z = x.clamp(-TAIL, TAIL)
    return x * torch.sigmoid(math.sqrt(8 / math.pi) * (z + 0.044715 * z * z * z))


@lean
def hard_sigmoid(x: Tensor) -> Tensor:
    """``min(max(0, x/6 + 1/2), 1)``. PyTorch's has no second derivative.

    Source: Courbariaux et al. (2015); the slope is PyTorch's.
    """
    return (x / 6 + 0.5).clamp(0, 1)


@lean
def hard_swish(x: Tensor) -> Tensor:
    """``x·min(max(x + 3, 0), 6)/6``.

    Source: Howard et al., "Searching for MobileNetV3" (2019).
    """
    return x * (x / 6 + 0.5).clamp(0, 1)


@lean
def mish(x: Tensor) -> Tensor:
    """``x·tanh(ln(1 + eˣ))``.

    Source: Misra (2019).
    """
    z = x.clamp(-2 * TAIL, TAIL / 2)
    grown = torch.exp(z)
    more = grown * (grown + 2)  # tanh(ln(1 + n)) = n·(n + 2)/(n·(n + 2) + 2)
    return torch.where(x > TAIL / 2, x, z * (more / (more + 2)))


@lean
def sinc(x: Tensor) -> Tensor:
    """``sin(x)/x``, 1 at 0.

    `torch.sinc` is that of ``π·x``, and its derivative near 0 is lost to cancellation.
    """
    near = x.abs() < 1
    square = torch.where(near, x, 0).square()
    series, term = torch.ones_like(square), torch.ones_like(square)
    for k in range(2, 22, 2):
        term = -term * square / (k * (k + 1))
        series = series + term
    away = torch.where(near, 1, x)
    return torch.where(near, series, torch.sin(away) / away)


@lean
def softsign(x: Tensor) -> Tensor:
    """``x/(1 + |x|)``."""
    return x / (1 + x.abs())


_LOG = tuple(1 / (k + 1) for k in range(18))
_EXP = tuple(1 / math.factorial(k + 1) for k in range(12))


def _series(z: Tensor, factors: tuple[float, ...]) -> Tensor:
    """``Σ factors[k]·zᵏ``."""
    found = torch.full_like(z, factors[-1])
    for factor in reversed(factors[:-1]):
        found = found * z + factor
    return found


@lean
def soft_exponential(x: Tensor, alpha: Tensor) -> Tensor:
    """Between the logarithm, ``α = −1``, the identity, 0, and the exponential function, 1.

    ``α < 0: −ln(1 − α·(x + α))/α``; ``α = 0: x``; ``α > 0: (e^(αx) − 1)/α + α``

    Smooth in ``x``; its second derivative by ``α`` jumps at 0. For ``α < 0`` it is defined where
    ``1 − α·(x + α) > 0`` only; below that it stays at its value at the edge, the logarithm of the
    smallest number. ``α·x`` counts as 80 (700 in float64) where it is more.

    Args:
        x: Any shape.
        alpha: ``α``, broadcasts against ``x``.

    Source: Godfrey & Gashler (2015), eq. 1.
    """
    tiny = torch.finfo(x.dtype).tiny
    most = 700.0 if x.dtype == torch.float64 else 80.0
    is_log = (alpha < 0).expand(torch.broadcast_shapes(x.shape, alpha.shape))
    shifted = x + alpha
    inner = torch.where(is_log, alpha * shifted, 0.0).clamp(min=torch.finfo(x.dtype).min / 4)
    grown = torch.where(is_log, 0.0, alpha * x).clamp(max=most)
    below, above = torch.where(is_log, alpha, -1.0), torch.where(alpha > 0, alpha, 1.0)
    near_log, near_exp = inner.abs() < 0.1, grown.abs() < 0.1
    # ln(1 − z)/z and (eᶻ − 1)/z lose their derivatives to cancellation near 0.
    log_series = shifted * _series(torch.where(near_log, inner, 0.0), _LOG)
    logs = -torch.log((1 - torch.where(near_log, -1.0, inner)).clamp(min=tiny)) / below
    exp_series = x * _series(torch.where(near_exp, grown, 0.0), _EXP)
    exps = torch.expm1(torch.where(near_exp, 1.0, grown)) / above
    return torch.where(
        is_log,
        torch.where(near_log, log_series, logs),
        torch.where(near_exp, exp_series, exps) + alpha,
    )
