"""What a data set holds before it is split and prepared."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from talweg.core import UserError, choose
from talweg.data.inputs import Key, check_rows, label
from talweg.data.stored import Source

KINDS = ("classification", "regression")

LARGEST = float(np.finfo(np.float32).max)
"""What is beyond this is infinite in float32."""

PIECE_BYTES = 8_000_000
"""What is read at once of features that stay in their files, about."""


@dataclass(frozen=True)
class Table:
    """Columns of one length, by name and in their original order.

    Args:
        columns: Name → values ``[N]``: float64 for numbers (NaN = missing), objects for
            categories (``str``, None = missing).

    >>> table = Table({"age": np.array([31.0, np.nan]), "city": np.array(["Rome", None])})
    >>> table.names, table.is_numeric("city"), len(table)
    (('age', 'city'), False, 2)
    """

    columns: Mapping[str, NDArray[Any]]

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(self.columns)

    def is_numeric(self, name: str) -> bool:
        """Whether a column holds numbers rather than categories."""
        return self.columns[name].dtype != np.dtype(object)

    def take(self, rows: NDArray[np.int64]) -> "Table":
        """The table of some rows."""
        return Table({name: values[rows] for name, values in self.columns.items()})

    def only(self, names: Sequence[str]) -> "Table":
        """The table of some columns."""
        return Table({name: self.columns[name] for name in names})

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))


Held: TypeAlias = NDArray[Any] | Table
"""A table, or an array ``[N, …]``: float32 or float64, or int64 where the inputs are indices; among
several inputs also true/false."""


@dataclass(frozen=True, eq=False)
class Several:
    """Features of a model that takes several inputs, each prepared as it would be alone.

    Args:
        inputs: By their place, from 0, or by the name of the model's argument.

    Raises:
        UserError: If there are none, or they are of different lengths.

    >>> both = Several({"image": np.zeros((3, 8, 8)), "age": np.array([[31.0], [4.0], [15.0]])})
    >>> len(both), both.by_name["x['age']"].shape
    (3, (3, 1))
    """

    inputs: Mapping[Key, Held]

    def __post_init__(self) -> None:
        check_rows(self.by_name)

    @property
    def by_name(self) -> dict[str, Held]:
        """What each is called in messages → the input."""
        return {label(key): values for key, values in self.inputs.items()}

    def take(self, rows: NDArray[np.int64]) -> "Several":
        """Some rows of each."""
        return Several({key: held_rows(values, rows) for key, values in self.inputs.items()})

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))


@dataclass(frozen=True)
class Scan:
    """Features that stay in their files and are read in pieces, as often as need be.

    Args:
        read: Reads all rows of the source from first to last, in pieces of about as many rows as
            it is given.
        count: How many rows the source has.
        row_bytes: What a row takes as it is read, about.
        memory: The bytes that the whole process may take.
        rows: Those that are used, ascending; None for all.
        missing: ``"median"`` or ``"error"``; see `talweg.data.load`.
        source: Where the same rows can be had in any order; None if there is no such place.
    """

    read: Callable[[int], Iterator[Held]]
    count: int
    row_bytes: int
    memory: int
    rows: NDArray[np.int64] | None = None
    missing: str = "median"
    source: Source | None = None

    def take(self, rows: NDArray[np.int64]) -> "Scan":
        """Some of the rows, ascending."""
        if len(rows) == len(self):
            return self
        return replace(self, rows=rows if self.rows is None else self.rows[rows])

    def pieces(self) -> Iterator[tuple[NDArray[np.int64], Held]]:
        """Rows that are used: their numbers in the source, and what they hold."""
        at_once = min(max(PIECE_BYTES // self.row_bytes, 1), self.count)
        begin = 0
        for piece in self.read(at_once):
            end = begin + len(piece)
            if self.rows is None:
                yield np.arange(begin, end), piece
            else:
                low, high = np.searchsorted(self.rows, (begin, end))
                rows = self.rows[low:high]
                yield rows, piece if len(rows) == len(piece) else held_rows(piece, rows - begin)
            begin = end

    def __len__(self) -> int:
        return self.count if self.rows is None else len(self.rows)


Features: TypeAlias = Held | Scan | Several


def take(features: Features, rows: NDArray[np.int64]) -> Features:
    """Some rows of features."""
    if isinstance(features, (Scan, Several)):
        return features.take(rows)
    return held_rows(features, rows)


def held_rows(features: Held, rows: NDArray[np.int64]) -> Held:
    """Some rows of what is in memory."""
    return features.take(rows) if isinstance(features, Table) else features[rows]


@dataclass(frozen=True)
class Data:
    """A data set before it is split: nothing is filled, scaled or encoded yet but the target.

    Args:
        name: What it is called.
        kind: ``"classification"`` or ``"regression"``.
        features: A `Table`, or an array ``[N, …]``: float32 or float64 (NaN = missing), or int64
            where the inputs are indices, which are never scaled; or a `Scan` of either, or
            `Several` of them.
        target: Class numbers ``[N]`` (int64), or values ``[N]`` or ``[N, K]`` (float64), in their
            own unit.
        classes: The name of each class number; empty for regression.
        target_name: What the target is called.
        notes: What was done to the data so far, one sentence each.

    Raises:
        UserError: If the kind is unknown, or features and target are of different lengths or empty.
    """

    name: str
    kind: str
    features: Features
    target: NDArray[Any]
    classes: tuple[str, ...] = ()
    target_name: str = "target"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise choose("kind", self.kind, KINDS)
        check_lengths(self.features, self.target)

    def __len__(self) -> int:
        return len(self.target)


def check_lengths(features: Features, target: NDArray[Any]) -> None:
    """Raises a UserError unless both have the same number of rows, more than 0."""
    if len(features) != len(target):
        raise UserError(
            f"features and target must have the same number of rows, "
            f"got {len(features)} and {len(target)}"
        )
    if len(target) == 0:
        raise UserError("there are no samples: features and target have 0 rows")
