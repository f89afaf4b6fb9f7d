"""Where the batches of lanes come from."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain, islice
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from talweg.core import UserError
from talweg.data import BatchOrder, Samples, Stored, Stream
from talweg.data.inputs import X, each, for_lanes
from talweg.lanes.plan import Lane

BLOCK = 100
"""Steps that lanes make before it is looked which of them diverged, at most."""

AHEAD = 8
"""Batches of a stream that are drawn before the first of them is learned from, at most."""

Batch: TypeAlias = Callable[[Tensor], tuple[X, Tensor]]
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


class Supply(Protocol):
    """What an engine trains on.

    Attributes:
        samples: What models are tried on, as lanes get it: all samples, or the first batch.
        batch: Samples in a full batch.
        tail: Samples in the last batch of an epoch, if they are fewer; else 0.
        epoch_steps: Steps of a pass; None where the end is not known.
        leaves_one: Why a batch of one sample may come among larger ones; empty if none can.
        can_be_copied: Whether copies of this process can each make the same batches.
    """

    can_be_copied: bool
    samples: Samples
    batch: int
    tail: int
    epoch_steps: int | None
    leaves_one: str

    def together(self, packs: Sequence[Sequence[Lane]]) -> list[list[Sequence[Lane]]]:
        """Which lanes get each batch before the next is made, out of those that can be stacked."""
        ...

    def feed(self, seeds: Sequence[int]) -> Feed:
        """What lanes of these seeds get; places of batches are those of the seeds."""
        ...


class FromSamples:
    """Samples that are visited again in every epoch, by each seed in an order of its own.

    Args:
        samples: All of them.
        batch_size: Samples per batch; None for all.
        drop_last: Whether an epoch leaves out a last batch of fewer samples.
    """

    can_be_copied = True

    def __init__(self, samples: Samples, batch_size: int | None, drop_last: bool) -> None:
        self.samples = samples
        self._order = partial(BatchOrder, len(samples), batch_size, drop_last=drop_last)
        order = self._order(0)
        self.batch = order.batch_size
        self.tail = 0 if drop_last else len(samples) % self.batch
        self.epoch_steps: int | None = order.steps_per_epoch
        self.leaves_one = ""
        if self.tail == 1:
            self.leaves_one = (
                f"batches of {self.batch} leave one of the {len(samples)} samples for the last "
                f"of an epoch: choose another batch_size, or drop_last"
            )

    def together(self, packs: Sequence[Sequence[Lane]]) -> list[list[Sequence[Lane]]]:
        """See `Supply.together`."""
        return [[pack] for pack in packs]

    def orders(self, seeds: Sequence[int]) -> list[BatchOrder]:
        """The order of each seed."""
        return [self._order(seed) for seed in seeds]

    def feed(self, seeds: Sequence[int]) -> Feed:
        """See `Supply.feed`."""
        return _Orders(self.samples, self.orders(seeds))


class _Orders:
    """Batches in the order of each of some seeds."""

    def __init__(self, samples: Samples, orders: Sequence[BatchOrder]) -> None:
        assert not isinstance(samples.x, Stored)
        self._x, self._y = samples.x, samples.y
        self._orders = orders

    def block(self, first: int, most: float) -> list[Batch]:
        """See `Feed.block`."""
        return [self._batch(step) for step in range(first, first + int(min(most, BLOCK)))]

    def _batch(self, step: int) -> Batch:
        chosen = torch.stack([order.batch(step) for order in self._orders])
        if self._y.is_cuda:  # from memory that is pinned, nobody waits for the copy
            chosen = chosen.pin_memory().to(self._y.device, non_blocking=True)

        def batch(places: Tensor) -> tuple[X, Tensor]:
            rows = chosen[places]
            return each(self._x, lambda values: pick(values, rows)), pick(self._y, rows)

        return batch


class FromStream:
    """Samples that arrive once: every lane gets the same batches.

    Args:
        stream: What arrives. The first batch is drawn at once, and given to the lanes first.
        batch_size: Samples per batch.
        drop_last: Whether a last batch of fewer samples is left out.
        cast: Brings samples to the model's device and type.

    Attributes:
        classes: How many classes the model tells apart; None if targets are no classes.
        given: Samples that lanes have got.
        is_over: Whether there are no more.
    """

    can_be_copied = False

    def __init__(
        self,
        stream: Stream,
        batch_size: int | None,
        drop_last: bool,
        cast: Callable[[Samples], Samples],
    ) -> None:
        arriving = stream.batches(batch_size, drop_last=drop_last)
        first = next(arriving, None)
        if first is None:
            raise UserError("the stream ended before its first batch")
        self._arriving = chain([first], arriving)
        self._cast = cast
        self.samples = cast(first)
        self.batch = len(first)
        self.tail = 0
        self.epoch_steps: int | None = None
        self.leaves_one = ""
        if self.batch > 1 and not drop_last:
            self.leaves_one = "the last batch of a stream may have one alone: pass drop_last=True"
        self.classes: int | None = None
        self.given = 0
        self.is_over = False

    def together(self, packs: Sequence[Sequence[Lane]]) -> list[list[Sequence[Lane]]]:
        """See `Supply.together`."""
        return [list(packs)]

    def feed(self, seeds: Sequence[int]) -> Feed:  # noqa: ARG002 - all seeds get the same
        """See `Supply.feed`."""
        return self

    def block(self, first: int, most: float) -> list[Batch]:  # noqa: ARG002 - it cannot go back
        """See `Feed.block`."""
        wanted = int(min(most, AHEAD))
        batches = [self._batch(samples) for samples in islice(self._arriving, wanted)]
        self.is_over = len(batches) < wanted
        return batches

    def _batch(self, samples: Samples) -> Batch:
        found = self._cast(samples)
        if self.classes is not None:
            self._check_classes(found.y, self.classes)
        self.given += len(found)
        inputs = found.x
        assert not isinstance(inputs, Stored)

        def batch(places: Tensor) -> tuple[X, Tensor]:
            return for_lanes(len(places), inputs, found.y)

        return batch

    def _check_classes(self, y: Tensor, classes: int) -> None:
        low, high = (int(value) for value in y.aminmax())
        if low < 0 or high >= classes:
            raise UserError(
                f"samples {self.given + 1:,} to {self.given + len(y):,} of the stream have class "
                f"{low if low < 0 else high}, but the model knows 0 to {classes - 1}"
            )


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

    x = samples.x
    if isinstance(x, Stored):  # looked at as it is read
        return Samples(x.to(device, dtype if x.is_floating_point() else None), one(samples.y))
    return Samples(each(x, one), one(samples.y))


def pick(values: Tensor, rows: Tensor) -> Tensor:
    """``values[rows]``, ``[*rows.shape, …]``."""
    return values.index_select(0, rows.reshape(-1)).view(*rows.shape, *values.shape[1:])
