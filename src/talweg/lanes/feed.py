"""Where the batches of lanes come from."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from talweg.core import UserError
from talweg.data import BatchOrder, Samples

BLOCK = 100
"""Steps that lanes make before it is looked which of them diverged, at most."""

Batch: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]
"""``places [lane] -> x [lane, batch, …], y [lane, batch, …]``: the batch of one step, for lanes
whose seeds stand at these places among all."""


class Feed(Protocol):
    """What gives lanes their batches, step by step."""

    def block(self, first: int, most: float) -> Sequence[Batch]:
        """The batches of some steps; none when there are no more.

        Args:
            first: The first step, from 0: the one after those asked for before.
            most: How many at most.
        """
        ...


class FromSamples:
    """Batches of samples that are visited again in every epoch; each seed has an order of its own.

    Args:
        samples: What is trained on.
        orders: The order of batches of each seed.
    """

    def __init__(self, samples: Samples, orders: Sequence[BatchOrder]) -> None:
        self._samples = samples
        self._orders = orders

    def block(self, first: int, most: float) -> list[Batch]:
        """See `Feed.block`."""
        return [self._batch(step) for step in range(first, first + int(min(most, BLOCK)))]

    def _batch(self, step: int) -> Batch:
        chosen = torch.stack([order.batch(step) for order in self._orders])
        chosen = chosen.to(self._samples.x.device)

        def batch(places: Tensor) -> tuple[Tensor, Tensor]:
            rows = chosen[places]
            x, y = (
                values.index_select(0, rows.reshape(-1)).view(*rows.shape, *values.shape[1:])
                for values in (self._samples.x, self._samples.y)
            )
            return x, y

        return batch


def cast(samples: Samples, dtype: torch.dtype, device: torch.device) -> Samples:
    """Samples on a device, their real numbers in the model's type.

    Raises:
        UserError: If one is too large for it.
    """

    def one(values: Tensor) -> Tensor:
        wanted = dtype if values.is_floating_point() else values.dtype
        found = values.to(device, wanted)
        if values.dtype != wanted and not found.isfinite().all():
            raise UserError(f"the data holds values too large for the model's {dtype}")
        return found

    return Samples(one(samples.x), one(samples.y))
