"""What is learned of features that stay in their files, in one pass over all rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talweg.data.columns import missing_in
from talweg.data.encoder import matrix
from talweg.data.flaws import Flaws
from talweg.data.moments import Moments
from talweg.data.table import Held, Scan, Table, held_rows
from talweg.data.useful import check_left, is_identifier, notes_on_dropped

SAMPLE = 100_000
"""Rows of the training part that medians and categories are taken from, at most."""
SHARE = 32
"""The sample takes no more than one part in so many of the memory allowed."""


@dataclass(frozen=True)
class Survey:
    """What a pass over a scan found.

    Args:
        sample: Rows of the training part, drawn evenly; all of them where they are few.
        moments: Of the training part's numbers, column by column; of one column that holds all
            values where a sample has more than one dimension.
        gaps: Missing values of each of these columns, in all parts.
        notes: Which columns were left out, and why.
    """

    sample: Held
    moments: Moments
    gaps: NDArray[np.int64]
    notes: tuple[str, ...]


def survey(scan: Scan, training: NDArray[np.bool_]) -> Survey:
    """Reads all rows once.

    Args:
        scan: The features.
        training: Which rows statistics are taken of, ``[len(scan)]``.

    Raises:
        UserError: For values that cannot be used, and if no column is left.
    """
    chosen = _drawn(training, scan.memory // SHARE // scan.row_bytes)
    flaws = Flaws(scan.missing)
    sample: list[Held] = []
    moments: Moments | None = None
    gaps = np.zeros(0, np.int64)
    for part, rows, piece in parts_of(scan):
        flaws.look(piece, rows)
        values = numbers_of(piece)
        if moments is None:
            moments = Moments(values.shape[1])
            gaps = np.zeros(values.shape[1], np.int64)
        gaps += np.isnan(values).sum(0)
        each = len(values) // max(len(rows), 1)
        with np.errstate(invalid="ignore", over="ignore"):  # infinite ones are complained of below
            moments.add(values[np.repeat(training[part], each)])
        sample.append(held_rows(piece, np.flatnonzero(chosen[part])))
    flaws.complain()
    assert moments is not None
    held = _joined(sample)
    if not isinstance(held, Table):
        return Survey(held, moments, gaps, ())
    return _without_useless(held, moments, gaps, gaps == len(scan))


def parts_of(scan: Scan) -> Iterator[tuple[slice, NDArray[np.int64], Held]]:
    """The pieces of a scan, with their places among the rows used and in the source."""
    begin = 0
    for rows, piece in scan.pieces():
        yield slice(begin, begin + len(rows)), rows, piece
        begin += len(rows)


def numbers_of(piece: Held) -> NDArray[Any]:
    """The numbers of a piece: rows of columns, or one column of all values."""
    if isinstance(piece, Table):
        return matrix(piece, [name for name in piece.names if piece.is_numeric(name)])
    return piece if piece.ndim == 2 else piece.reshape(-1, 1)


def _drawn(training: NDArray[np.bool_], most: int) -> NDArray[np.bool_]:
    """Which rows the sample has."""
    rows = np.flatnonzero(training)
    size = min(max(most, 1000), SAMPLE)
    if len(rows) <= size:
        return training
    chosen = np.zeros_like(training)
    chosen[rows[np.random.default_rng(0).choice(len(rows), size, replace=False)]] = True
    return chosen


def _joined(pieces: list[Held]) -> Held:
    tables = [piece for piece in pieces if isinstance(piece, Table)]
    if not tables:
        return np.concatenate([piece for piece in pieces if not isinstance(piece, Table)])
    return Table(
        {
            name: np.concatenate([table.columns[name] for table in tables])
            for name in tables[0].names
        }
    )


def _without_useless(
    sample: Table, moments: Moments, gaps: NDArray[np.int64], no_number: NDArray[np.bool_]
) -> Survey:
    """Leaves out columns without a value, and text that differs in every row of the sample."""
    numeric = [name for name in sample.names if sample.is_numeric(name)]
    empty = [name for name, nothing in zip(numeric, no_number, strict=True) if nothing]
    identifiers: list[str] = []
    for name in sample.names:
        values = sample.columns[name]
        if not sample.is_numeric(name) and missing_in(values).all():
            empty.append(name)
        elif is_identifier(values):
            identifiers.append(name)
    left = [name for name in sample.names if name not in {*empty, *identifiers}]
    check_left(left, sample.names)
    return Survey(
        sample.only(left),
        moments.only(~no_number),
        gaps[~no_number],
        notes_on_dropped(empty, identifiers),
    )
