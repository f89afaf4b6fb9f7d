"""Reading data files. Nothing is ever unpickled."""

import contextlib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute, csv, types

from talweg.core import UserError, choose, listing, nearest
from talweg.data.mapped import from_large_matrix, is_large
from talweg.data.parquet import from_parquet
from talweg.data.raw import Raw, from_matrix, named_columns
from talweg.data.reading import from_table, reason_of
from talweg.data.several import from_given

GAPS = ["", "?", "NA", "N/A", "n/a", "na", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None"]
"""Cells of a text table that stand for a missing value, with or without a space before them."""

PAIRS = (("X", "y"), ("x", "y"), ("data", "target"))
"""Names under which features and target are looked for in an .npz file."""


def from_file(path: Path, target: object, memory: int) -> Raw:
    """What a file holds, or a folder of parquet files.

    Args:
        path: Where it is.
        target: The target's column or array.
        memory: The bytes that the whole process may take.

    Raises:
        UserError: If there is no such file, or it cannot be read or used.
    """
    if path.is_dir():
        return from_parquet(path, target, memory)
    if path.suffix.lower() not in READERS:
        raise choose("file type", path.suffix or path.name, READERS)
    try:
        if not path.exists():
            raise _absent(path)
        return READERS[path.suffix.lower()](path, target, memory)
    except UserError:
        raise
    except (pa.ArrowException, OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"cannot read {path}: {reason_of(error)}") from None


def _absent(path: Path) -> UserError:
    beside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    close = nearest(path.name, beside)
    question = f"; did you mean {close!r}?" if close else ""
    return UserError(f"there is no file {str(path)!r}{question}")


def _csv(path: Path, target: object, memory: int) -> Raw:  # noqa: ARG001 - read whole
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty")
    delimiter = _delimiter(path)
    table = csv.read_csv(
        path,
        parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            null_values=[*GAPS, *(f" {gap}" for gap in GAPS)], strings_can_be_null=True
        ),
    )
    names = [name.strip() for name in table.column_names]
    columns = named_columns(
        names, [_cleaned(column, delimiter) for column in table.columns], path.name
    )
    return from_table(columns, target, path)


def _delimiter(path: Path) -> str:
    """A tab for .tsv; for .csv whichever of comma, semicolon and tab the first line has most of."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    with path.open(encoding="utf-8", errors="replace") as file:
        line = file.readline()
    return max((",", ";", "\t"), key=line.count)


def _cleaned(column: Any, delimiter: str) -> Any:
    """Text without spaces around it, and, between semicolons, decimal commas as numbers."""
    if not types.is_string(column.type):
        return column
    column = compute.call_function("utf8_trim_whitespace", [column])
    if delimiter == ";":
        points = compute.ReplaceSubstringOptions(",", ".")
        with contextlib.suppress(pa.ArrowInvalid):
            return compute.call_function("replace_substring", [column], points).cast(pa.float64())
    return column


def _npz(path: Path, target: object, memory: int) -> Raw:
    if not zipfile.is_zipfile(path):
        raise zipfile.BadZipFile
    with np.load(path, allow_pickle=False) as file:
        names = list(file.files)
        x_names, y_name = _pair(names, target, path.name)
        one = len(x_names) == 1
        x = file[x_names[0]] if one else {name: file[name] for name in x_names}
        raw = from_given(x, file[y_name], path.name, memory)
    unused = [name for name in names if name not in (*x_names, y_name)]
    notes: tuple[str, ...] = ()
    if unused:
        notes = (f"features are array {x_names[0]!r}; not used: {listing(unused)}",)
    elif not one:
        notes = (f"inputs are arrays {listing(x_names, 30)}",)
    return replace(raw, target_name=y_name, notes=(*raw.notes, *notes))


def _pair(names: list[str], target: object, name: str) -> tuple[tuple[str, ...], str]:
    """The names of the arrays that are inputs, and of the target."""
    if target is None:
        found = next((pair for pair in PAIRS if set(pair) <= set(names)), None)
        if found is None:
            raise UserError(
                f"{name} must hold arrays X and y, or say which one is the target with "
                f"target=NAME (--target NAME); arrays: {listing(names, 30) or 'none'}"
            )
        return found[:1], found[1]
    if target not in names:
        raise choose("array", str(target), names, f"arrays: {listing(names, 30) or 'none'}")
    others = tuple(other for other in names if other != target)
    usual = tuple(other for other in others if other in ("X", "x", "data"))
    inputs = usual if len(usual) == 1 else others
    if not inputs:
        raise UserError(
            f"besides the target {name} must hold one array of features, or several inputs of a "
            f"model by their names; arrays: {listing(names, 30)}"
        )
    return inputs, str(target)


def _npy(path: Path, target: object, memory: int) -> Raw:
    values = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(values, np.ndarray):
        raise UserError(f"{path} holds several arrays; rename it to .npz")
    if is_large(values, memory):
        return from_large_matrix(values, target, path.name, memory)
    values = np.load(path, allow_pickle=False)
    return from_matrix(values, target, path.name)


READERS: dict[str, Callable[[Path, object, int], Raw]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".parquet": from_parquet,
    ".npz": _npz,
    ".npy": _npy,
}
