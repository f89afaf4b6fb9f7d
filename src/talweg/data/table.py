"""What a data set holds before it is split and prepared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from talweg.core import UserError, choose

KINDS = ("classification", "regression")

LARGEST = float(np.finfo(np.float32).max)
"""What is beyond this is infinite in float32."""


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

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))


Features: TypeAlias = NDArray[Any] | Table
"""A table, or an array ``[N, …]``: float32 or float64, or int64 where the inputs are indices."""


def take(features: Features, rows: NDArray[np.int64]) -> Features:
    """Some rows of a table or an array."""
    return features.take(rows) if isinstance(features, Table) else features[rows]


@dataclass(frozen=True)
class Data:
    """A data set before it is split: nothing is filled, scaled or encoded yet but the target.

    Args:
        name: What it is called.
        kind: ``"classification"`` or ``"regression"``.
        features: A `Table`, or an array ``[N, …]``: float32 or float64 (NaN = missing), or int64
            where the inputs are indices, which are never scaled.
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
