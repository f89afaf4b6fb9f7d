"""Gaps and categories as numbers, by what the training part says."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talweg.core import counted, listing
from talweg.data.columns import missing_in

CATEGORIES = 30
"""A column of categories becomes at most this many columns."""

ABSENT = "(missing)"


def medians_of(values: NDArray[Any]) -> NDArray[Any]:
    """The median of each column ``[n, columns]``, NaN = missing; 0 where there is no value."""
    found = np.zeros(values.shape[1], values.dtype)
    for place, column in enumerate(values.T):
        present = column[~np.isnan(column)]
        if len(present):
            found[place] = np.median(present)
    return found


def filled(values: NDArray[Any], medians: NDArray[Any]) -> NDArray[Any]:
    """Numbers ``[n, columns]`` with each column's median in its gaps."""
    gaps = np.isnan(values)
    return np.where(gaps, medians, values) if gaps.any() else values


def notes_on_gaps(
    gaps: NDArray[np.int64], empty: NDArray[np.bool_], names: Sequence[str]
) -> tuple[str, ...]:
    """What was done about missing numbers.

    Args:
        gaps: How many each column has.
        empty: Whether a column has no value in the training part.
        names: The columns' names; empty if they have none.
    """
    count = int(gaps.sum())
    if count == 0:
        return ()
    verb = "was" if count == 1 else "were"
    said = f"{counted(count, 'missing value')} {verb} filled with the training part's median"
    notes = (said + _named(names, gaps > 0),)
    if empty.any():
        said = (
            f"{counted(int(empty.sum()), 'column')} without a value in the training part became 0"
        )
        notes = (*notes, said + _named(names, empty))
    return notes


def fill(
    parts: Sequence[NDArray[Any]], names: Sequence[str]
) -> tuple[list[NDArray[Any]], tuple[str, ...]]:
    """Fills gaps with the medians of the first part, or 0 where that has no value at all.

    Args:
        parts: Numbers ``[n, columns]``, NaN = missing.
        names: The columns' names; empty if they have none.
    """
    gaps = np.stack([np.isnan(part).sum(0) for part in parts]).sum(0)
    if not gaps.any():
        return list(parts), ()
    medians = medians_of(parts[0])
    notes = notes_on_gaps(gaps, np.asarray(np.isnan(parts[0]).all(axis=0)), names)
    return [filled(part, medians) for part in parts], notes


class Categories:
    """A column of categories as columns of 0 and 1.

    Args:
        values: Categories ``[n]`` of the training part, None = missing.
        name: The column's name.

    Attributes:
        names: What the columns are called.
        notes: What was done.
    """

    def __init__(self, values: NDArray[Any], name: str) -> None:
        from sklearn.preprocessing import OneHotEncoder

        self._encoder: Any = OneHotEncoder(
            handle_unknown="ignore", max_categories=CATEGORIES, sparse_output=False
        )
        self._encoder.fit(_column(values))
        (categories,) = self._encoder.categories_
        (rare,) = self._encoder.infrequent_categories_
        together = set() if rare is None else set(rare)
        self.names = [f"{name}={category}" for category in categories if category not in together]
        self.notes: tuple[str, ...] = ()
        if together:
            self.names.append(f"{name}=(other)")
            self.notes = (
                f"column {name!r} has {len(categories)} categories: the {len(self.names) - 1} most "
                f"frequent were kept and the others share one column",
            )

    def __call__(self, values: NDArray[Any]) -> NDArray[Any]:
        """Categories ``[n]`` as ``[n, columns]``; those that the training part lacks are all 0."""
        return self._encoder.transform(_column(values))


def _column(values: NDArray[Any]) -> NDArray[Any]:
    return np.where(missing_in(values), ABSENT, values)[:, None]


def _named(names: Sequence[str], which: NDArray[np.bool_]) -> str:
    """The names of some columns after a colon, if they have names."""
    return f": {listing(chosen(names, which))}" if names else ""


def chosen(names: Sequence[str], which: NDArray[np.bool_]) -> list[str]:
    """The names of the columns that are marked."""
    return [name for name, marked in zip(names, which, strict=True) if marked]
