"""Samples that arrive once: streams of unknown length."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from talweg.core import UserError, counted, first_line, whole_number
from talweg.data.as_given import as_samples
from talweg.data.memory import array_of
from talweg.data.samples import Samples
from talweg.data.several import are_several

Values: TypeAlias = Tensor | NDArray[Any]
Kind: TypeAlias = tuple[type, object, tuple[int, ...]]
"""What is the same for all samples of a stream: container, type of number, shape."""


@dataclass(frozen=True)
class Stream:
    """Samples that arrive one after another and are never revisited, for online learning.

    Args:
        source: Gives ``(x, y)``: a generator, an IterableDataset, a DataLoader, any iterable, of
            known length or not. It is passed over once.
        batched: Whether what it gives are batches, ``x [b, …]`` with ``y [b, …]``, rather than
            single samples.

    Raises:
        UserError: If the source is no iterable.

    >>> arriving = Stream(([0.5 * i, 1.0], i % 2) for i in range(5))
    >>> [samples.y.tolist() for samples in arriving.batches(2)]
    [[0, 1], [0, 1], [0]]
    """

    source: Iterable[Any]
    batched: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.source, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UserError(f"a stream must be an iterable, got {type(self.source).__name__}")
        if not isinstance(self.batched, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UserError(f"batched must be true or false, got {self.batched!r}")

    def __iter__(self) -> Iterator[Any]:
        return iter(self.source)

    def batches(self, batch_size: int | None, *, drop_last: bool = False) -> Iterator[Samples]:
        """The stream in batches, each drawn when it is asked for and not a sample sooner.

        Args:
            batch_size: Samples per batch; of a stream of batches, which are taken as they come,
                it says nothing.
            drop_last: Whether to leave out a last batch of fewer samples; of a stream of batches,
                every one of fewer samples than the first.

        Raises:
            UserError: For a batch size out of range, and on the way if the source raises, or gives
                samples that cannot be used or differ from the first in shape or type.
        """
        if self.batched:
            return self._as_they_come(drop_last)
        if batch_size is None:
            raise UserError("a stream has no end to wait for: batch_size must be a whole number")
        return self._cut(whole_number("batch_size", batch_size), drop_last)

    def _cut(self, size: int, drop_last: bool) -> Iterator[Samples]:
        arriving = self._checked()
        before = 0
        while chunk := list(islice(arriving, size)):
            if drop_last and len(chunk) < size:
                return
            x, y = (_stacked(values) for values in zip(*chunk, strict=True))
            yield _samples(x, y, before)
            before += len(chunk)

    def _as_they_come(self, drop_last: bool) -> Iterator[Samples]:
        size = before = 0
        for x, y in self._checked():
            size = size or len(x)
            if len(x) >= size or not drop_last:
                yield _samples(x, y, before)
            before += len(x)

    def _checked(self) -> Iterator[tuple[Values, Values]]:
        """What arrives, all of one shape and type."""
        first: tuple[Kind, Kind] | None = None
        arriving: Iterator[Any] | None = None
        before = 0
        while True:
            try:
                arriving = iter(self.source) if arriving is None else arriving
                item = next(arriving)
            except StopIteration:
                return
            except Exception as error:
                raise UserError(
                    f"the stream failed after {counted(before, 'sample')}: "
                    f"{type(error).__name__}: {first_line(error)}"
                ) from error
            x, y = _pair(item, before, self.batched)
            kinds = self._kind(x, before), self._kind(y, before)
            first = first or kinds
            for what, now, then in zip("xy", kinds, first, strict=True):
                if now != then:
                    raise UserError(
                        f"sample {before + 1:,} of the stream differs from the first: "
                        f"{what} is {_named(now)}, there {_named(then)}"
                    )
            if self.batched and len(x) != len(y):
                raise UserError(
                    f"the batch from sample {before + 1:,} of the stream on "
                    f"has {counted(len(x), 'input')} and {counted(len(y), 'target')}"
                )
            yield x, y
            before += len(x) if self.batched else 1

    def _kind(self, values: Values, before: int) -> Kind:
        """What is the same for all samples."""
        if self.batched and values.ndim == 0:
            raise UserError(
                f"a stream of batches must give x [batch, …] and y [batch, …], got a single "
                f"number after {counted(before, 'sample')}"
            )
        shape = values.shape[1:] if self.batched else values.shape
        return type(values), values.dtype, tuple(shape)


def stream_of(source: Any) -> Stream:
    """What talweg learns from a stream.

    Args:
        source: A `Stream`, which is returned as it is; a DataLoader, which gives batches unless it
            was made with ``batch_size=None``; or another iterable, of single samples.

    Raises:
        UserError: If it is none of these.
    """
    if isinstance(source, Stream):
        return source
    return Stream(source, isinstance(source, DataLoader) and source.batch_sampler is not None)


def _pair(item: Any, before: int, batched: bool) -> tuple[Values, Values]:
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        what = type(item).__name__
        size = f" of {len(item)}" if isinstance(item, (tuple, list)) else ""
        raise UserError(
            f"a stream must give pairs (x, y), got {what}{size} after {counted(before, 'sample')}"
        )
    several = tuple(item[0]) if batched and isinstance(item[0], list) else item[0]
    if (batched or isinstance(several, Mapping)) and are_several(several, item[1]):
        raise UserError(
            "a stream must give one input x per sample: several are taken from data in memory, "
            "((a, b), y), or from a map-style data set"
        )
    try:
        x, y = (
            values.detach() if isinstance(values, Tensor) else array_of(values, what)
            for values, what in zip(item, ("x", "y"), strict=True)
        )
    except UserError as error:
        raise UserError(f"sample {before + 1:,} of the stream cannot be used: {error}") from None
    return x, y


def _named(kind: Kind) -> str:
    of, dtype, shape = kind
    what = "tensor" if issubclass(of, Tensor) else "array"
    return f"{str(dtype).removeprefix('torch.')} {what} of shape {list(shape)}"


def _stacked(values: Sequence[Values]) -> Values:
    if isinstance(values[0], Tensor):
        return torch.stack(values)  # pyright: ignore[reportArgumentType]
    return np.stack(values)


def _samples(x: Values, y: Values, before: int) -> Samples:
    try:
        return as_samples((x, y))
    except UserError as error:
        last = before + len(x)
        which = f"sample {last:,}" if len(x) == 1 else f"samples {before + 1:,} to {last:,}"
        raise UserError(f"{which} of the stream cannot be used: {error}") from None
