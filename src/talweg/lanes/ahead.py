"""Batches of samples that are not in memory, read while lanes learn from those before."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from talweg.core import UserError
from talweg.data import BatchOrder, Samples, Stored
from talweg.data.inputs import X
from talweg.lanes.feed import BLOCK, Batch, Feed, FromSamples, pick
from talweg.lanes.plan import Lane, by_seeds

T = TypeVar("T")

AHEAD_BYTES = 8_000_000
"""What is read at once of batches, about; as much again is learned from meanwhile."""


class FromStored(FromSamples):
    """Samples that are not in memory: each batch of a seed is read once, for all of its lanes.

    Args:
        samples: All of them; their ``x`` is `Stored`.
        batch_size: Samples per batch.
        drop_last: Whether an epoch leaves out a last batch of fewer samples.

    Raises:
        UserError: If a batch is to be all samples.
    """

    can_be_copied = False

    def __init__(self, samples: Samples, batch_size: int | None, drop_last: bool) -> None:
        super().__init__(samples, batch_size, drop_last)
        assert isinstance(samples.x, Stored)
        if self.batch == len(samples) and len(samples) * row_bytes(samples.x) > AHEAD_BYTES:
            raise UserError(
                f"the data is read batch by batch, and a batch of all {len(samples):,} "
                f"samples is too much for the memory allowed: give a batch_size"
            )

    def together(self, packs: Sequence[Sequence[Lane]]) -> list[list[Sequence[Lane]]]:
        """See `Supply.together`: lanes of the same seeds."""
        return by_seeds(packs)

    def feed(self, seeds: Sequence[int]) -> Feed:
        """See `Supply.feed`."""
        return _Ahead(self.samples, self.orders(seeds))


@dataclass(frozen=True)
class _Block:
    """Batches of some steps.

    Args:
        first: The first step.
        x: Samples of each step, ``[seed, batch, …]``.
        rows: Their numbers, ``[seed, batch]``.
    """

    first: int
    x: list[Tensor]
    rows: list[Tensor]

    @property
    def stop(self) -> int:
        """The step after the last."""
        return self.first + len(self.x)


class _Ahead:
    """Batches in the order of each of some seeds, a block of steps at a time."""

    def __init__(self, samples: Samples, orders: Sequence[BatchOrder]) -> None:
        assert isinstance(samples.x, Stored)
        self._x, self._y = samples.x, samples.y
        self._orders = orders
        self._epoch = orders[0].steps_per_epoch
        self._length = steps_ahead(len(orders) * orders[0].batch_size * row_bytes(samples.x))
        self._pool = reader_of(samples.x)
        self._coming: tuple[int, Future[_Block]] | None = None
        self._block = _Block(0, [], [])

    def block(self, first: int, most: float) -> list[Batch]:
        """See `Feed.block`."""
        if not self._block.first <= first < self._block.stop:
            self._block = _Block(0, [], [])  # frees it before the next but one is read
            self._block = self._next(first)
        stop = int(min(first + most, self._block.stop))
        return [self._batch(step) for step in range(first, stop)]

    def _next(self, first: int) -> _Block:
        if self._coming is None or self._coming[0] != first:
            self._coming = first, self._pool.submit(self._read, first)
        found = self._coming[1].result()
        self._coming = None
        if found.stop % self._epoch:  # whether there is another epoch is not known
            self._coming = found.stop, self._pool.submit(self._read, found.stop)
        return found

    def _read(self, first: int) -> _Block:
        last = min(first + self._length, (first // self._epoch + 1) * self._epoch)
        rows = [
            torch.stack([order.batch(step) for order in self._orders])
            for step in range(first, last)
        ]
        together = self._x.take(torch.cat([each.reshape(-1) for each in rows]))
        parts = together.split([each.numel() for each in rows])
        shape = together.shape[1:]
        return _Block(
            first,
            [part.view(*each.shape, *shape) for part, each in zip(parts, rows, strict=True)],
            [each.to(self._y.device) for each in rows],
        )

    def _batch(self, step: int) -> Batch:
        place = step - self._block.first
        x, rows = self._block.x[place], self._block.rows[place]

        def batch(places: Tensor) -> tuple[Tensor, Tensor]:
            return x[places], pick(self._y, rows[places])

        return batch


def slices(samples: Samples, rows: int) -> Iterator[tuple[X, Tensor]]:
    """All samples in order, some at a time; from disk, the next are read meanwhile."""
    parts = [slice(begin, begin + rows) for begin in range(0, len(samples), rows)]
    x = samples.x
    if not isinstance(x, Stored):
        for part in parts:
            yield x[part], samples.y[part]
        return
    with reader_of(x) as pool:
        coming = pool.submit(x.__getitem__, parts[0])
        for part, following in zip(parts, [*parts[1:], None], strict=True):
            found = coming.result()
            if following:
                coming = pool.submit(x.__getitem__, following)
            yield found, samples.y[part]


def reader_of(x: Stored) -> Executor:
    """What reads: a thread of its own, or, where samples draw from the generators, the caller's."""
    return ThreadPoolExecutor(1) if x.aside else _Here()


class _Here(Executor):
    """Makes each call on the thread that asks for its result, when it does."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        return _Later(partial(fn, *args, **kwargs))


class _Later(Future[T]):
    def __init__(self, call: Callable[[], T]) -> None:
        super().__init__()
        self._call = call

    def result(self, timeout: float | None = None) -> T:  # noqa: ARG002 - it is not waited for
        return self._call()


def row_bytes(x: X | Stored) -> int:
    """What a sample takes."""
    if isinstance(x, Stored):
        return x.shape[1:].numel() * x.dtype.itemsize
    return x.nbytes // len(x)


def steps_ahead(step_bytes: int) -> int:
    """How many steps are made ready at once, of which each takes so much."""
    return min(max(AHEAD_BYTES // max(step_bytes, 1), 1), BLOCK)
