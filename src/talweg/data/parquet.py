"""Parquet: one file, or a folder of files of one table; whole, or in pieces where it is large."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet, types

from talweg.core import UserError, listing
from talweg.data.columns import check_names, column_of
from talweg.data.fill import CATEGORIES
from talweg.data.raw import Raw, check_target, named_columns
from talweg.data.reading import from_table, is_row_number, note_on_row_numbers, reason_of
from talweg.data.room import fits_whole
from talweg.data.table import Scan, Table
from talweg.data.useful import check_left, note_on_times

WORD_BYTES = 80
"""Of a cell of text, as it is read, about."""
READ_BYTES = 65_536
"""What is read of a column's file at once: without a limit it is the column's whole chunk."""


@dataclass(frozen=True)
class Source:
    """A table in parquet files.

    Args:
        path: What the user named: a file, or a folder.
        files: The files, in order.
        schema: Of all of them.
        rows: How many rows they have together.
    """

    path: Path
    files: tuple[Path, ...]
    schema: Any
    rows: int

    def read(self, names: Sequence[str]) -> Any:
        """Some columns of all rows as an arrow table."""
        tables = [_opened(file, lambda opened: opened.read(names)) for file in self.files]
        return pa.concat_tables([table.cast(self._types(names)) for table in tables])

    def pieces(self, names: Sequence[str], rows: int) -> Iterator[Table]:
        """Some columns in pieces of at most ``rows`` rows."""
        for file in self.files:
            with parquet.ParquetFile(file, pre_buffer=False, buffer_size=READ_BYTES) as opened:
                for batch in opened.iter_batches(rows, columns=names, use_threads=False):
                    found = pa.Table.from_batches([batch]).select(names).cast(self._types(names))
                    yield Table({name: column_of(name, found[name]).values for name in names})

    def _types(self, names: Sequence[str]) -> Any:
        return pa.schema([self.schema.field(name) for name in names])


def from_parquet(path: Path, target: object, memory: int) -> Raw:
    """What a parquet file, or a folder of them, holds.

    Args:
        path: The file or folder.
        target: Name of the target's column.
        memory: The bytes that the whole process may take.

    Raises:
        UserError: If it cannot be read or used.
    """
    source = _source(path)
    names: list[str] = source.schema.names
    check_names(names, path.name)
    if source.rows == 0 or not names:
        raise UserError(f"{path} has no rows of data")
    cells = sum(CATEGORIES if _is_text(field.type) else 1 for field in source.schema)
    if fits_whole(cells * source.rows, memory):
        columns = named_columns(names, source.read(names).columns, path.name)
        return from_table(columns, target, path)
    check_target(target, names, path.name)
    return _in_pieces(source, str(target), memory)


def _in_pieces(source: Source, target: str, memory: int) -> Raw:
    """The target in memory, and the features as a scan."""
    names: list[str] = source.schema.names
    features: list[str] = []
    times: list[str] = []
    for field in source.schema:
        name = field.name
        if name == target or is_row_number(
            name, field.type, lambda name=name: source.read([name])[name]
        ):
            continue
        if column_of(field.name, pa.array([], field.type)).flavour == "time":
            times.append(field.name)
        features.append(field.name)
    check_left(features, [])
    row_bytes = sum(
        WORD_BYTES if _is_text(source.schema.field(name).type) else 8 for name in features
    )
    return Raw(
        source.path.name,
        Scan(partial(source.pieces, features), source.rows, row_bytes, memory),
        column_of(target, source.read([target])[target], exact=True),
        target,
        fills=True,
        notes=(*note_on_row_numbers(len(features) < len(names) - 1), *note_on_times(times)),
    )


def _source(path: Path) -> Source:
    if not path.is_dir():
        schema, rows = _opened(path, _about)
        return Source(path, (path,), schema, rows)
    files = [
        file
        for file in sorted(path.rglob("*"))
        if file.suffix.lower() == ".parquet" and not file.name.startswith((".", "_"))
    ]
    if not files:
        raise UserError(
            f"{path} is a folder without a .parquet file: give one that has some, or a single file"
        )
    keys = {part for file in files for part in file.relative_to(path).parts[:-1] if "=" in part}
    if keys:
        raise UserError(
            f"{path} keeps columns in the names of folders ({listing(sorted(keys))}), which are "
            f"not read: write them into the files, or give one of the folders"
        )
    schemas, rows = zip(*(_opened(file, _about) for file in files), strict=True)
    for file, schema in zip(files, schemas, strict=True):
        _check_alike(file, schema, files[0], schemas[0])
    # A column without a value in one file has no type there, and its type is that of the others.
    return Source(path, tuple(files), pa.unify_schemas(schemas), sum(rows))


def _about(opened: Any) -> tuple[Any, int]:
    return opened.schema_arrow.remove_metadata(), opened.metadata.num_rows


def _opened(file: Path, use: Callable[[Any], Any]) -> Any:
    try:
        with parquet.ParquetFile(file) as opened:
            return use(opened)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"cannot read {file}: {reason_of(error)}") from None


def _check_alike(file: Path, schema: Any, first: Path, wanted: Any) -> None:
    """Raises a UserError unless two files have the same columns."""
    for one, theirs, other, ours in ((file, schema, first, wanted), (first, wanted, file, schema)):
        absent = [name for name in ours.names if name not in theirs.names]
        if absent:
            raise UserError(
                f"files of one folder must have the same columns, but {one.name} has no column "
                f"{absent[0]!r}, which {other.name} has"
            )
    for name in wanted.names:
        kind, usual = schema.field(name).type, wanted.field(name).type
        if kind != usual and not types.is_null(kind) and not types.is_null(usual):
            raise UserError(
                f"files of one folder must have the same columns, but {name!r} is {kind} in "
                f"{file.name} and {usual} in {first.name}"
            )


def _is_text(kind: Any) -> bool:
    kind = kind.value_type if types.is_dictionary(kind) else kind
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
