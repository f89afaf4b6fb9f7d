"""Activations as modules: any function, and those that learn, draw, or have weights."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from talweg.activations import functions
from talweg.activations.lean import lean
from talweg.core import UserError, check_number, is_finite, whole_number


class Elementwise(nn.Module):
    """A function of one tensor as a module, without parameters.

    Args:
        function: Such as `functions.mish`.

    >>> Elementwise(functions.gaussian)
    Elementwise(gaussian)
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def extra_repr(self) -> str:
        """The function's name."""
        return getattr(self.function, "__name__", "")

    def forward(self, x: Tensor) -> Tensor:
        """The function of ``x``, of any shape."""
        return self.function(x)


class SoftExponential(nn.Module):
    """`functions.soft_exponential` with a learned ``α``.

    Args:
        alpha: Where ``α`` starts; at 0 it is the identity.
    """

    def __init__(self, alpha: float = 0.0) -> None:
        super().__init__()
        check_number("alpha", alpha)
        self._start = alpha
        self.alpha = nn.Parameter(torch.tensor(float(alpha)))

    def reset_parameters(self) -> None:
        """Puts ``α`` back to where it starts."""
        nn.init.constant_(self.alpha, self._start)

    def forward(self, x: Tensor) -> Tensor:
        """The function of ``x``, of any shape."""
        return functions.soft_exponential(x, self.alpha)


@lean
def _sloped(x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x >= 0, x, slope * x)


class RReLU(nn.Module):
    """Randomised leaky ReLU: in training the slope below 0 is drawn anew for every element.

    ``x ≥ 0: x; x < 0: s·x`` with ``s`` from the uniform distribution ``U(lower, upper)``. The paper
    divides by ``U(3, 8)`` instead, whose slopes lie between the same bounds, less evenly.

    Args:
        lower: The least slope, at least 0.
        upper: The largest, above ``lower`` and at most 1.
        evaluation: ``"slope"``: the mean slope ``(lower + upper)/2``, as PyTorch. ``"divisor"``:
            one over the mean divisor, ``2/(1/lower + 1/upper)``, as the paper: 1/5.5.

    Raises:
        UserError: If a number or the word is none of these.

    Source: Xu et al., "Empirical evaluation of rectified activations" (2015).
    """

    def __init__(
        self, lower: float = 1 / 8, upper: float = 1 / 3, evaluation: str = "slope"
    ) -> None:
        super().__init__()
        if not (is_finite(lower) and is_finite(upper) and 0 <= lower < upper <= 1):
            raise UserError(f"slopes must be 0 <= lower < upper <= 1, got {lower} and {upper}")
        if evaluation not in ("slope", "divisor"):
            raise UserError(f"evaluation must be 'slope' or 'divisor', got {evaluation!r}")
        if evaluation == "divisor" and lower == 0:
            raise UserError("a lower slope of 0 has no divisor; use evaluation='slope'")
        self.lower, self.upper, self.evaluation = lower, upper, evaluation

    def slope(self) -> float:
        """The slope below 0 in evaluation."""
        if self.evaluation == "slope":
            return (self.lower + self.upper) / 2
        return 2 / (1 / self.lower + 1 / self.upper)

    def forward(self, x: Tensor) -> Tensor:
        """The function of ``x``, of any shape."""
        if not self.training:
            return nn.functional.leaky_relu(x, self.slope())
        return _sloped(x, torch.rand_like(x) * (self.upper - self.lower) + self.lower)


class Maxout(nn.Module):
    """The largest of ``pieces`` linear maps: a layer with an activation of its own.

    ``max_j (x·W_j + b_j)``, with ``pieces`` times the parameters of a linear layer. ReLU and leaky
    ReLU are special cases.

    Args:
        inputs: Features.
        outputs: Units.
        pieces: Maps for each unit, at least 2.

    Raises:
        UserError: If there are fewer.

    Source: Goodfellow et al. (2013), eq. 1.
    """

    def __init__(self, inputs: int, outputs: int, pieces: int = 2) -> None:
        super().__init__()
        self.pieces = whole_number("pieces", pieces, at_least=2)
        self.linear = nn.Linear(inputs, outputs * pieces)

    def forward(self, x: Tensor) -> Tensor:
        """``[…, inputs]`` → ``[…, outputs]``."""
        return self.linear(x).unflatten(-1, (-1, self.pieces)).max(-1).values
