"""Arrays in .npy files that are too large for the memory: read in pieces, never mapped as a whole.

What is mapped counts as memory of the process once it was looked at.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from talweg.core import UserError
from talweg.data.columns import column_of
from talweg.data.memory import are_indices, target_of
from talweg.data.raw import Raw, float_for, target_place
from talweg.data.reading import reason_of
from talweg.data.room import fits_whole, room_of
from talweg.data.stored import Store, Stored
from talweg.data.table import PIECE_BYTES, Scan


@dataclass(frozen=True)
class Rows:
    """Rows of a file of numbers.

    Args:
        path: The file.
        offset: Where the first row begins.
        shape: Of the whole array.
        dtype: Of the file.
    """

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def row_bytes(self) -> int:
        """What a row takes in the file."""
        return int(np.prod(self.shape[1:])) * self.dtype.itemsize

    def pieces(self, rows: int) -> Iterator[NDArray[Any]]:
        """All rows from first to last, ``rows`` at a time."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            for begin in range(0, self.shape[0], rows):
                shape = (min(rows, self.shape[0] - begin), *self.shape[1:])
                yield np.fromfile(file, self.dtype, int(np.prod(shape))).reshape(shape)


def is_large(values: NDArray[Any], memory: int) -> bool:
    """Whether an array of numbers that a file is mapped to must be read in pieces."""
    return _is_plain(values) and not fits_whole(values.size, memory)


def is_too_large(values: Any, memory: int) -> bool:
    """Whether an array that a file is mapped to cannot be held even as it is."""
    return _is_plain(values) and values.dtype.isnative and values.nbytes > room_of(memory) / 2


def _is_plain(values: Any) -> bool:
    return (
        isinstance(values, np.memmap)
        and values.filename is not None  # not what was computed of one
        and values.mode != "c"  # nor what may have been changed in memory alone
        and values.ndim >= 2
        and values.dtype.kind in "biuf"
        and values.flags.c_contiguous
    )


def stored_of(values: Any, dtype: torch.dtype) -> tuple[Stored, int]:
    """The rows of an array that a file is mapped to, and how many of its values are not finite.

    Args:
        values: The array, which stays where it is.
        dtype: What to read it as.
    """
    rows = rows_of(values)
    wrong = 0
    for piece in rows.pieces(max(PIECE_BYTES // rows.row_bytes, 1)):
        wrong += int(np.count_nonzero(~np.isfinite(piece)))
    with rows.path.open("rb") as file:
        store = Store(file, rows.shape[1:], rows.dtype, rows.offset)
    return Stored(store, np.arange(len(values)), dtype), wrong


def rows_of(values: Any) -> Rows:
    """The rows of an array that a file is mapped to."""
    # A slice has the offset of the whole array; its memory tells where it begins itself.
    whole = values
    while isinstance(whole.base, np.memmap):
        whole = whole.base
    begin = values.ctypes.data - whole.ctypes.data
    return Rows(Path(values.filename), whole.offset + begin, values.shape, values.dtype)


def from_large_matrix(values: Any, target: object, name: str, memory: int) -> Raw:
    """A 2-D array one of whose columns is the target; see `raw.from_matrix`."""
    place, notes = target_place(values, target, name)
    rows = rows_of(values)

    def read(count: int) -> Iterator[NDArray[Any]]:
        for piece in rows.pieces(count):
            yield np.delete(piece, place, axis=1).astype(float_for(piece.dtype), copy=False)

    wanted = [piece[:, place] for piece in rows.pieces(max(PIECE_BYTES // rows.row_bytes, 1))]
    return Raw(
        name,
        Scan(read, len(values), 8 * values.shape[1], memory),
        column_of(f"column {place}", np.concatenate(wanted)),
        f"column {place}",
        notes=notes,
    )


def from_large_pair(x: Any, y: Any, name: str, memory: int) -> Raw:
    """Features that a file is mapped to, and their target; see `memory.from_pair`."""
    rows = rows_of(x)
    wanted = np.int64 if are_indices(x, x.ndim) else float_for(x.dtype)

    def read(count: int) -> Iterator[NDArray[Any]]:
        for piece in rows.pieces(count):
            yield piece.astype(wanted, copy=False)

    return Raw(name, Scan(read, len(x), 8 * x[0].size, memory), target_of(y))


def opened(x: Any, y: Any) -> tuple[Any, Any, str]:
    """Features, target and a name for both, of which either may be an .npy file by its path.

    Raises:
        UserError: If a file cannot be read.
    """
    name = x if isinstance(x, (str, Path)) else "(X, y)"
    return _opened(x, "r"), _opened(y, None), Path(name).name


def _opened(values: Any, mode: Literal["r"] | None) -> Any:
    if not isinstance(values, (str, Path)) or Path(values).suffix.lower() != ".npy":
        return values
    try:
        return np.load(values, mmap_mode=mode, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"cannot read {values}: {reason_of(error)}") from None
