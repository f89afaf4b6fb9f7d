"""Columns of files and data frames as NumPy arrays: numbers, or categories."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute, types

from talweg.core import UserError, counted, listing

Flavour = Literal["text", "truth", "whole", "real", "time"]

NANOSECONDS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}


@dataclass(frozen=True)
class Column:
    """One column as it was read.

    Args:
        values: float64 ``[N]`` (NaN = missing), or objects ``[N]`` (``str``, None = missing) for
            text.
        flavour: What the values were: text, true/false, whole numbers, real numbers, or times.
    """

    values: NDArray[Any]
    flavour: Flavour

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which values are missing, ``[N]``."""
        return missing_in(self.values)


def missing_in(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which entries of an array of any shape are missing: NaN, or None among objects."""
    if values.dtype == np.dtype(object):
        return np.array([value is None for value in values.flat], dtype=bool).reshape(values.shape)
    if values.dtype.kind == "f":
        return np.isnan(values)
    return np.zeros(values.shape, dtype=bool)


def column_of(name: str, values: Any, *, exact: bool = False) -> Column:
    """A column from an arrow column, a data frame's series, an array or a list.

    Args:
        name: What it is called.
        values: Its values.
        exact: Whether whole numbers that float64 cannot tell apart are text.

    Raises:
        UserError: If its values are neither numbers, categories nor times.

    >>> column_of("size", ["small", None]).values.tolist()
    ['small', None]
    """
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return _from_arrow(name, values, exact)
    if isinstance(values, np.ndarray) and values.dtype.kind in "bf":
        return Column(values.astype(np.float64), "truth" if values.dtype.kind == "b" else "real")
    if isinstance(values, np.ndarray):
        values = values.astype(values.dtype.newbyteorder("="))  # arrow has one byte order
    try:
        arrow = pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # numbers and text in one column
        arrow = _as_text(values)
    except (pa.ArrowException, TypeError, ValueError):
        raise _unusable(name, type(next(iter(values))).__name__) from None
    kind = arrow.type.value_type if types.is_dictionary(arrow.type) else arrow.type
    if isinstance(kind, pa.BaseExtensionType):  # periods and intervals of pandas
        arrow = _as_text(values)
    return _from_arrow(name, arrow, exact)


def check_names(names: Sequence[str], where: str) -> None:
    """Raises a UserError if a column name occurs twice."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(
            f"column names must differ, but {where} has "
            f"{counted(len(twice), 'name')} more than once: {listing(twice)}"
        )


def _from_arrow(name: str, column: Any, exact: bool) -> Column:
    kind = column.type
    if types.is_dictionary(kind):
        return _from_arrow(name, compute.call_function("dictionary_decode", [column]), exact)
    if types.is_null(kind):
        return Column(np.full(len(column), np.nan), "real")
    if types.is_boolean(kind):
        return Column(_numbers(column.cast(pa.int8())), "truth")
    if types.is_integer(kind):
        if exact and not _fits(column):
            return _from_arrow(name, column.cast(pa.string()), exact)
        return Column(_numbers(column), "whole")
    if types.is_floating(kind):
        return Column(_numbers(column), "real")
    if types.is_decimal(kind):
        return Column(_numbers(column.cast(pa.float64())), "real")
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return Column(_words(column), "text")
    if types.is_temporal(kind) and not types.is_interval(kind):
        return Column(_seconds(column), "time")
    if types.is_binary(kind) or types.is_large_binary(kind):
        raise UserError(f"column {name!r} holds bytes that are not UTF-8 text; save it as UTF-8")
    raise _unusable(name, str(kind))


def _numbers(column: Any) -> NDArray[np.float64]:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def _words(column: Any) -> NDArray[Any]:
    """Text as objects, of which equal ones are the same: a row takes eight bytes."""
    parts = [np.empty(0, dtype=object)]
    for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        coded = chunk.cast(pa.large_string()).dictionary_encode()
        words = np.array([*coded.dictionary.to_pylist(), None], dtype=object)
        parts.append(words[_numbers(coded.indices.fill_null(len(words) - 1)).astype(np.int64)])
    return np.concatenate(parts)


def _seconds(column: Any) -> NDArray[np.float64]:
    """Dates and times as seconds since 1970, times of day since midnight, durations as they are."""
    kind = column.type
    if types.is_date(kind):
        column = column.cast(pa.timestamp("s"))
    whole = column.cast(pa.int32() if types.is_time32(kind) else pa.int64())
    return _numbers(whole) * (NANOSECONDS[column.type.unit] / 1e9)


def _fits(column: Any) -> bool:
    """Whether float64 can hold every whole number of a column."""
    try:
        column.cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _as_text(values: Any) -> Any:
    words = (str(value) for value in values)
    gaps = ("None", "nan", "<NA>", "NaT")
    return pa.array([None if word in gaps else word for word in words], type=pa.string())


def _unusable(name: str, kind: str) -> UserError:
    return UserError(f"column {name!r} holds {kind}, which is neither a number nor a category")
