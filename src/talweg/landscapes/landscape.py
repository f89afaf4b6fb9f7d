"""What a landscape is: a test function with known minima."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Landscape:
    """A function of a point, to descend on.

    Args:
        name: What users type.
        function: Points ``[…, n]`` → values ``[…]``.
        formula: What it computes, of ``x`` and ``y``.
        start: Where descent usually starts, ``n`` numbers.
        minima: All global minima, or those in `window`.
        least: The value there.
        window: What a picture shows: the lower left and the upper right corner.
        saddles: Saddle points, where there are any to be caught by.
        source: Where it comes from.
    """

    name: str
    function: Callable[[Tensor], Tensor]
    formula: str
    start: tuple[float, ...]
    minima: tuple[tuple[float, ...], ...]
    least: float
    window: tuple[tuple[float, float], tuple[float, float]]
    saddles: tuple[tuple[float, ...], ...] = ()
    source: str = ""

    def __call__(self, points: Tensor) -> Tensor:
        """Values.

        Args:
            points: ``[…, n]``.
        """
        return self.function(points)

    def gradient(
        self, points: Tensor, noise: float = 0.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Gradients, exact or with noise, ``[…, n]``.

        Args:
            points: ``[…, n]``.
            noise: Standard deviation of what is added to each coordinate, at least 0.
            generator: Draws it.
        """
        points = points.detach().requires_grad_()
        (found,) = torch.autograd.grad(self.function(points).sum(), points)
        if noise == 0:
            return found
        drawn = torch.randn(found.shape, generator=generator, dtype=found.dtype)
        return found + noise * drawn.to(found.device)

    def curvatures(self, point: Tensor) -> Tensor:
        """Eigenvalues of the Hessian, ascending: plain descent diverges at rates above ``2/λmax``.

        Args:
            point: ``[n]``.
        """
        return torch.linalg.eigvalsh(torch.func.hessian(self.function)(point))

    def distance(self, points: Tensor) -> Tensor:
        """How far the nearest minimum is, ``[…]``.

        Args:
            points: ``[…, n]``.
        """
        minima = points.new_tensor(self.minima)
        return (points[..., None, :] - minima).norm(dim=-1).amin(-1)
