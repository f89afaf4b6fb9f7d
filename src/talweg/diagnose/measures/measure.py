"""What a measurement is: pure functions of tensors, which run on one model or on stacked lanes.

Each takes sums, lengths or the like where the values are, and tells its number of these in plain
arithmetic: of floats, once they were read, or of the tensors themselves where lanes are stacked.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

Tier: TypeAlias = Literal["light", "full"]
"""How much is measured: ``"full"`` has all of ``"light"`` and what costs more."""

Number: TypeAlias = Any
"""A float, or a tensor of one number where lanes are stacked."""
Tell: TypeAlias = Callable[[Number, int, Mapping[str, Number]], Number]
"""What was taken, of how many, and what the measurements before told → the number."""


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
    def real(self) -> Tensor:
        """The values in single precision at least."""
        return self.values if self.values.dtype == torch.float64 else self.values.float()


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
    def lengths(self) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Norms of gradients, weights before and what they moved by."""
        moved = torch._foreach_sub(list(self.after), list(self.before))  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]
        found, count = norms([*self.grads, *self.before, *moved]), len(self.before)
        return found[:count], found[count : 2 * count], found[2 * count :]


def added(seen: Sequence[Tensor]) -> Tensor:
    """The sum of what was taken in several passes."""
    return seen[0] if len(seen) == 1 else torch.stack(list(seen)).sum(0)


def as_taken(number: Number, _: int, __: Mapping[str, Number]) -> Number:
    """What was taken is the number."""
    return number


def share(number: Number, count: int, _: Mapping[str, Number]) -> Number:
    """What was taken, of all values."""
    return number / count


def root_mean_square(number: Number, count: int, _: Mapping[str, Number]) -> Number:
    """Of a norm."""
    return number / count**0.5


@dataclass(frozen=True, eq=False)
class OfActivity:
    """A measurement of what a layer gives.

    Args:
        name: What it is called, in tables and findings.
        meaning: What it is.
        cost: What it costs.
        take: Of one forward pass; None for a layer that it has no meaning for.
        join: What was taken of several passes → the same of all.
        tell: What was taken of all → the layer's number.
        of: What is counted: all ``"values"``, or ``"units"``, of each of which a number is taken.
        window: Measured moments that are joined, at least.
        samples: Samples, or places in them, that these must have, at least.
        tier: From which tier on it is taken.
    """

    name: str
    meaning: str
    cost: str
    take: Callable[[Activity], Tensor | None]
    join: Callable[[Sequence[Tensor]], Tensor] = added
    tell: Tell = as_taken
    of: Literal["values", "units"] = "values"
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
        take: A step → what is taken of each weight.
        tell: What was taken of a weight → its number.
        of: The values of a step that are counted: ``"grads"``, or ``"before"`` an update.
        tier: From which tier on it is taken.
    """

    name: str
    meaning: str
    cost: str
    take: Callable[[Step], Sequence[Tensor]]
    tell: Tell = as_taken
    of: Literal["grads", "before"] = "before"
    tier: Tier = "light"


def numbers(measures: Sequence[OfActivity], activity: Activity) -> dict[str, Tensor]:
    """The numbers of one pass by name, of one model or of each lane."""
    told: dict[str, Tensor] = {}
    for measure in measures:
        taken = measure.take(activity)
        if taken is not None:
            count = (activity.values if measure.of == "values" else taken).numel()
            told[measure.name] = measure.tell(measure.join([taken]), count, told)
    return told


def norms(values: Sequence[Tensor]) -> list[Tensor]:
    """The Euclidean norm of each tensor, in single precision at least.

    >>> norms([torch.tensor([3.0, 4.0]), torch.tensor([[2.0]]).bfloat16()])
    [tensor(5.), tensor(2.)]
    """
    is_double = any(value.dtype == torch.float64 for value in values)
    dtype = torch.float64 if is_double else torch.float32
    return list(torch._foreach_norm(list(values), dtype=dtype))  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]
