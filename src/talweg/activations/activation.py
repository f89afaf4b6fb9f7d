"""Activations by name, and what follows from the functions themselves."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

REACH, SPACING = 12.0, 1e-3
"""Where a standard normal variable lies, to 1e-32, and in steps of what length."""
FAR = 1e150
"""Where a function that grows, if only as a logarithm, is far from what it was at its root."""


@dataclass(frozen=True)
class Properties:
    """What decides an activation's use; measured on the function.

    Attributes:
        low: The least value, or what it tends to; −∞ if there is none.
        high: The largest one.
        is_monotonic: Whether it never falls.
        is_smooth: Whether its derivative is continuous.
        is_identity_near_0: Whether ``f(0) = 0`` and ``f′(0) = 1``, from both sides.
        max_slope: The largest ``|f′|``; ∞ if there is none, 0 if nothing can be trained through it.
        mean: ``E f(z)`` for ``z ~ N(0, 1)``.
        power: ``E f(z)²``.
        slope_power: ``E f′(z)²``: what a layer leaves of a gradient's square.
    """

    low: float
    high: float
    is_monotonic: bool
    is_smooth: bool
    is_identity_near_0: bool
    max_slope: float
    mean: float
    power: float
    slope_power: float

    @property
    def is_bounded(self) -> bool:
        """Whether its values lie in a finite interval."""
        return self.low > -torch.inf and self.high < torch.inf

    @property
    def is_zero_centred(self) -> bool:
        """Whether a normal variable's mean stays at 0."""
        return abs(self.mean) < 0.01 * self.power**0.5

    @property
    def gain(self) -> float:
        """``1/√E f(z)²``: standard deviation of weights, in ``1/√fan_in``, that keeps a signal."""
        return self.power**-0.5

    @property
    def gradient_gain(self) -> float:
        """``1/√E f′(z)²``: the same for a gradient, in ``1/√fan_out``; ∞ where there is none."""
        return self.slope_power**-0.5 if self.slope_power else torch.inf


@dataclass(frozen=True)
class Activation:
    """An activation by name.

    Args:
        name: What users type.
        make: Builds the module. A `layer` is built of inputs and outputs, others of nothing.
        formula: What it computes, of ``x``.
        source: Where it comes from.
        is_layer: Whether it is a layer with weights of its own, as maxout is.
        more: Others of its family, to be shown beside it: what they are → what builds them.
    """

    name: str
    make: Callable[..., nn.Module]
    formula: str
    source: str = ""
    is_layer: bool = False
    more: Mapping[str, Callable[[], nn.Module]] = field(default_factory=dict, hash=False)

    @property
    def properties(self) -> Properties:
        """What is measured on the function as it starts.

        A layer is a function of its pieces' values, which are independent here.
        """
        return _measured(self)

    def function(self) -> Callable[[Tensor], Tensor]:
        """The function as it is evaluated at the start; elementwise, float64 in and out."""
        assert not self.is_layer
        return self.make().double().eval()


def gain(activation: Callable[[Tensor], Tensor]) -> float:
    """The factor that keeps the signal's size through a layer: ``1/√E[f(z)²]``, z ~ N(0, 1).

    He et al. (2015) derive it for ReLU, where it is √2.

    >>> round(gain(torch.nn.ReLU()), 3)
    1.414
    """
    z, weight = _normal()
    with torch.no_grad():
        return float((activation(z).square() * weight).sum()) ** -0.5


@functools.cache
def _normal() -> tuple[Tensor, Tensor]:
    """Midpoints and weights of a standard normal variable; kinks lie between midpoints."""
    z = (torch.arange(-REACH / SPACING, REACH / SPACING, dtype=torch.float64) + 0.5) * SPACING
    return z, torch.exp(-z.square() / 2) * (SPACING / (2 * torch.pi) ** 0.5)


@functools.cache
def _measured(activation: Activation) -> Properties:
    return _of_layer(activation) if activation.is_layer else _of_function(activation.function())


def _of_layer(activation: Activation) -> Properties:
    """Of the largest of independent normal variables, whose density is ``k·φ(z)·Φ(z)^(k−1)``."""
    pieces = activation.make(1, 1).pieces
    assert isinstance(pieces, int)
    z, weight = _normal()
    weight = weight * pieces * torch.special.ndtr(z) ** (pieces - 1)
    return Properties(
        low=-torch.inf,
        high=torch.inf,
        is_monotonic=True,
        is_smooth=False,
        is_identity_near_0=False,
        max_slope=1.0,
        mean=float((z * weight).sum()),
        power=float((z.square() * weight).sum()),
        slope_power=1.0,
    )


def _of_function(function: Callable[[Tensor], Tensor]) -> Properties:
    z, weight = _normal()
    values, slopes = _sloped(function, z)
    far, far_slopes = _sloped(function, torch.tensor([-FAR, FAR], dtype=torch.float64))
    around, _ = _sloped(function, torch.zeros(1, dtype=torch.float64))
    near = slopes[(z.abs() < SPACING).nonzero().flatten()]
    # Where slopes are largest, and where the usual functions have kinks.
    corners = torch.arange(-6, 7, dtype=torch.float64)
    _, at_corners = _sloped(function, torch.cat((corners - 1e-9, corners + 1e-9)))
    usual = float(values.abs().max())
    steepest = float(torch.cat((slopes, at_corners)).abs().max())
    ends = [_end(float(value), usual) for value in far]
    return Properties(
        low=round(min(float(values.min()), *ends), 6),
        high=round(max(float(values.max()), *ends), 6),
        is_monotonic=bool((torch.cat((far[:1], values, far[1:])).diff() >= -1e-12).all()),
        is_smooth=bool((slopes.diff().abs() < 0.05).all())
        and bool((values.diff().abs() <= 2 * SPACING * (steepest + SPACING)).all()),
        is_identity_near_0=float(around) == 0 and bool(((near - 1).abs() < 0.002).all()),
        max_slope=round(_end(max(steepest, float(far_slopes.abs().max())), steepest), 6),
        mean=float((values * weight).sum()),
        power=float((values.square() * weight).sum()),
        slope_power=float((slopes.square() * weight).sum()),
    )


def _sloped(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Values and derivatives at points."""
    x = x.clone().requires_grad_()
    values = function(x)
    (slopes,) = torch.autograd.grad(values.sum(), x)
    return values.detach(), slopes


def _end(value: float, usual: float) -> float:
    """Where a function goes that has a value far out: there, or without end."""
    return value if abs(value) <= 10 * (1 + usual) else torch.inf if value > 0 else -torch.inf
