"""Feature values that cannot be used: infinite ones, and missing ones where none are allowed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talweg.core import UserError, counted
from talweg.data.columns import missing_in
from talweg.data.table import LARGEST, Table


@dataclass
class Flaw:
    """Values of one kind that are in the way: how many, and where the first is."""

    count: int = 0
    row: int = 0
    column: str = ""

    def look(
        self,
        features: NDArray[Any] | Table,
        rows: NDArray[np.int64],
        flawed: Callable[[NDArray[Any]], NDArray[np.bool_]],
    ) -> None:
        """Counts flawed values; pieces of one source come in order.

        A category has one flaw only, to be missing, which NaN stands for.
        """
        before, first = self.count, len(features)
        for name, values in _blocks(features):
            gone = values.dtype.kind == "O"
            numbers = np.where(missing_in(values), np.nan, 0.0) if gone else values
            marked = flawed(numbers)
            count = int(np.count_nonzero(marked))
            self.count += count
            if count == 0 or before > 0:
                continue
            row, *inside = np.argwhere(marked)[0]
            if row < first:
                first, self.row = row, int(rows[row])
                self.column = f", column {name!r}" if name else ""
                if len(inside) == 1:
                    self.column = f", column {inside[0]}"

    @property
    def place(self) -> str:
        """Where the first is, in words."""
        return f"row {self.row}{self.column}"


class Flaws:
    """Looks for flaws in features, all at once or piece by piece.

    Args:
        missing: ``"median"``, or ``"error"``, which allows no missing values.
    """

    def __init__(self, missing: str) -> None:
        self._refuses_gaps = missing == "error"
        self._infinite = Flaw()
        self._gaps = Flaw()

    def look(self, features: NDArray[Any] | Table, rows: NDArray[np.int64]) -> None:
        """Looks at features, whose rows have these numbers in the source."""
        self._infinite.look(features, rows, lambda values: np.abs(values) > LARGEST)
        if self._refuses_gaps:
            self._gaps.look(features, rows, np.isnan)

    def complain(self) -> None:
        """Raises a UserError for what was found."""
        if self._infinite.count:
            raise UserError(
                f"features hold {counted(self._infinite.count, 'infinite value')} "
                f"(beyond ±3.4e38), first at {self._infinite.place}; remove or replace them"
            )
        if self._gaps.count:
            raise UserError(
                f"features hold {counted(self._gaps.count, 'missing value')} (NaN), "
                f'first at {self._gaps.place}; pass missing="median" (--missing median) '
                f"to fill them"
            )


def _blocks(features: NDArray[Any] | Table) -> list[tuple[str, NDArray[Any]]]:
    """Column by column, or the array as a whole without a name."""
    if isinstance(features, Table):
        return [(name, features.columns[name]) for name in features.names]
    return [("", features)]
