"""What a source holds, before anything is decided about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from talweg.core import UserError, choose, listing
from talweg.data.columns import Column, check_names, column_of
from talweg.data.table import Features
from talweg.data.useful import table_of


@dataclass(frozen=True)
class Raw:
    """Features and target as read.

    Args:
        name: What the source is called.
        features: A table, or an array as in `talweg.data.Data`.
        target: The target, with ``[N]`` or ``[N, K]`` values that may be missing.
        target_name: What the target is called.
        fills: Whether gaps are usual in such a source and filled unless forbidden.
        kind: The kind of task where the source knows it.
        classes: Names of classes 0, 1, …, where the source knows them.
        notes: What was done to read it.
    """

    name: str
    features: Features
    target: Column
    target_name: str = "target"
    fills: bool = False
    kind: str | None = None
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def from_columns(
    columns: Mapping[str, Any],
    target: object,
    name: str,
    *,
    fills: bool = True,
    notes: tuple[str, ...] = (),
) -> Raw:
    """A table one of whose columns is the target.

    Raises:
        UserError: If ``target`` does not name a column, or a column cannot be used.
    """
    names = list(columns)
    check_target(target, names, name)
    wanted = column_of(str(target), columns[str(target)], exact=True)
    table, done = table_of({key: columns[key] for key in names if key != str(target)})
    return Raw(name, table, wanted, str(target), fills, notes=(*notes, *done))


def check_target(target: object, names: Sequence[str], name: str) -> None:
    """Raises a UserError unless ``target`` is one of the columns of a table."""
    if target is None:
        raise UserError(
            f"which column of {name} is the target? say target=NAME (--target NAME); "
            f"columns: {listing(names, 30)}"
        )
    if str(target) not in names:
        raise choose("column", str(target), names, f"columns: {listing(names, 30)}")


def from_matrix(values: Any, target: object, name: str) -> Raw:
    """A 2-D array one of whose columns, by default the last, is the target.

    Raises:
        UserError: If it is no such array, or has no such column.
    """
    if values.dtype.names:
        return from_columns(fields_of(values), target, name, fills=False)
    place, notes = target_place(values, target, name)
    return Raw(
        name,
        floats(np.delete(values, place, axis=1)),
        column_of(f"column {place}", values[:, place]),
        f"column {place}",
        notes=notes,
    )


def target_place(values: Any, target: object, name: str) -> tuple[int, tuple[str, ...]]:
    """Which column of a 2-D array is the target, and what is said of it.

    Raises:
        UserError: If it is no such array, or has no such column.
    """
    if values.ndim != 2 or values.dtype.kind not in "biuf" or values.shape[1] < 2:
        raise UserError(
            f"{name} must hold a 2-D array of numbers with at least two columns "
            f"(or named columns), got shape {list(values.shape)} of {values.dtype}"
        )
    place = _index(target, values.shape[1])
    said = f"column {place}, the last one, was taken as the target"
    return place, (said,) if target is None else ()


def fields_of(values: Any) -> dict[str, Any]:
    """The columns of an array of records."""
    return {name: values[name] for name in values.dtype.names}


def named_columns(names: Sequence[object], columns: Sequence[Any], where: str) -> dict[str, Any]:
    """Name → column, after checking that no name occurs twice."""
    words = [str(name) for name in names]
    check_names(words, where)
    return dict(zip(words, columns, strict=True))


def floats(values: Any) -> Any:
    """An array as float32 if that is exact for all values of its type, else float64."""
    return np.ascontiguousarray(values, dtype=float_for(values.dtype))


def float_for(dtype: Any) -> type[np.floating[Any]]:
    """float32 if that is exact for all values of a type, else float64."""
    small = dtype in (np.float16, np.float32, np.uint8, np.int8, np.bool_)
    return np.float32 if small else np.float64


def _index(target: object, width: int) -> int:
    if target is None:
        return width - 1
    try:
        place = int(str(target))
    except ValueError:
        place = width
    if not -width <= place < width:
        raise UserError(
            f"target must be a column number from 0 to {width - 1} "
            f"(or from the end, -1 to -{width}), got {target!r}"
        )
    return place % width
