"""What the readers of files share."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pyarrow import types

from talweg.core import UserError, first_line
from talweg.data.raw import Raw, from_columns

DAMAGED = "it is damaged, or not a file of this type"


def from_table(columns: dict[str, Any], target: object, path: Path) -> Raw:
    """A file's columns, one of which is the target.

    Raises:
        UserError: If there are no rows, or a column cannot be used.
    """
    if not columns or len(next(iter(columns.values()))) == 0:
        raise UserError(f"{path} has no rows of data")
    used, notes = _without_index(columns, str(target))
    return from_columns(used, target, path.name, notes=notes)


def _without_index(columns: dict[str, Any], target: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Leaves out the row numbers that pandas writes beside the data."""
    kept = {
        name: column
        for name, column in columns.items()
        if name == target or not is_row_number(name, column.type, lambda column=column: column)
    }
    return kept, note_on_row_numbers(len(kept) < len(columns))


def is_row_number(name: str, kind: Any, read: Callable[[], Any]) -> bool:
    """Whether a column is one of the row numbers that pandas writes beside the data.

    Args:
        name: Its name.
        kind: Its arrow type.
        read: Gives the arrow column, if the name leaves it open.
    """
    if name.startswith("__index_level_"):
        return True
    if name not in ("", "Unnamed: 0") or not types.is_integer(kind):
        return False
    column = read()
    return column.null_count == 0 and np.array_equal(column.to_numpy(), np.arange(len(column)))


def note_on_row_numbers(dropped: bool) -> tuple[str, ...]:
    """What is said of such columns, if there were any."""
    return ("the column of row numbers was dropped",) if dropped else ()


def reason_of(error: Exception) -> str:
    """Why a file could not be read."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = first_line(error)
    if "Python objects in dtype" in text or text.startswith("Object arrays"):
        return "it holds Python objects, which are never unpickled; save numbers or text"
    if "pickle" in text or isinstance(error, (EOFError, zipfile.BadZipFile)):
        return DAMAGED
    return text
