"""Rows in a file, read as they are asked for."""

import errno
import os
import shutil
import tempfile
import weakref
from typing import IO, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talweg.core import UserError, in_bytes


class Source(Protocol):
    """Where rows ``[N, …]`` of one type come from as they are asked for.

    Attributes:
        shape: Of a row.
        dtype: Of the values.
        aside: Whether rows may be read on another thread while lanes make steps.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def dtype(self) -> np.dtype[Any]: ...  # noqa: D102
    @property
    def aside(self) -> bool: ...  # noqa: D102

    def read(self, rows: NDArray[Any], into: NDArray[Any]) -> None:
        """Reads rows, each to its place.

        Args:
            rows: Their numbers, ``[n]``.
            into: Contiguous, ``[n, …]``.
        """
        ...


def free_on_disk() -> int:
    """Bytes that temporary files may still take."""
    return shutil.disk_usage(tempfile.gettempdir()).free


class Store:
    """Rows ``[N, …]`` of one type in a file.

    Rows are read and not mapped: what is mapped counts as memory of the process.

    Args:
        file: The file; it may be closed afterwards.
        shape: Of a row.
        dtype: Of the values.
        offset: Where the first row begins.
    """

    aside = True

    def __init__(
        self, file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any], offset: int = 0
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self.row_bytes = int(np.prod(shape)) * dtype.itemsize
        self._offset = offset
        self._how = getattr(os, "RWF_NOWAIT", 0)  # tells what would have to be fetched
        self._handle = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._handle)

    @classmethod
    def temporary(cls, count: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> "Store":
        """An empty one without a name, so that nothing is left of it however the process ends.

        Args:
            count: How many rows there will be.
            shape: Of a row.
            dtype: Of the values.

        Raises:
            UserError: If the disk has no room for them.
        """
        folder = tempfile.gettempdir()
        size = count * int(np.prod(shape)) * dtype.itemsize
        free = free_on_disk()
        if size > free:
            raise UserError(
                f"the data takes {in_bytes(size)} on disk, but {folder} has "
                f"{in_bytes(free)} free: name a folder with more room in TMPDIR, or allow more "
                f"memory (memory=…, --memory)"
            )
        with tempfile.TemporaryFile() as file:
            return cls(file, shape, dtype)

    def append(self, rows: NDArray[Any]) -> None:
        """Writes the next rows.

        Raises:
            UserError: If they cannot be written.
        """
        left = np.ascontiguousarray(rows, self.dtype).data.cast("B")
        try:
            while left:
                left = left[os.write(self._handle, left) :]
        except OSError as error:
            raise UserError(
                f"cannot write to the temporary folder {tempfile.gettempdir()}: {error.strerror} "
                f"(TMPDIR names another)"
            ) from error

    def read(self, rows: NDArray[Any], into: NDArray[Any]) -> None:
        """See `Source.read`: in the order of the file."""
        if len(rows) == 0:
            return
        handle, size, how = self._handle, self.row_bytes, self._how
        whole = into.data.cast("B")
        order = np.argsort(rows, kind="stable")
        starts: list[int] = (rows[order].astype(np.int64) * size + self._offset).tolist()
        places: list[int] = (order * size).tolist()
        late: list[tuple[int, int]] = []
        for start, place in zip(starts, places, strict=True):
            try:
                if os.preadv(handle, (whole[place : place + size],), start, how) < size:
                    late.append((start, place))
            except OSError as error:
                late.append((start, place))
                if error.errno == errno.EOPNOTSUPP:
                    self._how = 0
        if late:
            self._wait_for(late, whole)

    def _wait_for(self, late: list[tuple[int, int]], whole: memoryview) -> None:
        """Reads rows that the system does not hold in memory: all are asked for, then awaited."""
        handle, size = self._handle, self.row_bytes
        if hasattr(os, "posix_fadvise"):
            for start, _ in late:
                os.posix_fadvise(handle, start, size, os.POSIX_FADV_WILLNEED)
        for start, place in late:
            done = 0
            while done < size:
                count = os.preadv(handle, (whole[place + done : place + size],), start + done)
                if count == 0:
                    raise OSError("the file of the data ended too early")
                done += count


class Stored:
    """The rows of one part of a data set, read as they are asked for; takes the place of a tensor.

    Args:
        source: Where they come from.
        rows: Their numbers there, in the part's order, ``[N]``.
        dtype: Of what is read; None for the source's own.
        device: Where it is brought.
    """

    def __init__(
        self,
        source: Source,
        rows: NDArray[Any],
        dtype: torch.dtype | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self._source = source
        self._rows = rows
        self._own = torch.from_numpy(np.empty(0, source.dtype)).dtype
        self.dtype = dtype or self._own
        self.device = torch.device(device)
        self.shape = torch.Size((len(rows), *source.shape))
        self.aside = source.aside

    def take(self, rows: Tensor | NDArray[Any]) -> Tensor:
        """Some rows ``[n, …]`` as a tensor, in the order asked for.

        Raises:
            UserError: If a value is too large for the type.
        """
        chosen = self._rows[np.asarray(rows)]
        found = torch.empty(
            len(chosen), *self.shape[1:], dtype=self._own, pin_memory=self.device.type == "cuda"
        )
        self._source.read(chosen, found.numpy())
        cast = found.to(self.device, self.dtype, non_blocking=True)
        if self.dtype != self._own and not cast.isfinite().all():
            raise UserError(f"the data holds values too large for the model's {self.dtype}")
        return cast

    def __getitem__(self, rows: slice) -> Tensor:
        return self.take(np.arange(len(self))[rows])

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "Stored":
        """The same rows, to be read as another type or to another device."""
        return Stored(self._source, self._rows, dtype or self.dtype, device)

    def dim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    def is_floating_point(self) -> bool:
        """Whether these are numbers rather than indices."""
        return self.dtype.is_floating_point

    def __len__(self) -> int:
        return len(self._rows)
