"""What a measurement is: pure functions of tensors, which run on one model or on stacked lanes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, TypeAlias

import torch
from torch import Tensor

Tier: TypeAlias = Literal["light", "full"]
"""How much is measured: ``"full"`` has all of ``"light"`` and what costs more."""

SMALL = 2**16
"""Values of which a copy costs less than the arithmetic that spares it."""


@dataclass(frozen=True)
class Activity:
    """What the units of a layer gave in one forward pass.

    Attributes:
        values: ``[…, unit, …]``, after the activation.
        dim: The dimension along which units lie, from the first.
        activation: The activation's registered name; empty if it is not known.
    """

    values: Tensor
    dim: int
    activation: str = ""

    @property
    def others(self) -> list[int]:
        """All dimensions but that of the units: samples and places."""
        return [d for d in range(self.values.dim()) if d != self.dim]

    @cached_property
    def spread(self) -> tuple[Tensor, Tensor]:
        """Standard deviation and mean over samples, places and units."""
        values = self.values if self.values.dtype == torch.float64 else self.values.float()
        mean = values.mean()
        if values.numel() <= SMALL:
            return torch.linalg.vector_norm(values - mean) * values.numel() ** -0.5, mean
        square = torch.linalg.vector_norm(values).square() / values.numel()
        return (square - mean.square()).clamp(min=0).sqrt(), mean

    @cached_property
    def given(self) -> Tensor:
        """How many outputs of each unit are not 0, ``[unit]``."""
        return self.values.count_nonzero(self.others)


@dataclass(frozen=True)
class Step:
    """What an update did to some weights.

    Attributes:
        grads: Their gradients.
        before: Their values before the update; of large ones a part.
        after: The same values after it.
    """

    grads: Sequence[Tensor]
    before: Sequence[Tensor]
    after: Sequence[Tensor]

    @cached_property
    def sizes(self) -> tuple[Tensor, Tensor, Tensor]:
        """Root mean squares of gradients, weights before and what they moved by, ``[weight]``."""
        moved = torch._foreach_sub(list(self.after), list(self.before))  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]
        sizes = root_mean_squares([*self.grads, *self.before, *moved])
        gradient, before, update = sizes.view(3, -1)
        return gradient, before, update


def averaged(seen: Sequence[Tensor]) -> Tensor:
    """The mean of what was taken in several passes."""
    return seen[0] if len(seen) == 1 else torch.stack(list(seen)).mean(0)


@dataclass(frozen=True, eq=False)
class OfActivity:
    """A measurement of what a layer gives.

    Args:
        name: What it is called, in tables and findings.
        meaning: What it is.
        cost: What it costs.
        take: Of one forward pass; None for a layer that it has no meaning for.
        join: What was taken of several passes → the layer's number.
        window: Measured moments that are joined, at least.
        samples: Samples, or places in them, that these must have, at least.
        tier: From which tier on it is taken.
    """

    name: str
    meaning: str
    cost: str
    take: Callable[[Activity], Tensor | None]
    join: Callable[[Sequence[Tensor]], Tensor] = averaged
    window: int = 1
    samples: int = 1
    tier: Tier = "light"


@dataclass(frozen=True, eq=False)
class OfStep:
    """A measurement of what an update does.

    Args:
        name: What it is called, in tables and findings.
        meaning: What it is.
        cost: What it costs.
        take: A step → one number per weight, ``[weight]``.
        tier: From which tier on it is taken.
    """

    name: str
    meaning: str
    cost: str
    take: Callable[[Step], Tensor]
    tier: Tier = "light"


def root_mean_squares(values: Sequence[Tensor]) -> Tensor:
    """The root mean square of each tensor, ``[tensor]``; 0 of one without elements.

    >>> root_mean_squares([torch.tensor([3.0, 4.0]), torch.tensor([[2.0]])])
    tensor([3.5355, 2.0000])
    """
    found = norms(values)
    sizes = tuple(max(value.numel(), 1) for value in values)
    return found * _roots(sizes, found.dtype, found.device)


@lru_cache
def _roots(sizes: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor([size**-0.5 for size in sizes], dtype=dtype, device=device)


def norms(values: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of each tensor, ``[tensor]``, in single precision at least.

    >>> norms([torch.tensor([3.0, 4.0]), torch.tensor([[2.0]]).bfloat16()])
    tensor([5., 2.])
    """
    is_double = any(value.dtype == torch.float64 for value in values)
    dtype = torch.float64 if is_double else torch.float32
    return torch.stack(torch._foreach_norm(list(values), dtype=dtype))  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]
