"""Data sets that are too large for the memory: samples are read when they are asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from talweg.core import UserError, redrawn, to_be_drawn
from talweg.data.datasets import check_map_style, class_names, collated, pair_of, readable
from talweg.data.memory import are_indices, array_of, target_of
from talweg.data.raw import Raw, float_for
from talweg.data.room import fits_whole, room_of
from talweg.data.table import PIECE_BYTES, Scan


class OnDemand:
    """The samples of a map-style data set, none of which is kept.

    What a sample draws at random, it draws from its number, so that it is the same every time.

    Args:
        dataset: The data set; its first sample is read, to see what they are like.

    Raises:
        UserError: If its length is unknown or 0, or its first sample is no pair.
    """

    def __init__(self, dataset: Dataset[Any]) -> None:
        check_map_style(dataset)
        self._dataset: Any = dataset
        self._lock = Lock()  # evaluation may read while a thread reads ahead
        self._drew = False
        self.draws = True
        """Whether samples draw anything; true as long as that is not known."""
        self.first = self.take([0])[0]

    def __len__(self) -> int:
        return len(self._dataset)

    @property
    def cells(self) -> int:
        """Numbers in all inputs, by those of the first sample."""
        several: Any = self.first.values() if isinstance(self.first, dict) else self.first
        parts = [several] if isinstance(several, Tensor) else several
        return len(self) * sum(part.numel() for part in parts if isinstance(part, Tensor))

    def take(self, rows: Sequence[int]) -> tuple[Any, Tensor]:
        """The inputs and the targets of some samples.

        Raises:
            UserError: If they are no pairs, or cannot be stacked.
        """
        with self._lock, readable():
            return pair_of(collated(self._samples(rows)))

    def _samples(self, rows: Sequence[int]) -> list[Any]:
        if not self.draws:
            return [self._dataset[row] for row in rows]
        samples: list[Any] = []
        with redrawn() as begin:
            for row in rows:
                begin(row)
                before = to_be_drawn()
                samples.append(self._dataset[row])
                self._drew = self._drew or to_be_drawn() != before
        return samples

    def pieces(self, at_once: int) -> Iterator[tuple[Any, Tensor]]:
        """All samples from first to last, some at a time."""
        for begin in range(0, len(self), at_once):
            yield self.take(range(begin, min(begin + at_once, len(self))))

    def survey(self) -> tuple[Tensor, int]:
        """All targets, and how many of the inputs' values are not finite; every sample is read.

        Raises:
            UserError: If samples have several inputs, or are not of one shape.
        """
        if not isinstance(self.first, Tensor):
            raise UserError(
                "the data set is too large for the memory, and only samples of one input can be "
                "read as they are needed: allow more (memory)"
            )
        ys: list[Tensor] = []
        wrong = 0
        with readable():
            for x, y in self.pieces(max(PIECE_BYTES // max(self.first.nbytes, 1), 1)):
                if x.shape[1:] != self.first.shape[1:]:
                    raise ValueError(f"got {list(self.first.shape[1:])} and {list(x.shape[1:])}")
                wrong += int((~x.isfinite()).sum())
                ys.append(y)
            self.draws = self._drew
            return torch.cat(ys), wrong


@dataclass(frozen=True)
class Decoded:
    """The inputs of a data set that was surveyed, as a `Source` of rows.

    Args:
        samples: Its samples.
        shape: Of a row.
        dtype: What to read them as.
    """

    samples: OnDemand
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def aside(self) -> bool:
        """Whether samples draw nothing: generators are those of the lanes too."""
        return not self.samples.draws

    def read(self, rows: NDArray[Any], into: NDArray[Any]) -> None:
        """See `Source.read`."""
        if len(rows):
            found = array_of(self.samples.take(rows.tolist())[0], "features")
            into[...] = found.reshape(into.shape)


def is_beyond(samples: OnDemand, memory: int) -> bool:
    """Whether samples cannot be held even as they are."""
    wide = torch.float64 if _is_wide(samples.first) else torch.float32
    return samples.cells * wide.itemsize > room_of(memory) / 2


def _is_wide(x: Any) -> bool:
    return isinstance(x, Tensor) and x.dtype in (torch.int64, torch.int32, torch.float64)


def from_large_dataset(dataset: Dataset[Any], memory: int) -> Raw | None:
    """A data set that must be read in pieces, as often as need be; None if it need not."""
    samples = OnDemand(dataset)
    if fits_whole(samples.cells, memory):
        return None
    y, _ = samples.survey()
    first = array_of(samples.first, "features")
    whole = are_indices(samples.first, first.ndim)
    dtype = np.dtype(np.int64 if whole else float_for(first.dtype))
    source = Decoded(samples, first.shape[1:] or (1,), dtype)

    def read(count: int) -> Iterator[NDArray[Any]]:
        for begin in range(0, len(samples), count):
            rows = np.arange(begin, min(begin + count, len(samples)))
            piece = np.empty((len(rows), *source.shape), dtype)
            source.read(rows, piece)
            yield piece

    return Raw(
        type(dataset).__name__,
        Scan(read, len(samples), max(8 * first.size, 1), memory, source=source),
        target_of(y),
        classes=class_names(dataset),
    )
