"""A table's columns as numbers, by what the training part says."""

import numpy as np
from numpy.typing import NDArray

from talweg.data.fill import Categories, filled, medians_of
from talweg.data.table import Table


class Encoder:
    """Fills gaps in numbers and makes columns of 0 and 1 of categories.

    Args:
        first: The training part, or a sample of it.

    Attributes:
        numeric: Names of the columns of numbers.
        medians: What fills their gaps.
        names: Names of the columns that come out, in the table's order.
        are_categories: Which of those are of categories.
        notes: What was done to categories.
    """

    def __init__(self, first: Table) -> None:
        self.numeric = [name for name in first.names if first.is_numeric(name)]
        self.medians = medians_of(matrix(first, self.numeric))
        self._categories: dict[str, Categories | None] = {
            name: None if first.is_numeric(name) else Categories(first.columns[name], name)
            for name in first.names
        }
        self.names: list[str] = []
        marks: list[bool] = []
        self.notes: tuple[str, ...] = ()
        for name, categories in self._categories.items():
            new = [name] if categories is None else categories.names
            self.names += new
            marks += [categories is not None] * len(new)
            self.notes += () if categories is None else categories.notes
        self.are_categories = np.array(marks)

    def __call__(self, table: Table) -> NDArray[np.float64]:
        """Rows of such a table as numbers ``[n, columns]``."""
        numbers = filled(matrix(table, self.numeric), self.medians)
        if len(self.numeric) == len(self._categories):
            return numbers
        whole = np.empty((len(table), len(self.names)))
        whole[:, ~self.are_categories] = numbers
        begin = 0
        for name, categories in self._categories.items():
            end = begin + (1 if categories is None else len(categories.names))
            if categories is not None:
                whole[:, begin:end] = categories(table.columns[name])
            begin = end
        return whole


def matrix(table: Table, names: list[str]) -> NDArray[np.float64]:
    """Columns of numbers side by side, ``[N, columns]``."""
    whole = np.empty((len(table), len(names)))
    for place, name in enumerate(names):
        whole[:, place] = table.columns[name]
    return whole
