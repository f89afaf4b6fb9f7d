"""Test functions: points ``[…, n]`` to values ``[…]``; of two coordinates where they are named."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def rosenbrock(points: Tensor) -> Tensor:
    """``(1 − x)² + 100·(y − x²)²``: a flat, curved valley."""
    x, y = points.unbind(-1)
    return (1 - x).square() + 100 * (y - x.square()).square()


def saddle(points: Tensor) -> Tensor:
    """``x²/2 − y²/2 + y⁴/4``: a saddle at 0 and a minimum on either side of it."""
    x, y = points.unbind(-1)
    return (x.square() - y.square()) / 2 + y.square().square() / 4


def ravine(points: Tensor) -> Tensor:
    """``(x² + 100·y²)/2``: steep across, nearly flat along."""
    x, y = points.unbind(-1)
    return (x.square() + 100 * y.square()) / 2


def beale(points: Tensor) -> Tensor:
    """``(1.5 − x + xy)² + (2.25 − x + xy²)² + (2.625 − x + xy³)²``."""
    x, y = points.unbind(-1)
    square = y.square()
    return (
        (1.5 - x + x * y).square()
        + (2.25 - x + x * square).square()
        + (2.625 - x + x * square * y).square()
    )


def himmelblau(points: Tensor) -> Tensor:
    """``(x² + y − 11)² + (x + y² − 7)²``: four minima of one depth."""
    x, y = points.unbind(-1)
    return (x.square() + y - 11).square() + (x + y.square() - 7).square()


def rastrigin(points: Tensor) -> Tensor:
    """``10·n + Σ xᵢ² − 10·cos(2π·xᵢ)``: a bowl full of minima."""
    waves = points.square() - 10 * torch.cos(2 * torch.pi * points)
    return 10 * points.shape[-1] + waves.sum(-1)


def ackley(points: Tensor) -> Tensor:
    """``−20·e^(−‖x‖/(5√n)) − e^(Σ cos(2π·xᵢ)/n) + 20 + e``: a hole in a rough plain."""
    far = points.norm(dim=-1) / points.shape[-1] ** 0.5
    waves = torch.cos(2 * torch.pi * points).mean(-1)
    return -20 * torch.exp(-far / 5) - torch.exp(waves) + 20 + math.e


def styblinski_tang(points: Tensor) -> Tensor:
    """``Σ (xᵢ⁴ − 16·xᵢ² + 5·xᵢ)/2``: one minimum is a little deeper than the others."""
    square = points.square()
    return ((square.square() - 16 * square + 5 * points) / 2).sum(-1)


class Quadratic:
    """``Σ λᵢ·xᵢ²/2``, turned in space: a bowl of given curvatures.

    Args:
        spectrum: ``λ``, the eigenvalues of its Hessian, ``n`` numbers.
        turned: Whether its axes are turned, by a rotation drawn once for all.
    """

    def __init__(self, spectrum: Sequence[float], turned: bool = False) -> None:
        self.spectrum = torch.tensor(spectrum, dtype=torch.float64)
        size = len(self.spectrum)
        drawn = torch.randn(
            size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
        )
        self.axes = torch.linalg.qr(drawn)[0] if turned else torch.eye(size, dtype=torch.float64)

    def __call__(self, points: Tensor) -> Tensor:
        """Values ``[…]`` of points ``[…, n]``."""
        along = points @ self.axes.to(points)
        return (self.spectrum.to(points) * along.square()).sum(-1) / 2


class LineFit:
    """``mean (y − a·x − b)²`` over data, of ``(a, b)``: the landscape of a fitted line.

    Args:
        x: ``[samples]``.
        y: ``[samples]``.
    """

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x.double(), y.double()

    def __call__(self, points: Tensor) -> Tensor:
        """Values ``[…]`` of points ``[…, 2]``."""
        return self.on(points, self.x, self.y)

    def on(self, points: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """The same over some of the samples: what a stochastic step sees.

        Args:
            points: ``[…, 2]``.
            x: ``[batch]``.
            y: ``[batch]``.
        """
        slope, height = (value[..., None] for value in points.unbind(-1))
        return (y.to(points) - slope * x.to(points) - height).square().mean(-1)

    def best(self) -> tuple[float, float]:
        """The least-squares line ``(a, b)``."""
        away = self.x - self.x.mean()
        slope = float((away * self.y).sum() / away.square().sum())
        return slope, float(self.y.mean() - slope * self.x.mean())
