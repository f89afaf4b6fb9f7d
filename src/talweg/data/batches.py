"""The order in which batches are drawn: a pure function of the seed."""

import numpy as np
import torch
from torch import Tensor

from talweg.core import UserError, counted, whole_number


class BatchOrder:
    """Which samples make which batch, for one seed.

    Every epoch visits every sample once, in an order of its own. A batch of all samples
    (``batch_size=None``, or at least ``count``) is never shuffled: it is the set.

    Args:
        count: Number of samples ``N``.
        batch_size: Samples per batch ``B``; None for all of them.
        seed: At least 0; two seeds give independent orders.
        drop_last: Whether an epoch leaves out a last batch of fewer than ``B`` samples; the order
            changes from epoch to epoch, and with it what is left out.

    Raises:
        UserError: If one of the numbers is out of range, or ``drop_last`` leaves no batch.

    >>> order = BatchOrder(50_000, 256, seed=0)
    >>> order.steps_per_epoch, len(order.batch(0)), len(order.batch(195))
    (196, 256, 80)
    """

    def __init__(
        self, count: int, batch_size: int | None, seed: int, *, drop_last: bool = False
    ) -> None:
        self.count = whole_number("the number of samples", count)
        wanted = self.count if batch_size is None else whole_number("batch_size", batch_size)
        self.batch_size = min(wanted, self.count)
        self.seed = whole_number("seed", seed, at_least=0)
        if not isinstance(drop_last, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UserError(f"drop_last must be true or false, got {drop_last!r}")
        if drop_last and wanted > self.count:
            raise UserError(
                f"drop_last leaves no batch: batch_size is {wanted}, "
                f"but there are only {counted(self.count, 'sample')}"
            )
        self.drop_last = drop_last
        # The order of many rows, for many seeds, is kept in half the memory.
        self._kept = torch.int32 if self.count < 2**31 else torch.int64
        self._cached: tuple[int, Tensor] = (-1, torch.empty(0, dtype=self._kept))

    @property
    def is_full(self) -> bool:
        """Whether a batch is the whole set."""
        return self.batch_size == self.count

    @property
    def steps_per_epoch(self) -> int:
        """``ceil(N / B)``; with ``drop_last``, ``floor(N / B)``."""
        if self.drop_last:
            return self.count // self.batch_size
        return -(-self.count // self.batch_size)

    def epoch(self, number: int) -> Tensor:
        """The order of all samples in an epoch, counted from 0: a permutation ``[N]``, int64."""
        return self._epoch(whole_number("epoch", number, at_least=0)).long()

    def batch(self, step: int) -> Tensor:
        """The samples of a step, counted from 0 through all epochs: indices ``[b]``, int64."""
        whole_number("step", step, at_least=0)
        number, place = divmod(step, self.steps_per_epoch)
        begin = place * self.batch_size
        return self._epoch(number)[begin : begin + self.batch_size].long()

    def _epoch(self, number: int) -> Tensor:
        if self._cached[0] != number:
            self._cached = (number, self._order(number).to(self._kept))
        return self._cached[1]

    def _order(self, number: int) -> Tensor:
        if self.is_full:
            return torch.arange(self.count)
        # NumPy keeps the raw stream of a bit generator the same from version to version, which it
        # does not promise for `Generator.permutation`; sorting raw 64-bit draws is a permutation.
        sequence = np.random.SeedSequence(self.seed, spawn_key=(number,))
        draws = np.random.PCG64(sequence).random_raw(self.count)
        return torch.from_numpy(np.argsort(draws, kind="stable"))
