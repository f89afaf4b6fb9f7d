"""Which columns of a table are of use, and what is said of the others."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talweg.core import UserError, counted, listing
from talweg.data.columns import column_of, missing_in
from talweg.data.table import Table


def table_of(columns: Mapping[str, Any]) -> tuple[Table, tuple[str, ...]]:
    """The features of a table and what was done to read them.

    Columns without a value and columns of text that is different in every row are left out.

    Args:
        columns: Name → arrow column, series, array or list.

    Raises:
        UserError: If no column is left, or one cannot be used.
    """
    kept: dict[str, NDArray[Any]] = {}
    times: list[str] = []
    empty: list[str] = []
    identifiers: list[str] = []
    for name, values in columns.items():
        column = column_of(name, values)
        if column.missing.all() and len(column.values) > 0:
            empty.append(name)
        elif is_identifier(column.values):
            identifiers.append(name)
        else:
            kept[name] = column.values
            if column.flavour == "time":
                times.append(name)
    check_left(kept, columns)
    return Table(kept), (*note_on_times(times), *notes_on_dropped(empty, identifiers))


def is_identifier(values: NDArray[Any]) -> bool:
    """Whether a column is of text that differs in every row."""
    if values.dtype != np.dtype(object):
        return False
    present = values[~missing_in(values)]
    return len(set(present)) == len(present) > 1


def note_on_times(times: Sequence[str]) -> tuple[str, ...]:
    """Which columns held times, if any."""
    return _notes((times, "of dates or times turned into seconds"))


def notes_on_dropped(empty: Sequence[str], identifiers: Sequence[str]) -> tuple[str, ...]:
    """Which columns were left out, if any."""
    return _notes(
        (empty, "without any value dropped"),
        (identifiers, "of text that differs in every row dropped"),
    )


def _notes(*done: tuple[Sequence[str], str]) -> tuple[str, ...]:
    return tuple(
        f"{counted(len(names), 'column')} {what}: {listing(names)}" for names, what in done if names
    )


def check_left(kept: Collection[str], given: Collection[str]) -> None:
    """Raises a UserError if no feature column is left."""
    if not kept:
        raise UserError(
            "no feature column is left: every column is empty or text that differs in every row"
            if given
            else "there is no feature column besides the target"
        )
