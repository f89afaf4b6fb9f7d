"""How much of a gradient is chance: what it differs by from one batch to the next."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from talweg.diagnose.measures.measure import norms


def noise_and_signal(first: Sequence[Tensor], second: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The variance of a gradient and the square of its mean, by two batches; of each weight.

    ``½|g₁ − g₀|²`` and ``g₀·g₁``, which are right on average if the weights hardly moved in
    between. The first times the batch size, divided by the second, is the simple noise scale.

    Args:
        first: The gradients of some weights at a step.
        second: Those at the next.

    Returns:
        Noise and signal, ``[weight]`` each; the signal may be below 0.

    Source: McCandlish et al., "An empirical model of large-batch training" (2018), appendix A.1.

    >>> noise_and_signal([torch.tensor([1.0, 2.0])], [torch.tensor([1.0, 0.0])])
    (tensor([2.]), tensor([1.]))
    """
    apart = torch._foreach_sub(list(second), list(first))  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]
    before, after, between = torch.stack(norms([*first, *second, *apart])).square().view(3, -1)
    return between / 2, (before + after - between) / 2


class Smoothed:
    """Noise and signal over the last few pairs of steps, as one pair alone tells little.

    Args:
        keep: The share of what is known that a new pair leaves.
    """

    def __init__(self, keep: float = 0.8) -> None:
        self._keep = keep
        self._sums: dict[str, tuple[float, float]] = {}
        self.pairs = 0

    def add(self, noise: dict[str, float], signal: dict[str, float]) -> None:
        """Takes in another pair of steps: name → noise, and name → signal."""
        self.pairs += 1
        for name in noise:
            before = self._sums.get(name, (0.0, 0.0))
            new = noise[name], signal[name]
            self._sums[name] = (
                self._keep * before[0] + new[0],
                self._keep * before[1] + new[1],
            )

    def signal_to_noise(self) -> dict[str, float]:
        """Name → signal divided by noise; nothing of what has no noise."""
        return {name: signal / noise for name, (noise, signal) in self._sums.items() if noise > 0}


def fall(losses: Sequence[float]) -> float | None:
    """By how much the loss fell from the first half of some steps to the second.

    In standard errors of the difference: 2 and more is no chance. None for fewer than 8 steps, or
    where the loss does not change.

    >>> round(fall([1.0, 1.2, 1.1, 1.3, 1.1, 1.2, 1.0, 1.3]), 2)
    0.0
    """
    half = len(losses) // 2
    if half < 4 or not all(map(math.isfinite, losses)):
        return None
    (before, one), (after, other) = (_mean(each) for each in (losses[:half], losses[half:]))
    error = math.hypot(one, other)
    return (before - after) / error if error > 0 else None


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """The mean and its standard error."""
    count = len(values)
    mean = sum(values) / count
    square = sum((value - mean) ** 2 for value in values)
    return mean, math.sqrt(square / (count - 1) / count)
