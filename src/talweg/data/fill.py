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


def fill(
    parts: Sequence[NDArray[Any]], names: Sequence[str]
) -> tuple[list[NDArray[Any]], tuple[str, ...]]:
    """Fills gaps with the medians of the first part, or 0 where that has no value at all.

    Args:
        parts: Numbers ``[n, columns]``, NaN = missing.
        names: The columns' names; empty if they have none.
    """
    gaps = np.stack([np.isnan(part).sum(0) for part in parts]).sum(0)
    count = int(gaps.sum())
    if count == 0:
        return list(parts), ()
    from sklearn.impute import SimpleImputer

    imputer: Any = SimpleImputer(strategy="median", keep_empty_features=True).fit(parts[0])
    verb = "was" if count == 1 else "were"
    said = f"{counted(count, 'missing value')} {verb} filled with the training part's median"
    notes = (said + _named(names, gaps > 0),)
    empty = np.asarray(np.isnan(parts[0]).all(axis=0))
    if empty.any():
        said = (
            f"{counted(int(empty.sum()), 'column')} without a value in the training part became 0"
        )
        notes = (*notes, said + _named(names, empty))
    return [imputer.transform(part) for part in parts], notes


def encode(
    parts: Sequence[NDArray[Any]], name: str
) -> tuple[list[NDArray[Any]], list[str], tuple[str, ...]]:
    """Categories as columns of 0 and 1, with the columns' names and what was done.

    Args:
        parts: Categories ``[n]``, None = missing.
        name: The column's name.
    """
    from sklearn.preprocessing import OneHotEncoder

    encoder: Any = OneHotEncoder(
        handle_unknown="ignore", max_categories=CATEGORIES, sparse_output=False
    )
    columns = [np.where(missing_in(part), ABSENT, part)[:, None] for part in parts]
    encoder.fit(columns[0])
    (categories,), (rare,) = encoder.categories_, encoder.infrequent_categories_
    together = set() if rare is None else set(rare)
    names = [f"{name}={category}" for category in categories if category not in together]
    notes: tuple[str, ...] = ()
    if together:
        names.append(f"{name}=(other)")
        notes = (
            f"column {name!r} has {len(categories)} categories: the {len(names) - 1} most "
            f"frequent were kept and the others share one column",
        )
    return [encoder.transform(part) for part in columns], names, notes


def _named(names: Sequence[str], which: NDArray[np.bool_]) -> str:
    """The names of some columns after a colon, if they have names."""
    return f": {listing(chosen(names, which))}" if names else ""


def chosen(names: Sequence[str], which: NDArray[np.bool_]) -> list[str]:
    """The names of the columns that are marked."""
    return [name for name, marked in zip(names, which, strict=True) if marked]
